/**
 * The mapping from an item to a Secret, byte by byte against 1Password's own operator: both run
 * beside each other, each in a namespace of its own, on one Connect server. Needs its binary, see
 * `KEYFERRY_INCUMBENT` in CONTRIBUTING.md.
 */
import { readFile } from 'node:fs/promises'
import { beforeAll, expect, inject, test } from 'vitest'
import { type Cluster, type KubeObject } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import {
  INCUMBENT,
  ITEM_NAME,
  ITEM_PATH,
  ITEM_VERSION,
  startIncumbent,
} from '../support/incumbent.ts'
import { AUTO_RESTART } from '../support/restarts.ts'
import { freshId, type ScriptedItem } from '../support/scripted-connect.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

/** An item of the corpus in `test/unit/operator/plan/golden.json`. */
interface Golden {
  readonly name: string
  readonly emptyValues?: boolean
  readonly fields?: ScriptedItem['fields']
  readonly urls?: NonNullable<ScriptedItem['urls']>
  readonly sections?: NonNullable<ScriptedItem['sections']>
  readonly files?: readonly { readonly name: string; readonly base64: string }[]
  /** Where the former operator does something else, and what. */
  readonly incumbent?: string
}

/** A resource that both operators are given. */
interface Case {
  readonly title: string
  readonly itemPath: string
  readonly annotations?: Record<string, string>
  readonly type?: string
  readonly incumbent?: string | undefined
}

/** What both are to write alike; undefined: no Secret. */
type Made = Readonly<Record<string, unknown>> | undefined

let stage: Stage

beforeAll(async () => {
  stage = await setStage()
  return stage.close
})

const LOGIN = [
  { label: 'username', value: 'app' },
  { label: 'password', value: 's3cret' },
]

function add(item: Partial<ScriptedItem>, vault = stage.vault, id = freshId('i')): string {
  return stage.connect.add(vault, { title: id, fields: LOGIN, ...item }, id)
}

async function corpus(): Promise<Case[]> {
  const text = await readFile('test/unit/operator/plan/golden.json', 'utf8')
  return (JSON.parse(text) as Golden[]).map(({ name, fields = [], files = [], ...golden }) => {
    const contents = files.map((file) => ({
      name: file.name,
      content: Buffer.from(file.base64, 'base64'),
    }))
    const item = add({ ...golden, title: name, fields, files: contents })
    const itemPath = `vaults/${stage.vault}/items/${item}`
    return { title: name, itemPath, incumbent: golden.incumbent }
  })
}

/** Ways to name an item, types and annotations. */
function oddities(): Case[] {
  const { connect, vault } = stage
  const titled = add({ title: 'Some title' })
  const other = add({ title: titled, fields: [{ label: 'from', value: 'the title' }] })
  const createdAt = ['2023-01-01T00:00:00.5Z', '2022-01-01T00:00:00Z', '2022-06-01T00:00:00Z']
  for (const at of createdAt) {
    add({ title: 'Thrice', createdAt: at, fields: [{ label: 'from', value: at }] })
  }
  const noSuchId = add({ title: 'a'.repeat(26) })
  const twin = connect.vault('Über Straße')
  const inTwin = add({ title: 'Zwei Wörter' }, twin)
  const tagged = add({ tags: ['operator.1password.io:ignore-secret', 'x'] })
  const tls = add({
    fields: [
      { label: 'tls.crt', value: 'no certificate' },
      { label: 'tls.key', value: 'no key' },
    ],
  })
  const docker = add({ fields: [{ label: '.dockerconfigjson', value: '{ "auths": {} }' }] })
  const ssh = add({ fields: [{ label: 'ssh-privatekey', value: 'a key\n' }] })
  const edited = add({})
  for (const value of ['two', 'three']) connect.set(edited, 'password', value)
  const at = (item: string, where = vault) => `vaults/${where}/items/${item}`
  const plain = at(titled)
  return [
    { title: 'an item by its id', itemPath: plain },
    { title: 'an item by its title', itemPath: at('Some title', 'Production') },
    { title: 'a vault in other case', itemPath: at('Some title', 'pRODUCTION') },
    { title: 'an id that is a title, too', itemPath: at(titled) },
    { title: 'that other item', itemPath: at(other) },
    { title: 'the oldest of three', itemPath: at('Thrice') },
    { title: 'a title that looks like an id', itemPath: at('a'.repeat(26)) },
    { title: 'the same by id', itemPath: at(noSuchId) },
    { title: 'names beyond ASCII', itemPath: at('Zwei Wörter', 'Über Straße') },
    { title: 'an id in another vault', itemPath: at(inTwin, twin) },
    { title: 'an id of another vault', itemPath: at(inTwin, vault) },
    { title: 'no such item', itemPath: at('None') },
    { title: 'no such vault', itemPath: at('Some title', 'None') },
    { title: 'no path', itemPath: 'None' },
    { title: 'a path that is too long', itemPath: `${plain}/more` },
    { title: 'a new resource of a frozen item', itemPath: at(tagged) },
    { title: 'a later version', itemPath: at(edited) },
    { title: 'a type of nobody', itemPath: plain, type: 'example.com/of-our-own' },
    { title: 'the usual type by name', itemPath: plain, type: 'Opaque' },
    { title: 'basic-auth', itemPath: plain, type: 'kubernetes.io/basic-auth' },
    { title: 'tls', itemPath: at(tls), type: 'kubernetes.io/tls' },
    { title: 'ssh-auth', itemPath: at(ssh), type: 'kubernetes.io/ssh-auth' },
    { title: 'dockerconfigjson', itemPath: at(docker), type: 'kubernetes.io/dockerconfigjson' },
    ...['true', 'FALSE', 'T', '0'].map((text) => ({
      title: `auto-restart ${text}`,
      itemPath: plain,
      annotations: { [AUTO_RESTART]: text },
    })),
  ]
}

/** Gives all cases to both operators, and tells what each made of them, in order. */
async function bothMake(cases: readonly Case[], emptyValues: boolean) {
  const [theirs, ours] = [await stage.another(), await stage.another()]
  for (const cluster of [theirs, ours]) {
    for (const [n, { itemPath, annotations = {}, type }] of cases.entries()) {
      const metadata = { name: nameOf(n), annotations, labels: { n: String(n) } }
      await cluster.create('items', { metadata, ...(type ? { type } : {}), spec: { itemPath } })
    }
  }
  await using _incumbent = await startIncumbent({
    kubeconfig: inject('kubeconfig'),
    connect: stage.connect.url,
    namespace: theirs.namespace,
    args: [`--allow-empty-values=${emptyValues}`],
  })
  await stage.operator({
    WATCH_NAMESPACE: ours.namespace,
    ALLOW_EMPTY_VALUES: String(emptyValues),
  })
  return { theirs: await madeIn(theirs, cases), ours: await madeIn(ours, cases) }
}

const nameOf = (n: number) => `case-${n}`

async function madeIn(cluster: Cluster, cases: readonly Case[]): Promise<Made[]> {
  const isWorked = ({ status }: KubeObject) => {
    const all = (status?.conditions ?? []) as { type: string; status: string }[]
    return all.some(({ type, status: ready }) => type === 'Ready' && ready !== 'Unknown')
  }
  await eventually(
    'every resource was worked',
    async () => (await cluster.list('items')).every(isWorked),
    async () => String((await cluster.list('items')).filter((one) => !isWorked(one)).length),
  )
  const secrets = await cluster.list('secrets')
  return cases.map((_, n) => {
    const secret = secrets.find(({ metadata }) => metadata.name === nameOf(n))
    return secret && contractOf(secret)
  })
}

function contractOf({ metadata, ...secret }: KubeObject): Made {
  const { annotations = {}, labels } = metadata
  return {
    type: secret['type'],
    data: secret['data'] ?? {},
    annotations: [ITEM_PATH, ITEM_VERSION, AUTO_RESTART].map((name) => annotations[name]),
    label: labels?.['n'],
  }
}

/** Whether both made the same, or differ as the corpus says. */
function isAgreed({ incumbent = '' }: Case, theirs: Made, ours: Made): boolean {
  if (JSON.stringify(theirs) === JSON.stringify(ours)) return true
  if (incumbent.startsWith('makes')) return theirs === undefined
  const keys = (made: Made) => Object.keys(made?.['data'] ?? {}).join()
  if (incumbent.startsWith('takes one of them at random')) return keys(theirs) === keys(ours)
  // Without any key there is nothing to write.
  return ours === undefined && theirs !== undefined && keys(theirs) === ''
}

test.skipIf(!INCUMBENT).each([false, true])(
  'every odd item gives the same Secret under both operators, empty values included: %s',
  { timeout: 300_000 },
  async (emptyValues) => {
    const cases = [...(await corpus()), ...oddities()]
    expect(cases.length).toBeGreaterThanOrEqual(80)
    const { theirs, ours } = await bothMake(cases, emptyValues)
    const differing = cases.flatMap((one, n) =>
      isAgreed(one, theirs[n], ours[n]) ? [] : [{ ...one, theirs: theirs[n], ours: ours[n] }],
    )
    expect(differing).toEqual([])
    // Else two operators that write nothing would agree best.
    expect(theirs.filter(Boolean).length).toBeGreaterThanOrEqual(60)
  },
)

test.skipIf(!INCUMBENT)('an annotated Deployment gets the same Secret under both', async () => {
  const names = ['plain', 'With Capitals_and.dots', '-ends-', 'ünïcode']
  const itemPath = `vaults/${stage.vault}/items/${add({})}`
  const [theirs, ours] = [await stage.another(), await stage.another()]
  for (const cluster of [theirs, ours]) {
    for (const [n, name] of names.entries()) {
      const asks = { [ITEM_PATH]: itemPath, [ITEM_NAME]: name }
      await cluster.create('deployments', aDeployment(nameOf(n), [], asks))
    }
  }
  await using _incumbent = await startIncumbent({
    kubeconfig: inject('kubeconfig'),
    connect: stage.connect.url,
    namespace: theirs.namespace,
  })
  await stage.operator({ WATCH_NAMESPACE: ours.namespace })
  const made = async (cluster: Cluster) => {
    const all = (await cluster.list('secrets')).filter(
      ({ metadata }) => ITEM_PATH in (metadata.annotations ?? {}),
    )
    return all.length === names.length && all.map((one) => [one.metadata.name, contractOf(one)])
  }
  const [a, b] = [
    await eventually('the former operator made all', () => made(theirs)),
    await eventually('Keyferry made all', () => made(ours)),
  ]
  expect(b).toEqual(a)
})
