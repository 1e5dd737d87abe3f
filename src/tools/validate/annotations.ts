/**
 * Annotations and labels of any object: those that look like Keyferry's and are not, and those that
 * stand where nobody reads them.
 */
import * as names from '../../operator/annotations.ts'
import { readOptIn } from '../../operator/plan/restarts.ts'
import { isWorkloadReference, WORKLOAD_RESOURCES } from '../../operator/plan/workload.ts'
import { isObject, type Manifest, type MemberPath } from '../manifest/parse.ts'
import { type Finding, findingAt } from './finding.ts'

const { AUTO_RESTART, ITEM_NAME, ITEM_PATH, ADOPT, REFRESH, parseBoolean } = names

/** All names that have a meaning. */
const KNOWN: readonly string[] = Object.values(names)
  .filter((value) => typeof value === 'string')
  .filter(names.isOwnName)
/** Names that the operator writes and computes: `keyferry.dev/secret-<hash>`. */
const COMPUTED = /^keyferry\.dev\/secret-[0-9a-f]{10}$/

/** What is odd about the annotations and labels of an object and of its pod template. */
export function annotationFindings(manifest: Manifest): Finding[] {
  return [
    ...unknownNames(manifest, ['metadata', 'annotations']),
    ...unknownNames(manifest, ['metadata', 'labels']),
    ...unknownNames(manifest, ['spec', 'template', 'metadata', 'annotations']),
    ...misplaced(manifest, ['metadata', 'annotations']),
    ...misplaced(manifest, ['spec', 'template', 'metadata', 'annotations']),
    ...halfAsks(manifest),
    ...unclear(manifest),
  ]
}

/** The texts at a path; none where there is something else. */
export function textsAt(manifest: Manifest, path: MemberPath): Readonly<Record<string, string>> {
  let value: unknown = manifest.value
  for (const step of path) value = isObject(value) ? value[step] : undefined
  if (!isObject(value)) return {}
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  )
}

function unknownNames(manifest: Manifest, path: MemberPath): Finding[] {
  return Object.keys(textsAt(manifest, path)).flatMap((name) => {
    if (KNOWN.includes(name) || COMPUTED.test(name)) return []
    const near = nearestTo(name)
    if (near === undefined && !names.isOwnName(name)) return []
    const hint = near === undefined ? '' : `; ${near} is meant?`
    const message = `Nobody reads ${name}${hint}`
    return [
      findingAt('unknown-annotation', manifest, { path: [...path, name], what: 'name' }, message),
    ]
  })
}

/** The known name that `name` was probably meant to be. */
function nearestTo(name: string): string | undefined {
  const ranked = KNOWN.map((known) => ({ known, distance: distanceOf(name, known) }))
    .filter(({ known, distance }) => distance <= 2 || isOtherPrefix(name, known))
    .toSorted((a, b) => a.distance - b.distance)
  return ranked[0]?.known
}

/** `onepassword.com/item-path` and the like: the right name behind another prefix. */
function isOtherPrefix(name: string, known: string): boolean {
  const [prefix = '', rest] = name.split('/')
  return rest === known.split('/')[1] && /(1password|onepassword|keyferry)/i.test(prefix)
}

/** How many letters differ (Levenshtein); 99 when more than the lengths allow. */
function distanceOf(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 99
  let row = Array.from({ length: b.length + 1 }, (_, n) => n)
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j += 1) {
      const change = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1)
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 99
}

/** Where an annotation is read. */
const READ_ON: Readonly<Record<string, (kind: string, inTemplate: boolean) => boolean>> = {
  [AUTO_RESTART]: (kind, inTemplate) =>
    !inTemplate &&
    (Object.hasOwn(WORKLOAD_RESOURCES, kind) ||
      ['OnePasswordItem', 'Namespace', 'Secret'].includes(kind)),
  [ITEM_PATH]: (kind) => asks(kind) || kind === 'Secret',
  [ITEM_NAME]: asks,
  [ADOPT]: (kind, inTemplate) => !inTemplate && kind === 'Secret',
  [REFRESH]: (kind, inTemplate) => !inTemplate && kind === 'OnePasswordItem',
}

const PLACES: Readonly<Record<string, string>> = {
  [AUTO_RESTART]: 'on OnePasswordItem, workloads (not their pod template) and Namespace',
  [ITEM_PATH]: 'on Deployment, StatefulSet and DaemonSet',
  [ITEM_NAME]: 'on Deployment, StatefulSet and DaemonSet',
  [ADOPT]: 'on Secret',
  [REFRESH]: 'on OnePasswordItem',
}

function asks(kind: string): boolean {
  return isWorkloadReference({ apiVersion: 'apps/v1', kind, name: '', uid: '' })
}

function misplaced(manifest: Manifest, path: MemberPath): Finding[] {
  const kind = String(manifest.value['kind'])
  const inTemplate = path.includes('template')
  return Object.keys(textsAt(manifest, path)).flatMap((name) => {
    const isRead = Object.hasOwn(READ_ON, name) ? READ_ON[name] : undefined
    if (isRead === undefined || isRead(kind, inTemplate)) return []
    const here = inTemplate ? `in the pod template of a ${kind}` : `on a ${kind}`
    const message = `${name} has no meaning ${here}; it is read ${PLACES[name]}`
    const at = { path: [...path, name], what: 'name' } as const
    return [findingAt('misplaced-annotation', manifest, at, message)]
  })
}

const ON_OBJECT = ['metadata', 'annotations']
const IN_TEMPLATE = ['spec', 'template', 'metadata', 'annotations']

/** Where a workload carries an annotation: on itself first, as it is read. */
export function annotationPath(manifest: Manifest, name: string): MemberPath {
  return [...(textsAt(manifest, ON_OBJECT)[name] ? ON_OBJECT : IN_TEMPLATE), name]
}

/** Either annotation may stand on the workload or in its template. */
function halfAsks(manifest: Manifest): Finding[] {
  if (!asks(String(manifest.value['kind']))) return []
  const found = [ITEM_PATH, ITEM_NAME].map((name) =>
    [ON_OBJECT, IN_TEMPLATE].find((path) => textsAt(manifest, path)[name]),
  )
  const [path, name] = found
  if ((path === undefined) === (name === undefined)) return []
  const [present, absent] = path ? [ITEM_PATH, ITEM_NAME] : [ITEM_NAME, ITEM_PATH]
  const at = { path: [...((path ?? name) as MemberPath), present], what: 'name' } as const
  return [findingAt('half-ask', manifest, at, `${present} has no effect without ${absent}`)]
}

function unclear(manifest: Manifest): Finding[] {
  const text = textsAt(manifest, ON_OBJECT)[AUTO_RESTART]
  const isRead = READ_ON[AUTO_RESTART]?.(String(manifest.value['kind']), false)
  if (!text || !isRead || parseBoolean(text) !== undefined) return []
  if (readOptIn(text) === 'notify') return []
  const message = `"${text}" is no boolean and not notify: it counts as false`
  return [findingAt('unclear-opt-in', manifest, { path: [...ON_OBJECT, AUTO_RESTART] }, message)]
}
