/**
 * The API server's audit log: what everybody asked for and what came of it. It is the judge that no
 * program under test can talk round.
 * Source: `audit.k8s.io/v1 Event`.
 */
import { createReadStream } from 'node:fs'
import { lines } from '../../src/kube/lines.ts'

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

/** Requests answered so far, of one namespace or of all, in the order in which they were. */
export async function readAudit(file: string, namespace?: string): Promise<AuditRecord[]> {
  const records: AuditRecord[] = []
  const mark = namespace === undefined ? '' : `"namespace":"${namespace}"`
  // The log of a long run is larger than a string can be.
  for await (const line of lines(createReadStream(file))) {
    if (!line.includes(mark)) continue
    const event = JSON.parse(line) as RawEvent
    const concerns = namespace === undefined || event.objectRef?.namespace === namespace
    if (event.stage === 'ResponseComplete' && concerns) records.push(recordOf(event))
  }
  return records
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

/** The time for which one process held the Lease. Milliseconds since the epoch. */
export interface HeldTerm {
  readonly user: string
  /** Empty: given back. */
  readonly holder: string
  readonly since: number
  /** Undefined while it was never renewed. */
  readonly renewedAt: number | undefined
}

/** Who held a Lease, in order; needs the bodies of requests. */
export function termsOf(records: readonly AuditRecord[], name: string): HeldTerm[] {
  const terms: HeldTerm[] = []
  let renewed: string | undefined
  for (const record of records) {
    if (record.resource !== 'leases' || record.name !== name || !isWrite(record)) continue
    // Its holder, who has not noticed yet, makes it again.
    if (record.verb === 'delete') continue
    const { user, answeredAt: since } = record
    const { spec = {} } = (record.request ?? {}) as {
      spec?: { holderIdentity?: string; renewTime?: string }
    }
    // Another process only asks its holder for the Lease.
    if (spec.renewTime !== undefined && spec.renewTime === renewed) continue
    renewed = spec.renewTime
    const holder = spec.holderIdentity ?? ''
    const last = terms.at(-1)
    if (last?.holder !== holder) terms.push({ user, holder, since, renewedAt: undefined })
    // A Lease that its former holder made over is its heir's from the first renewal.
    else if (last.renewedAt === undefined) terms.splice(-1, 1, { ...last, user, renewedAt: since })
  }
  return terms
}

/**
 * Requests to change something other than the Lease that came from one of `users` while another one
 * held the Lease or nobody did, refused ones included.
 */
export function lateRequests(
  records: readonly AuditRecord[],
  terms: readonly HeldTerm[],
  users: readonly string[],
): AuditRecord[] {
  return records.filter(({ user, verb, resource, answeredAt }) => {
    const concerns = users.includes(user) && WRITES.has(verb) && resource !== 'leases'
    if (!concerns) return false
    const reigning = terms.findLast(({ since }) => since <= answeredAt)
    return reigning?.user !== user || reigning.holder === ''
  })
}

/** Those of {@link lateRequests} that changed something. */
export function lateWrites(...judged: Parameters<typeof lateRequests>): AuditRecord[] {
  return lateRequests(...judged).filter((record) => {
    const { versionBefore, versionAfter } = record
    const unchanged = versionBefore !== undefined && versionBefore === versionAfter
    return isWrite(record) && !unchanged
  })
}

/** A record in one line, for messages. */
export function brief({ user, verb, resource, name, ...record }: AuditRecord): string {
  const { code, versionBefore, versionAfter, cameAt } = record
  const at = new Date(cameAt).toISOString()
  return `${at} ${user} ${verb} ${resource}/${name} ${code} ${versionBefore} to ${versionAfter}`
}
