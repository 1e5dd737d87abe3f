import { describe, expect, test } from 'vitest'
import { type ConnectFlags, serverOptions } from '../../../src/cli/connect-settings.ts'
import { parseExpiry, parseRight } from '../../../src/cli/connect-tokens.ts'

const flags: ConnectFlags = {
  host: '127.0.0.1',
  logLevel: 'info',
  maxInlineFileSizeKb: '100',
  maxBodyKb: '4096',
  maxConnections: '1024',
}
const options = (more: Partial<ConnectFlags>, env: NodeJS.ProcessEnv = {}) =>
  serverOptions({ ...flags, ...more }, env)

describe('the settings of the server', () => {
  test('have the defaults of Connect, on this machine only', () => {
    expect(options({}, { XDG_DATA_HOME: '/xdg' })).toEqual({
      store: {
        dir: '/xdg/keyferry/connect',
        key: { kind: 'managed', dir: '/xdg/keyferry/connect' },
      },
      host: '127.0.0.1',
      port: 8080,
      logLevel: 'info',
      maxInlineBytes: 102_400,
      maxBodyBytes: 4_194_304,
      maxConnections: 1024,
    })
  })

  test('take the HTTPS port when there is a certificate', () => {
    const tls = { tlsCertFile: 'c', tlsKeyFile: 'k' }
    expect(options(tls)).toMatchObject({ port: 8443, tls: { certFile: 'c', keyFile: 'k' } })
    expect(options({ ...tls, port: '1', httpsPort: '2' }).port).toBe(2)
  })

  test('count an empty variable as unset', () => {
    expect(options({ port: '', data: '/d', storeKeyFile: '' }, { OP_STORE_KEY: '' })).toMatchObject(
      {
        port: 8080,
        store: { dir: '/d', key: { kind: 'managed', dir: '/d' } },
      },
    )
  })

  test('name the key by file or text', () => {
    const file = options({ data: '/d', storeKeyFile: '/k' }).store.key
    expect(file).toEqual({ kind: 'file', file: '/k' })
    const text = options({ data: '/d' }, { OP_STORE_KEY: 'abc' }).store.key
    expect(text).toMatchObject({ kind: 'text' })
    expect(JSON.stringify(text)).not.toContain('abc')
  })

  test.each([
    [{ port: '-1' }, '--port (OP_HTTP_PORT)'],
    [{ port: '1.5' }, '--port (OP_HTTP_PORT)'],
    [{ httpsPort: '70000', tlsCertFile: 'c', tlsKeyFile: 'k' }, '--https-port (OP_HTTPS_PORT)'],
    [{ tlsKeyFile: 'k' }, 'OP_TLS_CERT_FILE and OP_TLS_KEY_FILE'],
    [{ logLevel: 'silly' }, '--log-level (OP_LOG_LEVEL)'],
    [{ maxInlineFileSizeKb: 'x' }, 'OP_MAX_INLINE_FILE_SIZE_KB'],
    [{ maxConnections: '0' }, '--max-connections'],
    [{ store: 'sqlite://x' }, '--store (OP_STORE_URL)'],
  ])('that make no sense stop with their name: %j', (more, name) => {
    expect(() => options(more)).toThrow(name)
  })
})

describe('the rights of a token', () => {
  test.each([
    ['A=r', ['A', 'r']],
    ['My Vault=rw', ['My Vault', 'rw']],
    ['a=b=w', ['a=b', 'w']],
  ])('%s are read', (text, expected) => {
    expect(parseRight(text)).toEqual(expected)
  })

  test.each(['A', 'A=', '=r', 'A=x', 'A=wr', ''])('%j are refused', (text) => {
    expect(() => parseRight(text)).toThrow('names no right')
  })
})

describe('the end of a token', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')

  test.each([
    ['90d', '2026-04-01T00:00:00Z'],
    ['12h', '2026-01-01T12:00:00Z'],
    ['5m', '2026-01-01T00:05:00Z'],
    ['2w', '2026-01-15T00:00:00Z'],
    ['2027-01-31', '2027-01-31T00:00:00Z'],
    ['2027-01-31T10:00:00+02:00', '2027-01-31T08:00:00Z'],
  ])('%s is %s', (text, date) => {
    expect(parseExpiry(text, now)).toBe(Date.parse(date) / 1000)
  })

  test.each(['soon', '', '1y', '-1d', '5', 'Jan 1 2027', '2027-13-01'])('%j is refused', (text) => {
    expect(() => parseExpiry(text, now)).toThrow('is no date')
  })

  test.each(['0d', '2025-12-31'])('%s has passed', (text) => {
    expect(() => parseExpiry(text, now)).toThrow('has passed')
  })
})
