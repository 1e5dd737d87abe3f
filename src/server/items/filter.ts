import type { Vault } from './model.ts'
import { badInput } from '../refusals.ts'

/** `attribute operator "value"`, the one form of SCIM filter that Connect's clients send. */
export interface Filter {
  readonly attribute: string
  readonly operator: string
  readonly value: string
}

/**
 * Reads a filter. The value runs from the first quote to the last, because no client escapes a
 * quote inside it. One pass over the text, whatever it is.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function parseFilter(text: string): Filter {
  const open = text.indexOf('"')
  const close = text.lastIndexOf('"')
  if (open < 0 || close <= open || text.slice(close + 1).trim() !== '') throw badFilter()
  const [attribute = '', operator = '', ...more] = text.slice(0, open).trim().split(/\s+/)
  if (more.length > 0 || !/\s$/.test(text.slice(0, open))) throw badFilter()
  const value = text.slice(open + 1, close)
  return { attribute: attribute.toLowerCase(), operator: operator.toLowerCase(), value }
}

/** Vaults by name, without regard to case. @throws KeyferryError REQUEST_REFUSED 400 */
export function filterVaults(filter: Filter, vaults: readonly Vault[]): Vault[] {
  const { attribute, operator, value } = filter
  if (attribute !== 'name' && attribute !== 'title') throw badFilter()
  if (operator !== 'eq' && operator !== 'co') throw badFilter()
  return inEitherSpelling(value, (text) => {
    const wanted = folded(text)
    return vaults.filter(({ name }) =>
      operator === 'eq' ? folded(name) === wanted : folded(name).includes(wanted),
    )
  })
}

/**
 * Items by title or tag. A title is compared exactly first: clients that need one match must
 * not get a second that differs in case.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function filterItems<T extends Filterable>(filter: Filter, items: readonly T[]): T[] {
  const { attribute, operator, value } = filter
  const find = finders[`${attribute === 'name' ? 'title' : attribute} ${operator}`]
  if (find === undefined) throw badFilter()
  return inEitherSpelling(value, (text) => find(items, text))
}

interface Filterable {
  readonly title: string
  readonly tags: readonly string[]
}

const finders: Readonly<
  Record<string, <T extends Filterable>(items: readonly T[], text: string) => T[]>
> = {
  'title eq'(items, text) {
    const exact = items.filter(({ title }) => title === text)
    if (exact.length > 0) return exact
    const wanted = folded(text)
    return items.filter(({ title }) => folded(title) === wanted)
  },
  'title co'(items, text) {
    const wanted = folded(text)
    return items.filter(({ title }) => folded(title).includes(wanted))
  },
  'tag eq'(items, text) {
    const wanted = folded(text)
    return items.filter(({ tags }) => tags.some((tag) => folded(tag) === wanted))
  },
}

/**
 * What a value finds as it stands, as Connect's clients send it; only if that is nothing, what it
 * finds as the JSON string that a SCIM filter has by the book.
 */
function inEitherSpelling<T>(value: string, find: (text: string) => T[]): T[] {
  const found = find(value)
  if (found.length > 0 || !value.includes('\\')) return found
  try {
    return find(JSON.parse(`"${value}"`) as string)
  } catch {
    return found
  }
}

const folded = (text: string): string => text.normalize('NFC').toLowerCase()

const badFilter = () =>
  badInput('Invalid filter: use <attribute> eq "<value>" or <attribute> co "<value>"')
