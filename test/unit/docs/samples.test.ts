import { globSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { annotationsPage } from '../../../.ci/reference-docs.ts'
import {
  isFault,
  type ItemContent,
  parseClaim,
  parseItem,
  pathsOf,
  render,
  SecretValue,
} from '../../../src/library/plan.ts'
import { parseVaultPolicy } from '../../../src/operator/vault-policy.ts'
import { readImport } from '../../../src/server/admin/formats.ts'
import { validate } from '../../../src/tools/validate/validate.ts'
import {
  type Block,
  blocksOf,
  type Manifest,
  manifestsIn,
  PAGES,
  showsMistakes,
} from '../../support/documents.ts'

const blocks = PAGES.filter((page) => !showsMistakes(page)).flatMap(blocksOf)
const of = (language: string) =>
  blocks
    .filter((block) => block.language === language)
    .map((block) => [`${block.page}:${block.line}`, block] as const)

describe('samples', () => {
  test.each(of('yaml'))('%s is YAML', (_, { text }) => {
    expect(parseAllDocuments(text).flatMap(({ errors }) => errors)).toEqual([])
  })

  test('those in JSON are JSON', () => {
    for (const [, { text }] of of('json')) expect(() => JSON.parse(text) as unknown).not.toThrow()
  })

  test('are in languages that are checked, or that nobody can check', () => {
    const known = ['yaml', 'json', 'sh', 'console', 'ts', 'mermaid', 'text', '']
    expect(blocks.filter(({ language }) => !known.includes(language))).toEqual([])
  })

  const manifests = of('yaml').filter(([, block]) => manifestsIn(block).length > 0)

  test.each(manifests)('keyferry validate finds nothing in %s', (name, { text }) => {
    const { findings, objects } = validate([{ name, text }])
    expect(findings).toEqual([])
    expect(objects).toBeGreaterThan(0)
  })
})

describe('files that Keyferry reads', () => {
  const yaml = of('yaml')
  const imports = yaml.filter(([, { text }]) => text.startsWith('vault: '))
  const policies = yaml.filter(([, { text }]) => text.startsWith('mode: '))

  test('are shown', () => {
    expect([imports.length, policies.length]).toEqual([8, 1])
  })

  test.each(imports)('keyferry connect import reads %s', (_, { text }) => {
    const { vaults, filesWithoutContent } = readImport(text, undefined)
    expect(vaults.flatMap((vault) => vault.items).length).toBeGreaterThan(0)
    expect(filesWithoutContent).toEqual([])
  })

  test.each(policies)('the operator reads the vault policy %s', (_, { text }) => {
    expect(() => parseVaultPolicy(text)).not.toThrow()
  })
})

const recipes = blocksOf('docs/recipes.md')
const items = contentsOf(recipes.filter((block) => manifestsIn(block).length === 0))
const resources = recipes.flatMap(manifestsIn).filter(({ kind }) => kind === 'OnePasswordItem')

describe('recipes', () => {
  test('there are as many as was thought', () => {
    expect(resources.length).toBe(7)
  })

  test.each(resources.map((one) => [one.metadata.name, one] as const))(
    '%s gives the keys that it asks for',
    (_, resource) => {
      const data = dataOf(resource)
      const { spec } = resource as unknown as { spec: { data?: object; requiredKeys?: string[] } }
      const wanted = [...Object.keys(spec.data ?? {}), ...(spec.requiredKeys ?? [])]
      expect([...data.keys()]).toEqual(expect.arrayContaining(wanted))
    },
  )

  test('the values are those that the page promises', () => {
    const texts = (name: string) => dataOf(resources.find((one) => one.metadata.name === name))
    expect(texts('orders-database').get('DATABASE_URL')).toBe(
      'postgres://orders:p%40ss%2Fword@db.shop.svc:5432/orders?sslmode=require',
    )
    const { auths } = JSON.parse(texts('registry').get('.dockerconfigjson') ?? '') as {
      auths: Record<string, { username: string }>
    }
    expect(auths['registry.example.com']?.username).toBe('puller')
    const several = JSON.parse(texts('registries').get('.dockerconfigjson') ?? '') as object
    expect(several).toMatchObject({ auths: { 'mirror.example.com': { username: 'puller' } } })
    expect(texts('repository-shop').get('type')).toBe('git')
    expect(texts('shop-tls').get('tls.crt')).toContain('BEGIN CERTIFICATE')
  })
})

/** The items that the page imports, by vault and title. */
function contentsOf(imports: readonly Block[]): ReadonlyMap<string, ItemContent> {
  const vaults = imports.flatMap(({ text }) => readImport(text, undefined).vaults)
  return new Map(
    vaults.flatMap(({ name, items: read }) =>
      read.map(({ input, files }) => {
        const id = (n: number) => String(n).padStart(26, 'f')
        const item = parseItem({
          ...input,
          id: 'i'.repeat(26),
          vault: { id: 'v'.repeat(26), name },
          version: 1,
          fields: (input.fields ?? []).map((field, n) => ({ ...field, id: field.id ?? `f${n}` })),
          files: files.map((file, n) => ({ id: id(n), name: file.name, size: 1 })),
        })
        if (item === undefined) throw new Error(`${String(input.title)} is no item`)
        const bytes = files.map(({ source }, n): [string, SecretValue] => [
          id(n),
          SecretValue.fromBytes(source.kind === 'bytes' ? source.bytes : new Uint8Array()),
        ])
        return [`${name}/${String(input.title)}`, { item, files: new Map(bytes) }] as const
      }),
    ),
  )
}

/** What the Secret of a resource holds. */
function dataOf(resource: Manifest | undefined): ReadonlyMap<string, string> {
  const claim = parseClaim(resource)
  const paths = pathsOf(claim)
  if (isFault(paths)) throw new Error(paths.message)
  const found = [...paths].map(([path, { vault, item }]) => {
    const content = items.get(`${vault}/${item}`)
    if (content === undefined) throw new Error(`no recipe imports ${vault}/${item}`)
    return [path, content] as const
  })
  const content = render(claim, new Map(found), false)
  if (isFault(content)) throw new Error(content.message)
  return new Map(
    [...content.data].map(([key, value]) => [key, Buffer.from(value.reveal()).toString()]),
  )
}

describe('names of labels and annotations', () => {
  test('in the sources are all in docs/annotations.md', () => {
    const page = annotationsPage()
    const literal = /'((?:keyferry\.dev|operator\.1password\.io)[/:][a-z-]+)'/g
    const named = globSync('src/**/*.ts').flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(literal)].map(([, name = '']) => name),
    )
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((name) => !page.includes(`\`${name}`))).toEqual([])
  })
})

describe('values for Helm', () => {
  test('are values of the chart', () => {
    const values = parse(readFileSync('charts/keyferry/values.yaml', 'utf8')) as unknown
    const told = blocks
      .filter(({ text }) => text.includes('helm '))
      .flatMap(({ page, text }) =>
        [...text.matchAll(/--set(?:-file|-string)? ([\w.]+)=/g)].map(([, name = '']) => ({
          page,
          name,
        })),
      )
    expect(told.length).toBeGreaterThan(10)
    expect(told.filter(({ name }) => !hasValue(values, name.split('.')))).toEqual([])
  })
})

function hasValue(values: unknown, [first, ...rest]: readonly string[]): boolean {
  if (first === undefined) return true
  if (typeof values !== 'object' || values === null) return false
  // Maps that are empty take whatever there is to be said.
  if (Object.keys(values).length === 0) return true
  return first in values && hasValue((values as Record<string, unknown>)[first], rest)
}
