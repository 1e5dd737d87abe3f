import { expect, test } from 'vitest'
import { isKeyferryError, KeyferryError } from '../../src/errors.ts'

const init = { message: 'it failed', remedy: 'Do something.', retry: 'soon' } as const

test('an error carries its code, what happened and what to do', () => {
  const cause = new Error('deeper')
  const error = new KeyferryError('KUBE_STATUS', {
    ...init,
    status: 409,
    reason: 'Conflict',
    cause,
  })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'KeyferryError',
    code: 'KUBE_STATUS',
    message: 'it failed',
    remedy: 'Do something.',
    retry: 'soon',
    status: 409,
    reason: 'Conflict',
    retryAfterMs: undefined,
    cause,
  })
})

test('an error without a cause has no such member', () => {
  expect(new KeyferryError('KUBE_TIMEOUT', init)).not.toHaveProperty('cause')
})

test('errors are told apart by their codes', () => {
  const error = new KeyferryError('KUBE_TIMEOUT', init)
  expect(isKeyferryError(error)).toBe(true)
  expect(isKeyferryError(error, 'KUBE_STATUS', 'KUBE_TIMEOUT')).toBe(true)
  expect(isKeyferryError(error, 'KUBE_STATUS')).toBe(false)
  expect(isKeyferryError(new Error('KUBE_TIMEOUT'))).toBe(false)
  expect(isKeyferryError(undefined)).toBe(false)
})
