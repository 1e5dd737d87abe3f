/**
 * The operator as a process of the simulation: the product's own code from its watches to its last
 * write, with virtual time, seeded chance, and servers in memory. It can be killed at any moment,
 * which a process does not notice, and it can stand still.
 */
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { withCircuit } from '../../src/connect/circuit.ts'
import { connectClient } from '../../src/connect/client.ts'
import type { Crd } from '../../src/kube/crd.ts'
import { parseSelector } from '../../src/kube/selector.ts'
import { createOwnVersions } from '../../src/operator/intake/history.ts'
import { createRenewal } from '../../src/operator/intake/renewal.ts'
import { createViews } from '../../src/operator/intake/views.ts'
import { openPolicyFile } from '../../src/operator/policy-file.ts'
import { createReporter } from '../../src/operator/report.ts'
import { type Parts, runOperator } from '../../src/operator/run.ts'
import { loadSettings } from '../../src/settings/load.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { createSimulatedRest, type Hooks, type SimulatedRest } from './kube-client.ts'
import type { Host } from './scheduler.ts'
import type { World } from './world.ts'

/** Namespace of the installation. */
export const HOME = 'keyferry'
/** Milliseconds between two polls. */
export const POLL_MS = 10_000

/** A process of the operator. */
export interface SimulatedOperator {
  readonly name: string
  readonly host: Host
  readonly rest: SimulatedRest
  /** Ends it without its knowledge. */
  kill(): void
  /** Tells it to end. */
  stop(): void
}

/** The definition that the operator wants to see served. */
export const CRD = parse(readFileSync('crds/onepassword.com_onepassworditems.yaml', 'utf8')) as Crd

const NO_LOG = createLog({ level: 'silent', format: 'json' }, { write: () => {} })
const NO_POLICY = await openPolicyFile(undefined)
/** Thousands of registries would take more time than the histories. */
const METRICS = createMetrics({ waiting: () => ({}), resources: () => [] })

/** How an operator is started. */
export interface StartOptions {
  readonly name: string
  readonly hooks: Hooks
  /** Whether the Lease decides, because there are two. */
  readonly elects: boolean
  readonly skewMs: number
  /** Takes lines of the log. */
  readonly log: ((line: string) => void) | undefined
  /** Told when it has ended by itself. */
  readonly onEnd: (error: unknown) => void
}

/** Starts one; it runs until it is killed, stopped, or loses its Lease. */
export function startSimulatedOperator(world: World, options: StartOptions): SimulatedOperator {
  const { server, scheduler, random, connect } = world
  const { name, hooks, elects, skewMs, log: write, onEnd } = options
  const host: Host = { dead: false, pausedUntil: 0, skewMs }
  const clock = scheduler.clockOf(host)
  const rest = createSimulatedRest({ server, scheduler, random, host, user: name, hooks })
  const log = write ? createLog({ level: 'debug', format: 'json' }, { write }) : NO_LOG
  const token = () => 'token'
  const circuit = { now: () => clock.now(), random: random.next, token }
  const end = new AbortController()
  const parts: Parts = {
    settings: settingsOf(name, elects),
    log,
    version: '0.0.0',
    connectCa: undefined,
    crd: CRD,
    clock,
    random: random.next,
    queues: new Set(),
    metrics: METRICS,
    views: createViews(),
    versions: createOwnVersions(),
    renewal: createRenewal(clock),
    report: createReporter(log, METRICS),
    connect: connectClient(withCircuit(connect.transportFor(host), circuit)),
    policyFile: NO_POLICY,
    selector: parseSelector(''),
    rest,
    namespace: HOME,
    holds: () => {},
  }
  runOperator(parts, end.signal).then(() => onEnd(undefined), onEnd)
  return {
    name,
    host,
    rest,
    kill() {
      host.dead = true
      // Node keeps whoever listens to a signal that may still abort.
      end.abort()
    },
    stop: () => end.abort(),
  }
}

const known = new Map<string, Parts['settings']>()

function settingsOf(podName: string, elects: boolean): Parts['settings'] {
  const key = `${podName} ${elects}`
  const settings = known.get(key) ?? {
    ...loadSettings(
      {
        connectHost: 'http://connect.invalid',
        connectToken: 'token',
        pollingInterval: String(POLL_MS / 1000),
        restartDelay: '1',
        restartsPerMinute: '60000',
        leaderElection: String(elects),
      },
      {},
    ),
    podName: undefined,
  }
  known.set(key, settings)
  return settings
}
