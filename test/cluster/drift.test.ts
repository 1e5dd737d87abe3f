import { beforeAll, expect, test } from 'vitest'
import { isReady, type KubeObject, valueOf } from '../support/cluster.ts'
import { setStage, type Stage } from '../support/stage.ts'
import type { OperatorProcess } from '../support/operator.ts'

let stage: Stage
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  operator = await stage.operator()
})

async function synced(name: string): Promise<KubeObject> {
  const { cluster, connect, vault } = stage
  connect.add(vault, { title: name, fields: [{ label: 'password', value: 'right' }] })
  await stage.item(name, name)
  await cluster.until('items', name, isReady)
  return cluster.get('secrets', name)
}

const repaired = (secret: KubeObject) =>
  valueOf(secret, 'password') === 'right' && Object.keys(secret['data']).length === 1

test('a Secret that is deleted returns with the same content', async () => {
  const { cluster } = stage
  const before = await synced('deleted')
  await cluster.delete('secrets', 'deleted')
  const after = await cluster.until('secrets', 'deleted', repaired)
  expect(after.metadata.uid).not.toBe(before.metadata.uid)
  expect(after.metadata.annotations?.['keyferry.dev/restart']).toBeUndefined()
})

test('values that are edited, added or removed by hand are put right', async () => {
  const { cluster } = stage
  await synced('edited')
  await cluster.patch('secrets', 'edited', { data: { password: 'd3Jvbmc=', extra: 'eA==' } })
  const after = await cluster.until('secrets', 'edited', repaired)
  expect(after.metadata.annotations?.['keyferry.dev/restart']).toBeUndefined()
})

test('labels and annotations of others stay, ours come back', async () => {
  const { cluster } = stage
  await synced('labelled')
  await cluster.patch('secrets', 'labelled', {
    metadata: {
      labels: { 'keyferry.dev/managed': null, team: 'theirs' },
      annotations: { 'keyferry.dev/digest': null, note: 'theirs' },
    },
  })
  const after = await cluster.until('secrets', 'labelled', ({ metadata }) => {
    return metadata.labels?.['keyferry.dev/managed'] === 'true'
  })
  expect(after.metadata.labels?.['team']).toBe('theirs')
  expect(after.metadata.annotations?.['note']).toBe('theirs')
  expect(after.metadata.annotations?.['keyferry.dev/digest']).toBeDefined()
})

test('edits and deletions made while the operator was down are put right at its start', async () => {
  const { cluster } = stage
  await synced('down-edited')
  await synced('down-deleted')
  await operator.stop()
  await cluster.patch('secrets', 'down-edited', { data: { password: 'd3Jvbmc=' } })
  await cluster.delete('secrets', 'down-deleted')
  operator = await stage.operator()
  await cluster.until('secrets', 'down-edited', repaired)
  await cluster.until('secrets', 'down-deleted', repaired)
})

test('a Secret that somebody keeps changing is repaired a few times, then once a minute', async () => {
  const { cluster } = stage
  await synced('contested')
  const contested = (item: KubeObject) =>
    item['status'].conditions.some(
      ({ reason, status }: Record<string, string>) =>
        reason === 'DriftContested' && status === 'False',
    )
  const writer = setInterval(() => {
    void cluster.patch('secrets', 'contested', { data: { password: 'd3Jvbmc=' } }).catch(() => {})
  }, 100)
  try {
    await cluster.until('items', 'contested', contested)
  } finally {
    clearInterval(writer)
  }
})
