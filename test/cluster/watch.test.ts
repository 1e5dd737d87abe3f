import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, inject, test } from 'vitest'
import type { KubeRest } from '../../src/kube/rest.ts'
import { adminRest, type Cluster, clusterOf } from '../support/cluster.ts'
import { eventually, timeout } from '../support/eventually.ts'
import {
  type Watched,
  versionsOf,
  watchConfigMaps,
  type WatchedOptions,
} from '../support/watched.ts'

let rest: KubeRest
beforeAll(() => {
  rest = adminRest(inject('kubeconfig'))
})
afterAll(() => rest.close())

const namespaces: string[] = []
const watches: Watched[] = []
afterEach(async () => {
  for (const watched of watches.splice(0)) await watched.stop()
  for (const name of namespaces.splice(0)) await clusterOf(rest, '').delete('namespaces', name)
})

/** A fresh namespace. */
async function aNamespace(): Promise<Cluster> {
  const name = `watch-${randomBytes(4).toString('hex')}`
  const cluster = clusterOf(rest, name)
  await cluster.create('namespaces', { metadata: { name } })
  namespaces.push(name)
  return cluster
}

function watch(cluster: Cluster, options: WatchedOptions = {}): Watched {
  const watched = watchConfigMaps(rest, {
    namespace: cluster.namespace,
    // Namespaces get one of these from the cluster.
    labelSelector: 'test',
    ...options,
  })
  watches.push(watched)
  return watched
}

const configMap = (name: string, text = 'one', labels: object = { test: 'yes' }) => ({
  metadata: { name, labels },
  data: { text },
})

/** The store holds what the server holds. */
async function untilSame(watched: Watched, cluster: Cluster): Promise<void> {
  await watched.store.synced
  await eventually('the store holds what the server holds', async () => {
    const { items } = (await rest.send(
      {
        method: 'GET',
        path: `/api/v1/namespaces/${cluster.namespace}/configmaps`,
        query: { labelSelector: 'test' },
      },
      timeout(20_000),
    )) as { items: Parameters<typeof versionsOf>[0] }
    return versionsOf(watched.store.values()).join() === versionsOf(items).join()
  })
}

test('a streaming list and its watch follow what happens', async () => {
  const cluster = await aNamespace()
  await cluster.create('configmaps', configMap('before'))
  const watched = watch(cluster)
  await watched.store.synced
  expect(watched.names()).toEqual(['before'])
  await cluster.create('configmaps', configMap('after'))
  await cluster.patch('configmaps', 'before', { data: { text: 'two' } })
  await eventually('both changes are seen', async () => {
    return watched.text('before') === 'two' && watched.text('after') === 'one'
  })
  await cluster.delete('configmaps', 'before')
  await untilSame(watched, cluster)
  expect(watched.names()).toEqual(['after'])
  expect(watched.requests).toHaveLength(1)
})

test('a list of more than two pages is complete, and its watch goes on from there', async () => {
  const cluster = await aNamespace()
  const names = Array.from({ length: 1_100 }, (_, n) => `map-${n}`)
  for (let start = 0; start < names.length; start += 50) {
    const some = names.slice(start, start + 50)
    await Promise.all(some.map((name) => cluster.create('configmaps', configMap(name))))
  }
  const watched = watch(cluster, { pages: true })
  await watched.store.synced
  expect(watched.names()).toEqual(names.toSorted())
  const pages = watched.requests.filter(({ query }) => query?.['limit'] === 500)
  expect(pages).toHaveLength(3)
  await cluster.delete('configmaps', 'map-7')
  await untilSame(watched, cluster)
  expect(watched.lists()).toBe(2)
})

test.each([false, true])(
  'metadata can be watched without the content (pages: %s)',
  async (pages) => {
    const cluster = await aNamespace()
    await cluster.create('configmaps', configMap('before'))
    const watched = watch(cluster, { metadataOnly: true, pages })
    await watched.store.synced
    await cluster.create('configmaps', configMap('after'))
    await untilSame(watched, cluster)
    const members = [...watched.store.values()].flatMap((one) => one.members)
    expect(watched.names()).toEqual(['after', 'before'])
    expect(members).not.toContain('data')
  },
)

test('an object that leaves the selector is gone, one that joins it is there', async () => {
  const cluster = await aNamespace()
  await cluster.create('configmaps', configMap('leaves'))
  await cluster.create('configmaps', configMap('joins', 'one', {}))
  const watched = watch(cluster)
  await watched.store.synced
  expect(watched.names()).toEqual(['leaves'])
  await cluster.patch('configmaps', 'leaves', { metadata: { labels: { test: null } } })
  await cluster.patch('configmaps', 'joins', { metadata: { labels: { test: 'yes' } } })
  await untilSame(watched, cluster)
  expect(watched.names()).toEqual(['joins'])
})

test('the answer to an own write and the watch agree, in whichever order they come', async () => {
  const cluster = await aNamespace()
  const watched = watch(cluster)
  await watched.store.synced
  for (let n = 0; n < 20; n += 1) {
    const { metadata } = await cluster.create('configmaps', configMap(`own-${n}`))
    watched.store.observe({ ...metadata, members: [], text: undefined })
    expect(watched.names()).toContain(`own-${n}`)
    if (n % 2 === 0) {
      await cluster.delete('configmaps', `own-${n}`)
      watched.store.forget(metadata, metadata.uid)
      expect(watched.names()).not.toContain(`own-${n}`)
    }
  }
  await untilSame(watched, cluster)
  expect(watched.store.size).toBe(10)
})
