import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { aptInstall } from './apt.ts'
import { CERTIFICATE, PRIVATE_KEY } from './certificate.ts'
import { freePort } from './processes.ts'
import { ended, run } from './run.ts'

/** A PostgreSQL server of the tests' own, with nothing in it. */
export interface TestPostgres extends AsyncDisposable {
  /** URL of a new, empty database. */
  database(): Promise<string>
  /** Port and folder of the server's sockets. */
  readonly port: number
  readonly dir: string
  /** Stops the server at once, as a crash would. */
  crash(): Promise<void>
  start(): Promise<void>
}

const DEBIAN_DIR = '/usr/lib/postgresql'
/** The password of the users that need one. */
export const PASSWORD = "pass:w/örd'%"
/** How users are let in; anybody else without more ado. */
const ACCESS = `host all scram all scram-sha-256
host all hashed all md5
host all plain all password
hostssl all encrypted all trust
host all encrypted all reject
host all all all trust
local all all trust
`
/** PostgreSQL refuses to run as root. */
const USER = 'nobody'

export async function testPostgres(): Promise<TestPostgres> {
  const bin = await findPostgres()
  const dir = await mkdtemp(path.join(os.tmpdir(), 'keyferry-postgres-'))
  await chmod(dir, 0o755)
  const data = path.join(dir, 'data')
  const owner = await ownerOf(dir)
  const initdb = ['-D', data, '-U', 'keyferry', '--auth=trust', '--no-sync', '-E', 'UTF8']
  await run(...owner.as(path.join(bin, 'initdb'), initdb))
  await writeFile(path.join(data, 'pg_hba.conf'), ACCESS)
  await writeFile(path.join(data, 'server.crt'), CERTIFICATE)
  await owner.give(path.join(data, 'server.key'), PRIVATE_KEY)
  const port = await freePort()
  const settings = {
    ssl: 'on',
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: dir,
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])

  let server: ReturnType<typeof spawn> | undefined
  const start = async () => {
    const [command, args] = owner.as(path.join(bin, 'postgres'), ['-D', data, ...flags])
    server = spawn(command, args, { stdio: 'ignore' })
    for (let tries = 0; ; tries++) {
      if (await query(bin, port, 'postgres', 'SELECT 1').catch(() => undefined)) return
      if (tries > 1_200) throw new Error('PostgreSQL did not start within 120 s')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  const stop = async (signal: NodeJS.Signals) => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const end = ended(server)
    server.kill(signal)
    await end
  }
  await start()
  const quoted = `'${PASSWORD.replaceAll("'", "''")}'`
  await query(
    bin,
    port,
    'postgres',
    `SET password_encryption='md5'; CREATE ROLE hashed LOGIN PASSWORD ${quoted}`,
  )
  for (const user of ['scram', 'plain', 'encrypted']) {
    await query(bin, port, 'postgres', `CREATE ROLE ${user} LOGIN PASSWORD ${quoted}`)
  }
  let databases = 0
  return {
    start,
    port,
    dir,
    async database() {
      const name = `test${++databases}`
      await query(bin, port, 'postgres', `CREATE DATABASE ${name}`)
      return `postgres://keyferry@127.0.0.1:${port}/${name}`
    },
    crash: () => stop('SIGQUIT'),
    async [Symbol.asyncDispose]() {
      await stop('SIGINT')
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function query(bin: string, port: number, database: string, sql: string): Promise<string> {
  const psql = path.join(bin, 'psql')
  return run(psql, [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-U',
    'keyferry',
    '-qAtc',
    sql,
    database,
  ])
}

/** The folder of initdb and postgres: Debian's, else the search path's, else installed now. */
async function findPostgres(): Promise<string> {
  const found = await installed()
  if (found) return found
  await aptInstall('postgresql', 'install it, or set KEYFERRY_SKIP=postgres')
  const now = await installed()
  if (now) return now
  throw new Error('PostgreSQL was installed but its programs are not where Debian puts them')
}

async function installed(): Promise<string | undefined> {
  const versions = await readdir(DEBIAN_DIR).catch(() => [])
  const newest = versions.toSorted((a, b) => Number(b) - Number(a))
  const folders = [
    ...newest.map((version) => path.join(DEBIAN_DIR, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(path.delimiter),
  ]
  return folders.find((folder) =>
    ['initdb', 'postgres', 'psql'].every((program) => existsSync(path.join(folder, program))),
  )
}

interface Owner {
  as(command: string, args: readonly string[]): [string, string[]]
  /** Writes a file that only the owner may read. */
  give(file: string, content: string): Promise<void>
}

async function ownerOf(dir: string): Promise<Owner> {
  const give = (file: string, content: string) => writeFile(file, content, { mode: 0o600 })
  if (process.getuid?.() !== 0) return { as: (command, args) => [command, [...args]], give }
  const id = async (flag: string) => Number(await run('id', [flag, USER]))
  const [uid, gid] = await Promise.all([id('-u'), id('-g')])
  await chown(dir, uid, gid)
  const prefix = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--']
  return {
    as: (command, args) => ['setpriv', [...prefix, command, ...args]],
    async give(file, content) {
      await give(file, content)
      await chown(file, uid, gid)
    },
  }
}
