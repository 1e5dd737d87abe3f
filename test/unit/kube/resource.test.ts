import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  apiVersionOf,
  collectionPath,
  compareVersions,
  keyOf,
  objectPath,
  parseKey,
} from '../../../src/kube/resource.ts'

const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' }
const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease' }

test('paths name the group, the version and the namespace', () => {
  expect(collectionPath(CONFIG_MAPS)).toBe('/api/v1/configmaps')
  expect(collectionPath(CONFIG_MAPS, 'team')).toBe('/api/v1/namespaces/team/configmaps')
  expect(collectionPath(LEASES, 'team')).toBe('/apis/coordination.k8s.io/v1/namespaces/team/leases')
  expect(objectPath(LEASES, { namespace: 'team', name: 'one' })).toBe(
    '/apis/coordination.k8s.io/v1/namespaces/team/leases/one',
  )
  expect(objectPath(CONFIG_MAPS, { namespace: '', name: 'x' })).toBe('/api/v1/configmaps/x')
})

test('apiVersion joins group and version, the core group having none', () => {
  expect([CONFIG_MAPS, LEASES].map(apiVersionOf)).toEqual(['v1', 'coordination.k8s.io/v1'])
})

test('a name cannot leave its place in the path', () => {
  expect(objectPath(CONFIG_MAPS, { namespace: 'a/b', name: 'c?d#e' })).toBe(
    '/api/v1/namespaces/a%2Fb/configmaps/c%3Fd%23e',
  )
})

test.each(['', '.', '..'])(
  'the name "%s" makes no path, least of all that of all objects',
  (name) => {
    expect(() => objectPath(CONFIG_MAPS, { namespace: 'team', name })).toThrow(RangeError)
  },
)

test('a key can be taken apart again', () => {
  const name = fc.stringMatching(/^[a-z0-9.-]{1,20}$/)
  fc.assert(
    fc.property(fc.oneof(name, fc.constant('')), name, (namespace, one) => {
      expect(parseKey(keyOf({ namespace, name: one }))).toEqual({ namespace, name: one })
    }),
  )
})

test('versions compare as the whole numbers they are, however large', () => {
  const version = fc.bigInt({ min: 0n, max: 2n ** 80n })
  fc.assert(
    fc.property(version, version, (a, b) => {
      const wanted = a < b ? -1 : a > b ? 1 : 0
      expect(Math.sign(compareVersions(`${a}`, `${b}`))).toBe(wanted)
    }),
  )
})

test('no version is older than any version', () => {
  expect(compareVersions('', '0')).toBeLessThan(0)
  expect(compareVersions('', '')).toBe(0)
})
