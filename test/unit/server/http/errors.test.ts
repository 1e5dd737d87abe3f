import { describe, expect, test } from 'vitest'
import { KeyferryError } from '../../../../src/errors.ts'
import { errorAnswer } from '../../../../src/server/http/errors.ts'
import { refuse } from '../../../../src/server/refusals.ts'
import { busy, damaged, unavailable, wrongKey } from '../../../../src/server/store/failures.ts'

const RETRY = 'the store is unavailable, please retry the request'

describe('the answer to an error', () => {
  test.each([
    [refuse(403, 'Authorization: no'), 403, 'Authorization: no', false],
    [damaged('item a'), 500, damaged('item a').message, true],
    [unavailable('/data/secret.sqlite'), 503, RETRY, true],
    [busy('/data/x'), 503, RETRY, true],
    [wrongKey('k'), 503, RETRY, true],
    [
      new SyntaxError('Unexpected token "hunter2"'),
      400,
      'The request body is not valid JSON',
      false,
    ],
    [new Error('hunter2'), 500, 'Something went wrong', true],
    ['hunter2', 500, 'Something went wrong', true],
    [Object.assign(new Error('hunter2'), { statusCode: 415 }), 415, 'Bad request', false],
    [
      Object.assign(new Error('x'), { statusCode: 413, code: 'FST_ERR_CTP_BODY_TOO_LARGE' }),
      413,
      'The request body is too large',
      false,
    ],
    [Object.assign(new Error('x'), { statusCode: 302 }), 500, 'Something went wrong', true],
  ])('%s has a status and a text without what was sent', (error, status, message, ours) => {
    expect(errorAnswer(error)).toEqual({ status, message, ours })
  })

  test('says where input is wrong', () => {
    const finding = { instancePath: '/fields/0/value', message: 'must be string', params: {} }
    const error = Object.assign(new Error('x'), { validation: [finding] })
    expect(errorAnswer(error).message).toBe('Invalid input: /fields/0/value must be string')
  })

  test('of another subsystem does not show its text', () => {
    const error = new KeyferryError('KUBE_CONFIG', { message: 'm', remedy: 'r', retry: 'soon' })
    expect(errorAnswer(error).status).toBe(503)
    expect(errorAnswer(error).message).not.toBe('m')
  })
})
