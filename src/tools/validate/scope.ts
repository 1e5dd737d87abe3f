/**
 * What objects are to each other: those of one file or one folder that name the same namespace.
 * Farther apart, two objects may be meant for different clusters.
 */
import path from 'node:path'
import type { Claim } from '../../operator/item.ts'
import { parseLiveSecret } from '../../operator/objects.ts'
import { digestKey } from '../../operator/plan/digest.ts'
import { ownershipOf } from '../../operator/plan/ownership.ts'
import { readOptIn } from '../../operator/plan/restarts.ts'
import type { Workload } from '../../operator/plan/workload.ts'
import { AUTO_RESTART, ITEM_NAME, ITEM_PATH } from '../../operator/annotations.ts'
import type { Manifest } from '../manifest/parse.ts'
import { annotationPath, textsAt } from './annotations.ts'
import { type Finding, findingAt } from './finding.ts'
import { faultOf } from './recipe.ts'

/** An object with what the operator would read in it. */
export interface Subject {
  readonly manifest: Manifest
  /** Undefined for anything but a resource that the API server takes. */
  readonly claim: Claim | undefined
  /** Undefined for anything but a workload. */
  readonly workload: Workload | undefined
}

/** What is wrong between objects. */
export function scopeFindings(subjects: readonly Subject[]): Finding[] {
  const groups = Map.groupBy(subjects, ({ manifest }) => folderOf(manifest.source.name))
  return [...groups.values()].flatMap((group) => [
    ...duplicates(group),
    ...contestedSecrets(group),
    ...asksOf(group),
    ...idleOptIns(group),
  ])
}

/** Standard input is a place of its own. */
function folderOf(file: string): string {
  return file === '-' ? '-' : path.dirname(file)
}

function identityOf({ value }: Manifest): string | undefined {
  const { namespace, name } = (value['metadata'] ?? {}) as Record<string, unknown>
  if (typeof name !== 'string') return undefined
  const group = String(value['apiVersion']).split('/').slice(0, -1).join('/')
  return [group, value['kind'], namespace ?? '', name].join(' ')
}

function duplicates(group: readonly Subject[]): Finding[] {
  const seen = new Map<string, Manifest>()
  return group.flatMap(({ manifest }) => {
    const identity = identityOf(manifest)
    const before = identity === undefined ? undefined : seen.get(identity)
    if (identity !== undefined && !before) seen.set(identity, manifest)
    if (!before) return []
    const { line } = before.place([])
    const message = `The same object is already in ${before.source.name}, line ${line}`
    return [findingAt('duplicate-object', manifest, { path: ['metadata', 'name'] }, message)]
  })
}

/** Members that name the Secret of a resource. */
function secretNameAt({ value }: Manifest) {
  const { secretName } = (value['spec'] ?? {}) as Record<string, unknown>
  return { path: secretName ? ['spec', 'secretName'] : ['metadata', 'name'] }
}

interface Resource {
  readonly manifest: Manifest
  readonly claim: Claim
}

function resourcesOf(group: readonly Subject[]): Map<string, Resource[]> {
  const resources = group.flatMap(({ manifest, claim }) =>
    claim && claim.spec.secretName !== '' ? [{ manifest, claim }] : [],
  )
  return Map.groupBy(resources, ({ claim }) => `${claim.namespace}/${claim.spec.secretName}`)
}

/** Secrets of several resources, and Secrets that a manifest brings along. */
function contestedSecrets(group: readonly Subject[]): Finding[] {
  const findings: Finding[] = []
  const secrets = new Map(
    group
      .filter(
        ({ manifest: { value } }) => value['kind'] === 'Secret' && value['apiVersion'] === 'v1',
      )
      .map(({ manifest }) => [secretKeyOf(manifest), manifest]),
  )
  for (const [key, resources] of resourcesOf(group)) {
    const names = new Set(resources.map(({ claim }) => claim.name))
    for (const { manifest } of names.size > 1 ? resources.slice(1) : []) {
      const message = `Several resources make Secret ${key.split('/')[1]}: ${[...names].join(', ')}`
      findings.push(findingAt('duplicate-secret', manifest, secretNameAt(manifest), message))
    }
    const secret = secrets.get(key)
    for (const { manifest, claim } of resources) {
      if (!secret || !isForeign(secret, claim)) continue
      const message = `Secret ${claim.spec.secretName} is also a manifest in ${secret.source.name}, line ${secret.place([]).line}`
      findings.push(findingAt('foreign-secret', manifest, secretNameAt(manifest), message))
    }
  }
  return findings
}

function secretKeyOf({ value }: Manifest): string {
  const { namespace = '', name = '' } = (value['metadata'] ?? {}) as Record<string, unknown>
  return `${String(namespace)}/${String(name)}`
}

/** No Secret in a manifest bears a proof by the operator's own key. */
const ANY_KEY = digestKey(Buffer.alloc(32))

function isForeign(secret: Manifest, claim: Claim): boolean {
  const live = parseLiveSecret({
    ...secret.value,
    data: {},
    metadata: {
      ...(secret.value['metadata'] as object),
      annotations: textsAt(secret, ['metadata', 'annotations']),
      labels: textsAt(secret, ['metadata', 'labels']),
      ownerReferences: [],
    },
  })
  return ownershipOf(live, claim, ANY_KEY, new Set()) === 'foreign'
}

/** Workloads that ask for Secrets by annotations. */
function asksOf(group: readonly Subject[]): Finding[] {
  const resources = resourcesOf(group)
  const first = new Map<string, Workload>()
  return group.flatMap(({ manifest, workload }) => {
    if (!workload?.asks) return []
    const { secretName, itemPath } = workload.asks
    const key = `${workload.namespace}/${secretName}`
    const path = annotationPath(manifest, ITEM_PATH)
    const fault = faultOf({ itemPath, data: {} })
    if (fault) return [findingAt('item-path', manifest, { path }, fault.message)]
    if (resources.has(key)) {
      const message = `A resource makes Secret ${secretName}: the annotation has no effect`
      return [findingAt('shadowed-ask', manifest, { path, what: 'name' }, message)]
    }
    const before = first.get(key) ?? workload
    first.set(key, before)
    if (before.asks?.itemPath === itemPath) return []
    const message = `${before.kind} ${before.name} asks for another item under the Secret name ${secretName}`
    const at = { path: annotationPath(manifest, ITEM_NAME) }
    return [findingAt('contested-ask', manifest, at, message)]
  })
}

function idleOptIns(group: readonly Subject[]): Finding[] {
  const made = resourcesOf(group)
  return group.flatMap(({ manifest, workload }) => {
    if (!workload || workload.asks || readOptIn(workload.autoRestart ?? '') === 'false') return []
    const { uses, namespace } = workload
    if (uses.some((name) => made.has(`${namespace}/${name}`))) return []
    if (uses.length > 0 && made.size === 0) return []
    const message =
      uses.length === 0
        ? 'The workload wants restarts, but uses no Secret'
        : `The workload wants restarts, but no resource here makes ${uses.join(', ')}`
    const at = { path: ['metadata', 'annotations', AUTO_RESTART], what: 'name' } as const
    return [findingAt('idle-opt-in', manifest, at, message)]
  })
}
