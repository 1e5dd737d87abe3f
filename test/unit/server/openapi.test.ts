import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { isOperationId, operations } from '../../../src/server/http/operations.ts'
import { assertItemInput } from '../../../src/server/items/check.ts'
import document from '../../../src/server/openapi.json' with { type: 'json' }
import connect from './connect-1.5.7.json' with { type: 'json' }

type Schema = Readonly<Record<string, unknown>>

const ours: Readonly<Record<string, Schema>> = document.components.schemas
const theirs: Readonly<Record<string, Schema>> = connect.schemas
const paths: Readonly<Record<string, Readonly<Record<string, unknown>>>> = document.paths

/** Connect's description calls the value of a patch an object; its own examples use strings. */
const WIDER = new Set(['Patch.items.properties.value'])
const PROSE = new Set(['description', 'example'])

/** Where `mine` lacks something that `wanted` says. */
function lacking(mine: unknown, wanted: unknown, at: string): string[] {
  if (WIDER.has(at)) return []
  if (Array.isArray(wanted)) {
    const list = Array.isArray(mine) ? mine : []
    const missing = wanted.filter(
      (entry) => !list.some((own) => lacking(own, entry, at).length === 0),
    )
    return missing.length === 0 ? [] : [at]
  }
  if (typeof wanted !== 'object' || wanted === null) return mine === wanted ? [] : [at]
  return Object.entries(wanted).flatMap(([member, value]) =>
    PROSE.has(member)
      ? []
      : lacking((mine as Schema | undefined)?.[member], value, `${at}.${member}`),
  )
}

describe('the OpenAPI document', () => {
  test('describes all 15 operations of Connect and no other', () => {
    const own = Object.entries(paths).flatMap(([path, item]) =>
      Object.keys(item)
        .filter((method) => method !== 'servers')
        .map((method) => `${method} ${path}`),
    )
    const known = connect.operations.map(({ method, path }) => `${method} ${path}`)
    expect(known).toHaveLength(15)
    expect(own.toSorted()).toEqual(known.toSorted())
  })

  test('names the operations that the server has handlers for', () => {
    const ids = Object.values(paths).flatMap((item) =>
      Object.values(item).flatMap((entry) => (entry as { operationId?: string }).operationId ?? []),
    )
    expect(ids.toSorted()).toEqual(Object.keys(operations).toSorted())
    expect(ids.every(isOperationId)).toBe(true)
    expect(paths['/vaults/{vaultUuid}/items/{itemUuid}']?.['put']).toMatchObject({
      operationId: 'Items_updateItemDetails',
    })
  })

  test('asks for a token exactly where Connect does', () => {
    const needs: [string, number, number][] = []
    for (const [path, item] of Object.entries(paths)) {
      const open = ['/heartbeat', '/health', '/metrics'].includes(path)
      for (const entry of Object.values(item)) {
        const { security } = entry as { security?: unknown[] }
        if (security) needs.push([path, open ? 0 : 1, security.length])
      }
    }
    expect(needs).toHaveLength(15)
    expect(needs.filter(([, wanted, found]) => wanted !== found)).toEqual([])
  })

  test.each(Object.keys(theirs))('contains the whole schema %s', (name) => {
    expect(lacking(ours[name], theirs[name], name)).toEqual([])
  })

  test('knows 18 schemas of Connect', () => {
    expect(Object.keys(theirs)).toHaveLength(18)
  })

  test('takes every member of a whole item in a request, and describes it in an answer', () => {
    const ajv = new Ajv({ strict: false, validateFormats: false })
    const answer = ajv.compile({
      $ref: '#/components/schemas/FullItem',
      components: document.components,
    })
    expect([answer(WHOLE_ITEM), answer.errors]).toEqual([true, null])
    expect(() => assertItemInput(WHOLE_ITEM)).not.toThrow()
    const members = [...Object.keys(propertiesOf('Item')), 'sections', 'fields', 'files']
    expect(Object.keys(WHOLE_ITEM).toSorted()).toEqual(members.toSorted())
    expect(Object.keys(ours['ItemInput']?.['properties'] ?? {})).toEqual(
      expect.arrayContaining(members),
    )
    expect(Object.keys(ours['FieldInput']?.['properties'] ?? {})).toEqual(
      expect.arrayContaining(Object.keys(propertiesOf('Field'))),
    )
  })
})

const propertiesOf = (name: string): object => theirs[name]?.['properties'] ?? {}

const ID = 'a'.repeat(26)
const WHOLE_ITEM = {
  id: ID,
  title: 'Site',
  vault: { id: ID },
  category: 'LOGIN',
  urls: [{ href: 'https://example.com', label: 'website', primary: true }],
  favorite: true,
  tags: ['a'],
  version: 3,
  state: 'ARCHIVED',
  createdAt: '2024-01-01T00:00:00Z',
  updatedAt: '2024-01-01T00:00:00Z',
  lastEditedBy: 'X',
  sections: [{ id: 's', label: 'S' }],
  fields: [
    {
      id: 'password',
      type: 'CONCEALED',
      label: 'password',
      value: 'x',
      purpose: 'PASSWORD',
      section: { id: 's' },
      generate: true,
      recipe: { length: 20, characterSets: ['LETTERS', 'DIGITS'], excludeCharacters: 'abc1' },
      entropy: 100.5,
    },
  ],
  files: [
    { id: ID, name: 'a', size: 1, content: 'YQ==', section: { id: 's' }, content_path: '/v1/x' },
  ],
}
