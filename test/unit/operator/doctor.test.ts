import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { examineClock } from '../../../src/operator/doctor.ts'
import { type Right, rightsFor } from '../../../src/operator/rights.ts'
import type { Rule } from '../../support/accounts.ts'

const settings = { watchNamespaces: undefined, instance: 'keyferry', dryRun: false, shards: 1 }

/** Rights of one kind of role in a manifest, as text. */
function granted(file: string, kind: string): string[] {
  const objects = parseAllDocuments(readFileSync(file, 'utf8')).map((one) => one.toJS())
  const rules = objects.filter((one) => one.kind === kind).flatMap((one) => one.rules as Rule[])
  return rules
    .flatMap(({ apiGroups, resources, verbs, resourceNames = [''] }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.flatMap((verb) =>
            resourceNames.map((name) => `${verb} ${group} ${resource} ${name}`),
          ),
        ),
      ),
    )
    .toSorted()
}

function needed(rights: readonly Right[] = []): string[] {
  return rights
    .map(({ verb, group, resource, subresource, name = '' }) => {
      const path = subresource ? `${resource}/${subresource}` : resource
      return `${verb} ${group} ${path} ${name}`
    })
    .toSorted()
}

describe('the rights that are asked about', () => {
  test('of all namespaces are those that deploy/base grants', () => {
    const [everywhere, home] = rightsFor(settings, 'keyferry')
    expect(everywhere?.namespace).toBeUndefined()
    expect(needed(everywhere?.rights)).toEqual(granted('deploy/base/rbac.yaml', 'ClusterRole'))
    expect(home?.namespace).toBe('keyferry')
    expect(needed(home?.rights)).toEqual(granted('deploy/base/rbac.yaml', 'Role'))
  })

  test('of some namespaces are those that deploy/overlays/namespaced grants', () => {
    const some = { ...settings, watchNamespaces: ['a', 'b'] }
    const [a, b, home] = rightsFor(some, 'keyferry')
    const served = granted('deploy/overlays/namespaced/served.yaml', 'Role')
    expect([a?.namespace, b?.namespace, home?.namespace]).toEqual(['a', 'b', 'keyferry'])
    expect(needed(a?.rights)).toEqual(served)
    expect(needed(b?.rights)).toEqual(served)
    expect(needed(home?.rights)).toEqual(granted('deploy/overlays/namespaced/own.yaml', 'Role'))
  })

  test('of divided work are those of each Lease', () => {
    const [, home] = rightsFor({ ...settings, shards: 2 }, 'keyferry')
    expect(needed(home?.rights)).toEqual([
      'create coordination.k8s.io leases ',
      'update coordination.k8s.io leases keyferry',
      'update coordination.k8s.io leases keyferry-shard-0',
      'update coordination.k8s.io leases keyferry-shard-1',
    ])
  })

  test('of shadow mode are to read', () => {
    const grants = rightsFor({ ...settings, dryRun: true }, 'keyferry')
    expect(grants.map(({ namespace }) => namespace)).toEqual([undefined])
    const verbs = new Set(grants.flatMap(({ rights }) => rights.map(({ verb }) => verb)))
    expect([...verbs].toSorted()).toEqual(['get', 'list', 'watch'])
  })
})

test.each([
  [0, 'ok', 'it agrees'],
  [-29_000, 'ok', 'it agrees'],
  [30_000, 'failed', 'it is 30 s ahead of'],
  [-90_000, 'failed', 'it is 90 s behind'],
])('a clock that is %i ms off is %s', (ms, status, message) => {
  const found = examineClock(1_700_000_000_000, 1_700_000_000_000 + ms)
  expect(found).toMatchObject({ check: 'clock', status })
  expect(found.message).toContain(message)
  expect(found.remedy !== undefined).toBe(status === 'failed')
})
