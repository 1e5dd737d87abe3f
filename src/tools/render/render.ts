/**
 * `keyferry render`: the Secret of a resource as a manifest that kubectl applies. It bears none of
 * the operator's marks: who applies it makes a Secret of their own.
 */
import { stringify } from 'yaml'
import type { SecretValue } from '../../connect/secret-value.ts'
import { keyOf } from '../../kube/resource.ts'
import { isOwnName } from '../../operator/annotations.ts'
import type { Texts } from '../../operator/item.ts'
import type { SecretManifest } from '../../operator/plan/types.ts'
import { decideUnwritten } from '../../operator/shadow.ts'
import type { Overlay } from '../plan/overlay.ts'
import type { World } from '../plan/world.ts'

/** The Secrets of resources, and why others have none. */
export interface Rendered {
  readonly manifests: readonly SecretManifest[]
  readonly refused: readonly { readonly resource: string; readonly message: string }[]
}

const NEVER = new AbortController().signal

/** Renders every resource of an overlay; the world is one without Secrets. */
export async function renderOverlay(world: World, { claims }: Overlay): Promise<Rendered> {
  const manifests: SecretManifest[] = []
  const refused: { resource: string; message: string }[] = []
  for (const claim of claims) {
    const first = world.resources.observe(keyOf(claim))
    const found = first && (await decideUnwritten(world.resources, first, NEVER))
    const write = found?.plan.secret
    if (write?.kind === 'create') manifests.push(write.manifest)
    else
      refused.push({
        resource: keyOf(claim),
        message: found?.plan.fault?.message ?? 'It gives no Secret.',
      })
  }
  return { manifests, refused }
}

/** What stands for a value that is not shown. */
const MASK = '***'
/** The API server takes nothing but an object of JSON under these keys. */
const MASKS: Readonly<Record<string, string>> = {
  '.dockerconfigjson': '{"auths":{}}',
  '.dockercfg': '{}',
}

/** Manifests as YAML documents. */
export function manifestText(manifests: readonly object[]): string {
  return manifests.map((one) => stringify(one, { lineWidth: 0 })).join('---\n')
}

/** Manifests as one object, which kubectl applies as well. */
export function listOf(items: readonly object[]): object {
  return { apiVersion: 'v1', kind: 'List', items }
}

/** A Secret as people write it. @param reveal whether its values are shown */
export function manifestOf(
  { namespace, name, type, labels, annotations, data }: SecretManifest,
  reveal: boolean,
): object {
  const mark = (texts: Texts) =>
    Object.fromEntries(Object.entries(texts).filter(([text]) => !isOwnName(text)))
  const [own, notes] = [mark(labels), mark(annotations)]
  const entries = [...data].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace,
      ...(Object.keys(own).length > 0 ? { labels: own } : {}),
      ...(Object.keys(notes).length > 0 ? { annotations: notes } : {}),
    },
    type,
    ...(reveal
      ? { data: Object.fromEntries(entries.map(([key, value]) => [key, base64(value)])) }
      : { stringData: Object.fromEntries(entries.map(([key]) => [key, maskOf(type, key)])) }),
  }
}

function base64(value: SecretValue): string {
  return Buffer.from(value.reveal()).toString('base64')
}

function maskOf(type: string, key: string): string {
  const isDocker = type.startsWith('kubernetes.io/docker') && Object.hasOwn(MASKS, key)
  return (isDocker && MASKS[key]) || MASK
}
