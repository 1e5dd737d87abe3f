import { describe, expect, test } from 'vitest'
import { KeyferryError } from '../../../../src/errors.ts'
import { ITEM_VERSION } from '../../../../src/operator/annotations.ts'
import { parseDebt } from '../../../../src/operator/plan/debt.ts'
import { digestKey } from '../../../../src/operator/plan/digest.ts'
import { planSync } from '../../../../src/operator/plan/plan.ts'
import type { Plan } from '../../../../src/operator/plan/types.ts'
import {
  aClaim,
  aContent,
  aData,
  anItem,
  aPolicy,
  aSnapshot,
  aSynced,
  afterwards,
  asLive,
  asMeta,
  digestOf,
  found,
  ITEM,
  manifestOf,
  means,
  PATH,
  planOf,
  read,
  readyOf,
  textsOf,
  unreachable,
  VAULT,
  withItem,
} from '../../../builders/snapshot.ts'

const MINUTE = 60_000
const RESTART = 'keyferry.dev/restart'

describe('a claim that was never worked', () => {
  test('asks for its reference, then for its content, then creates the Secret', () => {
    const seen = aSnapshot({ references: undefined, content: { kind: 'unread' } })
    expect(planSync(seen)).toEqual({ kind: 'look', at: 'references' })
    expect(planSync({ ...seen, references: aSnapshot().references })).toEqual({
      kind: 'look',
      at: 'content',
    })
    const { secret, status, outcome } = planOf(aSnapshot())
    expect(secret?.kind).toBe('create')
    expect(manifestOf({ secret } as Plan).finalizers).toEqual([])
    expect(textsOf(manifestOf({ secret } as Plan).data)).toEqual({
      username: 'app',
      password: 'secret',
    })
    expect(outcome).toEqual({ kind: 'settled' })
    expect(status).toMatchObject({
      observedGeneration: 1,
      appliedGeneration: 1,
      secretName: 'database',
      keys: ['password', 'username'],
      items: [
        { path: 'vaults/Production/items/Database', vaultId: VAULT, itemId: ITEM, version: 1 },
      ],
      lastSyncTime: '2026-01-02T03:04:05Z',
    })
  })

  test('copies labels but those of tracking tools, and sets the annotations that users know', () => {
    const labels = {
      team: 'a',
      'app.kubernetes.io/instance': 'x',
      'kustomize.toolkit.fluxcd.io/name': 'x',
      private: 'x',
    }
    const annotations = { 'operator.1password.io/auto-restart': 'true', note: 'not copied' }
    const claim = aClaim({ metadata: { labels, annotations } })
    const policy = { ...aPolicy, labelsNotCopied: ['private'] }
    const manifest = manifestOf(planOf(aSnapshot({ claim, policy })))
    expect(manifest.labels).toEqual({ team: 'a', 'keyferry.dev/managed': 'true' })
    expect(manifest.annotations).toMatchObject({
      'operator.1password.io/item-path': `vaults/${VAULT}/items/${ITEM}`,
      'operator.1password.io/item-version': '1',
      'operator.1password.io/auto-restart': 'true',
      'keyferry.dev/instance': 'keyferry/keyferry',
    })
    expect(manifest.annotations).not.toHaveProperty('note')
    expect(manifest.annotations).not.toHaveProperty(RESTART)
    expect(manifest.ownerReferences).toEqual([
      {
        apiVersion: 'onepassword.com/v1',
        kind: 'OnePasswordItem',
        name: 'database',
        uid: 'claim-uid',
      },
    ])
  })

  test.each([
    ['nonsense', 'InvalidItemPath'],
    ['vaults/a/items/b/c', 'InvalidItemPath'],
    ['op://a', 'InvalidItemPath'],
  ])('with the path %j is blocked for %s', (itemPath, reason) => {
    const seen = aSnapshot({ claim: aClaim({ spec: { itemPath } }) })
    expect(planOf(seen).outcome).toEqual({ kind: 'blocked', reason })
    expect(readyOf(seen)).toMatchObject({ status: 'False', reason })
    expect(planOf(seen).secret).toBeUndefined()
  })

  test.each(['toString', '__proto__'])('may have a type that is named %s', (type) => {
    expect(manifestOf(planOf(aSnapshot({ claim: aClaim({ type }) }))).type).toBe(type)
  })

  test('is blocked when vault or item are not there, and says which', () => {
    const noVault = aSnapshot({ references: means({ kind: 'no-vault' }) })
    expect(readyOf(noVault)?.message).toBe(
      'Vault "Production" does not exist or is not allowed here.',
    )
    const noItem = aSnapshot({ references: means({ kind: 'no-item', vaultId: VAULT }) })
    expect(readyOf(noItem)?.message).toContain('no active item "Database"')
    expect(planOf(noItem).status?.conditions.map(({ type }) => type)).toEqual(['Ready', 'Stalled'])
  })

  test('reads alike for a vault that is not allowed and one that does not exist', () => {
    const path = 'vaults/Production/items/Database'
    const had = (vaultId: string) =>
      aClaim({ status: { items: [{ path, vaultId, itemId: ITEM, version: 1 }] } })
    const notAllowed = means({ kind: 'not-allowed', vaultId: VAULT })
    const noVault = readyOf(aSnapshot({ references: means({ kind: 'no-vault' }) }))
    expect(readyOf(aSnapshot({ references: notAllowed }))).toEqual(noVault)
    // Nor does a status that somebody made up tell them apart.
    const madeUp = aSnapshot({ claim: had('x'.repeat(26)), references: notAllowed })
    expect(readyOf(madeUp)).toEqual(noVault)
    const lost = aSnapshot({ claim: had(VAULT), references: notAllowed })
    expect(readyOf(lost)).toMatchObject({ status: 'False', reason: 'VaultNotAllowed' })
    expect(planOf(lost).secret).toBeUndefined()
  })

  test('waits when a list is younger than a moment', () => {
    const seen = aSnapshot({ references: means({ kind: 'later', ms: 700 }) })
    expect(planOf(seen)).toEqual({
      events: [],
      repair: false,
      outcome: { kind: 'wait', afterMs: 700 },
    })
  })

  test.each([
    [0, 'Unknown', true],
    [MINUTE, 'Unknown', true],
    [3 * MINUTE, 'False', false],
  ])('after %i ms without Connect is %s', (failingMs, status, reconciling) => {
    const seen = aSnapshot({
      references: means({ kind: 'unknown', error: unreachable }),
      failingMs,
    })
    const plan = planOf(seen)
    expect(plan.outcome).toEqual({ kind: 'retry', reason: 'ConnectUnreachable' })
    expect(readyOf(seen)).toMatchObject({ status, reason: 'ConnectUnreachable' })
    expect(plan.status?.conditions.some(({ type }) => type === 'Reconciling')).toBe(reconciling)
    expect(plan.status?.conditions.some(({ type }) => type === 'Stalled')).toBe(false)
  })

  test('waits as long as the server asked', () => {
    const error = new KeyferryError('CONNECT_RATE_LIMITED', {
      message: 'slow down',
      remedy: 'wait',
      retry: 'soon',
      retryAfterMs: 30_000,
    })
    const plan = planOf(aSnapshot({ content: { kind: 'failed', error } }))
    expect(plan.outcome).toEqual({ kind: 'retry', reason: 'ConnectRateLimited', afterMs: 30_000 })
  })

  test('gives way to an older claim', () => {
    const seen = aSnapshot({ rival: 'elder' })
    expect(readyOf(seen)).toMatchObject({ status: 'False', reason: 'SecretClaimedTwice' })
  })

  test('looks for the Secret that it had before it gives way: it may only have lost its label', () => {
    const { seen } = aSynced()
    const unseen = { kind: 'cached', meta: undefined, verified: false } as const
    const rivalled = { ...seen, rival: 'elder', secret: unseen }
    expect(planSync(rivalled)).toEqual({ kind: 'look', at: 'secret' })
    const gone = { kind: 'read', secret: undefined, verified: false } as const
    expect(readyOf({ ...rivalled, secret: gone })?.reason).toBe('SecretClaimedTwice')
  })

  test('writes nothing for an item without keys or one that is too large', () => {
    const empty = withItem(aSnapshot(), anItem({ fields: [{ label: 'a', value: '' }] }))
    expect(readyOf(empty)).toMatchObject({ status: 'False', reason: 'NoKeys' })
    const fields = [
      { label: 'a', value: 'x'.repeat(600_000) },
      { label: 'b', value: 'x'.repeat(500_000) },
    ]
    const large = withItem(aSnapshot(), anItem({ fields }))
    expect(readyOf(large)?.message).toContain('a 600000, b 500000')
    expect(planOf(large).secret).toBeUndefined()
  })

  test('counts an item once, however many paths mean it', () => {
    const item = anItem()
    const claim = aClaim({ spec: { data: { url: `op://Production/${ITEM}/password` } } })
    const byId = `op://Production/${ITEM}`
    const references = new Map([...found(item), ...found(item, byId)])
    const items = new Map([PATH, byId].map((path) => [path, aContent(item)]))
    const seen = aSnapshot({ claim, references, content: { kind: 'read', items } })
    expect(readyOf(seen)?.message).toBe('3 keys from item version 1.')
  })

  test('needs no item for literals', () => {
    const claim = aClaim({ spec: { itemPath: '', data: { a: 'literal' } } })
    const content = { kind: 'read', items: new Map() } as const
    const seen = aSnapshot({ claim, references: new Map(), content })
    expect(readyOf(seen)?.message).toBe('1 key from 0 items.')
  })

  test('tells labels without a key and labels that lost theirs', () => {
    const fields = [
      { label: '..', value: 'x' },
      { label: 'a b', value: '1' },
      { label: 'a-b', value: '2' },
    ]
    const message = readyOf(withItem(aSnapshot(), anItem({ fields })))?.message
    expect(message).toBe(
      '1 key from item version 1. Labels that give no legal key: "..". Labels whose key another one took: "a b".',
    )
  })
})

describe('a Secret that exists', () => {
  test('is looked at before anything else when it is not known', () => {
    const { live, seen } = aSynced()
    const secret = { kind: 'cached', meta: asMeta(live), verified: false } as const
    expect(planSync({ ...seen, secret })).toEqual({ kind: 'look', at: 'secret' })
  })

  test('is left alone when it belongs to somebody else', () => {
    const live = asLive(planOf(aSnapshot()), { ownerReferences: [], annotations: {} })
    const seen = aSnapshot({ secret: { kind: 'read', secret: live } })
    expect(planOf(seen).secret).toBeUndefined()
    expect(planOf(seen).outcome).toEqual({ kind: 'recheck', afterMs: 5 * MINUTE })
    expect(readyOf(seen)).toMatchObject({ status: 'False', reason: 'NotOurSecret' })
  })

  test('is waited for while it is being deleted', () => {
    const live = asLive(planOf(aSnapshot()), { deleting: true })
    const { outcome, status } = planOf(aSnapshot({ secret: { kind: 'read', secret: live } }))
    expect(outcome.kind).toBe('wait')
    expect(status).toBeUndefined()
  })

  test('of another type is made anew, without a restart when the data is the same', () => {
    const live = asLive(planOf(aSnapshot()), { type: 'example.com/old' })
    const plan = planOf(aSnapshot({ secret: { kind: 'read', secret: live } }))
    expect(plan.secret).toMatchObject({ kind: 'recreate', from: { uid: live.uid } })
    expect(manifestOf(plan).type).toBe('Opaque')
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
    expect(plan.events).toMatchObject([{ reason: 'SecretTypeChanged' }])
  })

  test('that is immutable is not fought, unless its content is right', () => {
    const { live, seen } = aSynced()
    const immutable = { ...live, immutable: true, labels: {} }
    const changed = withItem(seen, anItem({ version: 2, fields: [{ label: 'a', value: 'b' }] }))
    const secret = { kind: 'read', secret: immutable } as const
    expect(readyOf({ ...changed, secret })).toMatchObject({ reason: 'SecretImmutable' })
    // Looked at again: no watch tells of the deletion of a Secret without our label.
    expect(planOf({ ...changed, secret }).outcome).toEqual({ kind: 'recheck', afterMs: 5 * MINUTE })
    const retyped = { ...seen.claim, generation: 2, type: 'kubernetes.io/basic-auth' }
    const { content } = aSnapshot()
    expect(readyOf({ ...seen, claim: retyped, secret, content })).toMatchObject({
      reason: 'SecretImmutable',
    })
    const plan = planOf({ ...seen, secret })
    expect(manifestOf(plan).immutable).toBe(true)
    expect(manifestOf(plan).labels).toEqual({ 'keyferry.dev/managed': 'true' })
  })

  test('of the former operator is taken over with its data and no debt', () => {
    const annotations = {
      'operator.1password.io/item-path': 'vaults/x/items/y',
      'operator.1password.io/item-version': '1',
      theirs: 'stays',
    }
    const ownerReferences = [
      { apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name: 'database', uid: 'dead' },
    ]
    const live = {
      ...asLive(planOf(aSnapshot())),
      annotations,
      ownerReferences,
      labels: { x: 'y' },
    }
    const deadOwners = new Set(['dead'])
    const plan = planOf(aSnapshot({ secret: { kind: 'read', secret: live }, deadOwners }))
    expect(plan.secret).toMatchObject({
      kind: 'replace',
      from: { uid: live.uid, resourceVersion: '20' },
    })
    expect(manifestOf(plan).annotations).toMatchObject({ theirs: 'stays' })
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
    expect(manifestOf(plan).labels).toMatchObject({ x: 'y' })
    expect(manifestOf(plan).ownerReferences.map(({ uid }) => uid)).toEqual(['claim-uid'])
    expect(plan.events).toMatchObject([{ type: 'Normal', reason: 'SecretTakenOver' }])
  })

  test('of the former operator owes a restart when the item has changed since', () => {
    const annotations = {
      'operator.1password.io/item-path': 'vaults/x/items/y',
      'operator.1password.io/item-version': '1',
    }
    const live = {
      ...asLive(planOf(aSnapshot())),
      annotations,
      ownerReferences: [],
      data: aData({ username: 'app', password: 'older' }),
    }
    const plan = planOf(aSnapshot({ secret: { kind: 'read', secret: live } }))
    expect(parseDebt(manifestOf(plan).annotations[RESTART])?.since).toBe('2026-01-02T03:04:05Z')
  })

  test('bears our proof after its resource was recreated under the same name', () => {
    const live = asLive(planOf(aSnapshot()), { ownerReferences: [] })
    const claim = aClaim({ metadata: { uid: 'new-uid' } })
    const plan = planOf(aSnapshot({ claim, secret: { kind: 'read', secret: live } }))
    expect(manifestOf(plan).ownerReferences.map(({ uid }) => uid)).toEqual(['new-uid'])
  })
})

describe('a synced claim', () => {
  test('does nothing when nothing changed', () => {
    const { seen } = aSynced()
    expect(planOf(seen)).toEqual({ events: [], repair: false, outcome: { kind: 'settled' } })
  })

  test('replaces the Secret when the item has changed, with the debt in the same write', () => {
    const { seen, live } = aSynced()
    const item = anItem({ version: 2, fields: [{ label: 'password', value: 'new' }] })
    const plan = planOf(withItem(seen, item))
    expect(plan.secret).toMatchObject({
      kind: 'replace',
      from: { uid: live.uid, resourceVersion: '20' },
    })
    const digest = digestOf(seen.claim, { password: 'new' })
    expect(parseDebt(manifestOf(plan).annotations[RESTART])).toEqual({
      digest,
      since: '2026-01-02T03:04:05Z',
      gaveUp: [],
    })
    expect(plan.status?.conditions.map(({ type }) => type)).toEqual(['Ready', 'Restarting'])
    expect(plan.status?.digest).toBe(digest)
  })

  test('moves only the version when the content is the same', () => {
    const { seen } = aSynced()
    const plan = planOf(withItem(seen, anItem({ version: 2, tags: ['new'] })))
    expect(manifestOf(plan).annotations['operator.1password.io/item-version']).toBe('2')
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
    expect(plan.status?.lastSyncTime).toBe(seen.claim.status.lastSyncTime)
  })

  test('follows labels of the resource, and takes back only its own', () => {
    const first = aSnapshot({ claim: aClaim({ metadata: { labels: { team: 'a', old: 'x' } } }) })
    const { seen, live } = aSynced(first)
    const claim = { ...seen.claim, labels: { team: 'b' } }
    expect(planSync({ ...seen, claim })).toEqual({ kind: 'look', at: 'secret' })
    const secret = { ...live, labels: { ...live.labels, theirs: 'stays' } }
    const plan = planOf({ ...seen, claim, secret: { kind: 'read', secret } })
    expect(manifestOf(plan).labels).toEqual({
      team: 'b',
      theirs: 'stays',
      'keyferry.dev/managed': 'true',
    })
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
  })

  test('keeps an open debt through a change of metadata', () => {
    const { seen } = aSynced()
    const changed = withItem(seen, anItem({ version: 2, fields: [{ label: 'a', value: 'b' }] }))
    const plan = planOf(changed)
    const live = asLive(plan, { labels: {} })
    const next = {
      ...changed,
      claim: afterwards(changed, plan),
      content: { kind: 'unread' } as const,
    }
    const again = planOf({ ...next, secret: { kind: 'read', secret: live } })
    expect(manifestOf(again).annotations[RESTART]).toBe(live.annotations[RESTART])
  })

  test('puts edited content right without a restart, and says so', () => {
    const { seen, live } = aSynced()
    const edited = { ...live, resourceVersion: '21', data: aData({ password: 'wrong' }) }
    const look = { ...seen, secret: { kind: 'read', secret: edited } } as const
    expect(planSync(look)).toEqual({ kind: 'look', at: 'content' })
    const plan = planOf({ ...look, content: aSnapshot().content })
    expect(plan.repair).toBe(true)
    expect(plan.events).toMatchObject([{ reason: 'SecretRepaired' }])
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
  })

  test('restores a deleted Secret without a restart, or with the one that was owed', () => {
    const { seen } = aSynced()
    const gone = { kind: 'cached', meta: undefined, verified: false } as const
    const content = aSnapshot().content
    const plan = planOf({ ...seen, secret: gone, content })
    expect(plan.secret?.kind).toBe('create')
    expect(plan.events).toMatchObject([{ reason: 'SecretRestored' }])
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
    const restarting = {
      type: 'Restarting',
      status: 'True',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    } as const
    const conditions = [...seen.claim.status.conditions, restarting]
    const claim = { ...seen.claim, status: { ...seen.claim.status, conditions } }
    const owed = planOf({ ...seen, claim, secret: gone, content })
    expect(manifestOf(owed).annotations).toHaveProperty(RESTART)
  })

  test('owes a restart when Secret and item changed while nobody looked', () => {
    const { seen } = aSynced()
    const gone = { kind: 'cached', meta: undefined, verified: false } as const
    const item = anItem({ version: 2, fields: [{ label: 'password', value: 'new' }] })
    const plan = planOf({ ...withItem(seen, item), secret: gone })
    expect(manifestOf(plan).annotations).toHaveProperty(RESTART)
  })

  test('does not write its debt anew when only the status was lost', () => {
    const { seen } = aSynced()
    const item = anItem({ version: 2, fields: [{ label: 'password', value: 'new' }] })
    const changed = withItem(seen, item)
    const live = asLive(planOf(changed), { resourceVersion: '30' })
    const later = { ...changed, now: changed.now + MINUTE }
    const plan = planOf({ ...later, secret: { kind: 'read', secret: live } })
    expect(plan.secret).toBeUndefined()
    expect(plan.status?.secretResourceVersion).toBe('30')
  })

  test('owes nothing for a change of our own rules and settings', () => {
    const fields = [
      { label: 'a', value: 'x' },
      { label: 'b', value: '' },
    ]
    const { seen } = aSynced(withItem(aSnapshot(), anItem({ fields })))
    const policy = { ...aPolicy, emptyValues: true }
    const plan = planOf({ ...withItem(seen, anItem({ fields })), policy })
    expect(manifestOf(plan).data.keys().toArray().toSorted(undefined)).toEqual(['a', 'b'])
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
  })

  test('owes nothing under a new digest key while the content is the same', () => {
    const { seen, live } = aSynced()
    const policy = { ...aPolicy, digestKey: digestKey(Buffer.alloc(32, 2)) }
    expect(planSync({ ...seen, policy })).toEqual({ kind: 'look', at: 'secret' })
    const secret = { kind: 'read', secret: live } as const
    const plan = planOf({ ...seen, policy, secret, content: aSnapshot().content })
    expect(manifestOf(plan).annotations).not.toHaveProperty(RESTART)
    expect(plan.status?.digest).toMatch(new RegExp(`^${policy.digestKey.id}`))
  })

  test('ignores an answer that is older than what is applied, until the list has it too', () => {
    const { seen } = aSynced(withItem(aSnapshot(), anItem({ version: 7 })))
    const older = anItem({ version: 6, fields: [{ label: 'password', value: 'old' }] })
    const plan = planOf(withItem(seen, older, { version: 8 }))
    expect(plan.secret).toBeUndefined()
    expect(plan.outcome).toEqual({ kind: 'retry', reason: 'ConnectBadAnswer' })
    expect(planOf(withItem(seen, older)).secret?.kind).toBe('replace')
  })

  test('looks again later when the item lags behind its list', () => {
    const { seen } = aSynced()
    const plan = planOf(withItem(seen, anItem({ version: 2 }), { version: 3 }))
    expect(plan.outcome).toEqual({ kind: 'recheck', afterMs: 30_000 })
    // The version that is told is that of the content.
    expect(manifestOf(plan).annotations[ITEM_VERSION]).toBe('2')
    expect(plan.status?.items).toMatchObject([{ version: 2 }])
  })

  test('waits when the item was read a moment ago', () => {
    const { seen } = aSynced()
    const item = anItem({ version: 2 })
    const later = { ...withItem(seen, item), content: { kind: 'later', ms: 1_234 } } as const
    expect(planOf(later).outcome).toEqual({ kind: 'wait', afterMs: 1_234 })
  })
})

describe('a claim that is being deleted', () => {
  test('gets the former finalizer taken off, and nothing else', () => {
    const metadata = {
      deletionTimestamp: '2026-01-02T00:00:00Z',
      finalizers: ['other', 'onepassword.com/finalizer.secret'],
    }
    const plan = planOf(aSnapshot({ claim: aClaim({ metadata }) }))
    expect(plan).toEqual({
      stripFinalizerAt: 1,
      events: [],
      repair: false,
      outcome: { kind: 'settled' },
    })
  })

  test('without it gets nothing', () => {
    const metadata = { deletionTimestamp: '2026-01-02T00:00:00Z', finalizers: ['other'] }
    const plan = planOf(aSnapshot({ claim: aClaim({ metadata }) }))
    expect(plan).toEqual({ events: [], repair: false, outcome: { kind: 'settled' } })
  })
})

describe('a plan', () => {
  test('never prints a value', () => {
    const plan = planOf(aSnapshot({ content: read(anItem()) }))
    expect(JSON.stringify({ ...plan, data: [...(manifestOf(plan).data ?? [])] })).not.toContain(
      'secret"]',
    )
    expect(String(manifestOf(plan).data.get('password'))).toBe('[redacted]')
  })
})
