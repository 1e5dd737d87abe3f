import { KeyferryError } from '../errors.ts'

/** An item as a person names it: vault and item by id or by name. */
export interface ItemPath {
  readonly vault: string
  readonly item: string
}

/** Longest path that is taken; the CRD has the same bound. */
const MAX_LENGTH = 2_048
// C0 and C1 controls and the characters that turn the direction of text round: never part of a
// name that a person typed on purpose, and dangerous in logs and terminals.
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/

/**
 * Reads `vaults/<vault>/items/<item>` or `op://<vault>/<item>`.
 *
 * Names are taken as they are, spaces included; a name with a slash can only be given by id.
 * Whatever a name holds, it never becomes part of a URL: it is looked up in lists.
 *
 * @throws KeyferryError PATH_INVALID
 */
export function parseItemPath(path: string): ItemPath {
  if (CONTROL.test(path)) throw invalid('', 'it holds control characters')
  if (path.length > MAX_LENGTH) throw invalid(path.slice(0, 60), 'it is too long')
  const [vault, item, ...rest] = segments(path)
  if (vault === undefined || item === undefined || rest.length > 0) {
    throw invalid(path, 'it is neither vaults/<vault>/items/<item> nor op://<vault>/<item>')
  }
  if (vault === '' || item === '') throw invalid(path, 'the name of the vault or item is empty')
  return { vault, item }
}

/** The names in a path of either form; none when it is of neither. */
function segments(path: string): string[] {
  if (path.startsWith('op://')) return path.slice('op://'.length).split('/')
  const [vaults, vault, items, item, ...rest] = path.split('/')
  if (vaults !== 'vaults' || items !== 'items' || rest.length > 0) return []
  return [vault, item].filter((name) => name !== undefined)
}

/** The path of an item by its ids, as annotations and status carry it. */
export function formatItemPath(vaultId: string, itemId: string): string {
  return `vaults/${vaultId}/items/${itemId}`
}

function invalid(path: string, why: string): KeyferryError {
  // A cut may have left half a character.
  const quoted = `item path "${path.toWellFormed()}"`
  return new KeyferryError('PATH_INVALID', {
    message: `${path === '' ? 'the item path' : quoted} cannot be used: ${why}`,
    remedy: 'Write vaults/<vault>/items/<item>, with names or ids; use ids for names with a slash.',
    retry: 'on-change',
  })
}
