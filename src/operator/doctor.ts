/**
 * What is wrong with an installation: looks that change nothing, each with a remedy.
 */
import { type ConnectClient, createConnectClient } from '../connect/client.ts'
import { isKeyferryError } from '../errors.ts'
import { systemClock } from '../kube/clock.ts'
import { type Access, loadAccess } from '../kube/config.ts'
import type { Crd } from '../kube/crd.ts'
import { createRest, type KubeRest } from '../kube/rest.ts'
import type { Settings } from '../settings/settings.ts'
import { createTokenSource } from '../settings/token.ts'
import { openPolicyFile } from './policy-file.ts'
import { type Grant, type Right, rightsFor } from './rights.ts'
import { checkSchema } from './schema.ts'

/** What can be looked at, in the order in which findings are told. */
export const CHECKS = [
  'settings',
  'connect',
  'token',
  'kubernetes',
  'clock',
  'definition',
  'rights',
] as const

/** What one look found. */
export interface Finding {
  readonly check: (typeof CHECKS)[number]
  /** `warning`: it works, but not all of it. `skipped`: another failure keeps it from being seen. */
  readonly status: 'ok' | 'warning' | 'failed' | 'skipped'
  /** One sentence. Never a value, a token, or an answer. */
  readonly message: string
  /** What a person can do; there unless all is well or the cause is told elsewhere. */
  readonly remedy?: string
}

/** What the looks need. */
export interface DoctorInput {
  readonly settings: Settings
  readonly version: string
  /** PEM of the authorities for the Connect server. */
  readonly connectCa: string | undefined
  readonly crd: Crd
}

/** Milliseconds for all looks at one server. */
const PATIENCE_MS = 30_000
/** Milliseconds by which clocks may differ; the API server tells whole seconds. */
const SKEW_MS = 30_000
/** Minor version of Kubernetes 1 that is needed. */
const OLDEST_MINOR = 30

/** Looks at everything. */
export async function examine(input: DoctorInput): Promise<Finding[]> {
  const all = await Promise.all([examineSettings(input), examineConnect(input), examineKube(input)])
  const order = ({ check }: Finding) => CHECKS.indexOf(check)
  return all.flat().toSorted((a, b) => order(a) - order(b))
}

/** A finding for an error, which has its own remedy. */
export function failed(check: Finding['check'], error: unknown): Finding {
  if (!isKeyferryError(error)) throw error
  return { check, status: 'failed', message: error.message, remedy: error.remedy }
}

function ok(check: Finding['check'], message: string): Finding {
  return { check, status: 'ok', message }
}

function skipped(check: Finding['check'], why: string): Finding {
  return { check, status: 'skipped', message: why }
}

async function examineSettings({ settings }: DoctorInput): Promise<Finding[]> {
  const { vaultPolicyFile } = settings
  try {
    await openPolicyFile(vaultPolicyFile)
    const policy = vaultPolicyFile === undefined ? 'none, every vault is open' : vaultPolicyFile
    return [ok('settings', `they can be used; vault policy: ${policy}`)]
  } catch (error) {
    return [failed('settings', error)]
  }
}

async function examineConnect({ settings, version, connectCa }: DoctorInput): Promise<Finding[]> {
  const { connectHost: host, connectToken, connectTokenFile: file } = settings
  const now = () => systemClock.now()
  // Whether the server answers can be seen without a token.
  let token = () => 'none'
  const useToken = () => {
    token = createTokenSource({ token: connectToken, file }, now, () => undefined)
  }
  const unseen = skipped('token', 'the Connect server cannot be asked')
  let client: ConnectClient
  try {
    const ca = connectCa === undefined ? {} : { ca: connectCa }
    const userAgent = `keyferry/${version}`
    client = createConnectClient({ host, token: () => token(), userAgent, ...ca })
  } catch (error) {
    return [failed('connect', error), unseen]
  }
  const signal = AbortSignal.timeout(PATIENCE_MS)
  try {
    await client.heartbeat({ signal }).catch(unlessRefused)
    const up = ok('connect', `${new URL(host).origin} answers`)
    return [up, await examineToken(client, useToken, signal)]
  } catch (error) {
    return [failed('connect', error), unseen]
  } finally {
    await client.close()
  }
}

/** A gateway in front of the server may want the token for that, too: it answers. */
function unlessRefused(error: unknown): void {
  if (!isKeyferryError(error, 'CONNECT_UNAUTHORIZED', 'CONNECT_FORBIDDEN')) throw error
}

async function examineToken(
  client: ConnectClient,
  useToken: () => void,
  signal: AbortSignal,
): Promise<Finding> {
  try {
    useToken()
    const { length } = await client.vaults({ signal })
    if (length > 0) return ok('token', `it is taken; vaults that it may read: ${length}`)
    return {
      check: 'token',
      status: 'failed',
      message: 'the token is taken but may read no vault',
      remedy: 'Give it access to the vaults whose items are to become Secrets.',
    }
  } catch (error) {
    return failed('token', error)
  }
}

async function examineKube({ settings, version, crd }: DoctorInput): Promise<Finding[]> {
  const unseen = (['clock', 'definition', 'rights'] as const).map((check) =>
    skipped(check, 'the API server cannot be asked'),
  )
  let access: Access
  try {
    access = loadAccess(settings.kubeconfig)
  } catch (error) {
    return [failed('kubernetes', error), ...unseen]
  }
  const rest = createRest({ access, clock: systemClock, userAgent: `keyferry/${version}` })
  const signal = AbortSignal.timeout(PATIENCE_MS)
  try {
    const server = await examineServer(rest, signal)
    const grants = rightsFor(settings, settings.ownNamespace ?? access.namespace)
    return [
      server,
      examineClock(rest.serverTime(), systemClock.wall()),
      await examineDefinition({ rest, crd }, settings, signal),
      ...(await examineRights(rest, grants, signal)),
    ]
  } catch (error) {
    return [failed('kubernetes', error), ...unseen]
  } finally {
    await rest.close()
  }
}

async function examineServer(rest: KubeRest, signal: AbortSignal): Promise<Finding> {
  const { minor = '', gitVersion } = (await rest.send(
    { method: 'GET', path: '/version' },
    signal,
  )) as {
    readonly minor?: string
    readonly gitVersion?: string
  }
  const { status } = (await rest.send(
    {
      method: 'POST',
      path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    },
    signal,
  )) as { readonly status: { readonly userInfo: { readonly username: string } } }
  const message = `Kubernetes ${gitVersion} knows this account as ${status.userInfo.username}`
  if (Number.parseInt(minor, 10) >= OLDEST_MINOR) return ok('kubernetes', message)
  const remedy = `Keyferry needs Kubernetes 1.${OLDEST_MINOR} or later: update the cluster.`
  return { check: 'kubernetes', status: 'failed', message, remedy }
}

/** Judges two clocks, in milliseconds since the epoch. */
export function examineClock(server: number, own: number): Finding {
  const seconds = Math.round((own - server) / 1000)
  if (Math.abs(own - server) < SKEW_MS) return ok('clock', 'it agrees with the API server’s')
  return {
    check: 'clock',
    status: 'failed',
    message: `it is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} the API server’s`,
    remedy: 'Synchronise the clocks of the nodes: certificates and tokens are judged by them.',
  }
}

async function examineDefinition(
  deps: { readonly rest: KubeRest; readonly crd: Crd },
  { dryRun }: Settings,
  signal: AbortSignal,
): Promise<Finding> {
  const { name } = deps.crd.metadata
  try {
    await checkSchema(deps, signal)
    return ok('definition', `${name} is served with all members`)
  } catch (error) {
    const finding = failed('definition', error)
    // Shadow mode runs under the definition of the former operator, too.
    return dryRun ? { ...finding, status: 'warning' } : finding
  }
}

async function examineRights(
  rest: KubeRest,
  grants: readonly Grant[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const asked = grants.flatMap(({ namespace, rights }) =>
    rights.map(async (right) => {
      const allowed = await isAllowed(rest, { namespace, right }, signal)
      return allowed ? [] : [{ namespace, right }]
    }),
  )
  const missing = (await Promise.all(asked)).flat()
  if (missing.length === 0) return [ok('rights', `all ${asked.length} are granted`)]
  return Object.values(Object.groupBy(missing, labelOf)).map((some = []) => missingRight(some))
}

interface Missing {
  readonly namespace: string | undefined
  readonly right: Right
}

/** What is told together: all verbs of one resource in one place. */
function labelOf({ namespace, right: { group, resource, subresource, without } }: Missing): string {
  return [namespace, group, resource, subresource, without].join('/')
}

function missingRight(some: readonly Missing[]): Finding {
  const verbs = some.map(({ right }) => right.verb).join(', ')
  const [{ namespace, right }] = some as [Missing]
  const { group, resource, subresource, name, without } = right
  const what = `${resource}${group ? `.${group}` : ''}${subresource ? `/${subresource}` : ''}`
  const where = namespace === undefined ? 'in all namespaces' : `in namespace ${namespace}`
  const effect = without === undefined ? '' : `: ${without}`
  return {
    check: 'rights',
    status: without === undefined ? 'failed' : 'warning',
    message: `this account may not ${verbs} ${what}${name ? ` ${name}` : ''} ${where}${effect}`,
    remedy:
      namespace === undefined || without !== undefined
        ? 'Grant what deploy/base/rbac.yaml grants, or upgrade the release of the chart.'
        : 'Grant what deploy/overlays/namespaced grants, or upgrade the release of the chart.',
  }
}

async function isAllowed(
  rest: KubeRest,
  { namespace, right }: Missing,
  signal: AbortSignal,
): Promise<boolean> {
  const { group, resource, subresource, verb, name } = right
  const resourceAttributes = { namespace, group, resource, subresource, verb, name }
  const { status } = (await rest.send(
    {
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes },
      },
    },
    signal,
  )) as { readonly status: { readonly allowed: boolean } }
  return status.allowed
}
