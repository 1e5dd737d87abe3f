/**
 * Forms of names, labels and annotations, as the API server demands them.
 * Source: apimachinery `ValidateObjectMeta`, `IsQualifiedName`, `IsValidLabelValue`.
 */
import { isObject, type Manifest, type MemberPath } from '../manifest/parse.ts'
import { type Finding, findingAt } from './finding.ts'

const MEMBERS = new Set([
  'name',
  'generateName',
  'namespace',
  'selfLink',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'labels',
  'annotations',
  'ownerReferences',
  'finalizers',
  'managedFields',
])

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/
/** Bytes that all annotations of an object may have. */
const MAX_ANNOTATIONS = 262_144

/** What is wrong with the metadata of an object. */
export function metadataFindings(manifest: Manifest): Finding[] {
  const { metadata } = manifest.value
  if (!isObject(metadata)) {
    return [findingAt('metadata', manifest, { path: [] }, 'The object has no metadata')]
  }
  const findings: Finding[] = []
  const tell = (path: MemberPath, message: string, what: 'name' | 'value' = 'value') =>
    findings.push(findingAt('metadata', manifest, { path: ['metadata', ...path], what }, message))
  for (const member of Object.keys(metadata)) {
    if (MEMBERS.has(member)) continue
    const at = { path: ['metadata', member], what: 'name' } as const
    const message = `There is no member metadata.${member}`
    findings.push(findingAt('unknown-member', manifest, at, message))
  }
  const { name, generateName, namespace } = metadata
  if (name === undefined && generateName === undefined) tell([], 'metadata.name is missing')
  if (name !== undefined && !isSubdomain(name)) {
    tell(['name'], 'metadata.name must be of lower-case letters, digits, dots and dashes')
  }
  if (namespace !== undefined && !isNamespace(namespace)) {
    tell(['namespace'], 'metadata.namespace must be of lower-case letters, digits and dashes')
  }
  for (const { path, message } of namesFaults(metadata['labels'], 'label')) {
    tell(['labels', ...path], message, 'name')
  }
  for (const { path, message } of namesFaults(metadata['annotations'], 'annotation')) {
    tell(['annotations', ...path], message, 'name')
  }
  return findings
}

function isSubdomain(name: unknown): boolean {
  return typeof name === 'string' && name.length <= 253 && SUBDOMAIN.test(name)
}

/** Empty stands for none. */
function isNamespace(name: unknown): boolean {
  return name === '' || (typeof name === 'string' && name.length <= 63 && LABEL.test(name))
}

/** Labels or annotations that the API server refuses. */
export function* namesFaults(
  names: unknown,
  what: 'label' | 'annotation',
): Generator<{ readonly path: MemberPath; readonly message: string }> {
  if (names === undefined || names === null) return
  if (!isObject(names)) {
    yield { path: [], message: `The ${what}s must be texts by name` }
    return
  }
  let bytes = 0
  for (const [name, value] of Object.entries(names)) {
    const path = [name]
    bytes += Buffer.byteLength(name) + (typeof value === 'string' ? Buffer.byteLength(value) : 0)
    if (!isQualified(what === 'label' ? name : name.toLowerCase())) {
      const message = `"${name}" is no name of ${what === 'label' ? 'a label' : 'an annotation'}: a DNS name and a slash may stand before letters, digits, dots, dashes and underscores, 63 at most`
      yield { path, message }
    } else if (value !== null && typeof value !== 'string') {
      yield { path, message: `The ${what} ${name} must be a text; put it in quotes` }
    } else if (what === 'label' && value !== null && !isLabelValue(value)) {
      const message = `The value of label ${name} must be of letters, digits, dots, dashes and underscores, 63 at most`
      yield { path, message }
    }
  }
  if (what === 'annotation' && bytes > MAX_ANNOTATIONS) {
    yield { path: [], message: 'The annotations have more than 256 KiB' }
  }
}

function isQualified(text: string): boolean {
  const [first = '', second, ...rest] = text.split('/')
  const [prefix, name] = second === undefined ? [undefined, first] : [first, second]
  if (rest.length > 0 || (prefix !== undefined && !isSubdomain(prefix))) return false
  return name.length <= 63 && QUALIFIED.test(name)
}

function isLabelValue(value: string): boolean {
  return value === '' || (value.length <= 63 && QUALIFIED.test(value))
}
