/**
 * The examples in the guide: each is applied to a real API server and does what the guide says.
 */
import { readFileSync } from 'node:fs'
import { beforeAll, expect, inject, test } from 'vitest'
import { parse } from 'yaml'
import { objectPath } from '../../src/kube/resource.ts'
import { condition, isReady, type KubeObject, readCrd, textsOf } from '../support/cluster.ts'
import { blocksOf, manifestsIn, PAGES, showsMistakes } from '../support/documents.ts'
import { eventually, timeout } from '../support/eventually.ts'
import { run } from '../support/processes.ts'
import { setStage, type Stage } from '../support/stage.ts'

const examples = [...readFileSync('docs/resource.md', 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(
  ([, text = '']) => parse(text) as KubeObject,
)
const resources = examples.filter(({ kind }) => kind === 'OnePasswordItem')

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  const { connect, vault } = stage
  const PEM = '-----BEGIN OPENSSH PRIVATE KEY-----\nYQ==\n-----END OPENSSH PRIVATE KEY-----\n'
  const login = [
    { label: 'username', value: 'app' },
    { label: 'password', value: 'p@ss' },
  ]
  connect.add(vault, { title: 'Database', fields: [...login, { label: 'note', value: '' }] })
  connect.add(vault, { title: 'Registry', fields: login })
  connect.add(vault, {
    title: 'Argo CD',
    sections: [{ id: 's', label: 'Admin' }],
    fields: [
      { label: 'token', value: 'admin-token', section: { id: 's' } },
      { label: 'private key', value: PEM },
    ],
    files: [{ name: 'store.p12', content: Buffer.from([0, 255]) }],
  })
  await stage.operator()
  return stage.close
})

test.each(resources.map((one) => [one.metadata.name, one] as const))(
  'the resource %s makes its Secret',
  async (name, example) => {
    const { cluster } = stage
    await cluster.create('items', example)
    const item = await cluster.until('items', name, isReady)
    expect(condition(item, 'Ready')?.reason).toBe('Synced')
    const secret = await cluster.get('secrets', item['status'].secretName)
    expect(secret['type']).toBe(example['type'] ?? 'Opaque')
    expect(secret.metadata.labels).toMatchObject(example.metadata.labels ?? {})
    const { secretMetadata = {}, data = {}, secretName = name } = example['spec']
    expect(secret.metadata).toMatchObject({ ...secretMetadata, name: secretName })
    expect(Object.keys(secret['data'])).toEqual(expect.arrayContaining(Object.keys(data)))
  },
)

test('the values of the example with data are those that the guide promises', async () => {
  const secret = await stage.cluster.get('secrets', 'application')
  expect(textsOf(secret)).toMatchObject({
    username: 'app',
    DATABASE_URL: 'postgres://app:p%40ss@db:5432/app',
    ADMIN_TOKEN: 'admin-token',
    greeting: '{{ is not a reference',
    type: 'git',
  })
  expect(secret['data']['keystore.p12']).toBe(Buffer.from([0, 255]).toString('base64'))
})

test('the list shows what the guide shows', async () => {
  const { namespace } = stage.cluster
  const env = { ...process.env, KUBECONFIG: inject('kubeconfig') }
  const kubectl = inject('kubectl') || 'kubectl'
  const lines = (await run(kubectl, ['get', 'opi', '-n', namespace], { env })).split('\n')
  expect(lines[0]?.trim().split(/ +/)).toEqual([
    'NAME',
    'READY',
    'REASON',
    'SECRET',
    'VERSION',
    'AGE',
  ])
  const row = lines.find((line) => line.startsWith('database '))
  expect(row).toMatch(/^database +True +Synced +database +1 +\d+s/)
})

test('the annotated workload gets its Secret', async () => {
  const example = examples.find(({ kind }) => kind === 'Deployment')
  await stage.cluster.create('deployments', example)
  await eventually('its Secret is there', () => stage.cluster.find('secrets', 'web-database'))
})

test('every member of the resource has an example', async () => {
  const crd = await readCrd()
  const { properties } = crd['spec'].versions[0].schema.openAPIV3Schema
  const shown = new Set(
    resources.flatMap((one) => [...Object.keys(one), ...Object.keys(one['spec'])]),
  )
  const all = [...Object.keys(properties), ...Object.keys(properties.spec.properties)]
  expect(all.filter((member) => member !== 'status' && !shown.has(member))).toEqual([])
})

/** How the kinds that the documentation shows are called in paths. */
const PLURALS: Readonly<Record<string, string>> = {
  Deployment: 'deployments',
  Ingress: 'ingresses',
  OnePasswordItem: 'onepassworditems',
  Pod: 'pods',
  ServiceAccount: 'serviceaccounts',
}
const documented = PAGES.filter((page) => !showsMistakes(page))
  .flatMap(blocksOf)
  .flatMap((block) =>
    manifestsIn(block).map((manifest) => {
      const { kind, metadata } = manifest
      return [`${kind} ${metadata.name} of ${block.page}`, manifest] as const
    }),
  )

test.each(documented)('the API server would take %s', async (_, manifest) => {
  const { cluster } = stage
  const { kind, apiVersion, metadata } = manifest
  const [version = '', group = ''] = apiVersion.split('/').toReversed()
  const resource = { group, version, plural: PLURALS[kind] ?? `plural of ${kind}`, kind }
  const { namespace } = cluster
  const body = { ...manifest, metadata: { ...metadata, namespace } }
  const answer = await cluster.rest.send(
    {
      method: 'PATCH',
      patch: 'apply',
      path: objectPath(resource, { namespace, name: metadata.name }),
      query: { fieldManager: 'tests', force: true, dryRun: 'All', fieldValidation: 'Strict' },
      body,
    },
    timeout(20_000),
  )
  expect(answer).toMatchObject({ kind, metadata: { name: metadata.name } })
})
