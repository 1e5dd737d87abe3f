import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { run } from '../support/processes.ts'
import { testServer } from '../support/server.ts'

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const CONSUMER = path.join(ROOT, 'test/contract/library/consumer.ts')
const TSC = path.join(ROOT, 'node_modules/typescript/bin/tsc')

/** A project that has the package, and its dependencies, in node_modules as npm puts them there. */
async function aProject(): Promise<AsyncDisposable & { readonly dir: string }> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'keyferry-library-'))
  await mkdir(path.join(dir, 'node_modules/@types'), { recursive: true })
  const installed = path.join(dir, 'node_modules/keyferry')
  await mkdir(installed)
  await cp(path.join(ROOT, 'dist'), path.join(installed, 'dist'), { recursive: true })
  await cp(path.join(ROOT, 'package.json'), path.join(installed, 'package.json'))
  const { dependencies } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const names = [
    ...Object.keys(dependencies).filter((name) => !name.startsWith('@')),
    '@types/node',
  ]
  for (const name of names) {
    await symlink(path.join(ROOT, 'node_modules', name), path.join(dir, 'node_modules', name))
  }
  await cp(CONSUMER, path.join(dir, 'consumer.ts'))
  await writeFile(path.join(dir, 'package.json'), '{ "type": "module" }')
  const compilerOptions = { strict: true, module: 'nodenext', target: 'es2024', types: ['node'] }
  await writeFile(path.join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) }
}

test('a program in TypeScript uses all operations and the mapping of the package', async () => {
  await using server = await testServer()
  await using project = await aProject()
  const vault = await server.admin.createVault('Library')
  const token = await server.token({ [vault.id]: 'rw' })
  const items = `/v1/vaults/${vault.id}/items`
  const body = { title: 'with file', category: 'SERVER' }
  const { id } = (await server.call('POST', items, { token, body })).json<{ id: string }>()
  await server.admin.addFile({
    vault: vault.id,
    item: id,
    name: 'foo.txt',
    content: Buffer.from('hello'),
  })

  await run(process.execPath, [TSC, '-p', '.'], { cwd: project.dir })
  const printed = await run(process.execPath, ['consumer.js'], {
    cwd: project.dir,
    env: { OP_CONNECT_HOST: server.url, OP_CONNECT_TOKEN: token, FILE_ITEM: id },
  })

  const seen = JSON.parse(printed) as Record<string, unknown>
  const { password } = seen
  expect(password).toMatch(/^\d{20}$/)
  expect(seen['printed']).not.toContain(password)
  expect(seen).toMatchObject({
    created: 'Database',
    section: 'more',
    versions: [1, 1, 2],
    kept: password,
    port: '6543',
    found: ['Database 2'],
    file: ['foo.txt', 'hello', 5, 'hello'],
    keys: ['password', 'port', 'url', 'username'],
    url: 'postgres://wendy@db',
    gone: true,
    aborted: 'AbortError',
    activity: [
      ['DELETE', 'SUCCESS'],
      ['READ', 'SUCCESS'],
      ['READ', 'SUCCESS'],
    ],
    health: true,
    metrics: true,
  })
})
