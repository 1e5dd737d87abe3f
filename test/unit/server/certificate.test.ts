import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { selfSigned } from '../../../src/server/certificate.ts'

const NAMES = ['connect', 'connect.vault.svc', 'localhost']
const DAY_MS = 86_400_000

describe('a certificate that signs itself', () => {
  test.each([
    ['2026-06-01T10:11:12Z', 3_650],
    ['2048-12-31T23:59:59Z', 3_650],
    ['2060-01-01T00:00:00Z', 1],
  ])('made at %s for %i days says so', (date, days) => {
    const from = Date.parse(date)
    const { certificate, privateKey } = selfSigned(NAMES, from, days)
    const parsed = new X509Certificate(certificate)
    expect(parsed.subjectAltName).toBe(NAMES.map((name) => `DNS:${name}`).join(', '))
    expect(parsed.subject).toBe('CN=connect')
    expect(parsed.validFromDate.getTime()).toBe(from - DAY_MS)
    expect(parsed.validToDate.getTime()).toBe(from + days * DAY_MS)
    expect(parsed.verify(parsed.publicKey)).toBe(true)
    expect(Buffer.from(privateKey.reveal()).toString()).toContain('BEGIN PRIVATE KEY')
  })

  test('serves clients that trust it, under its names only', async () => {
    const { certificate, privateKey } = selfSigned(NAMES, Date.now(), 30)
    const server = createServer({ cert: certificate, key: Buffer.from(privateKey.reveal()) })
    server.on('tlsClientError', () => undefined)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const dial = async (servername: string, ca: string) => {
      const socket = connect({ port, host: '127.0.0.1', servername, ca })
      try {
        await once(socket, 'secureConnect')
        return 'trusted'
      } catch (error) {
        return (error as { code: string }).code
      } finally {
        socket.destroy()
      }
    }
    const other = selfSigned(NAMES, Date.now(), 30)
    expect(await dial('localhost', certificate)).toBe('trusted')
    expect(await dial('elsewhere', certificate)).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await dial('localhost', other.certificate)).not.toBe('trusted')
    server.close()
  })

  test('is for as many names as one likes', () => {
    const names = Array.from({ length: 40 }, (_, n) => `a-rather-long-name-${n}.example.org`)
    const { certificate } = selfSigned(names, Date.now(), 1)
    expect(new X509Certificate(certificate).subjectAltName?.split(', ')).toHaveLength(40)
  })
})
