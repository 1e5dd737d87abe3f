/**
 * What the Connect server lists: vaults, and the items of the vaults in use, without content. Names
 * resolve from here, and here a change shows first: an idle poll is one request.
 */
import type { ConnectClient } from '../../connect/client.ts'
import type { ItemPath } from '../../connect/item-path.ts'
import { findItem, findVault } from '../../connect/lookup.ts'
import type { Vault } from '../../connect/model.ts'
import { isKeyferryError, KeyferryError } from '../../errors.ts'
import { type Clock, sleep } from '../../kube/clock.ts'
import type { Resolution } from '../plan/types.ts'
import type { VaultPolicy } from '../vault-policy.ts'
import { createDoubts } from './doubts.ts'
import { candidates, type ItemList, mergeItems } from './item-list.ts'
import { waitFor } from './shared.ts'

/** A failure to list the vaults, and how long it has lasted. */
export interface Outage {
  readonly error: KeyferryError
  readonly ms: number
}

/** A path to resolve. */
export interface Question {
  /** Who asks: not every namespace may draw from every vault. */
  readonly namespace: string
  readonly path: ItemPath
  /** The item that the path meant before. */
  readonly boundId: string | undefined
}

/** A question with its urgency. */
export interface TimedQuestion extends Question {
  /** When it was asked first. Monotonic milliseconds. */
  readonly askedAt: number
  /** Whether only a list that is younger than the question will do, also for what is there. */
  readonly fresh: boolean
}

/** See the head of this file. */
export interface Catalog {
  /**
   * What a path means. Asks Connect only for what is not held yet. That a name is not there, only a
   * list says that is younger than the question; lists are made every two seconds at most, for all
   * questions together.
   */
  resolve(question: TimedQuestion, signal: AbortSignal): Promise<Resolution>
  /** What a path means by what is held; undefined when that does not tell. */
  peek(question: Question): Resolution | undefined
  /**
   * Looks for changes in the vaults that `used` names: one request, and one per vault that moved.
   * Lists that take long go on by themselves and are told by the next look.
   *
   * @param onMoved called when anything may be different from before: at once for the vaults that
   *   answer at once, again for those that answer later
   * @throws KeyferryError when the vaults cannot be listed
   */
  refresh(used: ReadonlySet<string>, signal: AbortSignal, onMoved: () => void): Promise<void>
  /** The failure of listing the vaults, or the items of one of these, while it lasts. */
  outage(vaultIds: Iterable<string>): Outage | undefined
  /** All failures that last, by vault; under the empty id that of listing the vaults. */
  outages(): ReadonlyMap<string, Outage>
}

/** Milliseconds after which a vault's items are listed although its versions stand still. */
const FULL_READ_MS = 3_600_000
/** Milliseconds between two lists that are made because a name is not there. */
const LIST_INTERVAL_MS = 2_000
/** Milliseconds for which a list that failed is not asked for again by those who need it. */
const FAILURE_MS = 1_000
/** Milliseconds for which a look waits for lists. */
const GRACE_MS = 1_000
/** Milliseconds between two tellings of what came meanwhile: each looks at all paths in use. */
const SLICE_MS = 50
/** Reads that confirm a version that went back, and something that vanished. */
const BACK_READS = 3
const GONE_READS = 2

/** What the catalog stands on. */
export interface CatalogDeps {
  readonly client: ConnectClient
  readonly clock: Clock
  /** The vault policy of this moment. */
  readonly policy: () => VaultPolicy
  /** Ends lists under way: they are not those of one who asks. */
  readonly end: AbortSignal
}

/** An empty catalog. */
export function createCatalog({ client, clock, policy, end }: CatalogDeps): Catalog {
  const vaults = createVaults(client, clock, end)
  const lists = createLists(client, clock, end)

  function peek({ namespace, path, boundId }: Question): Resolution | undefined {
    const held = vaults.held()
    if (held === undefined) return undefined
    const vault = findVault(held.all, path.vault)
    if (vault === undefined) return { kind: 'no-vault' }
    if (!policy().allows(namespace, vault)) return { kind: 'not-allowed', vaultId: vault.id }
    const list = lists.held(vault)
    if (list === undefined) return undefined
    const item = findItem(candidates(list, path.item), path.item, boundId)
    return item ? { kind: 'found', item } : { kind: 'no-item', vaultId: vault.id }
  }

  /**
   * When the list was made that says what the name means. For a vault that is not allowed that is
   * the list of vaults, as for one that is not there: also by time the two must not differ.
   */
  function listedAt({ namespace, path }: Question): number {
    const held = vaults.held()
    const vault = held && findVault(held.all, path.vault)
    const allowed = vault !== undefined && policy().allows(namespace, vault)
    const at = allowed ? lists.held(vault)?.listedAt : held?.at
    return at ?? Number.NEGATIVE_INFINITY
  }

  async function load({ namespace, path }: Question, signal: AbortSignal): Promise<void> {
    const vault = findVault(await vaults.recent(signal), path.vault)
    if (vault && policy().allows(namespace, vault)) await lists.recent(vault, signal)
  }

  return {
    peek,
    async resolve(question, signal) {
      const held = peek(question)
      const at = listedAt(question)
      const enough = held?.kind === 'found' && !question.fresh
      if (held && (enough || at >= question.askedAt)) return held
      const waitMs = at + LIST_INTERVAL_MS - clock.now()
      if (held && waitMs > 0) return { kind: 'later', ms: waitMs }
      try {
        await load(question, signal)
      } catch (error) {
        if (isKeyferryError(error)) return { kind: 'unknown', error }
        throw error
      }
      return peek(question) ?? { kind: 'no-vault' }
    },
    refresh: createLook(vaults, lists, clock),
    ...lastingFailures(vaults, lists),
  }
}

/** {@link Catalog.refresh} */
function createLook(
  vaults: ReturnType<typeof createVaults>,
  lists: ReturnType<typeof createLists>,
  clock: Clock,
): Catalog['refresh'] {
  let seen: { readonly names: string; readonly lists: number } | undefined
  return async (used, signal, onMoved) => {
    const all = await vaults.list(signal)
    lists.prune(used)
    const due = all.filter((vault) => used.has(vault.id) && lists.isDue(vault))
    // A vault that cannot be listed leaves its outage behind, and keeps nobody waiting.
    const listing = Promise.allSettled(due.map((vault) => lists.list(vault, signal)))
    const whole = listing.then(() => true)
    const end = clock.now() + GRACE_MS
    let isWhole: boolean
    do {
      isWhole = await Promise.race([whole, sleep(clock, SLICE_MS, signal).then(() => false)])
      signal.throwIfAborted()
      // Lists that were made for questions since the last look show changes, too.
      const now = { names: namesOf(all), lists: lists.made() }
      if (seen?.names !== now.names || seen.lists !== now.lists) onMoved()
      seen = now
    } while (!isWhole && clock.now() < end)
  }
}

/** The failures of both kinds of lists. */
function lastingFailures(
  vaults: ReturnType<typeof createVaults>,
  lists: ReturnType<typeof createLists>,
): Pick<Catalog, 'outage' | 'outages'> {
  return {
    outage(vaultIds) {
      const global = vaults.outage()
      if (global) return global
      return [...vaultIds].map((id) => lists.outages.get(id)).find((one) => one !== undefined)
    },
    outages() {
      const global = vaults.outage()
      return global ? new Map([['', global]]) : lists.outages.all()
    },
  }
}

/** The list of vaults. One request at a time, however many ask. */
function createVaults(client: ConnectClient, clock: Clock, end: AbortSignal) {
  const gone = createDoubts(clock, GONE_READS)
  let held: { readonly all: readonly Vault[]; readonly at: number } | undefined
  let running: Promise<readonly Vault[]> | undefined
  const outages = createOutages(clock)

  async function fetch(): Promise<readonly Vault[]> {
    const at = clock.now()
    return outages.watch('', async () => {
      const answered = await client.vaults({ signal: end })
      const named = new Set(answered.map(({ id }) => id))
      for (const id of named) gone.clear(id)
      const missed = (held?.all ?? []).filter(({ id }) => !named.has(id) && !gone.confirm(id))
      held = { all: [...answered, ...missed], at }
      return held.all
    })
  }

  function list(signal: AbortSignal): Promise<readonly Vault[]> {
    running ??= fetch().finally(() => (running = undefined))
    return waitFor(running, signal)
  }

  return {
    held: () => held,
    list,
    /** The list that is held, or the failure, if it is young enough. */
    async recent(signal: AbortSignal): Promise<readonly Vault[]> {
      if (held && clock.now() - held.at < LIST_INTERVAL_MS) return held.all
      outages.throwRecent('')
      return list(signal)
    },
    outage: () => outages.get(''),
  }
}

/** The lists of items, by vault. One request for a vault at a time, however many ask. */
function createLists(client: ConnectClient, clock: Clock, end: AbortSignal) {
  const lists = new Map<string, ItemList>()
  const running = new Map<string, Promise<void>>()
  const vaultsBack = createDoubts(clock, BACK_READS)
  const doubts = {
    back: createDoubts(clock, BACK_READS),
    gone: createDoubts(clock, GONE_READS),
    still: createDoubts(clock, BACK_READS),
  }
  const outages = createOutages(clock)
  let made = 0

  async function fetch(vault: Vault): Promise<void> {
    const answered = await outages.watch(vault.id, () => client.items(vault.id, { signal: end }))
    const now = clock.now()
    lists.set(vault.id, mergeItems(vault, lists.get(vault.id), answered, { doubts, now }))
    made += 1
  }

  function list(vault: Vault, signal: AbortSignal): Promise<void> {
    const present = running.get(vault.id)
    if (present) return waitFor(present, signal)
    const started = fetch(vault).finally(() => running.delete(vault.id))
    running.set(vault.id, started)
    return waitFor(started, signal)
  }

  return {
    outages,
    list,
    /** Lists that were made so far. */
    made: () => made,
    /** A new list, unless one failed a moment ago. */
    async recent(vault: Vault, signal: AbortSignal): Promise<void> {
      outages.throwRecent(vault.id)
      return list(vault, signal)
    },
    /** Forgets vaults that nobody has used for long. */
    prune(used: ReadonlySet<string>): void {
      for (const [id, { listedAt }] of lists) {
        if (!used.has(id) && clock.now() - listedAt >= FULL_READ_MS) lists.delete(id)
      }
    },
    held: ({ id }: Vault) => lists.get(id),
    /** Whether the vault has moved, or was not listed for long. */
    isDue(vault: Vault): boolean {
      const list = lists.get(vault.id)
      if (list === undefined || list.doubtful) return true
      const content = vault.contentVersion - list.contentVersion
      const attributes = vault.attributeVersion - list.attributeVersion
      if (content < 0 || attributes < 0) return vaultsBack.confirm(vault.id)
      vaultsBack.clear(vault.id)
      return content > 0 || attributes > 0 || clock.now() - list.listedAt >= FULL_READ_MS
    },
  }
}

/** Failures that last, by vault. */
function createOutages(clock: Clock) {
  interface Failure {
    readonly error: KeyferryError
    readonly since: number
    /** When it was seen last. */
    readonly at: number
  }
  const failures = new Map<string, Failure>()
  const outageOf = (id: string): Outage | undefined => {
    const failure = failures.get(id)
    return failure && { error: failure.error, ms: clock.now() - failure.since }
  }
  return {
    get: outageOf,
    all(): ReadonlyMap<string, Outage> {
      const all = new Map<string, Outage>()
      for (const id of failures.keys()) all.set(id, outageOf(id) as Outage)
      return all
    },
    /** Fails as the last request did, if that was a moment ago. */
    throwRecent(id: string): void {
      const failure = failures.get(id)
      if (failure && clock.now() - failure.at < FAILURE_MS) throw failure.error
    },
    /** Runs a request and notes whether it failed. */
    async watch<T>(id: string, request: () => Promise<T>): Promise<T> {
      const began = clock.now()
      try {
        const answer = await request()
        failures.delete(id)
        return answer
      } catch (cause) {
        const error = asListFailure(cause)
        if (isKeyferryError(error)) {
          failures.set(id, { error, since: failures.get(id)?.since ?? began, at: clock.now() })
        }
        throw error
      }
    },
  }
}

/** A list that is too large is no item that is too large: nobody can mend it in an item. */
function asListFailure(error: unknown): unknown {
  if (!isKeyferryError(error, 'CONNECT_ANSWER_TOO_LARGE')) return error
  const { message } = error
  return new KeyferryError('CONNECT_BAD_ANSWER', {
    message,
    remedy: 'Divide the vault: a list of its items must fit into 64 MiB.',
    retry: 'soon',
  })
}

function namesOf(vaults: readonly Vault[]): string {
  return vaults
    .map(({ id, name }) => `${id} ${name}`)
    .toSorted()
    .join('\n')
}
