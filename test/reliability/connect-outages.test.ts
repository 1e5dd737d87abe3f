/**
 * Faults of the list of vaults, on which everything rests, one after the other; and answers that are
 * made to cost memory.
 *
 * `KEYFERRY_SEED=… npm test -- reliability test/reliability/connect-outages.test.ts` repeats a run.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { isReady, type KubeObject } from '../support/cluster.ts'
import { BROKEN, type Fault, says } from '../support/connect-faults.ts'
import { eventually } from '../support/eventually.ts'
import {
  anItem,
  dataOf,
  faultsAt,
  isBelieved,
  isPause,
  isSlow,
  shuffled,
} from '../support/fault-cases.ts'
import { forEach } from '../support/for-each.ts'
import { isFull, SEED, SEEDS, tally } from '../support/gates.ts'
import { tell } from '../support/skip.ts'
import { setStage, type Stage } from '../support/stage.ts'

/** Operators that bear faults side by side. */
const OPERATORS = 10
const UNIT = { timeout: 600_000 }

type Named = readonly [what: string, fault: Fault]

/** Everything that the list of vaults can suffer, dealt out to the operators. */
function hands(seed: number): readonly (readonly Named[])[] {
  const all = shuffled(Object.entries(faultsAt('vaults')), seed)
  return Array.from({ length: OPERATORS }, (_, n) => all.filter((_one, k) => k % OPERATORS === n))
}

/** Requests per second that the list of vaults may cost: each poll and each question tries thrice. */
const ATTEMPTS = 3
const ASKERS = 2

/** The list of vaults suffers a fault until it was met; what is in the Secret stays. */
async function bear({ cluster, connect }: Stage, [what, fault]: Named, held: object | undefined) {
  let met = 0
  const began = performance.now()
  connect.faults.set('/v1/vaults', (response, good) => {
    met += 1
    fault(response, good)
  })
  const wanted = isSlow(what) || isPause(what) ? 1 : 2
  await eventually(`${what} was met`, async () => met >= wanted)
  const secret = await cluster.find('secrets', 'one')
  expect([what, SEED, secret?.['data']]).toEqual([what, SEED, held])
  const seconds = (performance.now() - began) / 1000
  expect(met).toBeLessThanOrEqual(ATTEMPTS * ASKERS * (seconds + 1))
  connect.faults.clear()
  connect.release()
}

/** One operator that has never seen a vault when the first fault comes. */
async function liveThrough(faults: readonly Named[]): Promise<void> {
  await using stage = await setStage()
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, anItem('one', 1))
  const [first, ...others] = faults
  if (first) connect.faults.set('/v1/vaults', first[1])
  await stage.item('one', 'one')
  const starting = stage.operator()
  if (first) await bear(stage, first, undefined)
  const operator = await starting
  for (const fault of [undefined, ...others]) {
    const version = connect.versionOf(id)
    if (fault) {
      connect.edit(id, anItem('one', version + 1))
      await bear(stage, fault, dataOf(anItem('one', version)))
    }
    // What is believed is undone by the next change of the vault.
    if (isBelieved(fault?.[0] ?? first?.[0] ?? '')) connect.add(vault, anItem('more', 1))
    const wanted = dataOf(anItem('one', connect.versionOf(id)))
    await cluster.until('secrets', 'one', (secret) => sameData(secret, wanted))
    await cluster.until('items', 'one', isReady)
  }
  expect(await operator.logs()).not.toContain('ended unexpectedly')
  process.kill(operator.pid, 0)
}

const sameData = (secret: KubeObject, data: object) =>
  JSON.stringify(sorted(secret['data'])) === JSON.stringify(sorted(data))
const sorted = (data: object = {}) => Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1))

const MIB = 2 ** 20

/** A right answer of that size. */
const padded = (bytes: number): Fault =>
  says((good) => good + ' '.repeat(Math.max(0, bytes - Buffer.byteLength(good))))

/** Bodies that are made to cost more than they weigh. */
const COSTLY: Readonly<Record<string, Fault>> = {
  'a body without an end': BROKEN['a body without an end'] as Fault,
  'compressed zeros': (response) => {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': 20 })
    response.end(Buffer.alloc(20))
  },
  'lists in lists': says(() => '['.repeat(7 * MIB)),
  'objects in objects': says(() => '{"a":'.repeat(MIB)),
  'lists beside lists': says(() => `[${'[],'.repeat(2 * MIB)}[]]`),
  'objects beside objects': says((good) => good.replace('{', `{"a":[${'{},'.repeat(2 * MIB)}{}],`)),
}

/** The most that a process has had in memory since the last call, in MiB. */
async function peakOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  await writeFile(`/proc/${pid}/clear_refs`, '5')
  return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1]) / 1024
}

describe.runIf(isFull).concurrent('whatever Connect answers', () => {
  test('for the vaults, Secrets stay whole, and follow once the fault ends', UNIT, async () => {
    let trials = 0
    for (const seed of SEEDS) {
      const dealt = hands(seed)
      await Promise.all(dealt.map(liveThrough))
      trials += dealt.flat().length
    }
    expect(trials).toBe(SEEDS.length * Object.keys(faultsAt('vaults')).length)
    const what = 'faults of the list of vaults, first and later reads'
    await tally({ gate: 7, what, trials, violations: 0, seed: SEED })
  })

  test('no body costs more memory than the largest right one, and 8 MiB', UNIT, async () => {
    const wanted = PLACES.flatMap((place) => [
      ...Array.from({ length: RIGHT_ONES }, () => ({ place, what: '', fault: largest(place) })),
      ...Object.entries(COSTLY).map(([what, fault]) => ({ place, what, fault })),
    ])
    const costs: (Meal & { readonly mib: number })[] = []
    await forEach(wanted, EATERS, async (meal) => {
      costs.push({ ...meal, mib: await costOf(meal) })
    })
    const violations = PLACES.flatMap((place) => {
      const here = costs.filter((one) => one.place === place)
      const right = here.filter(({ what }) => what === '').map(({ mib }) => mib)
      const allowed = Math.max(...right) + EXTRA_MIB
      return here
        .filter(({ what }) => what !== '')
        .map(({ what, mib }) => ({ of: `${what} for ${place}`, mib, allowed }))
        .filter((one) => {
          tell(`${one.of}: ${one.mib.toFixed(0)} MiB of ${allowed.toFixed(0)}`)
          return one.mib > allowed
        })
    })
    expect(violations).toEqual([])
    const trials = costs.length - PLACES.length * RIGHT_ONES
    const what = 'bodies made to cost memory'
    await tally({ gate: 7, what, trials, violations: violations.length })
  })
})

const PLACES = ['item', 'items'] as const
/** Bytes of the largest answers that are taken. */
const LIMITS = { item: 8 * MIB, items: 64 * MIB }
/** Right ones that are measured: garbage is collected at moments that nobody chooses. */
const RIGHT_ONES = 3
/** MiB that a body may cost besides. */
const EXTRA_MIB = 8
/** Operators that are measured side by side. */
const EATERS = 6
/** Polls in which an operator meets a body. */
const POLLS = 3

/** What one operator is given to read. */
interface Meal {
  readonly place: (typeof PLACES)[number]
  /** Empty for a right answer. */
  readonly what: string
  readonly fault: Fault
}

const largest = (place: Meal['place']): Fault => padded(LIMITS[place])

/**
 * The most memory that an operator has while one item or list is answered so, in MiB. It is a new
 * one each time: what another body left behind would count as well until it is collected.
 */
async function costOf({ place, fault }: Meal): Promise<number> {
  await using stage = await setStage()
  const { cluster, connect, vault } = stage
  const id = connect.add(vault, anItem('costly', 1))
  const operator = await stage.operator()
  await stage.item('costly', 'costly')
  await cluster.until('items', 'costly', isReady)
  await peakOf(operator.pid)
  let met = 0
  const path = `/v1/vaults/${vault}/items`
  connect.faults.set(place === 'items' ? path : `${path}/${id}`, (response, good) => {
    met += 1
    fault(response, good)
  })
  connect.edit(id, anItem('costly', 2))
  const polls = () => connect.requests.filter((one) => one === 'GET /v1/vaults').length
  await eventually('it was met', async () => met > 0)
  const before = polls()
  await eventually('it was dealt with', async () => polls() >= before + POLLS)
  const peak = await peakOf(operator.pid)
  connect.faults.clear()
  connect.release()
  connect.edit(id, anItem('costly', 3))
  const wanted = dataOf(anItem('costly', 3))
  await cluster.until('secrets', 'costly', (secret) => sameData(secret, wanted))
  expect(await operator.logs()).not.toContain('ended unexpectedly')
  return peak
}
