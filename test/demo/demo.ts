/**
 * The whole story in one terminal: a control plane, a Connect server with a sample vault, the
 * operator. Every step is checked; values are never shown.
 *
 *   npm run demo              tells the story, then stays up to be played with
 *   npm run demo -- --once    tells the story and exits 0 when every step was as it should be
 */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { condition, isReady, type KubeObject } from '../support/cluster.ts'
import { chapter, say, table } from './say.ts'
import { type Scene, setScene } from './scene.ts'

const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } })
const stop = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort())

const ITEMS = ['website', 'database', 'payment-api', 'deploy-key', 'runbook']
const WORKLOAD = 'shop'

await using scene = await setScene()
try {
  await secretsAppear(scene)
  const restarted = await itemChanges(scene)
  await workloadRolls(scene, restarted)
  await secretReturns(scene)
  say('')
  if (values.once) say('Every step was as it should be.')
  else await playground(scene)
} catch (error) {
  if (!stop.signal.aborted) {
    console.error(`\nThe demo failed: ${(error as Error).message}`)
    console.error((await scene.operator.logs()).split('\n').slice(-15).join('\n'))
    process.exitCode = 1
  }
}

async function secretsAppear({ cluster }: Scene): Promise<void> {
  chapter('Resources become Secrets')
  for (const document of parseAllDocuments(await readFile('deploy/examples/demo.yaml', 'utf8'))) {
    const object = document.toJS() as KubeObject & { kind: string }
    await cluster.apply(object.kind === 'Deployment' ? 'deployments' : 'items', object)
  }
  say('Applied deploy/examples/demo.yaml: five resources and a Deployment.')
  const rows = []
  for (const name of ITEMS) {
    const item = await cluster.until('items', name, isReady)
    const secret = await cluster.get('secrets', name)
    const keys = Object.keys(secret['data'] as object).toSorted()
    const status = item['status'] as { keys: string[]; items: { version: number }[] }
    if (keys.join() !== status.keys.join()) throw new Error(`${name}: status names other keys`)
    const version = String(status.items[0]?.version)
    rows.push({ resource: name, secret: secret.metadata.name, version, keys: keys.join(', ') })
  }
  table(rows)
}

/** @returns the Secret's version before and after */
async function itemChanges({ cluster, connect }: Scene): Promise<KubeObject> {
  chapter('An item is edited in 1Password')
  const before = await cluster.get('secrets', 'database')
  const version = await connect.changePassword('Database')
  say(`PUT /v1/vaults/…/items/… gave the item "Database" a new password (version ${version})`)
  const after = await cluster.until('secrets', 'database', (secret) => {
    return secret.metadata.annotations?.['operator.1password.io/item-version'] === String(version)
  })
  const changed = Object.keys(after['data']).filter(
    (key) => after['data'][key] !== before['data'][key],
  )
  if (changed.join() !== 'password') throw new Error(`unexpected changes: ${changed.join()}`)
  say('The Secret followed: key "password" has changed, the other keys are as they were.')
  return after
}

async function workloadRolls({ cluster }: Scene, secret: KubeObject): Promise<void> {
  chapter('The Deployment that uses it is restarted')
  const digest = secret.metadata.annotations?.['keyferry.dev/digest']
  const annotationsOf = (object: KubeObject): Record<string, string> =>
    object['spec'].template.metadata.annotations ?? {}
  const workload = await cluster.until('deployments', WORKLOAD, (object) =>
    Object.values(annotationsOf(object)).includes(digest ?? ''),
  )
  if (workload.metadata.generation !== 2) throw new Error('not exactly one rollout was started')
  say(`Deployment ${WORKLOAD}: generation 1 → ${workload.metadata.generation}, template annotation`)
  for (const [name, value] of Object.entries(annotationsOf(workload))) {
    say(`  ${name}: ${value.slice(0, 28)}…`)
  }
  say('The annotation is a keyed digest: it says that the content changed, not to what.')
}

async function secretReturns({ cluster }: Scene): Promise<void> {
  chapter('A Secret is deleted by accident')
  const before = await cluster.get('secrets', 'website')
  const started = performance.now()
  await cluster.delete('secrets', 'website')
  const { uid } = before.metadata
  const after = await cluster.until('secrets', 'website', (secret) => secret.metadata.uid !== uid)
  const ms = Math.round(performance.now() - started)
  if (JSON.stringify(after['data']) !== JSON.stringify(before['data'])) {
    throw new Error('the Secret came back with other content')
  }
  const item = await cluster.until('items', 'website', isReady)
  say(`It was back after ${ms} ms with the same content. ${condition(item, 'Ready')?.message}`)
}

async function playground({ kubeconfig, connect, operator }: Scene): Promise<void> {
  chapter('Yours to play with, until Ctrl-C')
  say(`How everything is, live: ${operator.page}`)
  say('')
  say(`export KUBECONFIG=${kubeconfig}`, 'command')
  say(`export OP_CONNECT_HOST=${connect.url}`, 'command')
  say(`export OP_CONNECT_TOKEN=${connect.token}`, 'command')
  say('')
  say('kubectl get onepassworditems', 'command')
  say('curl -H "Authorization: Bearer $OP_CONNECT_TOKEN" $OP_CONNECT_HOST/v1/vaults', 'command')
  await new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve())
  })
  say('\nstopping …')
}
