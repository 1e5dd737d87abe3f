/**
 * Whether a secret value shows where none may: anywhere but in the data of Secrets.
 */
import { readFile } from 'node:fs/promises'
import { type Cluster, type Kind, type KubeObject } from './cluster.ts'
import { tally } from './gates.ts'

/** How values begin that are made for being looked for. */
export const PLANTED = 'planted-'

/** Characters from which a value can be told from what is there anyway, unless it is mere words. */
const DISTINCT = 8
const WORDS = /^[a-z ]*$/i

/** Kinds in a namespace that an operator writes or that tell of it. */
const KINDS = [
  'items',
  'secrets',
  'events',
  'leases',
  'deployments',
  'statefulsets',
  'daemonsets',
  'replicasets',
] as const satisfies readonly Kind[]

/** Characters of a value that are looked for: its beginning tells it from all others. */
const LOOKED_AT = 256

/** Texts by where they come from. */
export type Outputs = Readonly<Record<string, string>>

/** Where values show, in any form that text may have. */
export function leaksIn(outputs: Outputs, values: Iterable<string>): string[] {
  const wanted = [...values].filter(isDistinct).map((value) =>
    // All of these are found by how they begin.
    value.startsWith(PLANTED) ? PLANTED : value.slice(0, LOOKED_AT),
  )
  const forms = [...new Set(wanted)].map((value) => ({ value, forms: formsOf(value) }))
  return Object.entries(outputs).flatMap(([where, text]) =>
    forms
      .filter((one) => one.forms.some((form) => text.includes(form)))
      .map(({ value }) => `${where} shows ${JSON.stringify(value.slice(0, 40))}`),
  )
}

/** Whether a value can be looked for: it is told from what is there anyway. */
function isDistinct(value: string): boolean {
  return value.length >= DISTINCT && !WORDS.test(value.slice(0, LOOKED_AT))
}

/** As {@link leaksIn}, and says how much was looked for, and where. */
export async function scan(outputs: Outputs, values: readonly string[]): Promise<string[]> {
  const leaks = leaksIn(outputs, values)
  const canaries = new Set(values.filter(isDistinct)).size
  const texts = Object.values(outputs).filter((text) => text !== '')
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const gate = 17
  await tally({ gate, what: 'canaries', trials: canaries, violations: leaks.length })
  await tally({ gate, what: 'places looked at for canaries', trials: texts.length, violations: 0 })
  await tally({ gate, what: 'bytes looked through for canaries', trials: bytes, violations: 0 })
  return leaks
}

/** What everybody on a machine, or whoever is the same user, sees of a process: nothing of one that has ended. */
export async function shownBy(pid: number): Promise<{ command: string; environment: string }> {
  const read = (page: string) => readFile(`/proc/${pid}/${page}`, 'utf8').catch(() => '')
  const [command, all] = await Promise.all([read('cmdline'), read('environ')])
  // Who hands the token over in the environment has it there.
  const environment = all.split('\0').filter((one) => !one.startsWith('OP_CONNECT_TOKEN='))
  return { command: command.replaceAll('\0', ' '), environment: environment.join(' ') }
}

/** As it is, as JSON writes it (once and twice), in base64, in hex, in a URL, as a list of bytes. */
function formsOf(value: string): string[] {
  const bytes = Buffer.from(value)
  const quoted = JSON.stringify(value).slice(1, -1)
  return [
    value,
    quoted,
    JSON.stringify(quoted).slice(1, -1),
    // Also where it is only the beginning.
    bytes.toString('base64').slice(0, Math.floor((bytes.length * 8) / 6)),
    bytes.toString('hex'),
    encodeURIComponent(value),
    [...bytes].join(','),
  ]
}

/** What the API server tells of a namespace, without what people asked for and the data of Secrets. */
export async function toldIn(cluster: Cluster): Promise<Outputs> {
  const lists = await Promise.all(
    KINDS.map(async (kind) => {
      const objects = await cluster.list(kind)
      return objects.map((object) => [nameOf(kind, object), JSON.stringify(told(kind, object))])
    }),
  )
  return Object.fromEntries(lists.flat()) as Outputs
}

function nameOf(kind: Kind, { metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace}/${metadata.name}`
}

function told(kind: Kind, { data: _data, spec, ...object }: KubeObject): unknown {
  // The spec of a resource is what its author wrote.
  return kind === 'items' ? object : { ...object, spec }
}
