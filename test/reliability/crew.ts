/**
 * Two replicas of one installation that share a Lease, each under a user of its own: whichever ends
 * is started again, as its Deployment does it.
 */
import { readFile } from 'node:fs/promises'
import { installRights, logInAs } from '../support/accounts.ts'
import { adminRest, type Cluster, clusterOf } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import type { KubeProxy } from '../support/kube-proxy.ts'
import { type OperatorProcess, startOperator } from '../support/operator.ts'
import { LEASE } from '../support/replicas.ts'

/** One replica; its process may be replaced, its user stays. */
export interface Hand {
  readonly name: string
  readonly user: string
  process: OperatorProcess
}

/** See the head of this file. */
export interface Crew extends AsyncDisposable {
  readonly hands: readonly Hand[]
  /** How processes ended that nobody had told to. */
  readonly ends: readonly (number | string)[]
  /** Waits until a process holds the Lease that is not `former`. */
  untilLed(former?: string): Promise<{ readonly hand: Hand; readonly holder: string }>
  /** What the processes logged so far. */
  logs(): Promise<string>
}

/** What a crew is started with. */
export interface CrewOptions {
  /** Of the installation, by an API server that never fails. */
  readonly home: Cluster
  /** Kubeconfig of the API server that the crew uses, by `proxy`. */
  readonly kubeconfig: string
  readonly proxy: KubeProxy
  readonly connect: string
  readonly env: Readonly<Record<string, string>>
}

/** Starts a crew that serves all namespaces. */
export async function startCrew(options: CrewOptions): Promise<Crew> {
  const { home, kubeconfig, proxy, connect, env } = options
  const image = await imageOf()
  const ends: (number | string)[] = []
  const past: string[] = []
  let isOver = false
  const start = (name: string, access: string) =>
    startOperator({
      kubeconfig: access,
      connect,
      namespace: home.namespace,
      flags: image.flags,
      env: { ...image.env, WATCH_NAMESPACE: '*', LEADER_ELECTION: 'true', POD_NAME: name, ...env },
    })
  async function keep(hand: Hand, access: string): Promise<void> {
    for (;;) {
      const end = await hand.process.exited
      if (isOver) return
      ends.push(end)
      past.push(await hand.process.logs())
      hand.process = await start(hand.name, access)
    }
  }
  // Each API server signs tokens with a key of its own.
  const rest = adminRest(kubeconfig)
  const own = clusterOf(rest, home.namespace)
  const hands: Hand[] = []
  const kept: Promise<void>[] = []
  for (const name of ['one', 'two']) {
    await installRights(own, { name: LEASE, account: name, namespaces: undefined })
    const login = await logInAs(own, name, kubeconfig)
    const access = await proxy.kubeconfigFor(login.kubeconfig)
    await login[Symbol.asyncDispose]()
    const hand = { name, user: login.user, process: await start(name, access) }
    hands.push(hand)
    kept.push(keep(hand, access))
  }
  await rest.close()
  return {
    hands,
    ends,
    untilLed: (former) =>
      eventually('a replica holds the Lease', async () => {
        const holder: string = (await home.find('leases', LEASE))?.['spec'].holderIdentity ?? ''
        const hand = hands.find(({ name }) => holder.startsWith(`${name}_`))
        return hand && holder !== former && { hand, holder }
      }),
    async logs() {
      const present = await Promise.all(hands.map(({ process }) => process.logs()))
      return [...past, ...present].join('\n')
    },
    async [Symbol.asyncDispose]() {
      isOver = true
      await Promise.all(hands.map(({ process }) => process.stop()))
      await Promise.all(kept)
    },
  }
}

/** How the image runs Node: what a process has in memory depends on it. */
async function imageOf() {
  const text = await readFile('Dockerfile', 'utf8')
  const [, entry = '[]'] = /^ENTRYPOINT (\[.*\])$/m.exec(text) ?? []
  const [, settings = ''] = /^ENV (MALLOC_.*)$/m.exec(text) ?? []
  const flags = (JSON.parse(entry) as string[]).filter((word) => word.startsWith('--'))
  const env = settings.split(' ').map((one) => one.split('=') as [string, string])
  return { flags, env: Object.fromEntries(env) }
}
