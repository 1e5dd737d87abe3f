/**
 * What becomes of list-watches when the control plane fails. It has one of its own for that.
 */
import { cp, rm } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { KubeRest } from '../../src/kube/rest.ts'
import { adminRest, type Cluster, clusterOf } from '../support/cluster.ts'
import {
  type ControlPlane,
  type Processes,
  startControlPlane,
} from '../support/control-plane/start.ts'
import { eventually } from '../support/eventually.ts'
import { type Watched, watchConfigMaps, type WatchedOptions } from '../support/watched.ts'

let plane: ControlPlane
let rest: KubeRest
let cluster: Cluster
beforeAll(async () => {
  plane = await startControlPlane({ controllers: false })
  rest = adminRest(plane.kubeconfig)
  cluster = clusterOf(rest, 'default')
})
afterAll(async () => {
  await rest.close()
  await plane.stop()
})

const watches: Watched[] = []
afterEach(async () => {
  for (const watched of watches.splice(0)) await watched.stop()
})

function watch(options: WatchedOptions = {}): Watched {
  const watched = watchConfigMaps(rest, { namespace: 'default', labelSelector: 'test', ...options })
  watches.push(watched)
  return watched
}

function processes(): Processes {
  if (!plane.processes) throw new Error('this control plane runs in a container')
  return plane.processes
}

const configMap = (name: string, text = 'one') => ({
  metadata: { name, labels: { test: 'yes' } },
  data: { text },
})

test.each([
  ['killed', 0],
  ['stopped', 2_000],
])('an API server that is %s and started again costs at most one list', async (_how, graceMs) => {
  const { apiserver } = processes()
  const name = `before-${graceMs}`
  await cluster.create('configmaps', configMap(name))
  const watched = watch({ speed: 4 })
  await watched.store.synced
  await apiserver.stop(graceMs)
  await apiserver.start()
  await cluster.patch('configmaps', name, { data: { text: 'two' } })
  await eventually('the change is seen', async () => watched.text(name) === 'two')
  expect(watched.lists()).toBeLessThanOrEqual(2)
})

test('a cluster that is restored from a backup is seen as it is', async () => {
  const { apiserver, etcd, data } = processes()
  const backup = `${data}-backup`
  await cluster.create('configmaps', configMap('kept', 'old'))
  await cluster.create('configmaps', configMap('removed'))
  await apiserver.stop()
  await etcd.stop(5_000)
  await cp(data, backup, { recursive: true })
  await etcd.start()
  await apiserver.start()

  for (let n = 0; n < 300; n += 1) {
    await cluster.patch('configmaps', 'kept', { data: { text: `new ${n}` } })
  }
  await cluster.delete('configmaps', 'removed')
  await cluster.create('configmaps', configMap('lost'))
  // 90 s of silence take 3 s.
  const watched = watch({ speed: 30 })
  await eventually('the latest is seen', async () => watched.text('kept') === 'new 299')
  expect(watched.names()).toContain('lost')

  await apiserver.stop()
  await etcd.stop(5_000)
  await rm(data, { recursive: true })
  await cp(backup, data, { recursive: true })
  await etcd.start()
  await apiserver.start()
  await eventually('the restored state is seen', async () => watched.text('kept') === 'old')
  expect(watched.names()).toContain('removed')
  expect(watched.names()).not.toContain('lost')
  await cluster.patch('configmaps', 'kept', { data: { text: 'after' } })
  await eventually('what follows is seen', async () => watched.text('kept') === 'after')
})
