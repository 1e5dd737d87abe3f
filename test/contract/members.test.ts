import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import document from '../../src/server/openapi.json' with { type: 'json' }
import { run } from '../support/run.ts'
import { tempDir, type TestServer, testServer } from '../support/server.ts'
import connect from '../unit/server/connect-1.5.7.json' with { type: 'json' }

const ROOT = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))))
/** Members that only requests have: the value that they make is the answer. */
const REQUEST_ONLY = new Set(['Field.generate', 'Field.recipe'])

/** Members of each schema of Connect, its own and those of the objects inside it. */
function membersOf(schema: Readonly<Record<string, unknown>>, at: string): string[] {
  const {
    properties = {},
    items,
    allOf = [],
  } = schema as {
    properties?: Record<string, Record<string, unknown>>
    items?: Record<string, unknown>
    allOf?: Record<string, unknown>[]
  }
  return [
    ...Object.entries(properties).flatMap(([name, inner]) => [
      `${at}.${name}`,
      ...membersOf(inner, `${at}.${name}`),
    ]),
    ...(items ? membersOf(items, at) : []),
    ...allOf.flatMap((part) => membersOf(part, at)),
  ]
}

/** Where values were seen, with the name of the schema they belong to at the front. */
function seenIn(value: unknown, at: string, seen: Set<string>): void {
  if (Array.isArray(value)) {
    for (const entry of value) seenIn(entry, at, seen)
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, inner] of Object.entries(value)) {
      seen.add(`${at}.${name}`)
      seenIn(inner, `${at}.${name}`, seen)
    }
  }
}

describe('every member of every schema', () => {
  let server: TestServer
  let token: string
  let vault: string
  const seen = new Set<string>()
  const answers: [schema: string, body: unknown][] = []

  const get = async (target: string, schema: string, options = {}) => {
    const answer = await server.call('GET', target, { token, ...options })
    const body: unknown = answer.json()
    answers.push([schema, body])
    return body
  }

  beforeAll(async () => {
    server = await testServer()
    vault = (await server.admin.createVault('V', 'described')).id
    token = await server.token({ V: 'rw' })
    const items = `/v1/vaults/${vault}/items`
    await server.admin.importVaults(
      [
        {
          name: 'V',
          items: [
            {
              id: 'a'.repeat(26),
              state: 'ARCHIVED',
              input: { title: 'old', category: 'LOGIN' },
              files: [],
            },
          ],
        },
      ],
      false,
    )
    const made = await server.call('POST', items, { token, body: WHOLE })
    const { id } = made.json<{ id: string }>()
    const upload = { vault, item: id, name: 'f', section: 'S', content: Buffer.from('x') }
    const file = await server.admin.addFile(upload)
    await get('/v1/vaults', 'VaultsListAllResponse')
    await get(`/v1/vaults/${vault}`, 'Vault')
    await get(items, 'ItemsGetAllResponse')
    await get(`${items}/${id}`, 'FullItem')
    await get(`${items}/${'a'.repeat(26)}`, 'FullItem')
    await get(`${items}/${id}/files?inline_files=true`, 'FilesGetAllFilesInsideItemResponse')
    await get(`${items}/${id}/files/${file.id}`, 'File')
    await get('/v1/activity', 'ActivityGetApiRequestsResponse')
    const none = { token: undefined }
    const health = await get('/health', 'HealthServerStateCheckResponse', none)
    const { dependencies } = health as { dependencies: unknown }
    answers.push(['ServiceDependency', dependencies])
    await get(`${items}/x`, 'ErrorResponse')
    for (const [schema, body] of answers) collect(schema, body)
  })
  afterAll(() => server[Symbol.asyncDispose]())

  /** Notes the members of a body under the schema it has, and under those it is made of. */
  const collect = (schema: string, body: unknown) => {
    const names = ALIASES[schema] ?? [schema]
    for (const name of names) seenIn(body, name, seen)
    const whole = body as { fields?: unknown; files?: unknown }
    if (schema === 'FullItem') seenIn(whole.fields, 'Field', seen)
    if (schema === 'FullItem') seenIn(whole.files, 'File', seen)
  }

  const schemas = Object.entries(connect.schemas)
    .map(([name, schema]) => [name, membersOf(schema, name)] as const)
    .filter(([name]) => !['GeneratorRecipe', 'Patch'].includes(name))
    .filter(([, members]) => members.length > 0)

  test.each(schemas)('of %s occurs in an answer', (_, members) => {
    const missing = members.filter((name) => !seen.has(name) && !REQUEST_ONLY.has(name))
    expect(missing).toEqual([])
  })

  test('of GeneratorRecipe decides what is generated', async () => {
    const recipe = { length: 64, characterSets: ['DIGITS'], excludeCharacters: '012345678' }
    const fields = [{ label: 'g', generate: true, recipe }]
    const body = { category: 'SERVER', fields }
    const made = await server.call('POST', `/v1/vaults/${vault}/items`, { token, body })
    expect(made.json<{ fields: { value: string }[] }>().fields[0]?.value).toBe('9'.repeat(64))
  })

  test('of an answer is described by the document', () => {
    const ajv = new Ajv({ strict: false, validateFormats: false })
    for (const [schema, body] of answers.filter(([name]) => name !== 'ServiceDependency')) {
      const check = ajv.compile({
        $ref: `#/components/schemas/${schema}`,
        components: document.components,
      })
      expect([schema, check(body), check.errors]).toEqual([schema, true, null])
    }
  })
})

const ALIASES: Readonly<Record<string, readonly string[]>> = {
  VaultsListAllResponse: ['VaultsListAllResponse', 'Vault'],
  ItemsGetAllResponse: ['ItemsGetAllResponse', 'Item'],
  FullItem: ['FullItem', 'Item'],
  FilesGetAllFilesInsideItemResponse: ['FilesGetAllFilesInsideItemResponse', 'File'],
  ActivityGetApiRequestsResponse: ['ActivityGetApiRequestsResponse', 'APIRequest'],
}

const WHOLE = {
  title: 'whole',
  category: 'LOGIN',
  favorite: true,
  tags: ['t'],
  urls: [{ href: 'https://a', label: 'l', primary: true }],
  sections: [{ id: 's', label: 'S' }],
  fields: [
    {
      id: 'p',
      label: 'p',
      purpose: 'PASSWORD',
      type: 'CONCEALED',
      value: 'x',
      section: { id: 's' },
    },
  ],
}

test('the types in the repository are those that the document gives', async () => {
  const dir = await tempDir()
  const script = (
    JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as {
      scripts: { generate: string }
    }
  ).scripts.generate
  const output = path.join(dir, 'api.ts')
  const command = script.replace('src/server/api.generated.ts', output)
  expect(command).not.toBe(script)
  await run('sh', ['-c', command], { cwd: ROOT })
  const committed = await readFile(path.join(ROOT, 'src/server/api.generated.ts'), 'utf8')
  expect(await readFile(output, 'utf8')).toBe(committed)
  await rm(dir, { recursive: true })
})
