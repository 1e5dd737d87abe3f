/**
 * From a text of YAML or JSON documents to manifests that know where each of their members stands.
 * A text is read as kubectl reads it: YAML 1.1 without times and numbers to the base of 60.
 * Source: sigs.k8s.io/yaml, which wraps go-yaml 2.
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type ScalarTag,
  type Tags,
} from 'yaml'

/** A text with its name: a path, or `-` for standard input. */
export interface Source {
  readonly name: string
  readonly text: string
}

/** A stretch of a text. Lines and columns count from 1; the end is behind the last character. */
export interface Place {
  readonly line: number
  readonly column: number
  readonly endLine: number
  readonly endColumn: number
}

/** Names and numbers that lead to a member. */
export type MemberPath = readonly (string | number)[]

/** One object of a text. */
export interface Manifest {
  readonly source: Source
  readonly value: Readonly<Record<string, unknown>>
  /** Where a member's value stands, or its name; of what is not there the nearest thing around. */
  place(path: MemberPath, what?: 'name' | 'value'): Place
}

/** Why a document cannot be read. */
export interface Unreadable {
  readonly source: Source
  readonly message: string
  readonly place: Place
}

/** What is in a text. */
export interface Parsed {
  readonly manifests: readonly Manifest[]
  readonly unreadable: readonly Unreadable[]
}

/** Repetitions by aliases: none makes a small text a large object. */
const MAX_ALIASES = 100

/** Reads a text. Documents that are no object, such as empty ones, are left out. */
export function parseManifests(source: Source): Parsed {
  const lines = new LineCounter()
  const manifests: Manifest[] = []
  const unreadable: Unreadable[] = []
  for (const document of documentsOf(source.text, lines)) {
    const [error] = document.errors
    if (error) {
      const [start, end] = error.pos
      const message = (error.message.split('\n')[0] ?? '').replace(/ at line \d+.*$/, '')
      unreadable.push({ source, message, place: between(lines, start, end) })
      continue
    }
    try {
      const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES })
      manifests.push(
        ...objectsIn(value).map((object) => manifestOf(object, { source, document, lines })),
      )
    } catch (cause) {
      const { message } = cause as Error
      unreadable.push({ source, message, place: between(lines, 0, 0) })
    }
  }
  return { manifests, unreadable }
}

function documentsOf(text: string, lineCounter: LineCounter): readonly Document.Parsed[] {
  const found = parseAllDocuments(text, {
    version: '1.1',
    lineCounter,
    prettyErrors: false,
    logLevel: 'error',
    customTags,
  })
  return Array.isArray(found) ? found : []
}

/** What go-yaml reads in its own way. */
const OWN_TAGS: readonly ScalarTag[] = [
  {
    default: true,
    tag: 'tag:yaml.org,2002:int',
    test: /^0o[0-7_]+$/,
    resolve: (text) => Number.parseInt(text.slice(2).replaceAll('_', ''), 8),
  },
  {
    tag: 'tag:yaml.org,2002:binary',
    resolve: (text) => Buffer.from(text, 'base64').toString('utf8'),
  },
]
const UNKNOWN_TAGS = ['tag:yaml.org,2002:timestamp', 'tag:yaml.org,2002:binary']

/** The tags of YAML 1.1 as go-yaml has them. */
function customTags(tags: Tags): Tags {
  const known = tags.filter((tag) => {
    if (typeof tag === 'string') return true
    return (tag as ScalarTag).format !== 'TIME' && !UNKNOWN_TAGS.includes(tag.tag)
  })
  return [...OWN_TAGS, ...known]
}

interface Found {
  readonly object: Readonly<Record<string, unknown>>
  readonly path: MemberPath
}

/** The object, or the objects of a list of them. */
function objectsIn(value: unknown): Found[] {
  if (!isObject(value)) return []
  const { items } = value
  if (value['kind'] !== 'List' || !Array.isArray(items)) return [{ object: value, path: [] }]
  return items.flatMap((item: unknown, n) =>
    isObject(item) ? [{ object: item, path: ['items', n] }] : [],
  )
}

/** Whether a value has members. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function manifestOf(
  { object, path: base }: Found,
  read: {
    readonly source: Source
    readonly document: Document.Parsed
    readonly lines: LineCounter
  },
): Manifest {
  const { source, document, lines } = read
  return {
    source,
    value: object,
    place(path, what = 'value') {
      const node = find(document, [...base, ...path], what)
      const [start, end] = node?.range ?? [0, 0]
      return between(lines, start, end)
    },
  }
}

function find(
  document: Document.Parsed,
  path: MemberPath,
  what: 'name' | 'value',
): Node | undefined {
  let node: Node | undefined = document.contents ?? undefined
  for (const [n, step] of path.entries()) {
    const inner = step === undefined ? undefined : memberOf(resolved(node, document), step)
    if (inner === undefined) return node
    const last = n === path.length - 1
    const wanted = isPair(inner) ? (last && what === 'name' ? inner.key : inner.value) : inner
    // A member without a value stands where its name stands.
    node =
      isNode(wanted) && wanted.range
        ? wanted
        : isPair(inner) && isNode(inner.key)
          ? inner.key
          : node
  }
  return node
}

function memberOf(node: Node | undefined, step: string | number): Node | Pair | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(step)]
    return isNode(item) ? item : undefined
  }
  if (!isMap(node)) return undefined
  return node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
}

function resolved(node: Node | undefined, document: Document.Parsed): Node | undefined {
  return isAlias(node) ? node.resolve(document) : node
}

function between(lines: LineCounter, start: number, end: number): Place {
  const from = lines.linePos(start)
  const to = lines.linePos(Math.max(start, end))
  return {
    line: Math.max(1, from.line),
    column: Math.max(1, from.col),
    endLine: Math.max(1, to.line),
    endColumn: Math.max(1, to.col),
  }
}
