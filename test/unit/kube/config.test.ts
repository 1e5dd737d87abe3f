import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { KeyferryError } from '../../../src/errors.ts'
import { loadAccess } from '../../../src/kube/config.ts'
import { failureOf } from '../../support/failure.ts'

const CANARY = 'canary-7d90be'

let folder: string
const before = { ...process.env }
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-config-'))
})
afterEach(async () => {
  process.env = { ...before }
  await rm(folder, { recursive: true, force: true })
})

interface Kubeconfig {
  readonly cluster?: object
  readonly user?: object
  readonly namespace?: string
}

async function kubeconfig({ cluster, user, namespace }: Kubeconfig = {}): Promise<string> {
  const file = path.join(folder, 'kubeconfig')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: 'https://kube.example:6443/', ...cluster } }],
    users: [{ name: 'u', user: user ?? { token: 'abc' } }],
    contexts: [
      { name: 'x', context: { cluster: 'c', user: 'u', ...(namespace && { namespace }) } },
    ],
    'current-context': 'x',
  }
  await writeFile(file, JSON.stringify(config))
  return file
}

/** What `loadAccess` throws. */
function refusal(file?: string): KeyferryError {
  try {
    loadAccess(file)
  } catch (error) {
    return error as KeyferryError
  }
  throw new Error('it was accepted')
}

test('a kubeconfig says where the server is and which namespace is ours', async () => {
  const { server, namespace } = loadAccess(await kubeconfig({ namespace: 'team' }))
  expect([server, namespace]).toEqual(['https://kube.example:6443', 'team'])
  expect(loadAccess(await kubeconfig()).namespace).toBe('default')
})

test('KUBECONFIG is read without a path', async () => {
  process.env['KUBECONFIG'] = await kubeconfig({ namespace: 'by-environment' })
  expect(loadAccess().namespace).toBe('by-environment')
})

test('a token becomes a header, certificates TLS options', async () => {
  const pem = (text: string) => Buffer.from(text).toString('base64')
  const file = await kubeconfig({
    cluster: { 'certificate-authority-data': pem('CA'), 'tls-server-name': 'kube' },
    user: {
      token: 'abc',
      'client-certificate-data': pem('CERT'),
      'client-key-data': pem('KEY'),
    },
  })
  const { headers, tls } = await loadAccess(file).credentials(false)
  expect(headers).toEqual({ authorization: 'Bearer abc' })
  const { ca, cert, key, servername } = tls
  expect([ca, cert, key, servername].map(String)).toEqual(['CA', 'CERT', 'KEY', 'kube'])
})

test('a name and a password become basic authorization', async () => {
  const file = await kubeconfig({ user: { username: 'me', password: 'pass' } })
  const { headers } = await loadAccess(file).credentials(false)
  expect(headers['authorization']).toBe(`Basic ${Buffer.from('me:pass').toString('base64')}`)
})

test('verification is off only where the kubeconfig says so', async () => {
  const plain = await loadAccess(await kubeconfig()).credentials(false)
  expect(plain.tls.rejectUnauthorized).not.toBe(false)
  const file = await kubeconfig({ cluster: { 'insecure-skip-tls-verify': true } })
  const { tls } = await loadAccess(file).credentials(false)
  expect(tls.rejectUnauthorized).toBe(false)
})

test('a certificate file is read each time, the kubeconfig when it must be fresh', async () => {
  const ca = path.join(folder, 'ca.crt')
  await writeFile(ca, 'one')
  const access = loadAccess(await kubeconfig({ cluster: { 'certificate-authority': ca } }))
  await writeFile(ca, 'two')
  expect(String((await access.credentials(false)).tls.ca)).toBe('two')
  await kubeconfig({ user: { token: 'rotated' } })
  expect((await access.credentials(false)).headers['authorization']).toBe('Bearer abc')
  expect((await access.credentials(true)).headers['authorization']).toBe('Bearer rotated')
})

test('a certificate file that is not there is told by name', async () => {
  const access = loadAccess(await kubeconfig({ cluster: { 'certificate-authority': '/nowhere' } }))
  const error = await failureOf(access.credentials(false))
  expect(error).toMatchObject({ code: 'KUBE_CONFIG', retry: 'soon' })
  expect(error.message).toContain('ENOENT')
  expect(error.message).toContain('/nowhere')
})

test('a kubeconfig that is not there, or has no context, is told', async () => {
  expect(refusal(path.join(folder, 'none'))).toMatchObject({ code: 'KUBE_CONFIG' })
  expect(refusal(path.join(folder, 'none')).message).toContain('ENOENT')
  const file = path.join(folder, 'empty')
  await writeFile(file, '{}')
  expect(refusal(file).message).toBe('the kubeconfig has no current context')
})

test('without any configuration the error says what to set', () => {
  for (const name of ['KUBECONFIG', 'KUBERNETES_SERVICE_HOST']) delete process.env[name]
  process.env['HOME'] = folder
  const error = refusal()
  expect(error.message).toBe(
    'there is no kubeconfig, and this is not a pod with a ServiceAccount token',
  )
  expect(error.remedy).toContain('KUBECONFIG')
})

test.each([
  `users: [{name: u, user: {token: ${CANARY}`,
  `users:\n  - name: u\n    user:\n      token: ${CANARY}\n     client-key-data: ${CANARY}`,
  `token: "${CANARY}\\q"`,
  `a: *${CANARY}`,
  `{"token": "${CANARY}" "b"}`,
  `${CANARY}: 1\n${CANARY}: 2`,
])('a kubeconfig that cannot be parsed is not quoted', async (text) => {
  const file = path.join(folder, 'broken')
  await writeFile(file, text)
  const error = refusal(file)
  expect(error.code).toBe('KUBE_CONFIG')
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(CANARY)
})

test('what a credential plugin prints is not quoted', async () => {
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: ['-e', `console.log('{"token":"${CANARY}" oops')`],
    interactiveMode: 'Never',
  }
  const access = loadAccess(await kubeconfig({ user: { exec } }))
  const error = await failureOf(access.credentials(false))
  expect(error.code).toBe('KUBE_CONFIG')
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(CANARY)
})
