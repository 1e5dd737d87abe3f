import { execFile } from 'node:child_process'
import { readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import path from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import { promisify } from 'node:util'
import { afterEach, describe, expect, test } from 'vitest'
import { call } from '../support/http.ts'
import { keyferry, plainEnv, startProgram } from '../support/program.ts'
import { runToEnd } from '../support/run.ts'
import { tempDir } from '../support/server.ts'

const exec = promisify(execFile)
const dirs: string[] = []

async function aDir(): Promise<string> {
  const dir = await tempDir()
  dirs.push(dir)
  return dir
}

afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true, force: true })
})

/** A self-signed certificate for this machine. */
async function certificate(dir: string, name: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = [path.join(dir, `${name}.crt`), path.join(dir, `${name}.key`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  await exec('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', key, '-out', cert])
  return { cert, key }
}

/** A shell command that runs "$0" "$@" with the directory on a disk of 2 MiB that only it sees. */
function onSmallDisk(dir: string): string {
  const inside = [
    `cp -a ${dir} ${dir}.copy`,
    `mount -t tmpfs -o size=2m,mode=700 tmpfs ${dir}`,
    `cp -a ${dir}.copy/. ${dir}`,
    `rm -r ${dir}.copy`,
    `head -c 1000000 /dev/zero > ${dir}/filler`,
    'exec "$0" "$@"',
  ]
  const asRoot = process.getuid?.() === 0 ? '' : '--map-root-user'
  return `exec unshare ${asRoot} --mount bash -c '${inside.join(' && ')}' "$0" "$@"`
}

/** The common name of the certificate that a server shows. */
function shownName(url: string): Promise<string> {
  const { port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = tlsConnect(
      { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false },
      () => {
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.destroy()
      },
    )
    socket.on('error', reject)
  })
}

describe('keyferry connect', () => {
  test('serves, while vaults and tokens are made, and prints only ids and tokens', async () => {
    const dir = await aDir()
    const server = await startProgram(['--data', dir])
    const vault = await keyferry(['connect', 'vault', 'create', '--data', dir, 'My Vault'])
    expect(vault).toEqual({ code: 0, out: expect.stringMatching(/^[a-z2-7]{26}\n$/), err: '' })
    const args = ['connect', 'token', 'create', '--data', dir, '--vault', 'My Vault=rw']
    const token = await keyferry(args)
    expect(token.code).toBe(0)
    expect(token.err).toBe('')
    expect(token.out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]{86}\n$/)
    const answer = await call(server.url, 'GET', '/v1/vaults', { token: token.out.trim() })
    expect(answer.json()).toMatchObject([{ id: vault.out.trim(), name: 'My Vault' }])
    expect(await server.stop()).toBe(0)
  })

  test('takes commands also where the path of its socket is too long for the kernel', async () => {
    const dir = path.join(await aDir(), 'long'.repeat(20), 'path'.repeat(20))
    const server = await startProgram(['--data', dir])
    const vault = await keyferry(['connect', 'vault', 'create', '--data', dir, 'V'])
    expect(vault).toEqual({ code: 0, out: expect.stringMatching(/^[a-z2-7]{26}\n$/), err: '' })
    expect(await server.stop()).toBe(0)
  })

  test('has the claims of Connect in its tokens', async () => {
    const dir = await aDir()
    const vault = await keyferry(['connect', 'vault', 'create', '--data', dir, 'V'])
    const token = await keyferry([
      'connect',
      'token',
      'create',
      '--data',
      dir,
      '--vault',
      'V=r',
      '--expires',
      '1d',
    ])
    const [header = '', claims = ''] = token.out.split('.')
    const decoded = (part: string): unknown => JSON.parse(Buffer.from(part, 'base64url').toString())
    expect(decoded(header)).toEqual({
      alg: 'ES256',
      kid: expect.stringMatching(/^[a-z2-7]{26}$/),
      typ: 'JWT',
    })
    expect(decoded(claims)).toEqual({
      '1password.com/auuid': expect.stringMatching(/^[A-Z2-7]{26}$/),
      '1password.com/token': expect.stringMatching(/^[\w-]{32}$/),
      '1password.com/fts': ['vaultaccess'],
      '1password.com/vts': [{ u: vault.out.trim(), a: 48 }],
      aud: ['com.1password.connect'],
      iss: 'keyferry',
      sub: expect.stringMatching(/^[A-Z2-7]{26}$/),
      jti: expect.stringMatching(/^[a-z2-7]{26}$/),
      iat: expect.any(Number),
      exp: expect.any(Number),
    })
  })

  test('refuses a store that another server has open, and one made with another key', async () => {
    const dir = await aDir()
    const server = await startProgram(['--data', dir])
    const second = await keyferry(['connect', '--data', dir, '--port', '0'])
    expect(second.code).toBe(1)
    expect(second.err).toContain('another process has the store')
    expect((await call(server.url, 'GET', '/heartbeat')).status).toBe(200)
    await server.stop('SIGKILL')
    // The lock goes with the process: no leftover keeps the next one out.
    const third = await startProgram(['--data', dir])
    await third.stop()
    const env = { OP_STORE_KEY: 'a'.repeat(64) }
    const before = await readFile(path.join(dir, 'connect.sqlite'))
    const wrong = await keyferry(['connect', '--data', dir, '--port', '0'], { env })
    expect(wrong.code).toBe(1)
    expect(wrong.err).toContain('sealed with another key')
    expect((await readFile(path.join(dir, 'connect.sqlite'))).equals(before)).toBe(true)
  })

  test('takes its key from a file or the environment, and then makes none', async () => {
    const dir = await aDir()
    const file = path.join(dir, 'key')
    await writeFile(file, `${Buffer.alloc(32, 7).toString('base64')}\n`)
    const data = ['--data', path.join(dir, 'data')]
    const env = { OP_STORE_KEY_FILE: file }
    expect((await keyferry(['connect', 'vault', 'create', ...data, 'V'], { env })).code).toBe(0)
    const same = { OP_STORE_KEY: Buffer.alloc(32, 7).toString('hex') }
    const list = await keyferry(['connect', 'vault', 'list', ...data], { env: same })
    expect(list.out).toContain(' V\n')
    await expect(readFile(path.join(dir, 'data', 'store.key'))).rejects.toThrow('ENOENT')
    const both = await keyferry(['connect', 'vault', 'list', ...data], { env: { ...env, ...same } })
    expect(both.err).toContain('exclude each other')
    const none = await keyferry(['connect', 'vault', 'list', ...data])
    expect(none.err).toContain('its key file is missing')
  })

  test.each([
    [['--port', 'http'], {}, '--port (OP_HTTP_PORT) must be a whole number from 0 to 65535'],
    [[], { OP_HTTP_PORT: '99999' }, '--port (OP_HTTP_PORT) must be a whole number from 0 to 65535'],
    [[], { OP_LOG_LEVEL: 'loud' }, '--log-level (OP_LOG_LEVEL) must be one of'],
    [[], { OP_TLS_CERT_FILE: '/x' }, 'OP_TLS_CERT_FILE and OP_TLS_KEY_FILE go together'],
    [[], { OP_STORE_KEY: 'short' }, 'OP_STORE_KEY holds no key'],
    [['--store', 'mysql://x'], {}, '--store (OP_STORE_URL) must begin with postgres://'],
    [['--store', 'postgres://127.0.0.1:1/x'], {}, 'PostgreSQL cannot be reached'],
  ])('stops with one sentence for %j %j', async (args, env, message) => {
    const ran = await keyferry(['connect', '--data', await aDir(), ...args], { env })
    expect(ran.code).toBe(1)
    expect(ran.err).toContain(message)
    expect(ran.err.trim().split('\n').length).toBeLessThanOrEqual(2)
  })

  test('finishes what it is answering before it stops', async () => {
    const dir = await aDir()
    const server = await startProgram(['--data', dir])
    const vault = await keyferry(['connect', 'vault', 'create', '--data', dir, 'V'])
    const made = await keyferry(['connect', 'token', 'create', '--data', dir, '--vault', 'V=rw'])
    const { hostname, port } = new URL(server.url)
    const body = JSON.stringify({ title: 'late', category: 'SERVER' })
    let stopped: Promise<number> | undefined
    const answered = new Promise<number>((resolve, reject) => {
      const late = request(
        {
          hostname,
          port,
          method: 'POST',
          path: `/v1/vaults/${vault.out.trim()}/items`,
          headers: {
            Authorization: `Bearer ${made.out.trim()}`,
            'Content-Length': body.length,
            'Content-Type': 'application/json',
          },
        },
        (response) => resolve(response.statusCode ?? 0),
      )
      late.on('error', reject)
      // Half of the body before the signal, half after it.
      late.write(body.slice(0, 10), () => {
        stopped = server.stop()
        const wait = setInterval(() => {
          if (!server.output().includes('stopping')) return
          clearInterval(wait)
          late.end(body.slice(10))
        }, 10)
      })
    })
    expect(await answered).toBe(200)
    expect(await stopped).toBe(0)
    expect(server.output()).toContain('stopped')
    const list = await keyferry(['connect', 'vault', 'list', '--data', dir, '--output', 'json'])
    expect(JSON.parse(list.out)).toMatchObject([{ active: 1 }])
  })

  test('speaks TLS, and takes a renewed certificate without a restart', async () => {
    const dir = await aDir()
    const [one, two] = [await certificate(dir, 'one'), await certificate(dir, 'two')]
    const [cert, key] = [path.join(dir, 'tls.crt'), path.join(dir, 'tls.key')]
    const point = async (to: { cert: string; key: string }) => {
      await rm(cert, { force: true })
      await rm(key, { force: true })
      await symlink(to.cert, cert)
      await symlink(to.key, key)
    }
    await point(one)
    const env = { OP_TLS_CERT_FILE: cert, OP_TLS_KEY_FILE: key, OP_HTTPS_PORT: '0' }
    const server = await startProgram(['--data', path.join(dir, 'data')], env)
    expect(server.url).toMatch(/^https:/)
    const ca = await readFile(one.cert)
    expect((await call(server.url, 'GET', '/heartbeat', { ca })).text).toBe('.')
    expect(await shownName(server.url)).toBe('one')
    // A pair that does not fit changes nothing.
    await rm(cert)
    await symlink(two.cert, cert)
    await expect.poll(() => server.output(), { timeout: 20_000 }).toContain('keeping the old ones')
    expect(await shownName(server.url)).toBe('one')
    await point(two)
    await expect.poll(() => shownName(server.url), { timeout: 20_000 }).toBe('two')
    await server.stop()
  })

  test('warns when it listens beyond this machine without TLS', async () => {
    const server = await startProgram(['--data', await aDir(), '--host', '0.0.0.0'])
    await expect.poll(() => server.output(), { timeout: 5_000 }).toContain('without TLS')
    await server.stop()
  })

  test('goes on reading when writing fails, and says so', async () => {
    const dir = await aDir()
    const vault = (await keyferry(['connect', 'vault', 'create', '--data', dir, 'V'])).out.trim()
    const made = await keyferry(['connect', 'token', 'create', '--data', dir, '--vault', 'V=rw'])
    const token = made.out.trim()
    // The kernel refuses to let any file of the process grow beyond this.
    const limit = `ulimit -f 400; exec "$0" "$@"`
    const server = await startProgram(['--data', dir], { KEYFERRY_SHELL: limit })
    const items = `/v1/vaults/${vault}/items`
    const body = {
      title: 'x',
      category: 'SERVER',
      fields: [{ label: 'a', value: 'b'.repeat(20_000) }],
    }
    const statuses = new Set<number>()
    let stored = 0
    for (let n = 0; n < 200 && !statuses.has(503); n++) {
      const { status } = await call(server.url, 'POST', items, { token, body })
      statuses.add(status)
      if (status === 200) stored += 1
    }
    expect(statuses).toEqual(new Set([200, 503]))
    const list = await call(server.url, 'GET', items, { token })
    expect(list.status).toBe(200)
    expect(list.json<object[]>()).toHaveLength(stored)
    const health = await call(server.url, 'GET', '/health')
    expect(health.status).toBe(200)
    expect(health.text).toContain('READ_ONLY')
    expect((await call(server.url, 'POST', items, { token, body })).status).toBe(503)
    await server.stop()
    const again = await startProgram(['--data', dir])
    expect((await call(again.url, 'GET', items, { token })).json<object[]>()).toHaveLength(stored)
    expect((await call(again.url, 'POST', items, { token, body })).status).toBe(200)
    await again.stop()
  })

  test('refuses writes while the disk is full, and takes them again once there is room', async () => {
    const dir = await aDir()
    const data = ['--data', dir]
    const vault = (await keyferry(['connect', 'vault', 'create', ...data, 'V'])).out.trim()
    const made = await keyferry(['connect', 'token', 'create', ...data, '--vault', 'V=rw'])
    const token = made.out.trim()
    const server = await startProgram(data, { KEYFERRY_SHELL: onSmallDisk(dir) })
    const items = `/v1/vaults/${vault}/items`
    const value = 'b'.repeat(20_000)
    const body = { title: 'x', category: 'SERVER', fields: [{ label: 'a', value }] }
    const post = async () => (await call(server.url, 'POST', items, { token, body })).status
    const listed = async () =>
      (await call(server.url, 'GET', items, { token })).json<object[]>().length
    let stored = 0
    while ((await post()) === 200) stored += 1
    expect(stored).toBeGreaterThan(3)
    expect(await post()).toBe(503)
    expect(await listed()).toBe(stored)
    const health = async () => (await call(server.url, 'GET', '/health')).text
    expect(await health()).toContain('No space is left')
    // Its view of the directory, which is not that of this process.
    await rm(`/proc/${server.child.pid}/root${dir}/filler`)
    expect(await post()).toBe(200)
    expect(await listed()).toBe(stored + 1)
    expect(await health()).not.toContain('READ_ONLY')
    expect(await server.stop()).toBe(0)
  })

  test('shows its help without a store, with examples', async () => {
    const program = await keyferry(['connect', 'token', 'create', '--help'])
    expect(program.code).toBe(0)
    expect(program.out).toContain('keyferry connect token create --vault Production=rw')
    expect(program.out).toContain('--data <dir>')
    const { code } = await runToEnd(process.execPath, ['--version'], { env: plainEnv() })
    expect(code).toBe(0)
  })
})
