/**
 * One run for one claim: intake → plan → write. The plan stage says what it must know; the run ends
 * when it has said what to do and that was done.
 */
import { isKeyferryError } from '../errors.ts'
import { type Clock } from '../kube/clock.ts'
import type { Reconcile } from '../kube/controller.ts'
import { keyOf } from '../kube/resource.ts'
import type { Requeue } from '../kube/queue.ts'
import { ITEM_VERSION } from './annotations.ts'
import type { History } from './intake/history.ts'
import type { Intake } from './intake/snapshot.ts'
import { planFailure, planRefusal, planSync } from './plan/plan.ts'
import { interimStatus, PATIENCE_MS } from './plan/status.ts'
import type { Decision, Outcome, Plan, SecretManifest, Snapshot } from './plan/types.ts'
import type { Writer } from './write/write.ts'

/** What a run stands on. */
export interface ReconcileDeps {
  readonly intake: Intake
  readonly writer: Writer
  readonly history: History
  readonly clock: Clock
  /** Called at the end of each run: for log and metrics. */
  readonly onOutcome: (seen: Snapshot, plan: Plan) => void
}

/** Looks and decisions in one run: enough for every path, and an end to one that circles. */
const MAX_ROUNDS = 12
/** Milliseconds after which a first attempt that is still under way says so. */
const INTERIM_MS = 1_000

/** Works the queue of claims. */
export function createReconcile(deps: ReconcileDeps): Reconcile {
  return async (key, signal) => {
    const seen = deps.intake.observe(key)
    if (seen === undefined) return { kind: 'forget' }
    const run = startRun(deps, seen, signal)
    try {
      return await finish(deps, run, signal)
    } finally {
      run.cancelInterim()
    }
  }
}

interface Run {
  seen: Snapshot
  cancelInterim(): void
  /** Resolves once no interim status is being written any more. */
  settled(): Promise<void>
}

/** A run, with a timer that tells of a first attempt that takes long. */
function startRun({ clock, writer }: ReconcileDeps, first: Snapshot, signal: AbortSignal): Run {
  const { claim, policy } = first
  let writing: Promise<void> = Promise.resolve()
  const run: Run = { seen: first, cancelInterim: () => {}, settled: () => writing }
  const told = claim.status.observedGeneration >= claim.generation
  if (claim.origin === 'workloads' || claim.deleting || told) return run
  async function tellInterim(): Promise<void> {
    const { now } = run.seen
    const status = interimStatus(claim, { now, staleAfterMs: policy.staleAfterMs })
    // A failure is left to the final status, which says more.
    const after = await writer.tellStatus(claim, status, signal).catch(() => undefined)
    if (after) run.seen = { ...run.seen, claim: after }
  }
  run.cancelInterim = clock.timer(INTERIM_MS, () => {
    writing = tellInterim()
  })
  return run
}

async function finish(deps: ReconcileDeps, run: Run, signal: AbortSignal): Promise<Requeue> {
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const decision = await decide(deps, run, signal)
    if (decision.kind === 'look') continue
    run.cancelInterim()
    await run.settled()
    const requeue = await act(deps, run, decision.plan, signal)
    if (requeue) return requeue
  }
  return { kind: 'backoff' }
}

/** Decides, and looks where the decision wants to. */
async function decide(deps: ReconcileDeps, run: Run, signal: AbortSignal): Promise<Decision> {
  const decision = planSync(run.seen)
  if (decision.kind !== 'look') return decision
  try {
    const found = await deps.intake.look(run.seen, decision.at, signal)
    run.seen = { ...found, claim: run.seen.claim }
    return decision
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    return planFailure(run.seen, error)
  }
}

/** Carries a plan out; undefined when it must be made anew. */
async function act(
  deps: ReconcileDeps,
  run: Run,
  plan: Plan,
  signal: AbortSignal,
): Promise<Requeue | undefined> {
  const { intake, writer, history } = deps
  const { claim } = run.seen
  const manifest = manifestIn(plan)
  try {
    // Something else on the Secret will be somebody else's work. Noted before it is written, because
    // the answer may be lost, and the status after it may fail.
    if (manifest) {
      const { name, annotations } = manifest
      history.writesSecret(keyOf(claim), name, annotations[ITEM_VERSION])
    }
    const result = await writer.carryOut(claim, plan, signal)
    const isWritten = result.kind === 'done' || result.kind === 'stale-claim'
    if (manifest && isWritten) history.wroteSecret(keyOf(claim))
    switch (result.kind) {
      case 'done':
        return conclude(deps, run.seen, plan)
      case 'gone':
        return { kind: 'forget' }
      case 'stale-claim':
      case 'outdated':
        // Its event comes first, unless it did not move: then asking at once would go on for ever.
        return { kind: 'backoff' }
      case 'stale-secret':
        run.seen = await intake.look(run.seen, 'secret', signal)
        return undefined
      case 'refused': {
        // Planned on cached metadata: the live Secret may tell why, by its type for one.
        const cached = run.seen.secret.kind === 'cached' && plan.secret?.kind === 'replace'
        if (!cached) return await tell(deps, run, planRefusal(run.seen, result.error), signal)
        run.seen = await intake.look(run.seen, 'secret', signal)
        return undefined
      }
    }
  } catch (error) {
    if (!isKeyferryError(error) || signal.aborted) throw error
    return tell(deps, run, planFailure(run.seen, error), signal)
  }
}

/** Tells of a failure, which itself may fail for the same cause. */
async function tell(
  deps: ReconcileDeps,
  { seen }: Run,
  decision: Decision,
  signal: AbortSignal,
): Promise<Requeue> {
  if (decision.kind !== 'act') return { kind: 'backoff' }
  await deps.writer.carryOut(seen.claim, decision.plan, signal).catch((error: unknown) => {
    if (!isKeyferryError(error)) throw error
  })
  return conclude(deps, seen, decision.plan)
}

/** The Secret that a plan writes. */
function manifestIn({ secret }: Plan): SecretManifest | undefined {
  return secret && 'manifest' in secret ? secret.manifest : undefined
}

function conclude({ history, onOutcome }: ReconcileDeps, seen: Snapshot, plan: Plan): Requeue {
  const key = keyOf(seen.claim)
  if (plan.outcome.kind === 'retry') history.failed(key)
  else if (plan.outcome.kind !== 'wait') history.succeeded(key)
  if (plan.repair) history.didRepair(key)
  if (plan.stripFinalizerAt !== undefined) history.tookFinalizer(key)
  if (seen.anotherOperator) history.toldOfIncumbent(key, seen.claim.generation)
  onOutcome(seen, plan)
  return requeueOf(plan.outcome, history.failingMs(key))
}

function requeueOf(outcome: Outcome, failingMs: number): Requeue {
  switch (outcome.kind) {
    case 'settled':
    case 'blocked':
      return { kind: 'forget' }
    case 'recheck':
      return { kind: 'after', ms: outcome.afterMs }
    case 'wait':
      // A wait amid failures is one of their pauses: the back-off goes on growing.
      return failingMs > 0
        ? backoffAmid(failingMs, outcome.afterMs)
        : { kind: 'after', ms: outcome.afterMs }
    case 'retry':
      return backoffAmid(failingMs, outcome.afterMs)
  }
}

/** When patience ends the status says so, however long the back-off is. */
function backoffAmid(failingMs: number, ms = 0): Requeue {
  const left = PATIENCE_MS - failingMs
  return left > 0 ? { kind: 'backoff', ms, mostMs: left } : { kind: 'backoff', ms }
}
