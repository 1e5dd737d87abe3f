import { expect, test } from 'vitest'
import { subscribe } from '../../../../src/operator/intake/keys.ts'
import { createViews } from '../../../../src/operator/intake/views.ts'
import { aClaim } from '../../../builders/snapshot.ts'

/** Keys of resources that are to be looked at once a list as of version 10 is followed by another. */
function askedFor(version: string): string[] {
  const views = createViews()
  const take = views.claims.feed()
  const list = (resourceVersion: string) => {
    take({ kind: 'listing' })
    take({ kind: 'applied', object: aClaim({ metadata: { resourceVersion } }) })
    take({ kind: 'synced', resourceVersion })
  }
  list('10')
  const keys: string[] = []
  const nothing = () => {}
  subscribe(views, () => true, {
    resource: (key) => keys.push(key),
    workloads: nothing,
    debt: nothing,
    release: nothing,
    isOwnVersion: () => false,
  })
  keys.length = 0
  list(version)
  return keys
}

test('a resource whose status alone moved is not looked at: that is our own doing', () => {
  expect(askedFor('12')).toEqual([])
})

test('a resource that a backup put back is looked at, because its Secret went back too', () => {
  expect(askedFor('8')).toEqual(['shop/database'])
})
