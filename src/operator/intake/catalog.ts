/**
 * What the Connect server lists: vaults, and the items of the vaults in use, without content. Names
 * resolve from here, and here a change shows first: an idle poll is one request.
 */
import type { ConnectClient } from '../../connect/client.ts'
import type { ItemPath } from '../../connect/item-path.ts'
import { findItem, findVault } from '../../connect/lookup.ts'
import type { Vault } from '../../connect/model.ts'
import { isKeyferryError, type KeyferryError } from '../../errors.ts'
import type { Clock } from '../../kube/clock.ts'
import type { Resolution } from '../plan/types.ts'
import { createDoubts } from './doubts.ts'
import { candidates, type ItemList, mergeItems } from './item-list.ts'

/** A failure to list the vaults, and how long it has lasted. */
export interface Outage {
  readonly error: KeyferryError
  readonly ms: number
}

/** A path to resolve. */
export interface Question {
  readonly path: ItemPath
  /** The item that the path meant before. */
  readonly boundId: string | undefined
  /** When it was asked first. Monotonic milliseconds. */
  readonly askedAt: number
}

/** See the head of this file. */
export interface Catalog {
  /**
   * What a path means. Asks Connect only for what is not held yet. That a name is not there, only a
   * list says that is younger than the question; lists are made every two seconds at most, for all
   * questions together.
   */
  resolve(question: Question, signal: AbortSignal): Promise<Resolution>
  /** What a path means by what is held; undefined when that does not tell. */
  peek(path: ItemPath, boundId: string | undefined): Resolution | undefined
  /**
   * Looks for changes in the vaults that `used` names: one request, and one per vault that moved.
   *
   * @returns whether anything may be different from before
   * @throws KeyferryError when the vaults cannot be listed
   */
  refresh(used: ReadonlySet<string>, signal: AbortSignal): Promise<boolean>
  /** The failure of listing vaults, while it lasts. */
  outage(): Outage | undefined
}

/** Milliseconds after which a vault's items are listed although its versions stand still. */
const FULL_READ_MS = 3_600_000
/** Milliseconds between two lists that are made because a name is not there. */
const LIST_INTERVAL_MS = 2_000
/** Milliseconds for which one failure to list the vaults answers all who ask. */
const HOLD_MS = 5_000
/** Reads that confirm a version that went back, and something that vanished. */
const BACK_READS = 3
const GONE_READS = 2

/** An empty catalog. */
export function createCatalog(client: ConnectClient, clock: Clock): Catalog {
  const vaults = createVaults(client, clock)
  const lists = createLists(client, clock)

  function peek(path: ItemPath, boundId: string | undefined): Resolution | undefined {
    const held = vaults.held()
    if (held === undefined) return undefined
    const vault = findVault(held.all, path.vault)
    if (vault === undefined) return { kind: 'no-vault' }
    const list = lists.held(vault)
    if (list === undefined) return undefined
    const item = findItem(candidates(list, path.item), path.item, boundId)
    return item ? { kind: 'found', item } : { kind: 'no-item', vaultId: vault.id }
  }

  /** When the list was made that says whether the name is there. */
  function listedAt(path: ItemPath): number {
    const held = vaults.held()
    const vault = held && findVault(held.all, path.vault)
    const at = vault ? lists.held(vault)?.listedAt : held?.at
    return at ?? Number.NEGATIVE_INFINITY
  }

  return {
    peek,
    async resolve({ path, boundId, askedAt }, signal) {
      const held = peek(path, boundId)
      const at = listedAt(path)
      if (held && (held.kind === 'found' || at >= askedAt)) return held
      const waitMs = at + LIST_INTERVAL_MS - clock.now()
      if (held && waitMs > 0) return { kind: 'later', ms: waitMs }
      try {
        const all = await vaults.recent(signal)
        const vault = findVault(all, path.vault)
        if (vault) await lists.list(vault, signal)
      } catch (error) {
        if (isKeyferryError(error)) return { kind: 'unknown', error }
        throw error
      }
      return peek(path, boundId) ?? { kind: 'no-vault' }
    },
    async refresh(used, signal) {
      const before = vaults.held()?.all
      const all = await vaults.list(signal)
      const due = all.filter((vault) => used.has(vault.id) && lists.isDue(vault))
      const results = await Promise.allSettled(due.map((vault) => lists.list(vault, signal)))
      signal.throwIfAborted()
      return results.some(({ status }) => status === 'fulfilled') || !sameNames(before, all)
    },
    outage: vaults.outage,
  }
}

/** The list of vaults. One request at a time, however many ask. */
function createVaults(client: ConnectClient, clock: Clock) {
  const gone = createDoubts(clock, GONE_READS)
  let held: { readonly all: readonly Vault[]; readonly at: number } | undefined
  let running: Promise<readonly Vault[]> | undefined
  let failure: { readonly error: KeyferryError; since: number; at: number } | undefined

  async function fetch(signal: AbortSignal): Promise<readonly Vault[]> {
    const at = clock.now()
    try {
      const answered = await client.vaults(signal)
      const named = new Set(answered.map(({ id }) => id))
      for (const id of named) gone.clear(id)
      const missed = (held?.all ?? []).filter(({ id }) => !named.has(id) && !gone.confirm(id))
      held = { all: [...answered, ...missed], at }
      failure = undefined
      return held.all
    } catch (error) {
      if (isKeyferryError(error)) {
        failure = { error, since: failure?.since ?? at, at: clock.now() }
      }
      throw error
    }
  }

  function list(signal: AbortSignal): Promise<readonly Vault[]> {
    const heldMs = Math.max(HOLD_MS, failure?.error.retryAfterMs ?? 0)
    if (failure && clock.now() - failure.at < heldMs) return Promise.reject(failure.error)
    running ??= fetch(signal).finally(() => (running = undefined))
    return running
  }

  return {
    held: () => held,
    list,
    /** The list that is held, if it is young enough. */
    recent(signal: AbortSignal): Promise<readonly Vault[]> {
      const young = held && clock.now() - held.at < LIST_INTERVAL_MS
      return young ? Promise.resolve(held?.all ?? []) : list(signal)
    },
    outage: () => failure && { error: failure.error, ms: clock.now() - failure.since },
  }
}

/** The lists of items, by vault. One request for a vault at a time, however many ask. */
function createLists(client: ConnectClient, clock: Clock) {
  const lists = new Map<string, ItemList>()
  const running = new Map<string, Promise<void>>()
  const vaultsBack = createDoubts(clock, BACK_READS)
  const doubts = { back: createDoubts(clock, BACK_READS), gone: createDoubts(clock, GONE_READS) }

  async function fetch(vault: Vault, signal: AbortSignal): Promise<void> {
    const answered = await client.items(vault.id, signal)
    const now = clock.now()
    lists.set(vault.id, mergeItems(vault, lists.get(vault.id), answered, { doubts, now }))
  }

  return {
    held: ({ id }: Vault) => lists.get(id),
    list(vault: Vault, signal: AbortSignal): Promise<void> {
      const present = running.get(vault.id)
      if (present) return present
      const started = fetch(vault, signal).finally(() => running.delete(vault.id))
      running.set(vault.id, started)
      return started
    },
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

function sameNames(a: readonly Vault[] | undefined, b: readonly Vault[]): boolean {
  return a !== undefined && signature(a) === signature(b)
}

function signature(vaults: readonly Vault[]): string {
  return vaults
    .map(({ id, name }) => `${id} ${name}`)
    .toSorted()
    .join('\n')
}
