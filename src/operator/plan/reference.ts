/**
 * References to values: 1Password's own `op://vault/item/[section/]field` and the `{{ … }}` of
 * `op inject`, with pipes from a closed list. No logic, no loops, no names but items.
 * Source: 1Password CLI documentation, "Secret reference syntax".
 */
import { KeyferryError } from '../../errors.ts'
import { isPipe, type Pipe, PIPES } from './pipes.ts'

/** A reference to one value of one item. */
export interface Reference {
  readonly vault: string
  readonly item: string
  readonly section: string | undefined
  /** Id or label of a field, id or name of a file, or label of a URL. */
  readonly field: string
  readonly attribute: Attribute | undefined
  readonly openSsh: boolean
}

/** What of a field or file is meant; undefined: its value or content. */
export type Attribute = (typeof ATTRIBUTES)[number]

const ATTRIBUTES = ['value', 'content', 'type', 'id', 'purpose', 'label', 'name', 'size'] as const

/** A part of a text. */
export type Part =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'reference'; readonly reference: Reference; readonly pipes: readonly Pipe[] }

const SCHEME = 'op://'

/** Path of the item that a reference draws from, as statuses carry it. */
export function itemPathOf({ vault, item }: Reference): string {
  return `${SCHEME}${vault}/${item}`
}

/**
 * Reads a text of `spec.data`: a bare reference as one part, anything else as literals with
 * references in double braces between them; `\{{` is a literal `{{`.
 *
 * @throws KeyferryError REFERENCE_INVALID, REFERENCE_VOLATILE
 */
export function parseText(text: string): readonly Part[] {
  if (text.startsWith(SCHEME)) {
    return [{ kind: 'reference', reference: parseReference(text), pipes: [] }]
  }
  const parts: Part[] = []
  let literal = ''
  for (let at = 0; at < text.length; ) {
    if (text.startsWith('\\{{', at)) {
      literal += '{{'
      at += 3
    } else if (text.startsWith('{{', at)) {
      const end = text.indexOf('}}', at)
      if (end === -1) throw invalid('a {{ has no }}')
      if (literal !== '') parts.push({ kind: 'literal', text: literal })
      literal = ''
      parts.push(parseExpression(text.slice(at + 2, end)))
      at = end + 2
    } else {
      literal += text[at]
      at += 1
    }
  }
  if (literal !== '' || parts.length === 0) parts.push({ kind: 'literal', text: literal })
  return parts
}

function parseExpression(expression: string): Part {
  const [reference = '', ...pipes] = expression.split('|').map((part) => part.trim())
  const unknown = pipes.find((pipe) => !isPipe(pipe))
  if (unknown !== undefined) {
    throw invalid(`there is no pipe "${unknown}"; there are ${PIPES.join(', ')}`)
  }
  return { kind: 'reference', reference: parseReference(reference), pipes: pipes.filter(isPipe) }
}

/**
 * Reads `op://vault/item/field` or `op://vault/item/section/field`, with `?attribute=…` or
 * `?ssh-format=openssh` behind it.
 *
 * @throws KeyferryError REFERENCE_INVALID, REFERENCE_VOLATILE
 */
export function parseReference(text: string): Reference {
  if (!text.startsWith(SCHEME)) throw invalid(`"${shown(text)}" does not begin with op://`)
  const [path, query] = splitQuery(text.slice(SCHEME.length))
  const names = path.split('/')
  if (names.length < 3 || names.length > 4 || names.includes('')) {
    throw invalid(`"${shown(text)}" is not op://vault/item/field or op://vault/item/section/field`)
  }
  const [vault = '', item = '', ...rest] = names
  const field = rest.at(-1) ?? ''
  const section = rest.length > 1 ? rest[0] : undefined
  return { vault, item, section, field, ...parseQuery(query, text) }
}

/** A question mark is part of a name unless one of the two known words follows it. */
function splitQuery(text: string): [string, string | undefined] {
  const found = /\?(?=(?:attribute|ssh-format)=)/.exec(text)
  if (found === null) return [text, undefined]
  return [text.slice(0, found.index), text.slice(found.index + 1)]
}

function parseQuery(
  query: string | undefined,
  text: string,
): Pick<Reference, 'attribute' | 'openSsh'> {
  let attribute: Attribute | undefined
  let openSsh = false
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === 'attribute' && value === 'otp') throw volatile(text)
    const known = ATTRIBUTES.find((one) => one === value)
    if (name === 'attribute' && known) attribute = known
    else if (name === 'ssh-format' && value === 'openssh') openSsh = true
    else throw invalid(`"${name}=${shown(value)}" in "${shown(text)}" has no meaning`)
  }
  return { attribute, openSsh }
}

function volatile(text: string): KeyferryError {
  return new KeyferryError('REFERENCE_VOLATILE', {
    message: `"${shown(text)}" is a one-time password, which changes every 30 seconds`,
    remedy: 'Refer to the field itself: its value is the seed from which codes are made.',
    retry: 'on-change',
  })
}

function invalid(why: string): KeyferryError {
  return new KeyferryError('REFERENCE_INVALID', {
    message: `a reference cannot be used: ${why}`,
    remedy: 'Write op://vault/item/field, in double braces inside of a text.',
    retry: 'on-change',
  })
}

/** A reference is no secret, but a text that was mistaken for one may be: never more than a bit. */
function shown(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text
}
