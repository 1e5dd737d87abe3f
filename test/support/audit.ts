/**
 * The API server's audit log: what everybody asked for and what came of it. It is the judge that no
 * program under test can talk round.
 * Source: `audit.k8s.io/v1 Event`.
 */
import { readFile } from 'node:fs/promises'

/** One answered request. */
export interface AuditRecord {
  readonly verb: string
  readonly user: string
  readonly userAgent: string
  /** Plural, with the subresource: `deployments`, `onepassworditems/status`. */
  readonly resource: string
  readonly group: string
  readonly namespace: string
  readonly name: string
  /** Status of the answer. */
  readonly code: number
  readonly dryRun: boolean
  /** Whether the user lacked the right. */
  readonly denied: boolean
  /** Milliseconds since the epoch when the request came, and when it was answered. */
  readonly cameAt: number
  readonly answeredAt: number
  /** Version of the object that the request named; undefined where none, or bodies are not logged. */
  readonly versionBefore: string | undefined
  /** Version of the object in the answer. */
  readonly versionAfter: string | undefined
  /** Bodies, where they are logged. */
  readonly request: unknown
  readonly response: unknown
}

interface RawEvent {
  readonly stage: string
  readonly verb: string
  readonly user: { readonly username: string }
  readonly userAgent?: string
  readonly requestURI: string
  readonly objectRef?: {
    readonly resource?: string
    readonly subresource?: string
    readonly apiGroup?: string
    readonly namespace?: string
    readonly name?: string
    readonly resourceVersion?: string
  }
  readonly responseStatus?: { readonly code?: number }
  readonly annotations?: Readonly<Record<string, string>>
  readonly requestObject?: unknown
  readonly responseObject?: unknown
  readonly requestReceivedTimestamp: string
  readonly stageTimestamp: string
}

/** All answered requests so far, in the order in which they were answered. */
export async function readAudit(file: string): Promise<AuditRecord[]> {
  const text = await readFile(file, 'utf8')
  // The last line may be in the making.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  return whole
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as RawEvent)
    .filter(({ stage }) => stage === 'ResponseComplete')
    .map(recordOf)
}

function recordOf(event: RawEvent): AuditRecord {
  const { verb, user, objectRef = {}, requestObject: request, responseObject: response } = event
  const { resource = '', subresource, apiGroup: group = '', namespace = '' } = objectRef
  return {
    verb,
    user: user.username,
    userAgent: event.userAgent ?? '',
    resource: subresource ? `${resource}/${subresource}` : resource,
    group,
    namespace,
    name: objectRef.name ?? metadataOf(request)?.name ?? '',
    code: event.responseStatus?.code ?? 0,
    dryRun: event.requestURI.includes('dryRun=All'),
    denied: event.annotations?.['authorization.k8s.io/decision'] === 'forbid',
    cameAt: Date.parse(event.requestReceivedTimestamp),
    answeredAt: Date.parse(event.stageTimestamp),
    versionBefore: metadataOf(request)?.resourceVersion ?? preconditionOf(request),
    versionAfter: metadataOf(response)?.resourceVersion,
    request,
    response,
  }
}

function metadataOf(object: unknown) {
  const { metadata } = (object ?? {}) as {
    metadata?: { readonly name?: string; readonly resourceVersion?: string }
  }
  return metadata
}

/** Of a deletion, or of the JSON patch that tests a version. */
function preconditionOf(request: unknown): string | undefined {
  if (Array.isArray(request)) {
    const operations = request as { path?: string; value?: string }[]
    return operations.find(({ path }) => path === '/metadata/resourceVersion')?.value
  }
  const { preconditions } = (request ?? {}) as { preconditions?: { resourceVersion?: string } }
  return preconditions?.resourceVersion
}

const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])

/** Whether a request was to change something, and was let. */
export function isWrite({ verb, code, dryRun }: AuditRecord): boolean {
  return WRITES.has(verb) && code >= 200 && code < 300 && !dryRun
}

/** The time for which one user held the Lease. Milliseconds since the epoch. */
export interface HeldTerm {
  readonly user: string
  readonly holder: string
  readonly since: number
  /** Undefined while it was never renewed. */
  readonly renewedAt: number | undefined
}

/** Who held a Lease, in order; needs the bodies of requests. */
export function termsOf(
  records: readonly AuditRecord[],
  lease: { readonly namespace: string; readonly name: string },
): HeldTerm[] {
  const terms: HeldTerm[] = []
  for (const record of records) {
    const { resource, namespace, name, user, answeredAt: since } = record
    const concerns = resource === 'leases' && namespace === lease.namespace && name === lease.name
    if (!concerns || !isWrite(record)) continue
    const { holderIdentity: holder = '' } =
      (record.request as { spec?: { holderIdentity?: string } }).spec ?? {}
    const last = terms.at(-1)
    if (last?.holder !== holder) terms.push({ user, holder, since, renewedAt: undefined })
    else if (last.renewedAt === undefined) terms.splice(-1, 1, { ...last, renewedAt: since })
  }
  return terms
}

/**
 * Writes that were made by somebody whose term was over: after the first renewal of another holder,
 * and not before a term of its own, something was changed. Refused requests and those that left the
 * object as it was are no such writes.
 */
export function lateWrites(
  records: readonly AuditRecord[],
  terms: readonly HeldTerm[],
  users: readonly string[],
): AuditRecord[] {
  return records.filter((record) => {
    const { user, cameAt, versionBefore, versionAfter } = record
    const unchanged = versionBefore !== undefined && versionBefore === versionAfter
    if (!users.includes(user) || !isWrite(record) || unchanged) return false
    const reigning = terms.findLast(({ since }) => since <= cameAt)
    if (reigning === undefined || reigning.user === user || reigning.holder === '') return false
    // The write that begins a term comes before it.
    if (record.resource === 'leases') return false
    return reigning.renewedAt !== undefined && reigning.renewedAt < cameAt
  })
}
