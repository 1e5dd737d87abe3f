/**
 * Whether the oracles would see it: 1Password's own operator goes through what Keyferry goes through,
 * and each of its known defects (P1 to P14) is one that an oracle reports of it, and not of Keyferry.
 * Needs its binary, see `KEYFERRY_INCUMBENT` in CONTRIBUTING.md; a control plane of its own, because
 * its finalizers hold namespaces for ever.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyCrd, type Cluster, condition, type KubeObject, textsOf } from '../support/cluster.ts'
import { says } from '../support/connect-faults.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { eventually, pause } from '../support/eventually.ts'
import { tally } from '../support/gates.ts'
import { INCUMBENT, ITEM_PATH, ITEM_VERSION, startIncumbent } from '../support/incumbent.ts'
import { changes, type KubeProxy, startKubeProxy } from '../support/kube-proxy.ts'
import { aWorkload, OPTED_IN, usesAsEnv } from '../support/restarts.ts'
import { freshId } from '../support/scripted-connect.ts'
import { setStage, type Stage } from '../support/stage.ts'

if (!INCUMBENT) {
  process.stderr.write('  KEYFERRY_INCUMBENT is not set: nobody shows the oracles its defects\n')
}

/** Until it has worked off the events of its own writes: each reads the item of a resource anew. */
const QUIET_MS = 3_000

/** Where one operator works. */
interface World {
  readonly stage: Stage
  readonly cluster: Cluster
  /** A proxy in front of the API server, for as long as the test lasts. */
  proxy(): Promise<KubeProxy>
  /** Starts the operator of this world; `through` leads it past a proxy. */
  start(through?: KubeProxy): Promise<{ stop(): Promise<unknown> }>
  /** Adds an item to `Production` and gives its id. */
  item(title: string, password?: string): string
  /** A resource for the item of that title, with a workload that wants restarts. */
  served(title: string, kind?: 'deployments' | 'statefulsets'): Promise<string>
  /** Lets polls pass, two unless told. */
  settle(polls?: number): Promise<void>
}

/** The oracle is silent for Keyferry, and reports the other one. */
const REPORTED = { ours: [], theirs: expect.arrayContaining([expect.any(String)]) }

/** Has the operator of a world do something, and says how to look whether a promise was broken. */
type Trial = (world: World) => Promise<Oracle>

/** Which promises are broken now. */
type Oracle = () => Promise<string[]>

describe.skipIf(!INCUMBENT).concurrent('an oracle reports of the former operator that', () => {
  let plane: ControlPlane
  beforeAll(async () => {
    plane = await startControlPlane()
    await applyCrd(plane.kubeconfig)
  })
  afterAll(() => plane.stop())

  async function aWorld(
    whose: 'theirs' | 'ours',
    stage: Stage,
    ends: AsyncDisposableStack,
  ): Promise<World> {
    const { connect, vault } = stage
    const cluster = whose === 'ours' ? stage.cluster : await stage.another()
    const { namespace } = cluster
    const titled = (title: string) => `${title} ${namespace}`
    const item = (title: string, password = 'one') =>
      connect.add(vault, {
        title: titled(title),
        fields: [{ label: 'password', value: password }],
      })
    let witness: string | undefined
    const world: World = {
      stage,
      cluster,
      item,
      proxy: async () => ends.use(await startKubeProxy(plane.kubeconfig)),
      async start(through) {
        const kubeconfig = (await through?.kubeconfigFor(plane.kubeconfig)) ?? plane.kubeconfig
        if (whose === 'theirs') {
          const args = ['--leader-elect', '--enable-annotations']
          const theirs = { kubeconfig, connect: connect.url, namespace, args }
          return ends.use(await startIncumbent(theirs))
        }
        const own = through ? { KUBECONFIG: kubeconfig, LEADER_ELECTION: 'true' } : {}
        const operator = await stage.operator({ WATCH_NAMESPACE: namespace, ...own })
        ends.defer(async () => void (await operator.stop()))
        return operator
      },
      async served(title, kind = 'deployments') {
        const id = item(title)
        const itemPath = `vaults/Production/items/${titled(title)}`
        const metadata = { name: title, annotations: OPTED_IN }
        await cluster.create('items', { metadata, spec: { itemPath } })
        await cluster.until('secrets', title, () => true)
        const more = kind === 'statefulsets' ? { serviceName: 'none' } : {}
        const spec = { replicas: 0, ...more }
        await cluster.create(kind, aWorkload(title, usesAsEnv(title), { spec }))
        return id
      },
      async settle(polls = 2) {
        if (witness === undefined) {
          witness = await world.served('witness')
          await pause(QUIET_MS)
        }
        const asked = whose === 'ours' ? 'GET /v1/vaults' : `/items/${witness}`
        const count = () => connect.requests.filter((one) => one.endsWith(asked)).length
        const before = count()
        // The one that is under way may have begun before.
        await eventually('polls pass', async () => count() > before + polls)
      },
    }
    return world
  }

  /** Goes through a trial with one operator, ends that, and gives what the oracle reports. */
  async function goThrough(whose: 'theirs' | 'ours', stage: Stage, trial: Trial) {
    await using ends = new AsyncDisposableStack()
    const oracle = await trial(await aWorld(whose, stage, ends))
    if (whose === 'ours') {
      await eventually('nothing is wrong with Keyferry', async () => (await oracle()).length === 0)
      return oracle()
    }
    // What passes by itself is no defect.
    const first = await oracle()
    await pause(QUIET_MS)
    return first.length === 0 ? first : oracle()
  }

  /** What the oracle reports of both operators. */
  async function compare(trial: Trial) {
    await using stage = await setStage(plane.kubeconfig)
    const ours = await goThrough('ours', stage, trial)
    const theirs = await goThrough('theirs', stage, trial)
    const what = 'defects of the former operator, each to be reported'
    await tally({ gate: 19, what, trials: 1, violations: theirs.length > 0 ? 0 : 1 })
    return { ours, theirs }
  }

  /** Whether the workload was restarted as often as its Secret changed. */
  const restarted =
    ({ cluster }: World, names: readonly string[], kind: 'deployments' | 'statefulsets') =>
    async () => {
      const found = await Promise.all(names.map((name) => cluster.get(kind, name)))
      return found
        .filter(({ metadata }) => metadata.generation !== 2)
        .map(({ metadata }) => `${metadata.name} has generation ${metadata.generation}`)
    }

  const passwordIn = async ({ cluster }: World, name: string) => {
    const secret = await cluster.find('secrets', name)
    return secret && textsOf(secret)['password']
  }

  /** Whether the Secret has this password. */
  const holds = (world: World, name: string, password: string) => async () => {
    const found = await passwordIn(world, name)
    return found === password ? [] : [`Secret ${name} has ${found}`]
  }

  const isWorked = (item: KubeObject) =>
    ['True', 'False'].includes(condition(item, 'Ready')?.status ?? '')

  test('P1: a restart is lost when an edit of the resource comes before the poll', async () => {
    expect(
      await compare(async (world) => {
        const { cluster, stage } = world
        await world.start()
        const id = await world.served('app')
        await world.settle()
        stage.connect.set(id, 'password', 'two')
        await cluster.patch('items', 'app', { metadata: { labels: { edited: 'yes' } } })
        await cluster.until('secrets', 'app', (secret) => textsOf(secret)['password'] === 'two')
        await world.settle()
        return restarted(world, ['app'], 'deployments')
      }),
    ).toEqual(REPORTED)
  })

  test('P2: a restart is lost when the API server fails to patch the workload', async () => {
    expect(
      await compare(async (world) => {
        const { cluster, stage } = world
        const proxy = await world.proxy()
        await world.start(proxy)
        const id = await world.served('app')
        await world.settle()
        let failures = 0
        proxy.fate = (call) => {
          if (!changes(call) || !call.path.endsWith('/deployments/app')) return undefined
          failures += 1
          return failures > 1 ? undefined : { before: () => ({ status: 500 }) }
        }
        stage.connect.set(id, 'password', 'two')
        await cluster.until('secrets', 'app', (secret) => textsOf(secret)['password'] === 'two')
        await eventually('a restart was tried', async () => failures > 0)
        await world.settle()
        return restarted(world, ['app'], 'deployments')
      }),
    ).toEqual(REPORTED)
  })

  test('P3: a foreign Secret is overwritten, and deleted with the resource', async () => {
    expect(
      await compare(async (world) => {
        const { cluster } = world
        await world.start()
        world.item('app')
        const stringData = { password: 'theirs' }
        await cluster.create('secrets', { metadata: { name: 'app' }, stringData })
        const itemPath = `vaults/Production/items/app ${cluster.namespace}`
        await cluster.create('items', { metadata: { name: 'app' }, spec: { itemPath } })
        await cluster.until('items', 'app', isWorked)
        await cluster.delete('items', 'app')
        await cluster.untilGone('items', 'app')
        return holds(world, 'app', 'theirs')
      }),
    ).toEqual(REPORTED)
  })

  test('P4: a Secret that was edited stays so', async () => {
    expect(
      await compare(async (world) => {
        const { cluster } = world
        await world.start()
        await world.served('app')
        await world.settle()
        await cluster.patch('secrets', 'app', { data: { password: 'eA==' } })
        await world.settle()
        return holds(world, 'app', 'one')
      }),
    ).toEqual(REPORTED)
  })

  test('P5: one that does not hold the Lease writes, too', async () => {
    expect(
      await compare(async (world) => {
        const { stage, cluster } = world
        const proxies = [await world.proxy(), await world.proxy()]
        const writers = () =>
          proxies.filter(({ calls }) =>
            calls.some(
              (call) => changes(call) && /\/(?:secrets|deployments)(?:\/|$)/.test(call.path),
            ),
          )
        for (const proxy of proxies) await world.start(proxy)
        const names = Array.from({ length: 8 }, (_, n) => `app-${n}`)
        const ids = await Promise.all(names.map((name) => world.served(name)))
        await pause(QUIET_MS)
        for (const [n, name] of names.entries()) {
          // Each polls in its own time: now the one is the first to see it, now the other.
          await pause(n * 120)
          stage.connect.set(ids[n] ?? '', 'password', 'two')
          await cluster.until('secrets', name, (secret) => textsOf(secret)['password'] === 'two')
        }
        return async () => (writers().length === 1 ? [] : [`${writers().length} processes write`])
      }),
    ).toEqual(REPORTED)
  })

  test('P6: it goes to and fro between two items of one title and age', async () => {
    expect(
      await compare(async (world) => {
        const { cluster, stage } = world
        await world.start()
        await world.served('app')
        world.item('app', 'other')
        await world.settle()
        const before = await cluster.get('deployments', 'app')
        stage.connect.shuffled = true
        await world.settle(12)
        stage.connect.shuffled = false
        const after = await cluster.get('deployments', 'app')
        const restarts = (after.metadata.generation ?? 0) - (before.metadata.generation ?? 0)
        return async () => (restarts === 0 ? [] : [`${restarts} restarts without a change`])
      }),
    ).toEqual(REPORTED)
  })

  test('P7: a read by id that fails gives the item that is named like the id', async () => {
    expect(
      await compare(async (world) => {
        const { cluster, stage } = world
        const { connect, vault } = stage
        const id = freshId('i')
        connect.add(
          vault,
          {
            title: `app ${cluster.namespace}`,
            fields: [{ label: 'password', value: 'one' }],
          },
          id,
        )
        connect.add(vault, { title: id, fields: [{ label: 'password', value: 'wrong' }] })
        connect.faults.set(
          id,
          says(() => '{"status":500,"message":"not now"}', 500),
        )
        await world.start()
        const itemPath = `vaults/${vault}/items/${id}`
        await cluster.create('items', { metadata: { name: 'app' }, spec: { itemPath } })
        await world.settle()
        const meanwhile = await passwordIn(world, 'app')
        connect.faults.delete(id)
        return async () => (meanwhile === undefined ? [] : [`Secret app got ${meanwhile}`])
      }),
    ).toEqual(REPORTED)
  })

  test('P8: a resource cannot be deleted while it is away', async () => {
    expect(
      await compare(async (world) => {
        const { cluster } = world
        const operator = await world.start()
        await world.served('app')
        await world.settle()
        await operator.stop()
        await cluster.delete('items', 'app')
        return async () => ((await cluster.find('items', 'app')) ? ['the resource is there'] : [])
      }),
    ).toEqual(REPORTED)
  })

  test('P9: a Secret draws an item by an annotation that anybody may write', async () => {
    expect(
      await compare(async (world) => {
        const { cluster } = world
        await world.start()
        world.item('app')
        const itemPath = `vaults/Production/items/app ${cluster.namespace}`
        const annotations = { [ITEM_PATH]: itemPath, [ITEM_VERSION]: '0' }
        const stringData = { password: 'a guess' }
        await cluster.create('secrets', { metadata: { name: 'drawn', annotations }, stringData })
        await world.settle()
        return holds(world, 'drawn', 'a guess')
      }),
    ).toEqual(REPORTED)
  })

  test('P12: which of two labels gives a key is left to chance', async () => {
    expect(
      await compare(async (world) => {
        const { cluster, stage } = world
        const urls = ['site!', 'site?', 'site#', 'site%'].map((label) => ({
          label,
          href: `https://${label.codePointAt(4)}.example`,
        }))
        await world.start()
        const names = Array.from({ length: 12 }, (_, n) => `app-${n}`)
        const values = new Set<string>()
        for (const name of names) {
          const title = `${name} ${cluster.namespace}`
          stage.connect.add(stage.vault, { title, urls, fields: [{ label: 'a', value: 'one' }] })
          const spec = { itemPath: `vaults/Production/items/${title}` }
          await cluster.create('items', { metadata: { name }, spec })
        }
        for (const name of names) {
          const secret = await cluster.until('secrets', name, () => true)
          values.add(textsOf(secret)['site'] ?? '')
        }
        return async () =>
          values.size === 1 ? [] : [`equal items gave ${[...values].join(' and ')}`]
      }),
    ).toEqual(REPORTED)
  })

  test('P13: a server that asks for a pause of an hour is asked on', async () => {
    expect(
      await compare(async (world) => {
        const { connect } = world.stage
        await world.start()
        for (const title of ['a', 'b', 'c', 'd']) await world.served(title)
        let refused = 0
        connect.intercept = (_request, response) => {
          refused += 1
          response.writeHead(429, { 'retry-after': '3600' })
          response.end('{"status":429,"message":"too many requests"}')
          return true
        }
        await eventually('it was refused', async () => refused > 0)
        // Requests that were under way.
        await pause(2_000)
        const before = refused
        await pause(6_000)
        const after = refused
        connect.intercept = undefined
        return async () => (after === before ? [] : [`${after - before} requests in six seconds`])
      }),
    ).toEqual(REPORTED)
  })

  test('P14: only Deployments are restarted', async () => {
    expect(
      await compare(async (world) => {
        const { cluster, stage } = world
        await world.start()
        const id = await world.served('app', 'statefulsets')
        await world.settle()
        stage.connect.set(id, 'password', 'two')
        await cluster.until('secrets', 'app', (secret) => textsOf(secret)['password'] === 'two')
        await world.settle()
        return restarted(world, ['app'], 'statefulsets')
      }),
    ).toEqual(REPORTED)
  })
})
