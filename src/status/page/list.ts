/**
 * Which rows are shown, and in which order. Pure.
 */
import { type Row, type State, STATES } from '../model.ts'

/** What the table can be sorted by. */
export type Column =
  | 'namespace'
  | 'name'
  | 'secret'
  | 'state'
  | 'reason'
  | 'version'
  | 'age'
  | 'changed'

/** What is asked for. Empty texts ask for nothing. */
export interface Question {
  /** Words that must all be in the namespace, the name, the Secret's name or the reason. */
  readonly search: string
  /** Empty: all. */
  readonly states: readonly State[]
  readonly namespace: string
  readonly reason: string
  readonly by: Column
  readonly descending: boolean
}

/** Trouble first. */
export const FIRST_QUESTION: Question = {
  search: '',
  states: [],
  namespace: '',
  reason: '',
  by: 'state',
  descending: false,
}

/** The rows that answer, in order. */
export function answer(rows: Iterable<Row>, question: Question): Row[] {
  const found = [...rows].filter(filterOf(question))
  const compare = COMPARE[question.by]
  const sign = question.descending ? -1 : 1
  // Equal ones are ordered by name, always the same way.
  return found.toSorted((a, b) => sign * compare(a, b) || byName(a, b))
}

function filterOf({ search, states, namespace, reason }: Question): (row: Row) => boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  return (row) => {
    if (states.length > 0 && !states.includes(row.state)) return false
    if (namespace !== '' && row.namespace !== namespace) return false
    if (reason !== '' && row.reason !== reason) return false
    if (words.length === 0) return true
    const text = `${row.namespace}/${row.name} ${row.secret} ${row.reason}`.toLowerCase()
    return words.every((word) => text.includes(word))
  }
}

const text = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
const byName = (a: Row, b: Row) => text(a.namespace, b.namespace) || text(a.name, b.name)

const COMPARE: Readonly<Record<Column, (a: Row, b: Row) => number>> = {
  namespace: (a, b) => text(a.namespace, b.namespace),
  name: (a, b) => text(a.name, b.name),
  secret: (a, b) => text(a.secret, b.secret),
  state: (a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state),
  reason: (a, b) => text(a.reason, b.reason),
  version: (a, b) => (a.versions[0] ?? 0) - (b.versions[0] ?? 0),
  // The youngest has the smallest age.
  age: (a, b) => b.created - a.created,
  changed: (a, b) => (b.changed ?? 0) - (a.changed ?? 0),
}

/** How many rows are in each state. */
export function countStates(rows: Iterable<Row>): Readonly<Record<State, number>> {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0])) as Record<State, number>
  for (const { state } of rows) counts[state] += 1
  return counts
}

/** The different texts that rows have there, in order. */
export function distinct(rows: Iterable<Row>, member: 'namespace' | 'reason'): string[] {
  return [...new Set([...rows].map((row) => row[member]))].toSorted()
}
