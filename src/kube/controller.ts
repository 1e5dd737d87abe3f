import type { KeyedQueue, Requeue } from './queue.ts'

/** Works one key; failures are results too, so it must not throw for an expected one. */
export type Reconcile = (key: string, signal: AbortSignal) => Promise<Requeue>

/** What a controller needs. */
export interface ControllerOptions {
  readonly queue: KeyedQueue
  readonly reconcile: Reconcile
  /** Called for an error that `reconcile` threw: a defect, so it is retried and told. */
  readonly onCrash: (key: string, error: unknown) => void
}

/** Works the queue, by as many workers as it is for, until `signal` aborts; resolves once the runs under way have ended. */
export async function runController(
  { queue, reconcile, onCrash }: ControllerOptions,
  signal: AbortSignal,
): Promise<void> {
  async function work(): Promise<void> {
    for (let key = await queue.next(signal); key !== undefined; key = await queue.next(signal)) {
      queue.done(key, await guarded(key))
    }
  }

  async function guarded(key: string): Promise<Requeue> {
    try {
      return await reconcile(key, signal)
    } catch (error) {
      if (!signal.aborted) onCrash(key, error)
      return { kind: 'backoff' }
    }
  }

  await Promise.all(Array.from({ length: queue.workers }, work))
}
