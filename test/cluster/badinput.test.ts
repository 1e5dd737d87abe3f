/**
 * Resources as bad as they come, made from the CRD's schema: the whole programme takes more of them,
 * `KEYFERRY_SEED` repeats a run.
 */
import * as fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { isKeyferryError } from '../../src/errors.ts'
import { REASONS } from '../../src/operator/reasons.ts'
import { invalid, type Schema, valid } from '../builders/resource.ts'
import { condition, isReady, type KubeObject, readCrd, textsOf } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { runs } from '../support/property.ts'
import { SEED } from '../support/gates.ts'
import { setStage, type Stage } from '../support/stage.ts'

interface Wish {
  readonly kind: 'good' | 'odd' | 'invalid'
  readonly what: string
  /** Members beside metadata. */
  readonly body: object
}

let stage: Stage
let operator: OperatorProcess
let wishes: Wish[]
const GOOD = { spec: { itemPath: 'vaults/Production/items/good' } }
const COUNT = runs(500).numRuns

beforeAll(async () => {
  stage = await setStage()
  const { connect, vault } = stage
  connect.add(vault, { title: 'good', fields: [{ label: 'password', value: 'right' }] })
  console.log(`${COUNT} resources from the seed KEYFERRY_SEED=${SEED}`)
  wishes = fc.sample(await anyWish(), { numRuns: COUNT, seed: SEED })
  operator = await stage.operator()
  return stage.close
})

/** Every third is good; of the rest the schema allows one half, and every way to break it comes up. */
async function anyWish(): Promise<fc.Arbitrary<Wish>> {
  const crd = await readCrd()
  const { type, spec } = crd['spec'].versions[0].schema.openAPIV3Schema.properties as {
    type: Schema
    spec: Schema
  }
  const root: Schema = { type: 'object', properties: { type, spec } }
  const odd = valid(root).map(
    (body): Wish => ({ kind: 'odd', what: 'allowed', body: body as object }),
  )
  // The API server itself decides about members that are null: it drops them.
  const broken = [
    ...invalid(type, 'type').map(inRoot('type')),
    ...invalid(spec, 'spec').map(inRoot('spec')),
  ]
  const bad = fc.oneof(...broken).map((one): Wish => ({ kind: 'invalid', ...one }))
  const options = fc.constantFrom<object>(
    {},
    { emptyValues: 'Include' },
    { requiredKeys: ['password'] },
    { data: { url: 'https://x:{{ op://Production/good/password }}@y' } },
    { secretMetadata: { labels: { team: 'a' } }, deletionPolicy: 'Retain' },
  )
  const good = options.map(
    (more): Wish => ({
      kind: 'good',
      what: 'good',
      body: { spec: { ...GOOD.spec, ...more } },
    }),
  )
  return fc.oneof(good, odd, bad)
}

const inRoot = (name: string) => (one: fc.Arbitrary<{ what: string; value: unknown }>) =>
  one.map(({ what, value }) => ({ what, body: { ...GOOD, [name]: value } }))

const nameOf = (n: number) => `generated-${n}`

/** Makes the resource; gives the API server's refusal, if it refuses. */
async function made(n: number, { body }: Wish): Promise<string | undefined> {
  try {
    await stage.cluster.create('items', { metadata: { name: nameOf(n) }, ...body })
    return undefined
  } catch (error) {
    if (!isKeyferryError(error, 'KUBE_STATUS')) throw error
    expect([400, 413, 422]).toContain(error.status)
    return error.message
  }
}

const REFUSED = new Map<number, string>()

async function inParallel<T>(all: readonly T[], work: (one: T, n: number) => Promise<void>) {
  const entries = all.entries()
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (const [n, one] of entries) await work(one, n)
    }),
  )
}

/** Whether a resource was told how it is, for its present generation. */
function isTold(item: KubeObject): boolean {
  const ready = condition(item, 'Ready')
  return ready?.observedGeneration === item.metadata.generation && ready?.status !== 'Unknown'
}

test('good resources among bad ones are synced, and each bad one is told its reason', async () => {
  const { cluster } = stage
  await inParallel(wishes, async (wish, n) => {
    const refusal = await made(n, wish)
    if (refusal !== undefined) REFUSED.set(n, refusal)
  })
  const items = await eventually(
    'all that were taken are told how they are',
    async () => {
      const all = await cluster.list('items')
      return all.every(isTold) && all
    },
    async () => {
      const left = (await cluster.list('items')).filter((one) => !isTold(one))
      return JSON.stringify(left.slice(0, 3).map(({ spec, status }) => ({ spec, status })))
    },
  )
  const counts: Record<string, number> = {}
  for (const item of items) {
    const wish = wishes[Number(item.metadata.name.slice('generated-'.length))]
    const { status, reason = '', message } = condition(item, 'Ready') ?? {}
    counts[reason] = (counts[reason] ?? 0) + 1
    expect(Object.keys(REASONS)).toContain(reason)
    expect(message).not.toBe('')
    if (wish?.kind === 'good') expect([wish, status]).toEqual([wish, 'True'])
    if (status === 'False') expect(condition(item, 'Stalled')?.status).toBe('True')
  }
  const refused = [...REFUSED.keys()].map((n) => wishes[n])
  console.log({ ...counts, 'refused by the API server': refused.length })
  expect(items.length + refused.length).toBe(COUNT)
  expect(refused.filter((wish) => wish?.kind === 'good')).toEqual([])
  expect(await operator.logs()).not.toContain('ended unexpectedly')
  await expectAlive()
}, 240_000)

test('the API server refuses what the schema forbids, by the name of the member', () => {
  for (const [n, { kind, what }] of wishes.entries()) {
    if (kind !== 'invalid') continue
    expect([what, REFUSED.get(n) ?? 'it was taken']).not.toEqual([what, 'it was taken'])
  }
})

test('a bad resource that is put right becomes as if it had never been bad', async () => {
  const { cluster } = stage
  await cluster.create('items', { metadata: { name: 'never-bad' }, ...GOOD })
  await cluster.until('items', 'never-bad', isReady)
  const wanted = await cluster.get('secrets', 'never-bad')
  const bad = (await cluster.list('items')).filter((item) => !isReady(item))
  const sample = bad.filter((_, n) => n % Math.ceil(bad.length / 60) === 0)
  expect(sample.length).toBeGreaterThan(20)
  await inParallel(sample, async ({ apiVersion, kind, metadata }) => {
    const { name } = metadata
    await cluster.replace('items', { apiVersion, kind, metadata, ...GOOD })
    const item = await cluster.until('items', name, isReady)
    expect(condition(item, 'Stalled')).toBeUndefined()
    const secret = await cluster.get('secrets', name)
    expect(textsOf(secret)).toEqual(textsOf(wanted))
    expect([secret['type'], Object.keys(secret.metadata.annotations ?? {})]).toEqual([
      wanted['type'],
      Object.keys(wanted.metadata.annotations ?? {}),
    ])
  })
  await expectAlive()
}, 240_000)

/** The process that was started serves on. */
async function expectAlive(): Promise<void> {
  expect(await operator.metrics()).toContain('keyferry_leader')
  process.kill(operator.pid, 0)
}
