/**
 * With 1Password's own operator itself: from it to Keyferry, back, and there again; both at once; and
 * what it gets wrong and Keyferry does not. Needs its binary, see `KEYFERRY_INCUMBENT` in
 * CONTRIBUTING.md; a control plane of its own, because its resource definition is one for all.
 */
import { setTimeout as pass } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isWrite, readAudit } from '../support/audit.ts'
import {
  applyCrd,
  type Cluster,
  condition,
  hasReason,
  isReady,
  type KubeObject,
  textsOf,
  valueOf,
} from '../support/cluster.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { eventually } from '../support/eventually.ts'
import {
  FINALIZER,
  INCUMBENT,
  INCUMBENT_CRD,
  ITEM_NAME,
  ITEM_PATH,
  ITEM_VERSION,
  startIncumbent,
} from '../support/incumbent.ts'
import type { Daemon } from '../support/processes.ts'
import { aWorkload, OPTED_IN, usesAsEnv } from '../support/restarts.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

/** Until the former operator has worked off the events of its own writes; each makes a Secret anew. */
const QUIET_MS = 3_000

describe.skipIf(!INCUMBENT)('with the former operator itself', () => {
  let plane: ControlPlane
  let stage: Stage

  beforeAll(async () => {
    plane = await startControlPlane()
    stage = await setStage(plane.kubeconfig)
  })

  afterAll(async () => {
    await stage.close()
    await plane.stop()
  })

  const incumbent = ({ namespace }: Cluster, args: readonly string[] = []) =>
    startIncumbent({ kubeconfig: plane.kubeconfig, connect: stage.connect.url, namespace, args })

  const keyferry = ({ namespace }: Cluster, env = {}) =>
    stage.operator({ WATCH_NAMESPACE: namespace, ...env })

  function anItem(title: string, tags: readonly string[] = []) {
    const fields = [
      { label: 'username', value: 'app' },
      { label: 'password', value: 'one' },
    ]
    const id = stage.connect.add(stage.vault, { title, fields, tags })
    return { id, itemPath: `vaults/Production/items/${title}` }
  }

  /** Resources and workloads of every kind that matters, all served by whoever runs. */
  async function settle(cluster: Cluster) {
    const { namespace } = cluster
    const ids: Record<string, string> = {}
    const labels = { team: 'a', 'argocd.argoproj.io/instance': 'shop' }
    for (const name of ['plain', 'labelled', 'frozen']) {
      const { id, itemPath } = anItem(`${name} ${namespace}`)
      ids[name] = id
      const metadata = { name, ...(name === 'labelled' ? { labels } : {}), annotations: OPTED_IN }
      await cluster.create('items', { metadata, spec: { itemPath } })
      await cluster.create('deployments', aDeployment(`uses-${name}`, [name]))
    }
    const { id, itemPath } = anItem(`asked ${namespace}`)
    ids['asked'] = id
    const asks = { ...OPTED_IN, [ITEM_PATH]: itemPath, [ITEM_NAME]: 'asked' }
    for (const name of ['asks-first', 'asks-second']) {
      await cluster.create('deployments', aDeployment(name, ['asked'], asks))
    }
    return ids
  }

  const SECRETS = ['plain', 'labelled', 'frozen', 'asked']
  const WORKLOADS = ['uses-plain', 'uses-labelled', 'uses-frozen', 'asks-first', 'asks-second']

  /** What must not change from one operator to the other. */
  async function essenceOf(cluster: Cluster) {
    const secrets = await Promise.all(
      SECRETS.map(async (name) => {
        const secret = await cluster.get('secrets', name)
        return [secret.metadata.uid, secret['type'], secret['data']]
      }),
    )
    const workloads = await Promise.all(
      WORKLOADS.map(async (name) => {
        const { metadata, spec } = await cluster.get('deployments', name)
        return [metadata.uid, metadata.generation, spec]
      }),
    )
    return { secrets, workloads, rollouts: (await cluster.list('replicasets')).length }
  }

  const isHeld = ({ metadata }: KubeObject) => metadata.finalizers?.includes(FINALIZER) === true
  const isTheirs = ({ metadata }: KubeObject) =>
    !Object.keys({ ...metadata.annotations, ...metadata.labels }).some((name) =>
      name.startsWith('keyferry.dev/'),
    )

  async function untilServedByIncumbent(cluster: Cluster) {
    for (const name of ['plain', 'labelled', 'frozen']) await cluster.until('items', name, isHeld)
    for (const name of ['asks-first', 'asks-second']) {
      await cluster.until('deployments', name, isHeld)
    }
    for (const name of SECRETS) await cluster.until('secrets', name, isTheirs)
    await eventually('every Deployment is rolled out', async () => {
      const all = await cluster.list('deployments')
      return all.every(({ metadata, status }) => status?.observedGeneration === metadata.generation)
    })
    await pass(1_500)
  }

  async function untilServedByKeyferry(cluster: Cluster) {
    for (const name of ['plain', 'labelled', 'frozen']) {
      await cluster.until('items', name, (item) => isReady(item) && !isHeld(item))
    }
    for (const name of ['asks-first', 'asks-second']) {
      await cluster.until('deployments', name, (workload) => !isHeld(workload))
    }
    await cluster.until(
      'secrets',
      'asked',
      ({ metadata }) => metadata.ownerReferences?.length === 2,
    )
  }

  /** Takes the marks off, as the guide says: else the former operator overwrites frozen Secrets. */
  async function forget(cluster: Cluster) {
    for (const secret of await cluster.list('secrets')) {
      const { name, labels = {}, annotations = {} } = secret.metadata
      const off = (texts: Record<string, string>) =>
        Object.fromEntries(
          Object.keys(texts)
            .filter((one) => one.startsWith('keyferry.dev/'))
            .map((one) => [one, null]),
        )
      const metadata = { labels: off(labels), annotations: off(annotations) }
      await cluster.patch('secrets', name, { metadata })
    }
  }

  test('there, back and there again: nothing but labels and annotations of Secrets changes', {
    timeout: 300_000,
  }, async () => {
    const { connect } = stage
    await applyCrd(plane.kubeconfig, INCUMBENT_CRD)
    const cluster = await stage.another()
    const ids = await settle(cluster)
    const first = await incumbent(cluster)
    await untilServedByIncumbent(cluster)
    const tags = ['operator.1password.io:ignore-secret']
    connect.edit(ids['frozen'] ?? '', { tags, fields: [{ label: 'password', value: 'newer' }] })
    await cluster.until(
      'secrets',
      'frozen',
      ({ metadata }) => metadata.annotations?.[ITEM_VERSION] === '2',
    )
    const before = await essenceOf(cluster)

    const shadow = await keyferry(cluster, { DRY_RUN: 'true' })
    await eventually('shadow mode finds no difference in data', async () => {
      return (await shadow.metrics()).includes('keyferry_shadow_differences{kind="metadata"} 4')
    })
    expect(await shadow.metrics()).not.toMatch(
      /shadow_differences\{kind="(content|create|refuse)"} [1-9]/,
    )
    await shadow.stop()
    expect(await essenceOf(cluster)).toEqual(before)

    await first.stop()
    await applyCrd(plane.kubeconfig)
    const taken = await keyferry(cluster)
    await untilServedByKeyferry(cluster)
    expect(await essenceOf(cluster)).toEqual(before)
    expect((await cluster.get('secrets', 'labelled')).metadata.labels).toEqual({
      team: 'a',
      'keyferry.dev/managed': 'true',
    })
    expect(hasReason('Frozen')(await cluster.get('items', 'frozen'))).toBe(true)
    connect.set(ids['plain'] ?? '', 'password', 'two')
    await cluster.until('secrets', 'plain', (secret) => valueOf(secret, 'password') === 'two')
    await cluster.until('deployments', 'uses-plain', ({ metadata }) => metadata.generation === 2)
    await eventually('the rollout is under way', async () => {
      return (await cluster.list('replicasets')).length === WORKLOADS.length + 1
    })
    await taken.stop()

    const between = await essenceOf(cluster)
    await forget(cluster)
    const back = await incumbent(cluster)
    await untilServedByIncumbent(cluster)
    expect(await essenceOf(cluster)).toEqual(between)
    await applyCrd(plane.kubeconfig, INCUMBENT_CRD)
    connect.set(ids['labelled'] ?? '', 'password', 'two')
    await cluster.until('secrets', 'labelled', (secret) => valueOf(secret, 'password') === 'two')
    await cluster.until('deployments', 'uses-labelled', ({ metadata }) => metadata.generation === 2)
    await eventually('the rollout is under way', async () => {
      return (await cluster.list('replicasets')).length === WORKLOADS.length + 2
    })
    await back.stop()

    const after = await essenceOf(cluster)
    await applyCrd(plane.kubeconfig)
    await keyferry(cluster)
    await untilServedByKeyferry(cluster)
    expect(await essenceOf(cluster)).toEqual(after)
  })

  test('both at once: Keyferry tells of it and stops writing', { timeout: 300_000 }, async () => {
    const { connect } = stage
    await applyCrd(plane.kubeconfig)
    const cluster = await stage.another()
    const ids = await settle(cluster)
    await using _incumbent = await incumbent(cluster)
    await untilServedByIncumbent(cluster)
    await keyferry(cluster)
    await eventually('an Event tells it of every resource', async () => {
      const events = (await cluster.list('events')).filter(
        ({ reason }) => reason === 'AnotherOperator',
      )
      const names = new Set(events.map(({ regarding }) => regarding.name))
      return ['plain', 'labelled', 'frozen', 'asks-first', 'asks-second'].every((name) =>
        names.has(name),
      )
    })
    const writes = async () =>
      (await readAudit(plane.auditLog ?? '')).filter(
        (one) =>
          one.namespace === cluster.namespace &&
          one.userAgent.startsWith('keyferry/') &&
          isWrite(one),
      ).length
    await pass(2_000)
    const before = await writes()
    for (const round of [1, 2, 3]) {
      const value = `of round ${round}`
      for (const name of ['plain', 'asked']) connect.set(ids[name] ?? '', 'password', value)
      for (const name of ['plain', 'asked']) {
        await cluster.until('secrets', name, (secret) => valueOf(secret, 'password') === value)
      }
    }
    expect(await writes()).toBe(before)
    const told = (await cluster.list('events')).filter(({ reason }) => reason === 'AnotherOperator')
    expect(told).toHaveLength(new Set(told.map(({ regarding }) => regarding.uid)).size)
  })

  /** Where a defect shows, and what is looked at. */
  interface World {
    readonly cluster: Cluster
    readonly notes: Map<string, unknown>
  }

  interface Defect {
    readonly name: string
    readonly prepare: (world: World) => Promise<void>
    /** Whether starting the operator again makes it well for once. */
    readonly passes?: true
    /** Done while the operator is down. */
    readonly meanwhile?: (world: World) => Promise<void>
    /** Whether all is as it should be. */
    readonly isWell: (world: World) => Promise<boolean>
  }

  /** A synced resource with a workload that wants restarts. */
  async function served(
    { cluster, notes }: World,
    name: string,
    kind: 'deployments' | 'statefulsets',
  ) {
    const { id, itemPath } = anItem(`${name} ${cluster.namespace}`)
    notes.set(name, id)
    await cluster.create('items', { metadata: { name, annotations: OPTED_IN }, spec: { itemPath } })
    await cluster.until('secrets', name, () => true)
    const spec = kind === 'statefulsets' ? { serviceName: 'none', replicas: 0 } : { replicas: 0 }
    await cluster.create(kind, aWorkload(name, usesAsEnv(name), { spec }))
  }

  const worked = (item: KubeObject) =>
    ['True', 'False'].includes(condition(item, 'Ready')?.status ?? '')
  const idOf = ({ notes }: World, name: string) => String(notes.get(name))
  const valueIn = async ({ cluster }: World, name: string) => {
    const secret = await cluster.find('secrets', name)
    return secret && valueOf(secret, 'password')
  }

  const DEFECTS: readonly Defect[] = [
    {
      name: 'a restart is lost when the item changes while the operator is down',
      prepare: (world) => served(world, 'down', 'deployments'),
      meanwhile: async (world) => stage.connect.set(idOf(world, 'down'), 'password', 'two'),
      isWell: async ({ cluster }) =>
        (await cluster.get('deployments', 'down')).metadata.generation === 2,
    },
    {
      name: 'only Deployments are restarted',
      async prepare(world) {
        await served(world, 'stateful', 'statefulsets')
        stage.connect.set(idOf(world, 'stateful'), 'password', 'two')
        await eventually(
          'the Secret follows',
          async () => (await valueIn(world, 'stateful')) === 'two',
        )
      },
      isWell: async ({ cluster }) =>
        (await cluster.get('statefulsets', 'stateful')).metadata.generation === 2,
    },
    {
      name: 'a foreign Secret is overwritten and deleted with the resource',
      async prepare({ cluster }) {
        const { itemPath } = anItem(`foreign ${cluster.namespace}`)
        await cluster.create('secrets', {
          metadata: { name: 'foreign' },
          stringData: { password: 'theirs' },
        })
        await cluster.create('items', { metadata: { name: 'foreign' }, spec: { itemPath } })
        await cluster.until('items', 'foreign', worked)
        await cluster.delete('items', 'foreign')
        await cluster.untilGone('items', 'foreign')
      },
      isWell: async (world) => (await valueIn(world, 'foreign')) === 'theirs',
    },
    {
      name: 'an edited Secret stays edited',
      async prepare(world) {
        await served(world, 'edited', 'deployments')
        await world.cluster.patch('secrets', 'edited', { data: { password: 'eA==' } })
      },
      isWell: async (world) => (await valueIn(world, 'edited')) === 'one',
    },
    {
      name: 'a deleted Secret stays away',
      passes: true,
      async prepare(world) {
        await served(world, 'deleted', 'deployments')
        await pass(QUIET_MS)
        await world.cluster.delete('secrets', 'deleted')
      },
      isWell: async (world) => (await valueIn(world, 'deleted')) === 'one',
    },
    {
      name: 'a vault that is named like the id of another shadows it',
      async prepare({ cluster }) {
        const { connect, vault } = stage
        const title = `shadowed ${cluster.namespace}`
        const shadow = connect.vault(vault)
        connect.add(shadow, { title, fields: [{ label: 'password', value: 'wrong' }] })
        anItem(title)
        const itemPath = `vaults/${vault}/items/${title}`
        await cluster.create('items', { metadata: { name: 'shadowed' }, spec: { itemPath } })
        await cluster.until('items', 'shadowed', worked)
      },
      isWell: async (world) => (await valueIn(world, 'shadowed')) === 'one',
    },
    {
      name: 'resources hang when they are deleted while the operator is down',
      prepare: (world) => served(world, 'hangs', 'deployments'),
      async meanwhile({ cluster, notes }) {
        await cluster.delete('items', 'hangs')
        notes.set('hung', await cluster.find('items', 'hangs'))
      },
      isWell: async ({ notes }) => notes.get('hung') === undefined,
    },
    {
      name: 'a Secret with its annotations draws an item that nobody asked for',
      async prepare({ cluster }) {
        const { itemPath } = anItem(`drawn ${cluster.namespace}`)
        const annotations = { [ITEM_PATH]: itemPath, [ITEM_VERSION]: '0' }
        const stringData = { password: 'a guess' }
        await cluster.create('secrets', { metadata: { name: 'drawn', annotations }, stringData })
      },
      isWell: async (world) => (await valueIn(world, 'drawn')) === 'a guess',
    },
    {
      name: 'a Secret that mints a token is made on demand',
      async prepare({ cluster }) {
        const { itemPath } = anItem(`minted ${cluster.namespace}`)
        const annotations = { 'kubernetes.io/service-account.name': 'default' }
        const type = 'kubernetes.io/service-account-token'
        await cluster.create('items', {
          metadata: { name: 'minted', annotations },
          type,
          spec: { itemPath },
        })
        await cluster.until('items', 'minted', worked)
      },
      isWell: async ({ cluster }) => (await cluster.find('secrets', 'minted')) === undefined,
    },
    {
      name: 'one unusable label costs the whole Secret',
      async prepare({ cluster }) {
        const title = `label ${cluster.namespace}`
        const fields = [
          { label: '..', value: 'x' },
          { label: 'password', value: 'one' },
        ]
        stage.connect.add(stage.vault, { title, fields })
        const itemPath = `vaults/Production/items/${title}`
        await cluster.create('items', { metadata: { name: 'label' }, spec: { itemPath } })
        await cluster.until('items', 'label', worked)
      },
      isWell: async (world) => (await valueIn(world, 'label')) === 'one',
    },
    {
      name: 'a resource stays Ready when its item is gone',
      passes: true,
      async prepare(world) {
        await served(world, 'vanished', 'deployments')
        await pass(QUIET_MS)
        stage.connect.remove(idOf(world, 'vanished'))
      },
      isWell: async ({ cluster }) =>
        condition(await cluster.get('items', 'vanished'), 'Ready')?.status === 'False',
    },
    {
      name: 'a Secret that two Deployments share goes with the first',
      passes: true,
      async prepare({ cluster }) {
        const { itemPath } = anItem(`shared ${cluster.namespace}`)
        const asks = { [ITEM_PATH]: itemPath, [ITEM_NAME]: 'shared' }
        await cluster.create('deployments', aDeployment('shares-1', ['shared'], asks))
        await cluster.until('secrets', 'shared', () => true)
        await cluster.create('deployments', aDeployment('shares-2', ['shared'], asks))
        await pass(QUIET_MS)
        await cluster.delete('deployments', 'shares-1')
        await cluster.untilGone('deployments', 'shares-1')
      },
      isWell: async (world) => (await valueIn(world, 'shared')) === 'one',
    },
  ]

  /** Lets two polls pass: a witness has followed its item twice. */
  async function twoPolls({ cluster, notes }: World) {
    const id = String(notes.get('witness'))
    for (const value of ['a', 'b'].map((text) => text + String(Date.now()))) {
      stage.connect.set(id, 'password', value)
      await cluster.until('secrets', 'witness', (secret) => textsOf(secret)['password'] === value)
    }
  }

  /** Goes through all defects with an operator that is started and stopped. */
  async function goThrough(
    cluster: Cluster,
    start: () => Promise<Daemon>,
    judge: (world: World, one: Defect) => Promise<void>,
  ): Promise<void> {
    const world: World = { cluster, notes: new Map() }
    const operator = await start()
    await served(world, 'witness', 'deployments')
    await Promise.all(DEFECTS.map(({ prepare }) => prepare(world)))
    await twoPolls(world)
    for (const one of DEFECTS.filter(({ passes }) => passes)) await judge(world, one)
    await operator.stop()
    for (const { meanwhile } of DEFECTS) await meanwhile?.(world)
    const again = await start()
    await twoPolls(world)
    for (const one of DEFECTS.filter(({ passes }) => !passes)) await judge(world, one)
    await again.stop()
  }

  test('Keyferry has none of the defects that the former operator shows', {
    timeout: 300_000,
  }, async () => {
    await applyCrd(plane.kubeconfig)
    const [theirs, ours] = [await stage.another(), await stage.another()]
    const withAnnotations = ['--enable-annotations']
    await goThrough(
      theirs,
      () => incumbent(theirs, withAnnotations),
      async (world, one) => {
        await eventually(`it shows: ${one.name}`, async () => !(await one.isWell(world)))
      },
    )
    await goThrough(
      ours,
      () => keyferry(ours),
      async (world, one) => {
        await eventually(`Keyferry does not show: ${one.name}`, () => one.isWell(world))
      },
    )
    // So that the namespace can go: its operator is gone, and its finalizers are what they are.
    await keyferry(theirs)
    await eventually('nothing holds the namespace', async () => {
      const all = [...(await theirs.list('items')), ...(await theirs.list('deployments'))]
      return !all.some(isHeld)
    })
  })
})
