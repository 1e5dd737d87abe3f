/**
 * `keyferry validate`: what the API server and the operator would say of manifests, without either.
 */
import { ONE_PASSWORD_ITEM, parseClaim } from '../../operator/item.ts'
import {
  parseWorkload,
  type Workload,
  WORKLOAD_RESOURCES,
  type WorkloadKind,
} from '../../operator/plan/workload.ts'
import { apiVersionOf } from '../../kube/resource.ts'
import { CRD_TEXT } from '../crd.ts'
import { isObject, type Manifest, parseManifests, type Source } from '../manifest/parse.ts'
import { annotationFindings } from './annotations.ts'
import { type Finding, findingAt, inOrder } from './finding.ts'
import { metadataFindings } from './object-meta.ts'
import { policyCheck } from './policy.ts'
import { resourceFindings } from './resource.ts'
import { schemaCheck, type SchemaCheck } from './schema.ts'
import { scopeFindings, type Subject } from './scope.ts'
import { RULES } from './rules.ts'

/** What manifests are checked against. */
export interface ValidateOptions {
  /** Text of the CRD; the one of this program unless told. */
  readonly crd?: string
  /** The vault policy file. */
  readonly policy?: Source | undefined
  /** Namespace of manifests that name none. */
  readonly namespace?: string | undefined
}

/** What was found. */
export interface Validation {
  readonly findings: readonly Finding[]
  /** Resources among the objects. */
  readonly resources: number
  readonly objects: number
}

/** Checks texts. */
export function validate(sources: readonly Source[], options: ValidateOptions = {}): Validation {
  const check = schemaCheck(options.crd ?? CRD_TEXT)
  const policy = options.policy && policyCheck(options.policy)
  const findings: Finding[] = [...(policy?.findings ?? [])]
  const subjects: Subject[] = []
  for (const source of sources) {
    const { manifests, unreadable } = parseManifests(source)
    for (const { message, place } of unreadable) {
      findings.push({ rule: 'yaml', level: RULES.yaml.level, message, place, file: source.name })
    }
    for (const manifest of manifests) {
      if (!isKubernetes(manifest)) continue
      const { subject, found } = judge(manifest, check)
      subjects.push(subject)
      findings.push(...found, ...annotationFindings(manifest))
      findings.push(...(policy?.judge(subject, options.namespace ?? '') ?? []))
    }
  }
  findings.push(...scopeFindings(subjects))
  const files = [...sources.map(({ name }) => name), options.policy?.name ?? '']
  return {
    findings: inOrder(findings, files),
    objects: subjects.length,
    resources: subjects.filter(({ manifest }) => isOfOurGroup(manifest)).length,
  }
}

/** Other YAML, such as the values of a chart, is none of our business. */
function isKubernetes({ value }: Manifest): boolean {
  return (
    typeof value['kind'] === 'string' && (typeof value['apiVersion'] === 'string' || isOurs(value))
  )
}

function isOurs({ kind }: Manifest['value']): boolean {
  return kind === ONE_PASSWORD_ITEM.kind
}

function isOfOurGroup({ value }: Manifest): boolean {
  const { apiVersion } = value
  const group = typeof apiVersion === 'string' ? apiVersion.split('/')[0] : undefined
  return group === ONE_PASSWORD_ITEM.group || isOurs(value)
}

/** An object by itself. */
function judge(
  manifest: Manifest,
  check: SchemaCheck,
): { readonly subject: Subject; readonly found: readonly Finding[] } {
  const bare: Subject = { manifest, claim: undefined, workload: undefined }
  if (!isOfOurGroup(manifest)) {
    return { subject: { ...bare, workload: workloadIn(manifest) }, found: [] }
  }
  const { apiVersion, kind } = manifest.value
  const wanted = apiVersionOf(ONE_PASSWORD_ITEM)
  if (apiVersion !== wanted || kind !== ONE_PASSWORD_ITEM.kind) {
    const path = [apiVersion === wanted ? 'kind' : 'apiVersion']
    const message = `${String(apiVersion)} has no kind ${String(kind)}; there is ${wanted} OnePasswordItem`
    return { subject: bare, found: [findingAt('api-version', manifest, { path }, message)] }
  }
  const taken = check.taken(manifest.value)
  const found = [
    ...metadataFindings(manifest),
    ...check.violations(taken).map(({ rule, path, message }) => {
      const what = rule === 'unknown-member' ? 'name' : 'value'
      return findingAt(rule, manifest, { path, what }, message)
    }),
  ]
  // What the API server refuses, the operator never sees.
  if (found.some(({ rule }) => rule !== 'unknown-member')) return { subject: bare, found }
  const claim = parseClaim(withMetadata(taken))
  return {
    subject: { ...bare, claim },
    found: [...found, ...resourceFindings(manifest, claim)],
  }
}

/** The object as the API server would give it, as far as reading it demands. */
function withMetadata(value: Manifest['value']): unknown {
  const metadata = { namespace: '', name: '', uid: '', resourceVersion: '' }
  return {
    ...value,
    status: undefined,
    metadata: { ...metadata, ...(value['metadata'] as object) },
  }
}

function workloadIn({ value }: Manifest): Workload | undefined {
  const { kind, apiVersion, metadata } = value
  if (typeof kind !== 'string' || !Object.hasOwn(WORKLOAD_RESOURCES, kind)) return undefined
  const known = kind as WorkloadKind
  if (apiVersion !== apiVersionOf(WORKLOAD_RESOURCES[known]) || !isObject(metadata))
    return undefined
  try {
    return parseWorkload(known, withMetadata(value))
  } catch {
    // Of another shape than a workload has: the API server refuses it, and it is not ours to judge.
    return undefined
  }
}
