import type { FastifyRequest } from 'fastify'
import { isKeyferryError } from '../../errors.ts'
import { type Filter, parseFilter } from '../items/filter.ts'
import { parseQuery } from './json.ts'

/** Narrows a list down. */
export type Narrow = <T>(
  all: readonly T[],
  find: (filter: Filter, all: readonly T[]) => T[],
) => readonly T[]

/**
 * The filter of a request. A plus sign in a query is a space; only if that finds nothing, it is
 * read as itself: the SDKs for JavaScript and Python send it so.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function filterOf(request: FastifyRequest): Narrow {
  const { filter } = request.query as { filter?: string }
  if (filter === undefined) return (all) => all
  const wanted = parseFilter(filter)
  const literal = literalFilter(request.url)
  return (all, find) => {
    const found = find(wanted, all)
    return found.length > 0 || literal === undefined ? found : find(literal, all)
  }
}

function literalFilter(url: string): Filter | undefined {
  const query = url.slice(url.indexOf('?') + 1)
  const { filter } = parseQuery(query.replaceAll('+', '%2B'))
  if (!query.includes('+') || typeof filter !== 'string') return undefined
  try {
    return parseFilter(filter)
  } catch (error) {
    if (isKeyferryError(error, 'REQUEST_REFUSED')) return undefined
    throw error
  }
}
