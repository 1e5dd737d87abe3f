import { describe, expect, test } from 'vitest'
import {
  addCrd,
  type Crd,
  type CrdVersion,
  missingMembers,
  type Schema,
} from '../../../src/kube/crd.ts'

const text: Schema = { type: 'string' }
const object = (properties: Record<string, Schema>): Schema => ({ type: 'object', properties })
const list = (items: Schema): Schema => ({ type: 'array', items })

const version = (name: string, schema: Schema, more: Partial<CrdVersion> = {}): CrdVersion => ({
  name,
  storage: true,
  schema: { openAPIV3Schema: schema },
  ...more,
})

const crd = (versions: readonly CrdVersion[], shortNames: readonly string[] = []): Crd => ({
  metadata: { name: 'things.example.org' },
  spec: { group: 'example.org', names: { kind: 'Thing', shortNames }, versions },
})

describe('missing members', () => {
  test('are told by their outermost path', () => {
    const wanted = object({
      spec: object({ path: text, data: object({ a: text }), list: list(object({ id: text })) }),
      status: object({ digest: text }),
    })
    const served = object({ spec: object({ path: text, list: list(object({})) }) })
    expect(missingMembers(wanted, served)).toEqual(['spec.data', 'spec.list[].id', 'status'])
    expect(missingMembers(wanted, wanted)).toEqual([])
    expect(missingMembers(wanted, undefined)).toEqual(['spec', 'status'])
  })

  test('are none where unknown members are kept', () => {
    const open: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
    expect(missingMembers(object({ a: object({ b: text }) }), open)).toEqual([])
  })
})

describe('adding to a definition', () => {
  const ours = crd(
    [
      version('v1', object({ spec: object({ path: text, data: object({}) }) }), {
        additionalPrinterColumns: [{ name: 'Ready' }],
        subresources: { status: {} },
      }),
    ],
    ['th'],
  )

  test('keeps members, versions, columns, short names and subresources of others', () => {
    const live = crd(
      [
        version('v2', object({}), { storage: true }),
        version('v1', object({ spec: object({ path: text, extra: text }), other: text }), {
          storage: false,
          additionalPrinterColumns: [{ name: 'Extra' }, { name: 'Ready' }],
          subresources: { scale: {} },
        }),
      ],
      ['thing', 'th'],
    )
    const { spec } = addCrd(ours, live)
    expect(spec.names.shortNames).toEqual(['th', 'thing'])
    expect(spec.versions.map(({ name, storage }) => [name, storage])).toEqual([
      ['v2', true],
      ['v1', false],
    ])
    const [, v1] = spec.versions
    expect(v1?.additionalPrinterColumns?.map(({ name }) => name)).toEqual(['Ready', 'Extra'])
    expect(v1?.subresources).toEqual({ status: {}, scale: {} })
    expect(v1?.schema.openAPIV3Schema.properties).toEqual({
      other: text,
      spec: object({ path: text, extra: text, data: object({}) }),
    })
  })

  test('does the same once more without a change', () => {
    const once = addCrd(ours, crd([version('v1', object({ other: text }))]))
    expect(addCrd(ours, once)).toEqual(once)
  })

  test('does not close what keeps unknown members', () => {
    const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
    const { spec } = addCrd(ours, crd([version('v1', open)]))
    expect(spec.versions[0]?.schema.openAPIV3Schema).toMatchObject({
      'x-kubernetes-preserve-unknown-fields': true,
      properties: { spec: { type: 'object' } },
    })
  })
})
