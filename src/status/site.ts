/**
 * Puts the status page of a running operator together.
 */
import type { Clock } from '../kube/clock.ts'
import { keyOf, type ObjectKey } from '../kube/resource.ts'
import { BY_PULL, usersOf, type Views } from '../operator/intake/views.ts'
import { NOTICES, REASONS } from '../operator/reasons.ts'
import type { Operator } from '../operator/run.ts'
import type { Settings } from '../settings/settings.ts'
import { ASSETS } from './assets.ts'
import { createFeed } from './feed.ts'
import type { Journal } from './journal.ts'
import type { Advice, Details, Health } from './model.ts'
import type { StatusSite } from './server.ts'
import { detailsOf } from './snapshot.ts'

/** What the page tells of. */
export interface StatusSource {
  readonly operator: Pick<Operator, 'phase' | 'shards' | 'waiting' | 'views'>
  readonly journal: Journal
  readonly settings: Settings
  readonly version: string
  /** `<namespace>/<name>` of the installation. */
  readonly installation: string
  readonly clock: Clock
}

/** The site of an operator. */
export function createSite(source: StatusSource): StatusSite {
  const { operator, journal, clock } = source
  const { views } = operator
  const health = () => healthOf(source)
  return {
    feed: createFeed({ views, journal, clock, health, advice: ADVICE }),
    details: (resource) => findDetails(source, resource),
    assets: ASSETS,
  }
}

/** Of the closed list, without what else is kept of a reason. */
const ADVICE: Readonly<Record<string, Advice>> = Object.fromEntries(
  Object.entries({ ...REASONS, ...NOTICES }).map(([reason, { meaning, remedy }]) => [
    reason,
    { meaning, remedy },
  ]),
)

function healthOf({
  operator,
  journal,
  settings,
  version,
  installation,
  clock,
}: StatusSource): Health {
  const { podName, watchNamespaces, dryRun, leaderElection, shards } = settings
  return {
    version,
    installation,
    ...(podName === undefined ? {} : { pod: podName }),
    ...(watchNamespaces ? { namespaces: watchNamespaces } : {}),
    shadow: dryRun,
    phase: operator.phase(),
    ...(leaderElection && !dryRun ? { shards: { held: operator.shards(), all: shards } } : {}),
    poll: { everyMs: settings.pollingIntervalMs, ...journal.poll() },
    waiting: operator.waiting(),
    now: clock.wall(),
  }
}

function findDetails(
  { operator, journal, settings }: StatusSource,
  resource: ObjectKey,
): Details | undefined {
  const { views } = operator
  const claim = views.claims.get(resource)
  if (claim === undefined) return undefined
  const { namespace, spec } = claim
  const secret = { namespace, name: spec.secretName }
  return detailsOf({
    claim,
    secret: views.secrets.get(secret),
    users: usersOf(views, keyOf(secret)),
    pullers: pullersOf(views, keyOf(secret)),
    namespaceLevel: views.namespaces.get({ namespace: '', name: namespace })?.autoRestart,
    policy: { autoRestart: settings.autoRestart, delayMs: settings.restartDelayMs },
    history: journal.of(resource, spec.secretName),
  })
}

function pullersOf({ workloads }: Views, secretKey: string) {
  return Object.values(workloads).flatMap((store) => store.find(BY_PULL, secretKey))
}
