/**
 * What the operator sees of the cluster, and what it hears when it writes, goes wrong in every way
 * that a proxy and an API server of its own can bring about; once it is right again, so is the
 * cluster, and each workload was restarted once.
 */
import { describe, expect, inject, test } from 'vitest'
import { grant, logInAs } from '../support/accounts.ts'
import { isReady, type KubeObject, textsOf } from '../support/cluster.ts'
import { labelOf } from '../support/crash.ts'
import { eventually } from '../support/eventually.ts'
import { type Call, changes, type KubeProxy, startKubeProxy } from '../support/kube-proxy.ts'
import {
  aWorkload,
  OPTED_IN,
  synced,
  untilRestarted,
  untilValue,
  usesAsEnv,
} from '../support/restarts.ts'
import { setStage, type Stage } from '../support/stage.ts'
import { gone } from './faults.ts'
import { listsOf } from './voyage.ts'

interface Scene extends AsyncDisposable {
  readonly stage: Stage
  readonly proxy: KubeProxy
  /** Id of the item behind the Secret `db`, which the Deployment `web` uses. */
  readonly id: string
}

async function aScene(): Promise<Scene> {
  const kubeconfig = inject('kubeconfig')
  const stage = await setStage()
  const proxy = await startKubeProxy(kubeconfig)
  // First, so that the operator knows of it whatever becomes of its watches.
  const user = aWorkload('web', usesAsEnv('db'), { spec: { replicas: 0 } })
  await stage.cluster.create('deployments', user)
  await stage.operator({ KUBECONFIG: await proxy.kubeconfigFor(kubeconfig) })
  const id = await synced(stage, 'db', { annotations: OPTED_IN })
  const watched = () => proxy.calls.filter(({ isWatch }) => isWatch).length
  await eventually('the watches are there', async () => watched() > 4)
  return {
    stage,
    proxy,
    id,
    async [Symbol.asyncDispose]() {
      await stage.close()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

/** The item changes; what follows is waited for. */
async function rollOut({ stage, id }: Pick<Scene, 'stage' | 'id'>, value: string) {
  const { cluster, connect } = stage
  connect.set(id, 'password', value)
  const secret = await untilValue(cluster, 'db', value)
  return untilRestarted(cluster, ['deployments', 'web'], secret)
}

const writesOf = ({ calls }: KubeProxy, label: string) =>
  calls.filter((call) => changes(call) && labelOf(call) === label)

describe.concurrent('an operator', () => {
  test('B3: whose caches lag behind its own writes writes nothing twice', async () => {
    await using scene = await aScene()
    const { stage, proxy } = scene
    const gate = Promise.withResolvers<void>()
    proxy.fate = () => ({ line: (text) => gate.promise.then(() => text) })
    // New watches, whose events are held up.
    proxy.cutWatches()
    await eventually('all are watched again', async () => {
      const again = proxy.calls.filter(
        ({ isWatch, query }) => isWatch && query.has('resourceVersion'),
      )
      return again.length > 4
    })
    const web = await rollOut(scene, 'two')
    await twoPolls(stage)
    gate.resolve()
    await rollOut(scene, 'three')
    expect(web.metadata.generation).toBe(2)
    expect((await stage.cluster.get('deployments', 'web')).metadata.generation).toBe(3)
    expect(writesOf(proxy, 'PATCH deployments/web')).toHaveLength(2)
  })

  test('B4: that never hears of a deletion serves the successor of the same name', async () => {
    await using scene = await aScene()
    const { stage, proxy } = scene
    const { cluster, connect, vault } = stage
    connect.add(vault, { title: 'other', fields: [{ label: 'password', value: 'other' }] })
    proxy.fate = () => ({ line: (text) => (text.includes('"DELETED"') ? undefined : text) })
    proxy.cutWatches()
    const opens = proxy.calls.length
    await eventually('all are watched again', async () => {
      return proxy.calls.slice(opens).filter(({ isWatch }) => isWatch).length > 4
    })
    await cluster.delete('items', 'db')
    const item = await stage.item('db', 'other')
    const ownersOf = ({ metadata }: KubeObject) => metadata.ownerReferences?.map(({ uid }) => uid)
    await cluster.until('secrets', 'db', (secret) => {
      return (
        ownersOf(secret)?.join() === item.metadata.uid && textsOf(secret)['password'] === 'other'
      )
    })
  })

  test.each([
    ['B5: whose watches are told that their version is gone', 'lists once', gone(), 1],
    ['B6: whose watches are cut in the middle of a line', 'goes on', '{"type":"MODIFIED","obj', 0],
    ['B6: whose watches say what makes no sense', 'lists once', 'what?\n', 1],
  ])('%s %s and misses nothing', async (_what, _how, text, wanted) => {
    await using scene = await aScene()
    const { proxy } = scene
    const before = proxy.calls.length
    proxy.cutWatches(text)
    expect((await rollOut(scene, 'two')).metadata.generation).toBe(2)
    const lists = listsOf(proxy.calls.slice(before))
    expect(Math.max(0, ...Object.values(lists))).toBe(wanted)
  })

  test('B6: whose watches fall silent without an end notices it', async () => {
    await using scene = await aScene()
    const { stage, proxy } = scene
    const { cluster, connect, vault } = stage
    const silent = new Set<Call>()
    proxy.fate = (call) => {
      silent.add(call)
      return { line: () => undefined }
    }
    proxy.cutWatches()
    await eventually('all are watched again', async () => {
      return [...silent].filter(({ isWatch }) => isWatch).length > 4
    })
    proxy.fate = undefined
    connect.add(vault, { title: 'late', fields: [{ label: 'password', value: 'late' }] })
    await stage.item('late', 'late')
    // A silent watch is left after 90 s.
    await cluster.until('items', 'late', isReady)
  })

  test('B8: that is told to wait waits, and then goes on', async () => {
    await using scene = await aScene()
    const { stage, proxy, id } = scene
    let refused = 0
    proxy.fate = (call) => {
      if (labelOf(call) !== 'PUT secrets/db' || refused > 0) return undefined
      refused = Date.now()
      return { before: () => ({ status: 429, headers: { 'retry-after': '4' } }) }
    }
    stage.connect.set(id, 'password', 'two')
    await eventually('it was told to wait', async () => refused > 0)
    await untilValue(stage.cluster, 'db', 'two')
    const [, next] = writesOf(proxy, 'PUT secrets/db').slice(-2)
    expect((next?.cameAt ?? 0) - refused).toBeGreaterThanOrEqual(4_000)
    expect((await rollOut(scene, 'three')).metadata.generation).toBe(3)
  })

  test.each(['PUT secrets/db', 'PATCH deployments/web', 'PATCH onepassworditems/db/status'])(
    'B9: whose %s is committed and answered 504 looks before it writes again',
    async (label) => {
      await using scene = await aScene()
      const { stage, proxy } = scene
      let lost = 0
      proxy.fate = (call) => {
        if (lost > 0 || labelOf(call) !== label) return undefined
        return {
          committed() {
            lost += 1
            return { status: 504 }
          },
        }
      }
      const web = await rollOut(scene, 'two')
      await stage.cluster.until('items', 'db', isReady)
      // The answer may be slower than what others see of the write.
      await eventually('an answer was lost', async () => lost > 0)
      await twoPolls(stage)
      expect(lost).toBe(1)
      expect(web.metadata.generation).toBe(2)
      expect((await stage.cluster.get('deployments', 'web')).metadata.generation).toBe(2)
    },
  )

  test('B9: whose new Secret is committed and answered 504 takes it for its own', async () => {
    await using scene = await aScene()
    const { stage, proxy } = scene
    const { cluster, connect, vault } = stage
    proxy.fate = (call) =>
      labelOf(call) === 'POST secrets/new' ? { committed: () => ({ status: 504 }) } : undefined
    connect.add(vault, { title: 'new', fields: [{ label: 'password', value: 'new' }] })
    await stage.item('new', 'new')
    await cluster.until('items', 'new', isReady)
    expect(textsOf(await cluster.get('secrets', 'new'))).toEqual({ password: 'new' })
    expect(writesOf(proxy, 'POST secrets/new').map(({ status }) => status)).toEqual([201])
  })

  test('B14: whose rights are taken away for a while goes on when they are back', async () => {
    await using stage = await setStage()
    const { cluster } = stage
    const all = ['*']
    const groups = ['', 'apps', 'onepassword.com', 'events.k8s.io']
    const rules = [{ apiGroups: groups, resources: all, verbs: all }]
    await grant(cluster, 'operator', rules)
    await using login = await logInAs(cluster, 'operator', inject('kubeconfig'))
    const operator = await stage.operator({ KUBECONFIG: login.kubeconfig })
    const id = await synced(stage, 'db', { annotations: OPTED_IN })
    const user = aWorkload('web', usesAsEnv('db'), { spec: { replicas: 0 } })
    await cluster.create('deployments', user)
    await cluster.delete('rolebindings', 'operator')
    stage.connect.set(id, 'password', 'two')
    await eventually('it is refused', async () => (await operator.logs()).includes('forbidden'))
    expect(textsOf(await cluster.get('secrets', 'db'))).toEqual({ password: 'one' })
    await grant(cluster, 'operator', rules)
    const secret = await untilValue(cluster, 'db', 'two')
    await untilRestarted(cluster, ['deployments', 'web'], secret)
    expect((await rollOut({ stage, id }, 'three')).metadata.generation).toBe(3)
  })
})

/** Waits until whatever a poll would do has been done. */
async function twoPolls({ connect }: Stage): Promise<void> {
  const count = () => connect.requests.filter((one) => one === 'GET /v1/vaults').length
  const before = count()
  await eventually('two polls pass', async () => count() >= before + 3)
}
