/**
 * Every fault of a Connect server at every place where it is asked, at the first read of a thing and
 * at later ones: what is in a Secret stays, whole, no stored version is one that was not served, the
 * server is not asked more for it, others go on, and everything follows once the fault ends. What
 * each change is judged by has every fault at one of the places, by chance.
 *
 * `KEYFERRY_SEED=… npm test -- reliability test/reliability/connect-faults.test.ts` repeats a run.
 */
import { describe, expect, inject, test } from 'vitest'
import { REASONS } from '../../src/operator/reasons.ts'
import { type AuditRecord, isWrite, readAudit } from '../support/audit.ts'
import { type Cluster, condition, isReady, type KubeObject } from '../support/cluster.ts'
import type { Fault } from '../support/connect-faults.ts'
import { eventually } from '../support/eventually.ts'
import {
  anItem,
  dataOf,
  type FaultCase,
  faultCases,
  isBelieved,
  isPause,
  isSlow,
} from '../support/fault-cases.ts'
import { forEach } from '../support/for-each.ts'
import { isFull, SEED, SEEDS, tally } from '../support/gates.ts'
import type { ScriptedConnect } from '../support/scripted-connect.ts'
import { tell } from '../support/skip.ts'
import { setStage, type Stage } from '../support/stage.ts'

/** Meetings with each fault before it ends, of those that come quickly. */
const MEETINGS = isFull ? 3 : 2
const PARALLEL = 16
const UNIT = { timeout: 600_000 }

const sameData = (secret: KubeObject | undefined, data: object) =>
  JSON.stringify(sorted(secret?.['data'])) === JSON.stringify(sorted(data))
const sorted = (data: object = {}) => Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1))

/** Counts what meets the fault. */
function counted(one: FaultCase): Fault {
  return (response, good) => {
    one.met += 1
    one.fault(response, good)
  }
}

/** Whatever is the matter, what was promised of one case. */
interface Breach {
  readonly of: string
  readonly what: string
}

const nameOf = ({ place, when, what }: FaultCase) => `${what}, ${when} read of ${place}`

/** The cases of one seed on one operator, all at once or one after the other. */
async function runCases(
  seed: number,
  wanted: (what: string) => boolean,
  isTogether: boolean,
): Promise<number> {
  await using stage = await setStage()
  const { cluster, connect } = stage
  const cases = faultCases(connect, seed, wanted, isFull)
  const operator = await stage.operator()
  await forEach(byWhen(cases, 'later'), PARALLEL, (one) => resource(cluster, one))
  await eventually('all that come later are synced', async () =>
    (await cluster.list('items')).every(isReady),
  )
  for (const group of isTogether ? [cases] : cases.map((one) => [one])) {
    await bear(stage, group, seed)
  }
  const ended = performance.now()
  await untilFollowed(connect, cluster, cases)
  const seconds = ((performance.now() - ended) / 1000).toFixed(0)
  tell(`${cases.length} cases followed in ${seconds} s`)
  expect(await unserved(stage, cases), `KEYFERRY_SEED=${seed}`).toEqual([])
  expect(await operator.logs()).not.toContain('ended unexpectedly')
  process.kill(operator.pid, 0)
  return cases.length
}

/** The faults of these cases come, are met, do no harm, and end. */
async function bear(stage: Stage, cases: readonly FaultCase[], seed: number): Promise<void> {
  const { cluster, connect } = stage
  const before = await secretsIn(cluster)
  const began = { at: performance.now(), asked: connect.requests.length }
  for (const one of cases) connect.faults.set(one.path, counted(one))
  for (const one of byWhen(cases, 'later')) edit(connect, one)
  await forEach(byWhen(cases, 'first'), PARALLEL, (one) => resource(cluster, one))
  await untilMet(cases)
  // A pause is asked of everybody, so that others wait as well.
  if (!cases.some(({ what }) => isPause(what))) await beside(stage)
  const seconds = (performance.now() - began.at) / 1000
  const breaches = [
    ...(await changed(cluster, cases, before)),
    ...tooOften(cases, connect.requests.slice(began.asked), seconds),
  ]
  expect(breaches, `KEYFERRY_SEED=${seed}`).toEqual([])

  connect.faults.clear()
  connect.release()
  for (const one of cases) if (isBelieved(one.what)) edit(connect, one)
  tell(`${cases.length} faults were met in ${seconds.toFixed(0)} s`)
}

function resource(cluster: Cluster, { name, itemPath }: FaultCase): Promise<KubeObject> {
  return cluster.create('items', { metadata: { name }, spec: { itemPath } })
}

/** The next version. */
function edit(connect: ScriptedConnect, { itemId, versions }: FaultCase): void {
  connect.edit(itemId, versions[connect.versionOf(itemId)] ?? {})
}

const byWhen = (cases: readonly FaultCase[], when: string) =>
  cases.filter((one) => one.when === when)

async function secretsIn(cluster: Cluster): Promise<ReadonlyMap<string, KubeObject>> {
  const secrets = await cluster.list('secrets')
  return new Map(secrets.map((one) => [one.metadata.name, one]))
}

async function untilMet(cases: readonly FaultCase[]): Promise<void> {
  const wanted = ({ what, place }: FaultCase) => {
    // Of an empty list nobody knows that it is wrong.
    if (isSlow(what) || isPause(what) || what === 'an empty list') return 1
    // A resource whose item changed is read again after ten seconds.
    return place === 'items' ? MEETINGS : MEETINGS - 1
  }
  const missing = () => cases.filter((one) => one.met < wanted(one))
  await eventually(
    'each fault has been met',
    async () => missing().length === 0,
    async () => missing().map(nameOf).join('; '),
  )
}

let besides = 0
/** One more resource, of the same server, that nothing is the matter with. */
async function beside({ cluster, connect, vault, item }: Stage): Promise<void> {
  besides += 1
  const name = `beside-${besides}`
  connect.add(vault, anItem(name, 1))
  await item(name, name)
  await cluster.until('items', name, isReady)
}

/** What changed although nobody was answered rightly. */
async function changed(
  cluster: Cluster,
  cases: readonly FaultCase[],
  before: ReadonlyMap<string, KubeObject>,
): Promise<Breach[]> {
  const after = await secretsIn(cluster)
  const items = new Map((await cluster.list('items')).map((one) => [one.metadata.name, one]))
  return cases.flatMap((one): Breach[] => {
    const [of, secret] = [nameOf(one), after.get(one.name)]
    const ready = condition(items.get(one.name) ?? ({} as KubeObject), 'Ready')
    const breaches = []
    if (ready?.reason !== undefined && !(ready.reason in REASONS)) breaches.push('an odd reason')
    if (one.when === 'first') {
      if (secret) breaches.push('a Secret was made')
      if (ready?.status === 'True') breaches.push('it is called ready')
    } else {
      const { resourceVersion } = before.get(one.name)?.metadata ?? {}
      if (secret?.metadata.resourceVersion !== resourceVersion) breaches.push('the Secret changed')
      if (!sameData(secret, dataOf(one.versions[0] ?? anItem('', 0)))) breaches.push('its data did')
    }
    return breaches.map((what) => ({ of, what }))
  })
}

/** Repetitions of a read, and the first pause between runs of a resource. */
const ATTEMPTS = 3
const FIRST_SECONDS = 0.5
/** Seconds between two reads of an item that changed. */
const READ_SECONDS = 10

/** Which things were asked for more often than pauses that double allow, and a list once a poll. */
function tooOften(
  cases: readonly FaultCase[],
  requests: readonly string[],
  seconds: number,
): Breach[] {
  const polls = requests.filter((one) => one === 'GET /v1/vaults').length
  // Of each pause at least one half is kept.
  const runs = 2 + Math.log2(1 + (2 * seconds) / FIRST_SECONDS) + seconds / READ_SECONDS
  return cases.flatMap((one) => {
    const count = requests.filter((request) => request === `GET ${one.path}`).length
    const most = ATTEMPTS * (one.place === 'items' ? polls + runs : runs)
    return count > most ? [{ of: nameOf(one), what: `${count} requests in ${seconds} s` }] : []
  })
}

/** Waits until each Secret holds what its item holds now. */
async function untilFollowed(
  connect: ScriptedConnect,
  cluster: Cluster,
  cases: readonly FaultCase[],
): Promise<void> {
  const behind = async () => {
    const [secrets, items] = await Promise.all([secretsIn(cluster), cluster.list('items')])
    const ready = new Set(items.filter(isReady).map(({ metadata }) => metadata.name))
    return cases.filter((one) => {
      const latest = one.versions[connect.versionOf(one.itemId) - 1] ?? anItem('', 0)
      return !ready.has(one.name) || !sameData(secrets.get(one.name), dataOf(latest))
    })
  }
  await eventually(
    'all follow by themselves',
    async () => (await behind()).length === 0,
    async () => (await behind()).map(nameOf).join('; '),
  )
}

/** Stored versions of Secrets that are not an item as it was served. */
async function unserved(
  { cluster, connect }: Stage,
  cases: readonly FaultCase[],
): Promise<string[]> {
  const records = await readAudit(inject('auditLog'), cluster.namespace)
  const writes = records.filter((one) => one.resource === 'secrets' && isWrite(one))
  const byName = Map.groupBy(writes, ({ name }) => name)
  return cases.flatMap((one) => {
    const stored = byName.get(one.name) ?? []
    const versions = stored.map((record) => versionIn(record, one))
    const wrong = versions.filter((version) => !connect.served.has(`${one.itemId}@${version}`))
    const back = versions.some((version, n) => n > 0 && (version ?? 0) < (versions[n - 1] ?? 0))
    if (stored.length === 0) return [`${nameOf(one)}: nothing was stored`]
    return [
      ...wrong.map((version) => `${nameOf(one)}: stored version ${version}`),
      ...(back ? [`${nameOf(one)}: stored ${versions.join()}`] : []),
    ]
  })
}

/** The version of the item that a write stored whole, under its own number. */
function versionIn({ request }: AuditRecord, { versions }: FaultCase): number | undefined {
  const object = request as KubeObject
  const version = versions.findIndex((item) => sameData(object, dataOf(item))) + 1
  const told = object.metadata.annotations?.['operator.1password.io/item-version']
  return told === String(version) ? version : undefined
}

/** The cases of all seeds side by side: they wait most of their time. @returns how many */
async function runSeeds(wanted: (what: string) => boolean, isTogether: boolean): Promise<number> {
  const counts = await Promise.all(SEEDS.map((seed) => runCases(seed, wanted, isTogether)))
  return counts.reduce((sum, count) => sum + count, 0)
}

describe.concurrent('whatever Connect answers', () => {
  test(
    'for a vault, an item or a file, its Secret stays whole, and follows once the fault ends',
    UNIT,
    async () => {
      const trials = await runSeeds((what) => !isPause(what), true)
      expect(trials).toBe(SEEDS.length * (isFull ? 232 : 48))
      const what = 'faults of a vault’s items, an item and a file, first and later reads'
      await tally({ gate: 7, what, trials, violations: 0, seed: SEED })
    },
  )

  test('that asks everybody to wait, nothing is lost', UNIT, async () => {
    const trials = await runSeeds(isPause, false)
    expect(trials).toBe(SEEDS.length * (isFull ? 12 : 2))
    const what = 'pauses asked for by a vault, an item and a file, first and later reads'
    await tally({ gate: 7, what, trials, violations: 0, seed: SEED })
  })
})
