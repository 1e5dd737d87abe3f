/**
 * What plan, render and explain have in common: the operator's settings, manifests that were
 * checked, and a look at the world.
 */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { type Command, CommanderError } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { type ConnectClient, createConnectClient } from '../connect/client.ts'
import { systemClock } from '../kube/clock.ts'
import { loadAccess } from '../kube/config.ts'
import { createRest, type KubeRest } from '../kube/rest.ts'
import { ONE_PASSWORD_ITEM } from '../operator/item.ts'
import { OPEN_POLICY, parseVaultPolicy } from '../operator/vault-policy.ts'
import { loadSettings } from '../settings/load.ts'
import type { SettingKey, Settings } from '../settings/settings.ts'
import { createTokenSource } from '../settings/token.ts'
import { CRD_TEXT } from '../tools/crd.ts'
import { readSources } from '../tools/manifest/files.ts'
import { parseManifests } from '../tools/manifest/parse.ts'
import { type Applied, keyIn, overlay, type Overlay, withSecrets } from '../tools/plan/overlay.ts'
import { lookAtWorld, type World } from '../tools/plan/world.ts'
import { report } from '../tools/report/report.ts'
import { plain } from '../tools/report/text.ts'
import { schemaCheck } from '../tools/validate/schema.ts'
import { validate } from '../tools/validate/validate.ts'
import { addSettings, flagsOf, readCa } from './setting-flags.ts'
import { type Io, usage } from './usage.ts'

/** Settings of the operator that decide what it would do. */
const DECIDING: readonly SettingKey[] = [
  'connectTokenFile',
  'connectCaFile',
  'vaultPolicyFile',
  'autoRestart',
  'restartOnRemap',
  'allowEmptyValues',
  'labelsNotCopied',
  'kubeconfig',
  'ownNamespace',
  'instance',
]

/** Options of the commands that look at the world. */
export interface WorldFlags {
  readonly connect?: string
  readonly namespace?: string
  readonly [flag: string]: unknown
}

/** Settings that only a cluster gives a meaning. */
const OF_CLUSTER: readonly SettingKey[] = [
  'autoRestart',
  'restartOnRemap',
  'kubeconfig',
  'ownNamespace',
  'instance',
]

/** Whether a command compares with a cluster or knows none. */
export type Reach = 'cluster' | 'offline'

/** Adds the options of {@link WorldFlags}. */
export function addWorldFlags(command: Command, reach: Reach = 'cluster'): Command {
  command
    .option('--connect <url>', 'address of the Connect server (default: OP_CONNECT_HOST)')
    .option('-n, --namespace <name>', 'namespace of manifests that name none')
  const keys = DECIDING.filter((key) => reach === 'cluster' || !OF_CLUSTER.includes(key))
  addSettings(command, keys)
  return command
}

/** The operator's settings, from flags and environment. */
export function worldSettings({ env }: Io, { connect, ...flags }: WorldFlags): Settings {
  const host = connect ? { connectHost: connect } : {}
  return loadSettings({ ...flagsOf(flags), ...host }, env)
}

/** A client for the Connect server of the settings. */
export function worldConnect(settings: Settings): ConnectClient {
  const { connectHost: host, connectToken, connectTokenFile } = settings
  const source = { token: connectToken, file: connectTokenFile }
  const ca = readCa(settings)
  return createConnectClient({
    host,
    token: createTokenSource(
      source,
      () => systemClock.now(),
      () => undefined,
    ),
    userAgent: `keyferry/${packageJson.version}`,
    ...(ca === undefined ? {} : { ca }),
  })
}

/** The cluster of the settings; undefined when no kubeconfig was named. */
export function worldRest({ env }: Io, { kubeconfig }: Settings): KubeRest | undefined {
  const named = kubeconfig ?? env['KUBECONFIG']
  return named ? clusterOf(named) : undefined
}

/** @param named a path, or what KUBECONFIG holds; undefined: the one that kubectl would take */
function clusterOf(named: string | undefined): KubeRest {
  const userAgent = `keyferry/${packageJson.version}`
  // Several files are merged as kubectl merges them, which the environment alone can ask for.
  const file = named?.includes(path.delimiter) ? undefined : named
  return createRest({ access: loadAccess(file), clock: systemClock, userAgent })
}

/** The world with manifests over it. */
export interface Planned extends AsyncDisposable {
  readonly world: World
  readonly over: Overlay
  readonly settings: Settings
  /** Whether there is a cluster to compare with. */
  readonly hasCluster: boolean
}

/**
 * Reads and checks manifests, looks at the world, and puts them over it.
 *
 * @throws CommanderError for manifests that the API server would not take
 */
export async function lookWith(
  io: Io,
  paths: readonly string[],
  flags: WorldFlags,
  reach: Reach = 'cluster',
): Promise<Planned> {
  const objects = await readObjects(io, paths, flags)
  const settings = worldSettings(io, flags)
  const namespace = flags.namespace ?? 'default'
  const client = worldConnect(settings)
  const cluster = reach === 'cluster' ? worldRest(io, settings) : undefined
  const relevant = objects.filter((object) => isRelevant([object]))
  const namespaces = new Set(relevant.map((object) => keyIn(object, namespace).namespace))
  const file = settings.vaultPolicyFile
  const vaultPolicy = file
    ? parseVaultPolicy(await usage(io, () => readFile(file, 'utf8')))
    : OPEN_POLICY
  const rest = cluster && withSecrets(cluster, objects, namespace)
  const world = await lookAtWorld({ settings, client, vaultPolicy, rest, namespaces })
  return {
    world,
    settings,
    hasCluster: cluster !== undefined,
    over: await overlay(world, objects, namespace),
    async [Symbol.asyncDispose]() {
      await client.close()
      await cluster?.close()
    },
  }
}

/** The world as it is in one namespace. */
export interface Looked extends AsyncDisposable {
  readonly world: World
  readonly settings: Settings
  /** Whether there is a Connect server to ask. */
  readonly asksConnect: boolean
}

/** Stands for what was not given, where nothing is asked of it. */
const UNSET = 'unset'

/** Looks at one namespace of the cluster of the kubeconfig; Connect need not be given. */
export async function lookAtNamespace(
  io: Io,
  namespace: string,
  flags: WorldFlags,
): Promise<Looked> {
  const asksConnect = Boolean(flags.connect ?? io.env['OP_CONNECT_HOST'])
  const env = asksConnect
    ? io.env
    : { ...io.env, OP_CONNECT_HOST: `http://${UNSET}.invalid`, OP_CONNECT_TOKEN: UNSET }
  const settings = worldSettings({ ...io, env }, flags)
  const client = worldConnect(settings)
  const rest = clusterOf(settings.kubeconfig ?? io.env['KUBECONFIG'])
  const file = settings.vaultPolicyFile
  const vaultPolicy = file
    ? parseVaultPolicy(await usage(io, () => readFile(file, 'utf8')))
    : OPEN_POLICY
  return {
    world: await lookAtWorld({ settings, client, vaultPolicy, rest, namespaces: [namespace] }),
    settings,
    asksConnect,
    async [Symbol.asyncDispose]() {
      await client.close()
      await rest.close()
    },
  }
}

function isRelevant(objects: readonly Applied[]): boolean {
  const kinds = ['OnePasswordItem', 'Deployment', 'StatefulSet', 'DaemonSet', 'Rollout']
  return objects.some(({ kind }) => kinds.includes(String(kind)))
}

async function readObjects(
  io: Io,
  paths: readonly string[],
  flags: WorldFlags,
): Promise<Applied[]> {
  const { sources, skipped } = await usage(io, () => readSources(paths, io.stdin))
  const found = validate(sources, { namespace: flags.namespace })
  // What is wrong between objects, the plan itself shows.
  const refused = found.findings.filter(({ rule }) => REFUSED.has(rule))
  if (refused.length > 0) {
    const texts = new Map(sources.map(({ name, text }) => [name, text]))
    const { version } = packageJson
    const input = { ...found, findings: refused, texts, skipped, version, paint: plain }
    io.stderr.write(report('human', input))
    throw new CommanderError(1, 'keyferry.manifests', 'the manifests are not fit to be applied')
  }
  const { taken } = schemaCheck(CRD_TEXT)
  const isOurs = ({ kind }: Applied) => kind === ONE_PASSWORD_ITEM.kind
  return sources
    .flatMap((source) => parseManifests(source).manifests)
    .map(({ value }) => (isOurs(value) ? taken(value) : value))
}

/** Rules by which the API server refuses an object. */
const REFUSED = new Set(['yaml', 'api-version', 'metadata', 'schema', 'unknown-member', 'cel'])
