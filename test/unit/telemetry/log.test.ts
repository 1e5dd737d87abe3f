import { expect, test } from 'vitest'
import { SecretValue } from '../../../src/connect/secret-value.ts'
import { KeyferryError } from '../../../src/errors.ts'
import { createLog, type LogOptions } from '../../../src/telemetry/log.ts'

const CANARY = 'canary-48d2f7'

function aLog(options: Partial<LogOptions> = {}) {
  const lines: string[] = []
  const log = createLog(
    { level: 'trace', format: 'json', ...options },
    { write: (line) => void lines.push(line) },
  )
  const last = () => JSON.parse(lines.at(-1) ?? '{}') as Record<string, unknown>
  return { log, lines, last }
}

const failure = new KeyferryError('CONNECT_UNAUTHORIZED', {
  message: 'vaults: Connect answered 401',
  remedy: 'Check OP_CONNECT_TOKEN.',
  retry: 'soon',
  status: 401,
  cause: Object.assign(new Error(CANARY), { headers: { authorization: CANARY } }),
})

function parserError(): unknown {
  try {
    return JSON.parse(`${CANARY} {"value": "${CANARY}"}`)
  } catch (error) {
    return error
  }
}

test('a line of JSON has time, level and message', () => {
  const { log, last } = aLog()
  log.info({ resource: 'team/db' }, 'Secret written')
  expect(last()).toEqual({
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    level: 'info',
    resource: 'team/db',
    msg: 'Secret written',
  })
})

test('what is below the level is not logged', () => {
  const { log, lines } = aLog({ level: 'warn' })
  log.info('quiet')
  log.warn('loud')
  expect(lines).toHaveLength(1)
})

test.each([
  ['error', () => ({ error: failure })],
  ['err', () => ({ err: failure })],
])('an error under "%s" is told by code, message and remedy', (name, fields) => {
  const { log, last } = aLog()
  log.error(fields(), 'failed')
  expect(last()[name]).toEqual({
    code: 'CONNECT_UNAUTHORIZED',
    message: 'vaults: Connect answered 401',
    remedy: 'Check OP_CONNECT_TOKEN.',
    status: 401,
  })
})

test('an error that is logged on its own is told in the same way', () => {
  const { log, last } = aLog()
  log.error(failure)
  expect(last()['error']).toMatchObject({ code: 'CONNECT_UNAUTHORIZED' })
})

test('an unexpected error is told by its stack, what is no error by nothing', () => {
  const { log, last } = aLog()
  log.error({ error: new TypeError('no such member') }, 'crash')
  expect(last()['error']).toMatchObject({
    name: 'TypeError',
    stack: expect.stringMatching(/^TypeError: no such member\n {4}at /),
  })
  log.error({ error: CANARY }, 'crash')
  expect(last()['error']).toEqual({ name: 'unknown' })
})

test('what a parser quotes is left out, where it happened is told', () => {
  const { log, last, lines } = aLog()
  log.error({ error: parserError() }, 'crash')
  expect(last()['error']).toMatchObject({
    name: 'SyntaxError',
    stack: expect.stringContaining('parserError'),
  })
  expect(lines.join('')).not.toContain(CANARY)
})

const secret = SecretValue.fromText(CANARY)
const bytes = Buffer.from(CANARY)

test.each(['json', 'text'] as const)('no way of logging a secret as %s shows it', (format) => {
  const { log, lines } = aLog({ format })
  log.info({ secret }, 'a member')
  log.info({ deep: { deeper: [{ deepest: secret }] } }, 'far down')
  log.info({ map: Object.fromEntries([['password', secret]]) })
  log.info('interpolated %s %o %j %O', secret, secret, secret, { secret })
  log.child({ secret }).info('bound')
  log.info(secret)
  log.info(failure)
  log.warn({ error: failure, err: failure }, 'failed')
  log.error({ error: parserError() }, 'crash')
  for (const name of ['token', 'password', 'value', 'data', 'authorization']) {
    log.info({ [name]: CANARY }, name)
    log.info({ body: { [name]: CANARY } }, name)
  }
  const text = lines.join('')
  expect(lines).toHaveLength(19)
  expect(text).toContain('[redacted]')
  expect(text).not.toContain(CANARY)
  expect(text).not.toContain(bytes.toString('base64'))
  expect(text).not.toContain([...bytes].join(','))
})

test('a line of text is for people', () => {
  const { log, lines } = aLog({ format: 'text' })
  log.warn({ resource: 'team/db', n: 3, words: 'two words', list: ['a'], error: failure }, 'failed')
  expect(lines[0]).toMatch(
    /^\d\d:\d\d:\d\d WARN {2}failed resource=team\/db n=3 words="two words" list=\["a"\] error="vaults: Connect answered 401"\n$/,
  )
})

test('a line of text stays one line that moves no cursor, whatever it tells', () => {
  const { log, lines } = aLog({ format: 'text' })
  const nasty = 'a\nb\u001b[2J\u0085\u202ec\u2028d'
  log.info({ nasty, plain: 'x\u001b[2J' }, nasty)
  expect(lines[0]?.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u)
  expect(lines[0]).toContain('\\u{1b}[2J')
})
