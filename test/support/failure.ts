import type { KeyferryError } from '../../src/errors.ts'

/** The error that a promise fails with; fails itself when there is none. */
export function failureOf(promise: Promise<unknown>): Promise<KeyferryError> {
  return promise.then(
    () => {
      throw new Error('it succeeded')
    },
    (error: KeyferryError) => error,
  )
}
