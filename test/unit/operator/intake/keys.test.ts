import { expect, test } from 'vitest'
import { createOwnVersions } from '../../../../src/operator/intake/history.ts'
import { PRIORITY, subscribe } from '../../../../src/operator/intake/keys.ts'
import { createViews } from '../../../../src/operator/intake/views.ts'
import type { Claim } from '../../../../src/operator/item.ts'
import { asMeta, aSynced } from '../../../builders/snapshot.ts'

/** A synced claim with its Secret in the caches, and what is enqueued from then on. */
function setUp(serves: (namespace: string) => boolean = () => true) {
  const views = createViews()
  const versions = createOwnVersions()
  const { seen, live } = aSynced()
  const secret = asMeta(live)
  views.claims.observe(seen.claim)
  views.secrets.observe(secret)
  const enqueued: string[] = []
  const levels = Object.keys(PRIORITY)
  subscribe(views, serves, {
    resource: (key, priority) => enqueued.push(`${key} ${levels[priority]}`),
    workloads: (key) => enqueued.push(`workloads ${key}`),
    debt: (key) => enqueued.push(`debt ${key}`),
    release: ({ name }) => enqueued.push(`release ${name}`),
    isOwnVersion: (one) => versions.isKnown(one),
  })
  const after = (change: () => void) => {
    enqueued.length = 0
    change()
    return [...enqueued]
  }
  return { views, versions, secret, claim: seen.claim, after }
}

const newer = (claim: Claim, more: Partial<Claim>): Claim => ({
  ...claim,
  resourceVersion: '1000',
  ...more,
})

test('a resource that is corrected is looked at, one whose status alone moved is not', () => {
  const { views, claim, after } = setUp()
  const generation = claim.generation + 1
  expect(after(() => views.claims.observe(newer(claim, { generation })))).toEqual([
    'shop/database fresh',
  ])
  const told = { ...claim.status, observedGeneration: generation }
  const status = newer(claim, { generation, status: told, resourceVersion: '1001' })
  expect(after(() => views.claims.observe(status))).toEqual([])
})

test.each<[string, Partial<Claim>]>([
  ['labels', { labels: { team: 'a' } }],
  ['annotations', { annotations: { 'keyferry.dev/refresh': 'now' } }],
  ['a finalizer', { finalizers: ['onepassword.com/finalizer.secret'] }],
])('a resource whose %s changed is looked at', (_what, change) => {
  const { views, claim, after } = setUp()
  expect(after(() => views.claims.observe(newer(claim, change)))).toEqual(['shop/database refresh'])
})

test('a resource that is to be deleted goes before all others', () => {
  const { views, claim, after } = setUp()
  expect(after(() => views.claims.observe(newer(claim, { deleting: true })))).toEqual([
    'shop/database terminating',
  ])
})

test('a Secret that somebody edits or deletes is looked at at once', () => {
  const { views, secret, after } = setUp()
  const edited = { ...secret, resourceVersion: '1000' }
  expect(after(() => views.secrets.observe(edited))).toEqual(['shop/database repair'])
  expect(after(() => views.secrets.forget(secret, secret.uid))).toEqual(['shop/database repair'])
})

test('an own write of a Secret is nothing to look at', () => {
  const { views, versions, secret, after } = setUp()
  const written = { ...secret, resourceVersion: '1000' }
  versions.note(written)
  expect(after(() => views.secrets.observe(written))).toEqual([])
})

test('what happens in a namespace that is not served concerns nobody here', () => {
  const { views, claim, secret, after } = setUp((namespace) => namespace !== 'shop')
  expect(after(() => views.claims.observe(newer(claim, { generation: 7 })))).toEqual([])
  expect(after(() => views.secrets.forget(secret, secret.uid))).toEqual([])
})

test('a resource that a backup put back is looked at, because its Secret went back too', () => {
  const { views, claim, after } = setUp()
  const take = views.claims.feed()
  const list = (resourceVersion: string) => {
    take({ kind: 'listing' })
    take({ kind: 'applied', object: { ...claim, resourceVersion } })
    take({ kind: 'synced', resourceVersion })
  }
  list('2000')
  expect(after(() => list('2001'))).toEqual([])
  expect(after(() => list('1999'))).toEqual(['shop/database refresh'])
})

test('a Secret that a backup put back is looked at, although the status speaks of that version', () => {
  const { views, secret, after } = setUp()
  const take = views.secrets.feed()
  const list = (resourceVersion: string) => {
    take({ kind: 'listing' })
    take({ kind: 'applied', object: { ...secret, resourceVersion } })
    take({ kind: 'synced', resourceVersion })
  }
  list('2000')
  expect(after(() => list(secret.resourceVersion))).toEqual(['shop/database repair'])
})
