/**
 * Whether the API server keeps what the operator reads and writes: under a CustomResourceDefinition
 * without some members it would drop them from every object, silently.
 */
import { isKeyferryError, KeyferryError } from '../errors.ts'
import { type Clock, sleep } from '../kube/clock.ts'
import { type Crd, missingMembers, type Schema, schemaOf } from '../kube/crd.ts'
import type { KubeRest } from '../kube/rest.ts'
import { isForbidden, isNotFound } from '../kube/status.ts'
import type { Logger } from '../telemetry/log.ts'
import { ONE_PASSWORD_ITEM } from './item.ts'

/** Milliseconds between two looks. */
const RETRY_MS = 1_000
/** Milliseconds for a definition that was just applied to show among what is served. */
const PATIENCE_MS = 10_000
/** Members that a message names. */
const NAMED = 5

/** What the check needs. */
export interface SchemaDeps {
  readonly rest: KubeRest
  readonly clock: Clock
  readonly log: Logger
  /** The definition that this program is made for. */
  readonly crd: Crd
}

/**
 * Waits for an API server that answers, and for the definition for 10 s.
 *
 * @throws KeyferryError CRD_UNFIT when members are missing
 */
export async function requireSchema(deps: SchemaDeps, signal: AbortSignal): Promise<void> {
  const { clock, log } = deps
  let since: number | undefined
  while (!signal.aborted) {
    try {
      await checkSchema(deps, signal)
      return
    } catch (error) {
      if (isKeyferryError(error, 'CRD_UNFIT')) {
        since ??= clock.now()
        if (clock.now() - since >= PATIENCE_MS) throw error
      } else if (isForbidden(error)) {
        return log.warn({ error }, 'cannot see whether the CustomResourceDefinition is complete')
      } else if (!signal.aborted) {
        log.warn({ error }, 'the API server cannot be asked yet')
      }
    }
    await sleep(clock, RETRY_MS, signal)
  }
}

/**
 * One look.
 *
 * @throws KeyferryError CRD_UNFIT when members are missing, KUBE_* when it cannot be seen
 */
export async function checkSchema(
  deps: Pick<SchemaDeps, 'rest' | 'crd'>,
  signal: AbortSignal,
): Promise<void> {
  const { crd, rest } = deps
  const wanted = schemaOf(crd, ONE_PASSWORD_ITEM.version)
  if (wanted === undefined) throw new Error('the own CustomResourceDefinition has no such version')
  const missing = missingMembers(wanted, await servedSchema(rest, signal))
  if (missing.length > 0) throw unfit(crd.metadata.name, missing)
}

/** As published to every authenticated user, so that no right on definitions is needed. */
async function servedSchema(rest: KubeRest, signal: AbortSignal): Promise<Schema> {
  const { group, version, kind } = ONE_PASSWORD_ITEM
  const path = `/openapi/v3/apis/${group}/${version}`
  try {
    const document = (await rest.send({ method: 'GET', path }, signal)) as OpenApi
    const schemas = Object.values(document.components?.schemas ?? {})
    return schemas.find((schema) => schema[GVK]?.some((gvk) => gvk.kind === kind)) ?? {}
  } catch (error) {
    if (isNotFound(error)) return {}
    throw error
  }
}

const GVK = 'x-kubernetes-group-version-kind'

interface OpenApi {
  readonly components?: {
    readonly schemas?: Readonly<
      Record<string, Schema & { readonly [GVK]?: readonly { readonly kind: string }[] }>
    >
  }
}

function unfit(name: string, missing: readonly string[]): KeyferryError {
  const rest = missing.length - NAMED
  const named = missing.slice(0, NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
  return new KeyferryError('CRD_UNFIT', {
    message: `the CustomResourceDefinition ${name} is not served or lacks ${named}`,
    remedy: 'Apply the current one: keyferry crd apply, or crds.manage=true in the chart.',
    retry: 'on-change',
  })
}
