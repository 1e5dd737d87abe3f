import { expect, test } from 'vitest'
import { KeyferryError } from '../../../../src/errors.ts'
import type { KubeRest } from '../../../../src/kube/rest.ts'
import { createRenewal } from '../../../../src/operator/intake/renewal.ts'
import {
  createViews,
  leftoversOf,
  runWatches,
  usersOf,
} from '../../../../src/operator/intake/views.ts'
import { parseWorkload, type WorkloadKind } from '../../../../src/operator/plan/workload.ts'
import { asMeta, aSynced } from '../../../builders/snapshot.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'

const AUTO_RESTART = 'operator.1password.io/auto-restart'

const failure = (status: number) =>
  new KeyferryError('KUBE_STATUS', {
    message: `GET: ${status}`,
    remedy: 'None.',
    retry: 'soon',
    status,
  })

/** The namespace as it is read one by one; the first reads fail with these statuses. */
function aNamespace(...statuses: number[]) {
  const clock = createVirtualClock()
  const ended = new AbortController()
  const views = createViews()
  let reads = 0
  const never = () => new Promise<never>(() => {})
  const rest: KubeRest = {
    send({ path }) {
      if (path !== '/api/v1/namespaces/shop') return never()
      reads += 1
      const status = statuses[reads - 1]
      if (status !== undefined) return Promise.reject(failure(status))
      const annotations = { [AUTO_RESTART]: String(reads) }
      const metadata = { name: 'shop', uid: 'u', resourceVersion: String(reads), annotations }
      return Promise.resolve({ metadata })
    },
    stream: never,
    serverTime: () => 0,
    close: () => Promise.resolve(),
  }
  const deps = { rest, clock, random: () => 0, namespaces: ['shop'], kinds: [], selector: '' }
  const renewal = createRenewal(clock)
  void runWatches(views, { ...deps, renewal, onFailure: () => {} }, ended.signal)
  let synced = false
  void views.namespaces.synced.then(() => (synced = true))
  return {
    clock,
    isSynced: () => synced,
    level: () => views.namespaces.get({ namespace: '', name: 'shop' })?.autoRestart,
  }
}

test('a namespace that cannot be read for a moment keeps everything waiting, not its level unknown', async () => {
  const { clock, isSynced, level } = aNamespace(503, 500)
  await clock.advance(3_000)
  expect([isSynced(), level()]).toEqual([false, undefined])
  await clock.advance(2_000)
  expect([isSynced(), level()]).toEqual([true, '3'])
})

test.each([403, 404])(
  'a namespace that answers %i has no level, and nobody waits for it',
  async (status) => {
    const { clock, isSynced, level } = aNamespace(status)
    await clock.advance(0)
    expect([isSynced(), level()]).toEqual([true, undefined])
  },
)

test('a level is read again before a debt of a moment ago can be closed', async () => {
  const { clock, level } = aNamespace()
  await clock.advance(0)
  expect(level()).toBe('1')
  await clock.advance(10_000)
  expect(level()).toBe('2')
})

test('a Secret of a former name is left over, unless it has another owner, too', () => {
  const views = createViews()
  const { seen, live } = aSynced()
  const claim = { ...seen.claim, spec: { ...seen.claim.spec, secretName: 'renamed' } }
  const meta = asMeta(live)
  views.secrets.observe(meta)
  expect(leftoversOf(views, claim).map((one) => one.meta.name)).toEqual([live.name])
  const theirs = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'theirs', uid: 'another' }
  const shared = [...meta.ownerReferences, theirs]
  views.secrets.observe({ ...meta, resourceVersion: '1000', ownerReferences: shared })
  expect(leftoversOf(views, claim)).toEqual([])
})

test('the users of a Secret are workloads of every kind, of its own namespace', () => {
  const views = createViews()
  const kinds = Object.keys(views.workloads) as WorkloadKind[]
  const spec = {
    template: { spec: { containers: [{ envFrom: [{ secretRef: { name: 'db' } }] }] } },
  }
  for (const kind of kinds) {
    for (const namespace of ['shop', 'office']) {
      const metadata = { namespace, name: 'web', uid: `${kind} ${namespace}`, resourceVersion: '1' }
      views.workloads[kind].observe(parseWorkload(kind, { metadata, spec }))
    }
  }
  const users = usersOf(views, 'shop/db')
  expect(users.map(({ kind, namespace }) => `${kind} ${namespace}`)).toEqual(
    kinds.map((kind) => `${kind} shop`),
  )
})
