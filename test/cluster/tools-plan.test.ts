/**
 * What `keyferry plan` says is what a sync then does.
 */
import { beforeAll, expect, inject, test } from 'vitest'
import { planCommand } from '../../src/cli/plan.ts'
import type { PlannedSecret } from '../../src/tools/plan/plan.ts'
import { condition, type KubeObject } from '../support/cluster.ts'
import { runCommand } from '../support/command.ts'
import { eventually, pause } from '../support/eventually.ts'
import {
  nameOf,
  plainResource,
  type PlanCase,
  planCases,
  resourcesOf,
  secretOf,
  titleOf,
} from '../support/plan-cases.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

const COUNT = Number(process.env['KEYFERRY_PLAN_CASES'] ?? 40)
const SEED = Number(process.env['KEYFERRY_PLAN_SEED'] ?? 7)
const OPT_IN = { in: 'true', out: 'false', notify: 'notify' } as const
const cases = planCases(COUNT, SEED)

let stage: Stage
beforeAll(async () => {
  stage = await setStage()
  return stage.close
})

test(`${COUNT} plans say what ${COUNT} syncs do (seed ${SEED})`, { timeout: 300_000 }, async () => {
  const ids = addItems()
  await inBatches((one, n) => setUp(one, n))
  const first = await stage.operator({ CONCURRENCY: '32' })
  await allSettled(new Set([...cases.keys()].flatMap((n) => [nameOf(n), `rival-${n}`])))
  await first.stop()
  changeItems(ids)
  const before = await state()

  const planned = await plan()
  await applyManifests()
  await stage.operator({ CONCURRENCY: '32' })
  const wanted = planned.map((one) => ({ ...one, name: one.source.split('/')[1] ?? '' }))
  await allSettled(new Set(wanted.map(({ name }) => name)), wanted)
  await restartsDone(wanted)
  const after = await state()

  expect(wanted.length).toBeGreaterThanOrEqual(COUNT)
  expect(new Set(wanted.map(({ action }) => action)).size).toBeGreaterThanOrEqual(5)
  const differences = wanted.flatMap((one) => {
    const [said, done] = [claimed(one), actual(one, before, after)]
    const n = Number(one.name.split('-')[1])
    return JSON.stringify(said) === JSON.stringify(done) ? [] : [{ said, done, case: cases[n] }]
  })
  expect(differences).toEqual([])
})

function addItems(): string[] {
  return cases.map((_, n) =>
    stage.connect.add(stage.vault, {
      title: titleOf(n),
      fields: [
        { label: 'username', value: 'app' },
        { label: 'password', value: `secret ${n}` },
        { label: 'empty', value: '' },
      ],
    }),
  )
}

function changeItems(ids: readonly string[]): void {
  for (const [n, { upstream }] of cases.entries()) {
    const id = ids[n] ?? ''
    if (upstream === 'gone') stage.connect.remove(id)
    if (upstream === 'value') stage.connect.set(id, 'password', 'changed')
    if (upstream === 'field') {
      const fields = [
        { label: 'username', value: 'app' },
        { label: 'extra', value: 'x' },
      ]
      stage.connect.edit(id, { fields })
    }
  }
}

async function inBatches(work: (one: PlanCase, n: number) => Promise<void>): Promise<void> {
  const all = [...cases.entries()]
  for (let at = 0; at < all.length; at += 20) {
    await Promise.all(all.slice(at, at + 20).map(([n, one]) => work(one, n)))
  }
}

async function setUp(one: PlanCase, n: number): Promise<void> {
  const { cluster } = stage
  const secret = secretOf(one, n)
  switch (one.before) {
    case 'nothing':
      break
    case 'same':
      await cluster.apply('items', resourcesOf(one, n)[0])
      break
    case 'plain':
      await cluster.apply('items', plainResource(nameOf(n), n))
      break
    case 'rival':
      await cluster.apply('items', plainResource(`rival-${n}`, n, secret))
      break
    case 'foreign':
    case 'offered': {
      const annotations = one.before === 'offered' ? { 'keyferry.dev/adopt': 'true' } : {}
      const data = { username: Buffer.from('theirs').toString('base64') }
      await cluster.create('secrets', { metadata: { name: secret, annotations }, data })
    }
  }
  if (one.workload === 'none') return
  const annotations = { 'operator.1password.io/auto-restart': OPT_IN[one.workload] }
  await cluster.create('deployments', aDeployment(`app-${n}`, [secret], annotations))
}

async function plan(): Promise<PlannedSecret[]> {
  const { cluster, connect } = stage
  const manifests = [...cases.entries()].flatMap(([n, one]) => resourcesOf(one, n))
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests })
  const args = ['--connect', connect.url, '--namespace', cluster.namespace, '-o', 'json', '-']
  const env = {
    KUBECONFIG: inject('kubeconfig'),
    OP_CONNECT_TOKEN: 'test-token',
    POD_NAMESPACE: cluster.namespace,
  }
  const { out, err, code } = await runCommand(planCommand, args, { input, env })
  expect(err).toBe('')
  expect(code).toBe(1)
  expect(out).not.toMatch(/secret \d|c2VjcmV0/)
  return (JSON.parse(out) as { secrets: PlannedSecret[] }).secrets
}

/** Twins are of one second: which of them came first would else decide what no plan can know. */
async function applyManifests(): Promise<void> {
  const { cluster } = stage
  await inBatches(async (one, n) => {
    const [main, twin] = resourcesOf(one, n)
    if (!twin || one.before === 'same' || one.before === 'plain') {
      for (const resource of [main, twin]) if (resource) await cluster.apply('items', resource)
      return
    }
    await eventually('both twins are of one second', async () => {
      const [a, b] = await Promise.all([cluster.apply('items', main), cluster.apply('items', twin)])
      if (a.metadata.creationTimestamp === b.metadata.creationTimestamp) return true
      for (const { metadata } of [a, b]) await cluster.delete('items', metadata.name)
      return undefined
    })
  })
}

/** Waits until every resource of these names tells of its generation. */
async function allSettled(
  names: ReadonlySet<string>,
  wanted: readonly PlannedSecret[] = [],
): Promise<void> {
  const deleted = new Set(
    wanted.filter(({ action }) => action === 'delete').map(({ secret }) => secret),
  )
  await eventually('all resources are settled', async () => {
    const items = (await stage.cluster.list('items')).filter(({ metadata }) =>
      names.has(metadata.name),
    )
    const gone = new Set((await stage.cluster.list('secrets')).map(({ metadata }) => metadata.name))
    const open = items.filter((item) => {
      const ready = condition(item, 'Ready')
      const told =
        ready?.observedGeneration === item.metadata.generation && ready?.status !== 'Unknown'
      return !told || ready?.reason === 'Progressing'
    })
    return (open.length === 0 && [...deleted].every((name) => !gone.has(name))) || undefined
  })
}

/** Waits for the restarts that were planned, and then for one that was not. */
async function restartsDone(wanted: readonly (PlannedSecret & { name: string })[]): Promise<void> {
  await eventually('what is to restart has restarted', async () => {
    const now = await state()
    return wanted.every((one) => {
      const digest = now.secrets.get(one.secret)?.metadata.annotations?.['keyferry.dev/digest']
      return claimed(one).restarts.length <= restarted(now, one.secret, digest).length
    })
  })
  await pause(3_000)
}

interface State {
  readonly secrets: ReadonlyMap<string, KubeObject>
  readonly items: ReadonlyMap<string, KubeObject>
  readonly deployments: readonly KubeObject[]
}

async function state(): Promise<State> {
  const { cluster } = stage
  const byName = (all: readonly KubeObject[]) => new Map(all.map((one) => [one.metadata.name, one]))
  return {
    secrets: byName(await cluster.list('secrets')),
    items: byName(await cluster.list('items')),
    deployments: await cluster.list('deployments'),
  }
}

type Claimed = ReturnType<typeof claimed>

function claimed({
  name,
  secret,
  action,
  reason,
  keys,
  added,
  changed,
  removed,
  workloads,
  drops,
}: PlannedSecret & { name: string }) {
  const refused = action === 'refuse'
  return {
    name,
    secret,
    action,
    reason,
    keys: refused || action === 'delete' ? [] : keys,
    added,
    changed,
    removed,
    restarts: refused
      ? []
      : workloads.filter((one) => one.action === 'restart').map(({ workload }) => workload),
    drops,
  }
}

/** The same, read off the cluster. */
function actual(
  { name, secret, drops, action }: PlannedSecret & { name: string },
  before: State,
  after: State,
): Claimed {
  const [old, now] = [before.secrets.get(secret), after.secrets.get(secret)]
  const item = after.items.get(name)
  const ready = item && condition(item, 'Ready')
  // Of two that want one Secret, the refused one sees it go, too.
  const isItemGone = ready?.reason === 'ItemNotFound' && old && !now
  const refused = ready?.status !== 'True' && !isItemGone
  const [a, b] = [dataOf(old), dataOf(now)]
  const keys = { added: missingIn(a, b), removed: missingIn(b, a) }
  const changed = Object.keys(a)
    .filter((key) => key in b && a[key] !== b[key])
    .toSorted()
  const moved = keys.added.length + keys.removed.length + changed.length > 0
  const none = { added: [], changed: [], removed: [] }
  const done = (): PlannedSecret['action'] => {
    if (refused) return 'refuse'
    if (!now) return 'delete'
    if (!old) return 'create'
    if (old.metadata.uid !== now.metadata.uid) return 'recreate'
    if (moved) return 'update'
    return marksOf(old) === marksOf(now) ? 'unchanged' : 'metadata'
  }
  const digest = now?.metadata.annotations?.['keyferry.dev/digest']
  return {
    name,
    secret,
    action: done(),
    reason: refused ? (ready?.reason as Claimed['reason']) : undefined,
    keys: refused || !now ? [] : Object.keys(b).toSorted(),
    ...(refused || action === 'delete'
      ? none
      : { added: keys.added, changed, removed: keys.removed }),
    restarts: refused ? [] : restarted(after, secret, digest),
    drops: drops.filter((one) => before.secrets.has(one) && !after.secrets.has(one)),
  }
}

function restarted({ deployments }: State, secret: string, digest: string | undefined): string[] {
  return deployments
    .filter(({ spec }) => spec.template.spec.containers[0].envFrom?.[0]?.secretRef.name === secret)
    .filter(({ spec }) => Object.values(spec.template.metadata.annotations ?? {}).includes(digest))
    .map(({ metadata }) => `Deployment/${metadata.name}`)
}

function dataOf(secret: KubeObject | undefined): Record<string, string> {
  return (secret?.['data'] ?? {}) as Record<string, string>
}

function missingIn(there: object, here: object): string[] {
  return Object.keys(here)
    .filter((key) => !(key in there))
    .toSorted()
}

function marksOf({ metadata }: KubeObject): string {
  const { 'keyferry.dev/restart': _debt, ...annotations } = metadata.annotations ?? {}
  const sorted = (texts: object) => Object.entries(texts).toSorted(([x], [y]) => (x < y ? -1 : 1))
  const owners = metadata.ownerReferences?.map(({ uid }) => uid) ?? []
  return JSON.stringify([sorted(annotations), sorted(metadata.labels ?? {}), owners])
}
