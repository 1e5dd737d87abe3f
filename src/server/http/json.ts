import { badInput } from '../refusals.ts'

/** Levels of nesting; an item needs five. */
const MAX_DEPTH = 64

/**
 * The JSON text of a request body, once it is known to be flat enough: nested deeper, a parser
 * and everything after it would recurse without end.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function assertFlat(body: string): void {
  let depth = 0
  let quoted = false
  for (let i = 0; i < body.length; i++) {
    const code = body.charCodeAt(i)
    if (quoted) {
      if (code === 0x5c) i += 1
      else if (code === 0x22) quoted = false
    } else if (code === 0x22) quoted = true
    else if (code === 0x7b || code === 0x5b) depth += 1
    else if (code === 0x7d || code === 0x5d) depth -= 1
    if (depth > MAX_DEPTH) throw badInput('The request body is nested too deeply')
  }
}

/**
 * The members of a query string that the API knows, form-decoded: `+` is a space, and a bad
 * percent escape stands for itself. Numbers and booleans become such when they look like it.
 */
export function parseQuery(query: string): Record<string, unknown> {
  const parsed: Record<string, unknown> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === 'filter') parsed['filter'] ??= value
    else if (name === 'limit' || name === 'offset') {
      parsed[name] ??= /^\d{1,16}$/.test(value) ? Number(value) : value
    } else if (name === 'inline_files') {
      const flag = new Map<string, unknown>([
        ['true', true],
        ['1', true],
        ['false', false],
        ['0', false],
      ])
      parsed['inline_files'] ??= flag.get(value.toLowerCase()) ?? value
    }
  }
  return parsed
}
