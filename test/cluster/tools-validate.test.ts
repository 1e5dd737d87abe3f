/**
 * Three that must agree on every case of the corpus: `keyferry validate`, the API server, the
 * operator. What validate calls an error is refused by the one or marked by the other; what it calls
 * a warning, or nothing, both take.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { parse } from 'yaml'
import { loadAccess } from '../../src/kube/config.ts'
import { collectionPath } from '../../src/kube/resource.ts'
import { validate } from '../../src/tools/validate/validate.ts'
import { type Case, POLICY, readCorpus } from '../support/corpus.ts'
import { condition, type KubeObject, RESOURCES } from '../support/cluster.ts'
import { eventually, timeout } from '../support/eventually.ts'
import { setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let folder = ''
let agent: Agent | undefined
/** Namespaces that cases make, for the end. */
const made: string[] = []

beforeAll(async () => {
  stage = await setStage()
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-policy-'))
  return stage.close
})
afterAll(async () => {
  for (const name of made) await stage.cluster.delete('namespaces', name)
  await rm(folder, { recursive: true })
  await agent?.close()
})

/** Names in the corpus, to which each case adds its number: all cases live in one namespace. */
const NAMES =
  /^(\s*(?:- )?(?:name|secretName|operator\.1password\.io\/item-name): )(database|other|one|two|three|shared|asked|app|main|migrate|shop|databases|secret)$/gm

interface Numbered extends Case {
  readonly n: number
  readonly namespace: string
}

test('validate, the API server and the operator agree', { timeout: 300_000 }, async () => {
  const { cluster } = stage
  addItems()
  const shop = (await stage.another()).namespace
  const policyFile = path.join(folder, 'policy.yaml')
  await writeFile(policyFile, POLICY.replace('shop', shop))
  await stage.operator()
  const strict = await stage.operator({
    WATCH_NAMESPACE: shop,
    INSTANCE: 'strict',
    VAULT_POLICY_FILE: policyFile,
  })

  const cases = readCorpus()
    .filter(({ rule }) => rule !== 'policy-file')
    .map((one, n): Numbered => {
      const namespace = one.rule === 'vault-policy' ? shop : cluster.namespace
      return { ...one, n, namespace, text: one.text.replaceAll(NAMES, `$1$2-${n}`) }
    })
  const refused = new Set<number>()
  for (const one of cases) if (await isRefused(one)) refused.add(one.n)

  const wanted = cases.map((one) => [titleOf(one), expected(one)])
  const fates = async () => {
    const sights = {
      [shop]: await lookAt(shop),
      [cluster.namespace]: await lookAt(cluster.namespace),
    }
    return cases.map((one) => [titleOf(one), fateOf(one, refused, sights[one.namespace]!)])
  }
  await eventually(
    'all agree',
    async () => JSON.stringify(await fates()) === JSON.stringify(wanted),
  ).catch(() => undefined)
  const logs = (await strict.logs()).split('\n').slice(-20).join('\n')
  expect(await fates(), logs).toEqual(wanted)
  expect(cases.length).toBeGreaterThan(100)
})

function titleOf({ rule, title }: Case): string {
  return `${rule}: ${title}`
}

/** What validate says of a case as it is posted. */
function expected({ rule, text, namespace }: Numbered): 'no' | 'yes' {
  const policy = { name: 'policy.yaml', text: POLICY.replace('shop', namespace) }
  const options = rule === 'vault-policy' ? { policy, namespace } : {}
  const { findings } = validate([{ name: 'case.yaml', text }], options)
  return findings.some(({ level }) => level === 'error') ? 'no' : 'yes'
}

/** Posts the documents as a client that wants to know of every mistake does. */
async function isRefused({ text, namespace }: Numbered): Promise<boolean> {
  const { server, credentials } = access
  const { headers, tls } = await credentials(false)
  const dispatcher = (agent ??= new Agent({ connect: tls as never }))
  let refused = false
  for (const document of text.split(/^---$/m)) {
    const { kind, name, target } = targetOf(document, namespace)
    const { statusCode, body } = await request(`${server}${target}?fieldValidation=Strict`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/yaml' },
      body: document,
      dispatcher,
    })
    await body.dump()
    if (statusCode >= 500) throw new Error(`the API server answered ${statusCode}`)
    if (statusCode >= 400) refused = true
    else if (kind === 'Namespace') made.push(name)
  }
  return refused
}

const access = loadAccess(inject('kubeconfig'))

function targetOf(document: string, namespace: string) {
  let value: { apiVersion?: string; kind?: string; metadata?: { name?: string } } = {}
  try {
    value = parse(document, { uniqueKeys: false }) as typeof value
  } catch {
    // No YAML: sent as what it was meant to be.
  }
  const { apiVersion = 'onepassword.com/v1', kind = 'OnePasswordItem' } = value
  const [version = '', group = ''] = apiVersion.split('/').toReversed()
  const known = Object.values(RESOURCES).find((one) => one.kind === kind)
  const plural = known?.plural ?? 'onepassworditems'
  const scope = kind === 'Namespace' ? undefined : namespace
  const target = collectionPath({ group, version, plural, kind }, scope)
  return { kind, name: value.metadata?.name ?? '', target }
}

/** What a namespace holds that tells of cases. */
interface Sight {
  readonly items: readonly KubeObject[]
  readonly events: readonly KubeObject[]
}

async function lookAt(namespace: string): Promise<Sight> {
  const list = async (kind: 'items' | 'events') => {
    const target = collectionPath(RESOURCES[kind], namespace)
    const signal = timeout(20_000)
    const found = await stage.cluster.rest.send({ method: 'GET', path: target }, signal)
    return (found as { items: KubeObject[] }).items
  }
  return { items: await list('items'), events: await list('events') }
}

/** Whether a case's own objects are taken: refused by the one, marked by the other. */
function fateOf(
  { n, text }: Numbered,
  refused: ReadonlySet<number>,
  { items, events }: Sight,
): 'no' | 'yes' | 'open' {
  if (refused.has(n)) return 'no'
  const isOwn = (name = '') => name.endsWith(`-${n}`) || text.includes(`name: ${name}\n`)
  const warned = events.some(
    ({ type, regarding }) =>
      type === 'Warning' && regarding.kind !== 'OnePasswordItem' && isOwn(regarding.name),
  )
  const states = items
    .filter(({ metadata }) => isOwn(metadata.name))
    .map((item) => condition(item, 'Ready')?.status)
  if (warned || states.includes('False')) return 'no'
  return states.every((status) => status === 'True') ? 'yes' : 'open'
}

function addItems(): void {
  const { connect, vault } = stage
  const fields = ['username', 'password', 'one-time password', 'a'].map((label) => ({
    label,
    value: `${label} of it`,
  }))
  const add = (vaultId: string, titles: readonly string[]) => {
    for (const title of titles) connect.add(vaultId, { title, fields })
  }
  add(vault, ['Database', 'Database: main', 'Other', 'Login', 'What?'])
  add(connect.vault('My Vault'), ['db.example.com (main)'])
  add(connect.vault('Private'), ['Database', 'Key'])
}
