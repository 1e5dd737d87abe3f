/**
 * Judges a history: the promises about everything that was ever stored, looked at in the moment of
 * its storing, and those about the state in the end. It knows nothing of the operator's code but
 * the names of annotations.
 */
import type { ApiServer, Change, StoredObject } from './api-server.ts'
import { type SimulatedConnect, type SimulatedItem, valueOf } from './connect.ts'
import { HOME } from './operator.ts'
import { NAMESPACE, USER } from './operations.ts'
import { BEGINNING, type Scheduler } from './scheduler.ts'

/** What is judged. */
export interface Evidence {
  readonly server: Pick<ApiServer, 'onChange' | 'all' | 'get'>
  readonly scheduler: Pick<Scheduler, 'now'>
  readonly connect: Pick<SimulatedConnect, 'items' | 'addedAt'> & {
    readonly served: Pick<ReadonlySet<string>, 'has'>
  }
}

/** See the head of this file. */
export interface Judge {
  /** Promises that were broken, in words, with the virtual time. */
  readonly violations: string[]
  /** What is not as it should be by now, in words. */
  unsettled(): string[]
  /** Changes of operators so far, Leases apart. */
  writes(): number
}

const MANAGED = 'keyferry.dev/managed'
const RESTART = 'keyferry.dev/restart'
const DIGEST = 'keyferry.dev/digest'
const TEMPLATE_PREFIX = 'keyferry.dev/secret-'
const AUTO_RESTART = 'operator.1password.io/auto-restart'
/** Milliseconds round a change in which a workload may or may not have started with it. */
const AROUND_MS = 10_000
/** Milliseconds that a write takes at most: that is its `timeout`. */
const UNDER_WAY_MS = 4_000

type Data = Readonly<Record<string, string>>

/** Content that an operator gave a Secret, with the debt that it wrote beside it. */
interface Debt {
  readonly digest: string
  readonly content: string | undefined
  /** UIDs of workloads that were restarted for it. */
  readonly paid: Set<string>
  /** UIDs of the Secret's owners: who makes a Secret of that name anew owes nothing. */
  readonly owners: string
  readonly at: number
}

/**
 * @param elects whether only the holder of the Lease may write
 * @param aroundMs by how much earlier than a change a workload must be there to be restarted for it
 */
export function createJudge(
  { server, scheduler, connect }: Evidence,
  elects: boolean,
  aroundMs = AROUND_MS,
): Judge {
  const violations: string[] = []
  /** UIDs of Secrets that are ours. */
  const ours = new Set<string>()
  /** Contents that specs of the past allow, by Secret name, as lists of keys. */
  const wishes = new Map<string, Set<string>>()
  /** Every generation of every resource, by UID. */
  const specs = new Map<string, StoredObject[]>()
  /** Debts of each Secret, by name, in order. */
  const debts = new Map<string, Debt[]>()
  /** The newest content of each item that each Secret has had, by UID of the Secret. */
  const newest = new Map<string, Map<string, number>>()
  /** Which process an identity in the Lease means. */
  const holders = new Map<string, string>()
  /** When a process gave the Lease back last. */
  const released = new Map<string, number>()
  let writes = 0

  const say = (promise: string, text: string) =>
    violations.push(`${promise} at ${scheduler.now()} ms: ${text}`)

  server.onChange.add((change) => {
    const { kind, by, after } = change
    if (kind === 'onepassworditems' && after) noteWish(after)
    // What a user makes is theirs; what a user spoils stays ours.
    if (by === 'garbage collector' || by === USER) return
    if (kind === 'leases') return noteLease(change)
    writes += 1
    if (elects) checkLeader(change)
    checkNamespace(change)
    if (kind === 'secrets') checkSecret(change)
    if (kind === 'deployments' || kind === 'statefulsets') checkRestart(change)
  })

  function noteWish(item: StoredObject): void {
    const { metadata, spec, type } = item
    const past = specs.get(metadata.uid) ?? []
    if (past.at(-1)?.metadata.generation !== metadata.generation) past.push(item)
    specs.set(metadata.uid, past)
    const name = secretNameOf(item)
    const known = wishes.get(name) ?? new Set()
    wishes.set(name, known.add(`${type ?? 'Opaque'} ${keysOf(spec).join()}`))
  }

  function noteLease({ after, by }: Change): void {
    const holder = after?.['spec']?.holderIdentity
    if (holder) holders.set(holder, by)
    else if (after) released.set(by, scheduler.now())
  }

  /** S8: who does not hold the Lease changes nothing. */
  function checkLeader({ kind, by, after, before }: Change): void {
    const { namespace, name } = ((after ?? before) as StoredObject).metadata
    const holder = server.get('leases', HOME, 'keyferry')?.['spec']?.holderIdentity
    if (holders.get(holder) === by) return
    // What was on its way when the Lease was given back names the version that it was decided on.
    if (scheduler.now() - (released.get(by) ?? -UNDER_WAY_MS) < UNDER_WAY_MS) return
    say('S8', `${by} changes ${kind} ${namespace}/${name} while ${holder} holds the Lease`)
  }

  /** S5: nothing is written but in the namespace that asks, and at home. */
  function checkNamespace({ kind, after, before }: Change): void {
    const { namespace, name } = ((after ?? before) as StoredObject).metadata
    const isKey = kind === 'secrets' && namespace === HOME && name === 'keyferry-digest-key'
    if (namespace !== NAMESPACE && !isKey) say('S5', `${kind} ${namespace}/${name} is written`)
  }

  function checkSecret({ before, after, by }: Change): void {
    const { name, namespace, uid } = ((after ?? before) as StoredObject).metadata
    if (namespace === HOME) return
    if (before === undefined) ours.add(uid)
    else if (!ours.has(uid)) say('S1', `${by} changes Secret ${name}, which is somebody else's`)
    if (after === undefined) return checkDeletion(before as StoredObject)
    const data = (after['data'] ?? {}) as Data
    if (before === undefined || JSON.stringify(before['data']) !== JSON.stringify(data)) {
      checkContent(after, data)
      checkForward(after, data)
      checkDebt(before, after, data)
    }
    const debt = debtOf(after)
    if (debt === undefined || debtOf(before) === debt) return
    const list = debts.get(name) ?? []
    debts.set(name, list)
    const content = contentOf(data)
    const last = list.at(-1)
    // Another type changes the digest, and restarts nobody who began with the same content.
    const at = last?.content === content ? last?.at : undefined
    list.push({
      digest: debt,
      content,
      owners: ownersOf(after),
      at: at ?? scheduler.now(),
      paid: new Set(),
    })
  }

  /** S2: what is written is one version of an item that was served, as a resource wants it. */
  function checkContent({ metadata, type }: StoredObject, data: Data): void {
    const { name } = metadata
    const shape = `${type} ${Object.keys(data).toSorted().join()}`
    if (!wishes.get(name)?.has(shape)) say('S2', `Secret ${name} has ${shape}`)
    if (contentOf(data) === undefined) say('S2', `Secret ${name} is no whole version of an item`)
    else if (!connect.served.has(contentOf(data) as string)) {
      say('S2', `Secret ${name} has content that was never served`)
    }
  }

  /** S3: what was applied of an item never gives way to what it was before. */
  function checkForward({ metadata: { uid, name } }: StoredObject, data: Data): void {
    const [id = '', text = ''] = contentOf(data)?.split(' ') ?? []
    const past = newest.get(uid) ?? new Map<string, number>()
    newest.set(uid, past)
    const before = past.get(id) ?? 0
    if (Number(text) < before) say('S3', `Secret ${name} goes from ${before} back to ${text}`)
    past.set(id, Math.max(before, Number(text)))
  }

  /** L2: new content and the restart that is owed for it are one write. */
  function checkDebt(before: StoredObject | undefined, after: StoredObject, data: Data): void {
    // What somebody spoilt is put right without a restart, and what is new has no users yet.
    const was = before && contentOf((before['data'] ?? {}) as Data)
    if (was === undefined || was === contentOf(data)) return
    const { name, annotations } = after.metadata
    if (debtOf(after) !== annotations?.[DIGEST]) {
      say('L2', `Secret ${name} gets new content without the debt`)
    }
  }

  /** S4: a Secret goes for a new type, a new name, or an item that is gone. */
  function checkDeletion({ metadata, type }: StoredObject): void {
    const { name, ownerReferences: owners = [] } = metadata
    for (const owner of owners) {
      const item = server.get('onepassworditems', NAMESPACE, owner.name)
      if (item === undefined || item.metadata.uid !== owner.uid) continue
      // Decided on a generation of before, it may be done a moment later.
      const reasons = (specs.get(owner.uid) ?? []).some(
        (past) =>
          secretNameOf(past) !== name ||
          (past['type'] ?? 'Opaque') !== type ||
          (past['spec'].onItemMissing === 'Delete' && isMissing(past)),
      )
      if (!reasons) say('S4', `Secret ${name} is deleted`)
    }
  }

  /** Whether an item is gone, or was until a moment ago. */
  function isMissing({ spec }: StoredObject): boolean {
    return itemOf(spec) === undefined || scheduler.now() - connect.addedAt < AROUND_MS
  }

  /** S7: a workload restarts once for each content that its Secret was given, and for no other. */
  function checkRestart({ before, after }: Change): void {
    if (before === undefined || after === undefined) return
    const was = digestsOf(before)
    for (const [annotation, digest] of Object.entries(digestsOf(after))) {
      if (was[annotation] === digest) continue
      const debt = [...debts.values()].flat().findLast((one) => one.digest === digest)
      const { kind } = after
      const label = `${kind} ${after.metadata.name} for ${digest}`
      if (debt === undefined) say('S7', `${label} restarts without a debt`)
      else if (debt.paid.has(after.metadata.uid)) say('S7', `${label} restarts twice`)
      debt?.paid.add(after.metadata.uid)
    }
  }

  function unsettledClaim(item: StoredObject): string | undefined {
    const { metadata, status } = item
    const label = `resource ${metadata.name}`
    if (status.observedGeneration !== metadata.generation) {
      return `${label} is not told about (${status.observedGeneration}/${metadata.generation})`
    }
    const secret = server.get('secrets', NAMESPACE, secretNameOf(item))
    // A state of the Secret that nobody has verified since may have lost a debt.
    const isOwn = secret && status.secretResourceVersion === secret.metadata.resourceVersion
    const isRestarting = conditionsOf(item).some(({ type }) => type === 'Restarting')
    if (isRestarting && isOwn && debtOf(secret) === undefined) return `${label} is Restarting`
    const ready = conditionsOf(item).find(({ type }) => type === 'Ready')
    const why = ready?.status === 'True' ? falselyReady(item, secret) : falselyUnready(item, secret)
    return why && `${label} ${why}`
  }

  function falselyUnready(
    item: StoredObject,
    secret: StoredObject | undefined,
  ): string | undefined {
    const { metadata, spec, status } = item
    const ready = conditionsOf(item).find(({ type }) => type === 'Ready')
    // An item that was renamed is not gone.
    const applied = status.items?.some(
      ({ path, itemId }: { path: string; itemId: string }) =>
        path === spec.itemPath && !connect.items.has(itemId),
    )
    const isGone = ready?.reason === 'ItemNotFound' && spec.onItemMissing === 'Delete' && applied
    const isTheirs = secret !== undefined && !ours.has(secret.metadata.uid)
    const untold = !isTheirs && (secret !== undefined || status.digest !== undefined)
    if (isGone && untold && isOnlyOf(secret, metadata.uid)) return 'has a Secret that is to go'
    if (obstacleOf(item, secret).may.includes(ready?.reason ?? '')) return undefined
    return `is ${ready?.reason} (${ready?.message})`
  }

  function falselyReady(item: StoredObject, secret: StoredObject | undefined): string | undefined {
    const { spec, status } = item
    const { may, must } = obstacleOf(item, secret)
    if (must) return `is ready in spite of ${may.join()}`
    const found = itemOf(spec)
    if (found === undefined || secret === undefined) return 'is ready without a Secret'
    const isWanted =
      JSON.stringify(sorted(secret['data'])) === JSON.stringify(dataOf(spec, found)) &&
      secret['type'] === (item['type'] ?? 'Opaque')
    if (!isWanted) return 'has a Secret that is not what it wants'
    const knows =
      status.secretResourceVersion === secret.metadata.resourceVersion &&
      status.digest === secret.metadata.annotations?.[DIGEST]
    if (!knows) return 'has a status that speaks of another state of its Secret'
    const other = conditionsOf(item).find(
      ({ type, status: is }) => type !== 'Ready' && is === 'True',
    )
    return other && `is ${other.type}`
  }

  function itemOf({ itemPath }: { readonly itemPath: string }): SimulatedItem | undefined {
    const [, , , name = ''] = itemPath.split('/')
    const all = [...connect.items.values()]
    return all.find(({ id }) => id === name) ?? all.find(({ title }) => title === name)
  }

  /** Reasons for which a resource may be unready, and whether it must be. */
  function obstacleOf(
    item: StoredObject,
    secret: StoredObject | undefined,
  ): { readonly may: string[]; readonly must: boolean } {
    const { spec, metadata } = item
    const rivals = [...server.all('onepassworditems').values()].filter(
      (one) => secretNameOf(one) === secretNameOf(item),
    )
    const may: string[] = []
    const byTemplate = spec.data?.URL as string | undefined
    const titles = [...connect.items.values()].map(({ title }) => title)
    const missing = byTemplate && !titles.includes(byTemplate.split('/')[5] ?? '')
    if (itemOf(spec) === undefined || missing) may.push('ItemNotFound')
    if (spec.requiredKeys?.includes('absent')) may.push('MissingKeys')
    const must = may.length > 0
    if (rivals.length > 1) may.push('SecretClaimedTwice', 'NotOurSecret')
    const foreign = secret !== undefined && !ours.has(secret.metadata.uid)
    if (foreign) return { may: [...may, 'NotOurSecret'], must: true }
    // Whose Secret another one's became is looked at again every five minutes.
    if (secret === undefined || !owns(secret, metadata.uid)) may.push('NotOurSecret')
    return { may, must }
  }

  function unsettledWorkload(kind: string, workload: StoredObject): string[] {
    const { metadata, spec } = workload
    const created = Date.parse(metadata.creationTimestamp) - BEGINNING
    // The API server leaves out what is empty.
    const used = (spec.template.spec.containers[0].envFrom ?? []) as {
      secretRef: { name: string }
    }[]
    return used.flatMap(({ secretRef: { name } }) => {
      const secret = server.get('secrets', NAMESPACE, name)
      const last = debts.get(name)?.at(-1)
      if (!secret || !last || secret.metadata.annotations?.[DIGEST] !== last.digest) return []
      if (ownersOf(secret) !== last.owners) return []
      // Without the label its debt is not seen until its resource can be served again.
      if (secret.metadata.labels?.[MANAGED] !== 'true') return []
      if (created > last.at - aroundMs || !isOptedIn(secret, workload)) return []
      if (Object.values(digestsOf(workload)).includes(last.digest)) return []
      return [`${kind} ${metadata.name} was not restarted for Secret ${name}`]
    })
  }

  function isOptedIn(secret: StoredObject, workload: StoredObject): boolean {
    const levels = [secret, workload, server.get('namespaces', '', NAMESPACE)]
    const text = levels
      .map((object) => object?.metadata.annotations?.[AUTO_RESTART])
      .find((one) => one !== undefined && one !== '')
    return text === 'true'
  }

  return {
    violations,
    writes: () => writes,
    unsettled() {
      const items = [...server.all('onepassworditems').values()]
      const secrets = [...server.all('secrets').values()]
      return [
        ...secrets
          // Without the label it is not seen until its resource can be served again.
          .filter(({ metadata }) => metadata.labels?.[MANAGED] === 'true')
          .filter((secret) => debtOf(secret) !== undefined)
          .map(({ metadata }) => `Secret ${metadata.name} owes a restart`),
        ...items.flatMap((item) => unsettledClaim(item) ?? []),
        ...[...server.all('deployments').values()].flatMap((one) =>
          unsettledWorkload('Deployment', one),
        ),
        ...[...server.all('statefulsets').values()].flatMap((one) =>
          unsettledWorkload('StatefulSet', one),
        ),
      ]
    },
  }
}

interface Condition {
  readonly type: string
  readonly status: string
  readonly reason?: string
  readonly message?: string
}

function conditionsOf({ status }: StoredObject): readonly Condition[] {
  return status.conditions
}

/** The Secret that a resource asks for. */
function secretNameOf({ metadata, spec }: StoredObject): string {
  return spec.secretName ?? metadata.name
}

function ownersOf({ metadata }: StoredObject): string {
  return (metadata.ownerReferences ?? []).map(({ uid }) => uid).join()
}

function owns({ metadata }: StoredObject, uid: string): boolean {
  return (metadata.ownerReferences ?? []).some((owner) => owner.uid === uid)
}

/** Whether a Secret that may be gone already is nobody else's. */
function isOnlyOf(secret: StoredObject | undefined, uid: string): boolean {
  return (secret?.metadata.ownerReferences ?? []).every((owner) => owner.uid === uid)
}

interface Spec {
  readonly data?: Readonly<Record<string, string>>
}

function keysOf({ data = {} }: Spec): string[] {
  return ['username', 'password', ...Object.keys(data)].toSorted()
}

/** Content of a Secret for a spec, in base64, in the order of its keys. */
function dataOf(spec: Spec, { id, content }: SimulatedItem): Data {
  const value = (field: string) => valueOf(field, id, content)
  const url = `db://${encodeURIComponent(value('password'))}`
  const own = spec.data ? { URL: url } : {}
  const all = { username: value('username'), password: value('password'), ...own }
  return sorted(
    Object.fromEntries(
      Object.entries(all).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    ),
  )
}

function sorted(data: Data = {}): Data {
  return Object.fromEntries(Object.entries(data).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** `<item id> <content>` if all values are of one; undefined otherwise. */
function contentOf(data: Data): string | undefined {
  const values = Object.values(data).map((value) =>
    decodeURIComponent(Buffer.from(value, 'base64').toString()),
  )
  const named = values.map((value) => / (\S+ \d+)$/.exec(value)?.[1])
  const [first] = named
  return first !== undefined && named.every((one) => one === first) ? first : undefined
}

/** Digest that a Secret owes a restart for. */
function debtOf(secret: StoredObject | undefined): string | undefined {
  const text = secret?.metadata.annotations?.[RESTART]
  return text === undefined ? undefined : (JSON.parse(text) as { digest: string }).digest
}

function digestsOf(workload: StoredObject): Data {
  const annotations = (workload['spec'].template.metadata?.annotations ?? {}) as Data
  return Object.fromEntries(
    Object.entries(annotations).filter(([name]) => name.startsWith(TEMPLATE_PREFIX)),
  )
}
