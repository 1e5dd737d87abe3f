/** A program of somebody else: it imports the package by name and uses all of its client. */
import {
  createConnectClient,
  findVault,
  type ItemDraft,
  isKeyferryError,
  SecretValue,
} from 'keyferry/connect'
import { isFault, parseClaim, pathsOf, render } from 'keyferry/plan'

const { OP_CONNECT_HOST: host = '', OP_CONNECT_TOKEN: token = '', FILE_ITEM = '' } = process.env
const client = createConnectClient({ host, token: () => token, userAgent: 'consumer/1.0' })

const signal = AbortSignal.timeout(30_000)
const text = (value: SecretValue | undefined) => Buffer.from(value?.reveal() ?? []).toString('utf8')

const vaults = await client.vaults({ filter: 'name eq "Library"', signal })
const vault = findVault(vaults, 'library')
if (vault === undefined) throw new Error('no vault')
const { id: vaultId } = await client.vault(vault.id)

const draft: ItemDraft = {
  title: 'Database',
  category: 'DATABASE',
  tags: ['library'],
  sections: [{ id: 'more', label: 'More' }],
  fields: [
    { label: 'username', value: 'wendy', purpose: 'USERNAME' },
    {
      label: 'password',
      purpose: 'PASSWORD',
      type: 'CONCEALED',
      generate: true,
      recipe: { length: 20, characterSets: ['DIGITS'] },
    },
    { label: 'port', value: SecretValue.fromText('5432'), section: { id: 'more' } },
  ],
}
const created = await client.createItem(vaultId, draft)
const id = { vaultId, itemId: created.id }
const read = await client.item(id)
// What was read can be sent back: generated values too, which do not print themselves.
const replaced = await client.replaceItem(id, { ...read, title: 'Database 2' })
const port = read.fields.find(({ label }) => label === 'port')
const patched = await client.patchItem(id, [
  { op: 'replace', path: `/fields/${port?.id}/value`, value: SecretValue.fromText('6543') },
])
const found = await client.items(vaultId, { filter: 'title eq "Database 2"' })

const fileId = { vaultId, itemId: FILE_ITEM }
const [file] = await client.files(fileId, { inline: true })
if (file === undefined) throw new Error('no file')
const again = await client.file(fileId, file.id)
const content = await client.fileContent(fileId, file.id, { limit: 1_000 })

const claim = parseClaim({
  apiVersion: 'onepassword.com/v1',
  kind: 'OnePasswordItem',
  metadata: { name: 'database', namespace: 'shop' },
  spec: {
    itemPath: 'vaults/Library/items/Database 2',
    data: { url: 'postgres://{{ op://Library/Database 2/username }}@db' },
  },
})
const paths = pathsOf(claim)
if (isFault(paths)) throw new Error(paths.message)
const whole = { item: await client.item(id), files: new Map<string, SecretValue>() }
const rendered = render(claim, new Map([...paths.keys()].map((path) => [path, whole])), false)
if ('reason' in rendered) throw new Error(rendered.message)

await client.deleteItem(id)
const gone = await client.item(id).catch((error: unknown) => error)
const aborted = await client.vaults({ signal: AbortSignal.abort() }).catch((error: Error) => error)
const activity = await client.activity({ limit: 3 })
await client.heartbeat()
const health = await client.health()
const metrics = await client.metrics()
await client.close()

process.stdout.write(
  JSON.stringify({
    printed: `${JSON.stringify(read)} ${String(read.fields[1]?.value)}`,
    created: created.title,
    password: text(read.fields.find(({ purpose }) => purpose === 'PASSWORD')?.value),
    section: port?.section?.id,
    versions: [created.version, replaced.version, patched.version],
    kept: text(patched.fields.find(({ purpose }) => purpose === 'PASSWORD')?.value),
    port: text(patched.fields.find(({ label }) => label === 'port')?.value),
    found: found.map(({ title }) => title),
    file: [file.name, text(file.content), again.size, Buffer.from(content).toString('utf8')],
    keys: [...rendered.data.keys()].toSorted(),
    url: text(rendered.data.get('url')),
    gone: isKeyferryError(gone, 'CONNECT_NOT_FOUND'),
    aborted: aborted instanceof Error && aborted.name,
    activity: activity.map(({ action, result }) => [action, result]),
    health: health.dependencies.length > 0,
    metrics: metrics.includes('# TYPE'),
  }),
)
