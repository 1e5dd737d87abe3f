import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { KeyferryError } from '../../../src/errors.ts'
import { loadAccess } from '../../../src/kube/config.ts'
import { inCluster } from '../../../src/kube/kubeconfig.ts'
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
  expect(refusal(file).message).toBe('cannot read the kubeconfig: it has no current context')
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

test('a token file goes before a token, starts where the kubeconfig is, and is read each time', async () => {
  await writeFile(path.join(folder, 'token'), 'from-file\n')
  const access = loadAccess(await kubeconfig({ user: { token: 'abc', tokenFile: 'token' } }))
  const authorization = async () => (await access.credentials(false)).headers['authorization']
  expect(await authorization()).toBe('Bearer from-file')
  await writeFile(path.join(folder, 'token'), 'next')
  expect(await authorization()).toBe('Bearer next')
})

test('of several files in KUBECONFIG the first that names something counts', async () => {
  const one = await kubeconfig({ namespace: 'one' })
  const other = path.join(folder, 'other')
  const text = await readFile(one, 'utf8')
  await writeFile(other, text.replaceAll('one', 'two').replaceAll('abc', 'other-token'))
  const missing = path.join(folder, 'missing')
  process.env['KUBECONFIG'] = [missing, one, other].join(path.delimiter)
  const access = loadAccess()
  expect(access.namespace).toBe('one')
  expect((await access.credentials(false)).headers['authorization']).toBe('Bearer abc')
  // Parts of one context may stand in several files.
  await writeFile(one, 'current-context: x')
  expect(loadAccess().namespace).toBe('two')
})

test('whom we act as is told to the server', async () => {
  const file = await kubeconfig({ user: { token: 'abc', as: 'somebody' } })
  const { headers } = await loadAccess(file).credentials(false)
  expect(headers).toEqual({ authorization: 'Bearer abc', 'impersonate-user': 'somebody' })
})

test('nothing is sent in the clear, unless the kubeconfig says so', async () => {
  const cluster = { server: 'http://kube.example:8080' }
  expect(refusal(await kubeconfig({ cluster })).message).toContain('not https')
  const file = await kubeconfig({ cluster: { ...cluster, 'insecure-skip-tls-verify': true } })
  expect(loadAccess(file).server).toBe('http://kube.example:8080')
})

test.each([
  ['no server', { cluster: { server: undefined } }, 'no server'],
  ['a server that is no URL', { cluster: { server: 'kube' } }, 'no server that is a URL'],
  ['a plugin without a command', { user: { exec: {} } }, 'no command'],
  ['a provider that Kubernetes took away', { user: { 'auth-provider': { name: 'gcp' } } }, 'gcp'],
])('a kubeconfig with %s is refused', async (_what, config, reason) => {
  expect(refusal(await kubeconfig(config)).message).toContain(reason)
})

test('a context that names what is not there is refused', async () => {
  const file = await kubeconfig()
  const text = await readFile(file, 'utf8')
  for (const [name, reason] of [
    ['"cluster":"c"', 'a cluster that is not there'],
    ['"user":"u"', 'a user that is not there'],
  ] as const) {
    await writeFile(file, text.replace(name, name.replace(/"\w"$/, '"z"')))
    expect(refusal(file).message).toContain(reason)
  }
  await writeFile(file, text.replace('"name":"u",', ''))
  expect(refusal(file).message).toContain('users has no name')
})

describe('a credential plugin', () => {
  /** A plugin that prints `status` and counts its runs in a file. */
  async function plugin(status: object, more: object = {}) {
    const program = path.join(folder, 'plugin.mjs')
    const printed = JSON.stringify({ kind: 'ExecCredential', status })
    await writeFile(
      program,
      `import { appendFileSync } from 'node:fs'
       appendFileSync(process.argv[2], process.env.KUBERNETES_EXEC_INFO + process.env.EXTRA)
       appendFileSync(process.argv[2], '\\n')
       console.log(${JSON.stringify(printed)})`,
    )
    const calls = path.join(folder, 'calls')
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: process.execPath,
      args: [program, calls],
      env: [{ name: 'EXTRA', value: 'extra' }],
      ...more,
    }
    const told = async () => (await readFile(calls, 'utf8')).trim().split('\n')
    return { exec, told }
  }

  test('gives a token until it expires, or the server refuses it', async () => {
    const { exec, told } = await plugin({ token: 'from-plugin' })
    const access = loadAccess(await kubeconfig({ user: { exec } }))
    for (let n = 0; n < 3; n += 1) {
      const { headers } = await access.credentials(false)
      expect(headers['authorization']).toBe('Bearer from-plugin')
    }
    expect(await told()).toHaveLength(1)
    await access.credentials(true)
    expect(await told()).toHaveLength(2)
  })

  test('runs again when what it gave has expired', async () => {
    const { exec, told } = await plugin({ token: 't', expirationTimestamp: '2020-01-01T00:00:00Z' })
    const access = loadAccess(await kubeconfig({ user: { exec } }))
    await access.credentials(false)
    await access.credentials(false)
    expect(await told()).toHaveLength(2)
  })

  test('gives a certificate, and is told what it is for', async () => {
    const status = { clientCertificateData: 'CERT', clientKeyData: 'KEY' }
    const { exec, told } = await plugin(status, { provideClusterInfo: true })
    const cluster = { 'certificate-authority-data': 'Q0E=', 'tls-server-name': 'kube' }
    const { tls } = await loadAccess(await kubeconfig({ cluster, user: { exec } })).credentials(
      false,
    )
    expect([tls.cert, tls.key]).toEqual(['CERT', 'KEY'])
    const [line = ''] = await told()
    expect(line).toMatch(/extra$/)
    expect(JSON.parse(line.replace(/extra$/, ''))).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: {
        interactive: false,
        cluster: { server: 'https://kube.example:6443/', ...cluster },
      },
    })
  })

  test('given by a path starts where the kubeconfig is', async () => {
    await mkdir(path.join(folder, 'bin'))
    const script = path.join(folder, 'bin', 'auth')
    await writeFile(script, '#!/bin/sh\necho \'{"status":{"token":"near"}}\'\n')
    await chmod(script, 0o755)
    const file = await kubeconfig({ user: { exec: { command: './bin/auth' } } })
    const { headers } = await loadAccess(file).credentials(false)
    expect(headers['authorization']).toBe('Bearer near')
  })

  test.each([
    [
      { command: 'no-such-program', installHint: 'Get it from example.com.' },
      'Get it from example',
    ],
    [
      { command: process.execPath, args: ['-e', 'console.error("log in"); process.exit(3)'] },
      '3: log in',
    ],
    [
      { command: process.execPath, args: ['-e', 'console.log("{}")'] },
      'neither token nor certificate',
    ],
    [
      { command: process.execPath, args: ['-e', 'console.log("null")'] },
      'neither token nor certificate',
    ],
  ])('that fails is told of, and tried again', async (exec, reason) => {
    const access = loadAccess(await kubeconfig({ user: { exec } }))
    for (let n = 0; n < 2; n += 1) {
      const error = await failureOf(access.credentials(false))
      expect(error).toMatchObject({ code: 'KUBE_CONFIG', retry: 'soon' })
      expect(error.message).toContain(reason)
    }
  })
})

describe('the auth-provider oidc', () => {
  const jwt = (exp: number) =>
    ['{}', JSON.stringify({ exp }), CANARY]
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.')
  const user = (token: string) => ({
    'auth-provider': { name: 'oidc', config: { 'id-token': token } },
  })

  test('gives the token that kubectl stored, as long as it is good', async () => {
    const token = jwt(4_000_000_000)
    const { headers } = await loadAccess(await kubeconfig({ user: user(token) })).credentials(false)
    expect(headers['authorization']).toBe(`Bearer ${token}`)
  })

  test.each([jwt(1), 'no-jwt', 'a.b.c'])('says who renews it', async (token) => {
    const access = loadAccess(await kubeconfig({ user: user(token) }))
    const error = await failureOf(access.credentials(false))
    expect(error.message).toContain('kubectl renews it')
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(token)
  })
})

describe('a pod', () => {
  const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' }

  test('uses its ServiceAccount', async () => {
    await writeFile(path.join(folder, 'token'), 'abc')
    await writeFile(path.join(folder, 'namespace'), 'mine\n')
    expect(inCluster(env, folder)).toMatchObject({
      namespace: 'mine',
      cluster: { server: 'https://[fd00::1]:443', ca: { file: path.join(folder, 'ca.crt') } },
      user: { token: { file: path.join(folder, 'token') } },
    })
  })

  test('without a token, and a process that is no pod, have none', async () => {
    expect(inCluster(env, folder)).toBeUndefined()
    await writeFile(path.join(folder, 'token'), 'abc')
    expect(inCluster({}, folder)).toBeUndefined()
  })
})
