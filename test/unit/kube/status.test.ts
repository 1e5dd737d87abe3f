import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  isAlreadyExists,
  isConflict,
  isForbidden,
  isInvalid,
  isNamespaceTerminating,
  isNotFound,
  isRefused,
  isTooNew,
  statusError,
} from '../../../src/kube/status.ts'

const error = (status: number, body: object = {}, retryAfter?: string) =>
  statusError('GET /x', status, JSON.stringify({ kind: 'Status', ...body }), retryAfter)

test('an error says what was asked, what was answered and what to do', () => {
  const forbidden = error(403, { reason: 'Forbidden', message: 'secrets is forbidden' })
  expect(forbidden).toMatchObject({
    code: 'KUBE_STATUS',
    message: 'GET /x: 403 secrets is forbidden',
    status: 403,
    reason: 'Forbidden',
    retry: 'on-change',
  })
  expect(forbidden.remedy).toContain('Grant the missing verb')
})

test.each([
  [400, 'on-change'],
  [401, 'soon'],
  [403, 'on-change'],
  [404, 'on-change'],
  [408, 'soon'],
  [409, 'soon'],
  [422, 'on-change'],
  [429, 'soon'],
  [500, 'soon'],
  [503, 'soon'],
])('after %i a repetition helps %s', (status, retry) => {
  expect(error(status).retry).toBe(retry)
})

test('a body that is no Status is not quoted', () => {
  for (const body of ['<html>canary</html>', '"canary"', '{"message":"canary"}', 'null', '']) {
    expect(statusError('GET /x', 502, body).message).toBe('GET /x: 502')
  }
})

test('any body makes an error', () => {
  fc.assert(
    fc.property(fc.json(), fc.option(fc.string(), { nil: undefined }), (body, retryAfter) => {
      expect(statusError('GET /x', 500, body, retryAfter).status).toBe(500)
    }),
  )
})

test.each([
  ['20', {}, 20_000],
  ['0', {}, 0],
  ['999999', {}, 300_000],
  [undefined, { details: { retryAfterSeconds: 3 } }, 3_000],
  ['2', { details: { retryAfterSeconds: 3 } }, 2_000],
  [undefined, { details: { retryAfterSeconds: 1e9 } }, 300_000],
  [undefined, { details: { retryAfterSeconds: 'soon' } }, undefined],
  [undefined, { details: { retryAfterSeconds: -5 } }, undefined],
  [undefined, { details: null }, undefined],
  ['Wed, 21 Oct 2026 07:28:00 GMT', {}, undefined],
])('Retry-After %s with %j is %s ms', (header, body, wanted) => {
  expect(error(429, body, header).retryAfterMs).toBe(wanted)
})

test('errors are told apart by status and reason', () => {
  const checks = {
    isAlreadyExists,
    isConflict,
    isForbidden,
    isInvalid,
    isNamespaceTerminating,
    isNotFound,
    isTooNew,
  }
  const kinds = (one: unknown) =>
    Object.entries(checks)
      .filter(([, check]) => check(one))
      .map(([name]) => name)
  expect(kinds(error(404))).toEqual(['isNotFound'])
  expect(kinds(error(409, { reason: 'AlreadyExists' }))).toEqual(['isAlreadyExists'])
  expect(kinds(error(409, { reason: 'Conflict' }))).toEqual(['isConflict'])
  expect(kinds(error(409))).toEqual(['isConflict'])
  expect(kinds(error(413))).toEqual(['isInvalid'])
  expect(kinds(error(422))).toEqual(['isInvalid'])
  expect(kinds(error(403, { message: 'no' }))).toEqual(['isForbidden'])
  expect(kinds(error(403, { message: 'because it is being terminated' }))).toEqual([
    'isForbidden',
    'isNamespaceTerminating',
  ])
  expect(kinds(error(504, { message: 'Too large resource version: 9' }))).toEqual(['isTooNew'])
  expect(kinds(new Error('404'))).toEqual([])
})

test('a refusal by rights, validation or a webhook is one; what may pass is none', () => {
  const refused = [400, 401, 403, 404, 409, 413, 422, 429, 500, 503].filter((status) =>
    isRefused(error(status)),
  )
  expect(refused).toEqual([400, 403, 413, 422])
})
