/**
 * Snapshots for tests of the plan stage: a claim that was never worked, an item that was found, no
 * Secret; a test changes what it is about.
 */
import { KeyferryError } from '../../src/errors.ts'
import { type Item, itemSchema, type ItemSummary, parse } from '../../src/connect/model.ts'
import { SecretValue } from '../../src/connect/secret-value.ts'
import { type Claim, conditionOf, type ItemStatus, parseClaim } from '../../src/operator/item.ts'
import type { ItemContent } from '../../src/operator/plan/content.ts'
import { contentDigest, digestKey } from '../../src/operator/plan/digest.ts'
import type {
  ContentSight,
  LiveSecret,
  Plan,
  Policy,
  References,
  Resolution,
  SecretManifest,
  SecretMeta,
  Snapshot,
} from '../../src/operator/plan/types.ts'
import { planSync } from '../../src/operator/plan/plan.ts'

export const VAULT = 'v'.repeat(26)
export const ITEM = 'i'.repeat(26)
/** The API server's clock in tests. */
export const NOW = Date.parse('2026-01-02T03:04:05Z')

export const aPolicy: Policy = {
  emptyValues: false,
  labelsNotCopied: [],
  digestKey: digestKey(Buffer.alloc(32, 1)),
  instance: 'keyferry/keyferry',
  restartOnRemap: false,
  staleAfterMs: 3_600_000,
}

/** A claim, as the API server would give it; members of `more` go over the defaults. */
export function aClaim(
  more: {
    metadata?: Record<string, unknown>
    spec?: Record<string, unknown>
    status?: Partial<ItemStatus>
    type?: string
  } = {},
): Claim {
  return parseClaim({
    metadata: {
      namespace: 'shop',
      name: 'database',
      uid: 'claim-uid',
      resourceVersion: '10',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...more.metadata,
    },
    ...(more.type ? { type: more.type } : {}),
    spec: { itemPath: 'vaults/Production/items/Database', ...more.spec },
    ...(more.status ? { status: more.status } : {}),
  })
}

/** A whole item from the members that matter. */
export function anItem(more: Record<string, unknown> = {}): Item {
  const item = parse(itemSchema, {
    id: ITEM,
    title: 'Database',
    vault: { id: VAULT },
    version: 1,
    createdAt: '2026-01-01T00:00:00Z',
    category: 'DATABASE',
    fields: [
      { id: 'u', label: 'username', value: 'app' },
      { id: 'p', label: 'password', value: 'secret' },
    ],
    ...more,
  })
  if (item === undefined) throw new Error('no such item')
  return item
}

/** An item with its files, by name. */
export function aContent(item: Item, files: Record<string, string> = {}): ItemContent {
  const contents = item.files
    .filter(({ name }) => name in files)
    .map((file) => [file.id, SecretValue.fromText(files[file.name] ?? '')] as const)
  return { item, files: new Map(contents) }
}

/** Data from texts. */
export function aData(texts: Record<string, string>): ReadonlyMap<string, SecretValue> {
  return new Map(Object.entries(texts).map(([key, text]) => [key, SecretValue.fromText(text)]))
}

/** The texts in data. */
export function textsOf(data: ReadonlyMap<string, SecretValue>): Record<string, string> {
  return Object.fromEntries(
    [...data].map(([key, value]) => [key, Buffer.from(value.reveal()).toString()]),
  )
}

/** Path of the item in {@link aClaim}. */
export const PATH = 'vaults/Production/items/Database'

/** The item as what its path means. */
export function found(item: ItemSummary, path = PATH): References {
  return new Map([[path, { kind: 'found', item }]])
}

/** The item as what was read. */
export function read(item: Item, files: Record<string, string> = {}, path = PATH): ContentSight {
  return { kind: 'read', items: new Map([[path, aContent(item, files)]]) }
}

/** A Snapshot in which the item was found and read, unless told otherwise. */
export function aSnapshot(more: Partial<Snapshot> = {}): Snapshot {
  const item = anItem()
  return {
    claim: aClaim(),
    now: NOW,
    policy: aPolicy,
    rival: undefined,
    references: found(item),
    secret: { kind: 'cached', meta: undefined, verified: false },
    deadOwners: new Set(),
    otherInstance: undefined,
    content: read(item),
    leftovers: [],
    absences: undefined,
    anotherOperator: undefined,
    failingMs: 0,
    outage: undefined,
    recentRepairs: 0,
    ...more,
  }
}

/** The plan for a Snapshot that needs no further look. */
export function planOf(seen: Snapshot): Plan {
  const decision = planSync(seen)
  if (decision.kind !== 'act') throw new Error(`wants to look at ${decision.at}`)
  return decision.plan
}

/** The manifest that a plan writes. */
export function manifestOf({ secret }: Plan): SecretManifest {
  if (secret === undefined || secret.kind === 'delete') throw new Error('the plan writes no Secret')
  return secret.manifest
}

/** The Secret that a plan writes, as the API server would hold it afterwards. */
export function asLive(plan: Plan, more: Partial<LiveSecret> = {}): LiveSecret {
  return {
    ...manifestOf(plan),
    uid: 'secret-uid',
    resourceVersion: '20',
    deleting: false,
    ...more,
  }
}

/** What the caches hold of a Secret. */
export function asMeta(live: LiveSecret): SecretMeta {
  const { data: _data, type: _type, immutable: _immutable, ...meta } = live
  return meta
}

/** The claim after its plan was carried out. */
export function afterwards(seen: Snapshot, plan: Plan, version = '20'): Claim {
  const { claim } = seen
  if (plan.status === undefined) return claim
  const { secretResourceVersion = version } = plan.secret ? {} : plan.status
  return { ...claim, status: { ...plan.status, secretResourceVersion } }
}

/** A synced claim with its Secret: the state in which most things begin. */
export function aSynced(first: Snapshot = aSnapshot()): {
  readonly seen: Snapshot
  readonly live: LiveSecret
} {
  const plan = planOf(first)
  const live = asLive(plan)
  const claim = afterwards(first, plan)
  const secret = { kind: 'cached', meta: asMeta(live), verified: true } as const
  return { live, seen: { ...first, claim, secret, content: { kind: 'unread' } } }
}

/** Another version of the item, found and read. */
export function withItem(seen: Snapshot, item: Item, summary: Partial<ItemSummary> = {}): Snapshot {
  return {
    ...seen,
    references: found({ ...item, ...summary }),
    content: read(item),
  }
}

/** Digest of texts as the content of a claim's Secret. */
export function digestOf(claim: Claim, texts: Record<string, string>): string {
  const { namespace, spec, type } = claim
  const data = aData(texts)
  return contentDigest(aPolicy.digestKey, { namespace, name: spec.secretName, type, data })
}

/** Connect does not answer. */
export const unreachable = new KeyferryError('CONNECT_UNREACHABLE', {
  message: 'Connect cannot be reached',
  remedy: 'Check it.',
  retry: 'soon',
})

/** What the claim's path means. */
export const means = (resolution: Resolution) => new Map([[PATH, resolution]])

/** The condition Ready that the plan would write. */
export function readyOf(seen: Snapshot) {
  const { status } = planOf(seen)
  return status && conditionOf(status, 'Ready')
}

export type { ItemSummary }
