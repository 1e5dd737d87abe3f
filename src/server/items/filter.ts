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
  const wanted = folded(value)
  if (operator === 'eq') return vaults.filter(({ name }) => folded(name) === wanted)
  if (operator === 'co') return vaults.filter(({ name }) => folded(name).includes(wanted))
  throw badFilter()
}

/**
 * Items by title or tag. A title is compared exactly first: clients that need one match must
 * not get a second that differs in case.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function filterItems<T extends { readonly title: string; readonly tags: readonly string[] }>(
  filter: Filter,
  items: readonly T[],
): T[] {
  const { attribute, operator, value } = filter
  const wanted = folded(value)
  if (attribute === 'title' || attribute === 'name') {
    if (operator === 'co') return items.filter(({ title }) => folded(title).includes(wanted))
    if (operator !== 'eq') throw badFilter()
    const exact = items.filter(({ title }) => title === value)
    return exact.length > 0 ? exact : items.filter(({ title }) => folded(title) === wanted)
  }
  if (attribute === 'tag' && operator === 'eq') {
    return items.filter(({ tags }) => tags.some((tag) => folded(tag) === wanted))
  }
  throw badFilter()
}

const folded = (text: string): string => text.normalize('NFC').toLowerCase()

const badFilter = () =>
  badInput('Invalid filter: use <attribute> eq "<value>" or <attribute> co "<value>"')
