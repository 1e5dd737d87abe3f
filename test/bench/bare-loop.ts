/**
 * The limit: a loop that does only the requests that no operator of this protocol can avoid. For
 * each resource one GET of the item, one POST of the Secret (a PUT when it is there), one write of
 * the status, with the members that the operator's have; nothing is computed, compared or
 * remembered, nothing can fail. Meanwhile it holds the watches that an operator holds, and reads
 * them to nowhere.
 *
 * Prints the seconds that the work took, without the start.
 *
 *   node bare-loop.ts KUBECONFIG CONNECT CONCURRENCY create|replace
 */
import { Pool } from 'undici'
import { loadAccess } from '../../src/kube/config.ts'

const [kubeconfig = '', connect = '', concurrency = '16', mode = 'create'] = process.argv.slice(2)
const access = loadAccess(kubeconfig)
const { headers, tls } = await access.credentials(false)
const options = { connections: 32, allowH2: false } as const
const kube = new Pool(access.server, { ...options, connect: tls })
const op = new Pool(connect, options)

async function send(pool: Pool, method: string, path: string, body?: unknown) {
  const type = method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json'
  const answer = await pool.request({
    method,
    path,
    headers: pool === op ? {} : { ...headers, 'content-type': type },
    body: body === undefined ? null : JSON.stringify(body),
  })
  const text = await answer.body.text()
  if (answer.statusCode > 299) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`)
  return JSON.parse(text)
}

/** As long as one. */
const DIGEST = `01234567.${'0123456789abcdef'.repeat(4)}`
const API = '/apis/onepassword.com/v1'
const resources = `${API}/onepassworditems`
const vaultIds = new Map<string, string>()
const itemIds = new Map<string, string>()
for (const { id, name } of await send(op, 'GET', '/v1/vaults')) {
  vaultIds.set(name, id)
  for (const item of await send(op, 'GET', `/v1/vaults/${id}/items`))
    itemIds.set(item.title, item.id)
}
const { items } = await send(kube, 'GET', resources)
const watches = new AbortController()
await Promise.all([
  holdWatch(resources),
  holdWatch('/api/v1/secrets', 'keyferry.dev/managed=true'),
  ...['deployments', 'statefulsets', 'daemonsets'].map((kind) =>
    holdWatch(`/apis/apps/v1/${kind}`),
  ),
])

/** Resolves when the watch is open. */
async function holdWatch(path: string, labelSelector?: string): Promise<void> {
  const isSecret = labelSelector !== undefined
  const accept = isSecret
    ? 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
    : 'application/json'
  const answer = await kube.request({
    method: 'GET',
    path,
    query: { watch: 'true', allowWatchBookmarks: 'true', ...(isSecret ? { labelSelector } : {}) },
    headers: { ...headers, accept },
    bodyTimeout: 0,
    signal: watches.signal,
  })
  answer.body.on('error', () => undefined).resume()
}

async function work(claim: {
  metadata: { namespace: string; name: string; uid: string }
  spec: { itemPath: string }
}) {
  const [, vault = '', , title = ''] = claim.spec.itemPath.split('/')
  const item = await send(
    op,
    'GET',
    `/v1/vaults/${vaultIds.get(vault)}/items/${itemIds.get(title)}`,
  )
  const { namespace, name, uid } = claim.metadata
  const data = Object.fromEntries(
    item.fields.map((field: { label: string; value: string }) => [
      field.label,
      Buffer.from(field.value).toString('base64'),
    ]),
  )
  const secrets = `/api/v1/namespaces/${namespace}/secrets`
  const [method, path] = mode === 'create' ? ['POST', secrets] : ['PUT', `${secrets}/${name}`]
  const secret = await send(kube, method, path, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      labels: { 'keyferry.dev/managed': 'true' },
      annotations: {
        'keyferry.dev/applied': JSON.stringify({ mapping: '1', labels: [], annotations: [] }),
        'keyferry.dev/digest': DIGEST,
        'keyferry.dev/instance': `${namespace}/keyferry`,
        'keyferry.dev/owner': `OnePasswordItem/${name} ${DIGEST}`,
        'operator.1password.io/item-path': `vaults/${item.vault.id}/items/${item.id}`,
        'operator.1password.io/item-version': String(item.version),
      },
      ownerReferences: [{ apiVersion: 'onepassword.com/v1', kind: 'OnePasswordItem', name, uid }],
    },
    type: 'Opaque',
    data,
  })
  const now = new Date().toISOString()
  await send(
    kube,
    'PATCH',
    `${API}/namespaces/${namespace}/onepassworditems/${name}/status?fieldManager=bare-loop&force=true`,
    {
      apiVersion: 'onepassword.com/v1',
      kind: 'OnePasswordItem',
      metadata: { name },
      status: {
        appliedGeneration: 1,
        conditions: [
          {
            type: 'Ready',
            status: 'True',
            reason: 'Synced',
            message: `${item.fields.length} keys from item version ${item.version}.`,
            observedGeneration: 1,
            lastTransitionTime: now,
          },
        ],
        digest: DIGEST,
        items: [
          {
            path: claim.spec.itemPath,
            vaultId: item.vault.id,
            itemId: item.id,
            version: item.version,
          },
        ],
        keys: Object.keys(data),
        lastSyncTime: now,
        mapping: '1',
        observedGeneration: 1,
        secretName: name,
        secretResourceVersion: secret.metadata.resourceVersion,
      },
    },
  )
}

const started = performance.now()
let next = 0
await Promise.all(
  Array.from({ length: Number(concurrency) }, async () => {
    while (next < items.length) await work(items[next++])
  }),
)
console.log((performance.now() - started) / 1000)
watches.abort()
await Promise.all([kube.destroy(), op.destroy()])
