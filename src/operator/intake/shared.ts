/**
 * What several wait for, as long as `signal` lets this one wait: the others' answer does not end
 * with it.
 *
 * @throws the reason of `signal`, or whatever `answer` rejects with
 */
export function waitFor<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason as Error)
    if (signal.aborted) leave()
    signal.addEventListener('abort', leave)
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
  })
}
