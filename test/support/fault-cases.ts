/**
 * Every fault of a Connect server at every place where an operator asks it: cases, each with an item
 * and a resource of its own, so that hundreds of them share one operator.
 */
import * as fc from 'fast-check'
import {
  BROKEN,
  type Fault,
  LIMITS,
  MALFORMED,
  NO_ITEM,
  REFUSALS,
  says,
  SLOW,
} from './connect-faults.ts'
import { PLANTED } from './leaks.ts'
import type { ScriptedConnect, ScriptedItem } from './scripted-connect.ts'

/** What is asked for: the vaults, the items of a vault, an item, the content of a file. */
export type Place = 'vaults' | 'items' | 'item' | 'content'

/** Whether it was ever answered rightly before. */
export type When = 'first' | 'later'

const BODIES = Object.fromEntries(
  Object.entries({ ...MALFORMED, ...NO_ITEM }).map(([what, body]) => [what, says(body)]),
)
const EXCHANGES = { ...BROKEN, ...REFUSALS, ...SLOW, ...LIMITS }
const EMPTY = { nothing: says(() => '') }

/** The faults that a place can have: a file may hold any bytes, but not none. */
export function faultsAt(place: Place): Readonly<Record<string, Fault>> {
  return place === 'content' ? { ...EMPTY, ...EXCHANGES } : { ...BODIES, ...EXCHANGES }
}

/** Whether a fault asks everybody to wait. */
export const isPause = (what: string) => what.startsWith('a pause')

const isEndless = (what: string) => what === 'a body without an end'

/** Whether a fault cannot be told from the truth, so that it is believed until the item changes. */
export const isBelieved = (what: string) => isEndless(what) || what === 'an empty list'

/** Whether one meeting with a fault takes longer than many others. */
export const isSlow = (what: string) =>
  what in SLOW || isEndless(what) || what === 'headers without an end'

/** One fault at one place. */
export interface FaultCase {
  readonly place: Place
  readonly when: When
  readonly what: string
  readonly fault: Fault
  /** Of the resource, its Secret and its item. */
  readonly name: string
  readonly itemPath: string
  readonly itemId: string
  /** Path of the requests that the fault befalls. */
  readonly path: string
  /** The item by version, the first being 1. */
  readonly versions: readonly ScriptedItem[]
  /** Requests that have met the fault. */
  met: number
}

const PLACES = (['items', 'item', 'content'] as const).flatMap((place) =>
  (['first', 'later'] as const).map((when) => ({ place, when })),
)
/** Versions of an item that a case may need. */
const VERSIONS = [1, 2, 3]

/**
 * Cases of all faults that are wanted, at all places but the list of vaults, or each at one of them
 * by chance; by chance ordered, with items by chance.
 */
export function faultCases(
  connect: ScriptedConnect,
  seed: number,
  wanted: (what: string) => boolean,
  isEverywhere = true,
): FaultCase[] {
  const everywhere = PLACES.flatMap(({ place, when }) =>
    Object.entries(faultsAt(place)).map(([what, fault]) => ({ place, when, what, fault })),
  )
  const ordered = shuffled(
    everywhere.filter(({ what }) => wanted(what)),
    seed,
  )
  const all = isEverywhere ? ordered : [...new Map(ordered.map((one) => [one.what, one])).values()]
  const items = fc.sample(noise, { numRuns: all.length, seed })
  const shared = connect.vault('Shared')
  return all.map((one, n) => {
    const name = `fault-${n}`
    const vault = one.place === 'items' ? connect.vault(name) : shared
    const versions = VERSIONS.map((version) => anItem(name, version, items[n] ?? []))
    const [first] = versions
    if (first === undefined) throw new Error('an item has a version')
    const itemId = connect.add(vault, first)
    const path = pathOf(one.place, vault, itemId)
    const itemPath = `vaults/${vault}/items/${name}`
    return { ...one, name, itemPath, itemId, path, versions, met: 0 }
  })
}

/** The same order for the same seed. */
export function shuffled<T>(all: readonly T[], seed: number): readonly T[] {
  const [order = []] = fc.sample(fc.shuffledSubarray([...all], { minLength: all.length }), {
    numRuns: 1,
    seed,
  })
  return order
}

/** Texts of more fields: any characters, none of them too long. */
const noise = fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }), {
  maxLength: 4,
})

/** One version of an item: every value of it tells its name and version. */
export function anItem(name: string, version: number, more: readonly string[] = []): ScriptedItem {
  const value = (what: string) => `${PLANTED}${name} ${what} ${version}`
  const content = Buffer.from(value('file'))
  return {
    title: name,
    fields: [
      { label: 'password', value: value('password') },
      ...more.map((text, n) => ({ label: `more-${n}`, value: `${value(`more ${n}`)} ${text}` })),
    ],
    files: [{ name: 'file', content }],
  }
}

/** The data of a Secret that holds this item, and nothing else. */
export function dataOf({ fields, files = [] }: ScriptedItem): Record<string, string> {
  const base64 = (value: string | Uint8Array) => Buffer.from(value).toString('base64')
  return Object.fromEntries([
    ...fields.map(({ label, value = '' }) => [label, base64(value)]),
    ...files.map(({ name, content }) => [name, base64(content)]),
  ])
}

function pathOf(place: Place, vaultId: string, itemId: string): string {
  const items = `/v1/vaults/${vaultId}/items`
  switch (place) {
    case 'vaults':
      return '/v1/vaults'
    case 'items':
      return items
    case 'item':
      return `${items}/${itemId}`
    case 'content':
      return `${items}/${itemId}/files/${'f'.padEnd(26, '0')}/content`
  }
}
