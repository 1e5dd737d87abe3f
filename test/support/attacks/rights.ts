/** Attacks by load, by looking closely, and by requests that rights alone must stop. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'undici'
import { timeout } from '../eventually.ts'
import { forEach } from '../for-each.ts'
import {
  aResource,
  type Attack,
  OURS,
  refused,
  type Scene,
  served,
  within,
  won,
  writeStatus,
} from './attack.ts'

/** A resource of the other that must be served whatever this tenant does. */
const undisturbed = async ({ other, name }: Scene): Promise<string[]> => {
  await served(other, `${name}-beside`)
  return []
}

const FLOOD = 100
const LOAD: readonly Attack[] = [
  {
    row: 5,
    who: 'author',
    tries: 'to keep the operator busy with a hundred bad resources',
    async attempt(scene) {
      const numbers = Array.from({ length: FLOOD }, (_, n) => n)
      const { author } = scene.me.as
      const spec = { itemPath: 'vaults/Nowhere/items/x' }
      await forEach(numbers, 8, (n) =>
        author.create('items', aResource(`${scene.name}-${n}`, spec)),
      )
      return undisturbed(scene)
    },
  },
  {
    row: 5,
    who: 'author',
    tries: 'to keep the operator busy with one resource that changes all the time',
    async attempt(scene) {
      const { me, name } = scene
      await me.as.author.create('items', aResource(name, { itemPath: OURS }))
      for (let n = 0; n < FLOOD / 2; n += 1) {
        await me.as.author.patch('items', name, { spec: { data: { n: String(n) } } })
      }
      return undisturbed(scene)
    },
  },
  {
    row: 5,
    who: 'author',
    tries: 'values that grow beyond what a Secret holds',
    async attempt(scene) {
      const text = '{{ op://Team/Ours/password | base64 }}'.repeat(400)
      const keys = Array.from({ length: 60 }, (_, n) => [`k${n}`, text])
      const spec = { data: Object.fromEntries(keys) as object }
      await scene.me.as.author.create('items', aResource(scene.name, spec))
      return undisturbed(scene)
    },
  },
]

/** Digests and checksums that somebody may hope to find of a weak value. */
function guesses(): string[] {
  return Array.from({ length: 10_000 }, (_, n) => `weak-${n}`).flatMap((value) =>
    ['sha256', 'sha1', 'md5'].flatMap((kind) => {
      const hash = createHash(kind).update(value).digest()
      return [hash.toString('hex'), hash.toString('base64')]
    }),
  )
}

const READERS: readonly Attack[] = [
  {
    row: 13,
    who: 'reader',
    tries: 'ten thousand weak values against all that can be read',
    async attempt({ me }) {
      const lists = await Promise.all(
        (['items', 'events', 'deployments'] as const).map((kind) => me.as.reader.list(kind)),
      )
      const text = JSON.stringify(lists)
      // By length: a set of parts is faster to ask than a text is to search.
      const parts = new Set(text.split(/[^\w+/=-]+/))
      const found = guesses().filter((guess) => parts.has(guess))
      return won(found.length > 0 || text.includes('weak-4711'), `found ${found.join()}`)
    },
  },
  {
    row: 13,
    who: 'reader',
    tries: 'whether two Secrets hold the same, by their digests',
    async attempt({ me, other, name }) {
      await served(me, `${name}-same`)
      await served(other, `${name}-same`)
      await served(me, `${name}-also`)
      const digests = await Promise.all(
        [
          [me.as.reader, `${name}-same`] as const,
          [me.as.reader, `${name}-also`] as const,
          [other.as.reader, `${name}-same`] as const,
        ].map(async ([by, item]) => (await by.get('items', item))['status'].digest as string),
      )
      return won(new Set(digests).size !== digests.length, 'equal values have equal digests')
    },
  },
  {
    row: 12,
    who: 'reader',
    tries: 'to find a value in resources, Events and workloads',
    async attempt({ me }) {
      const lists = await Promise.all(
        (['items', 'events', 'deployments'] as const).map((kind) => me.as.reader.list(kind)),
      )
      const text = JSON.stringify(lists)
      const base64 = Buffer.from(me.hidden.number).toString('base64')
      return won(text.includes(me.hidden.number) || text.includes(base64), 'it is told')
    },
  },
  {
    row: 12,
    who: 'reader',
    tries: 'to list the Secrets',
    attempt: ({ me }) => refused(me.as.reader.list('secrets'), 403),
  },
]

/** Requests that the rights alone must stop. */
const REQUESTS: Readonly<Record<string, (scene: Scene) => Promise<unknown>>> = {
  'to list the other’s Secrets': ({ me, other }) =>
    within(me.as.owner, other.namespace).list('secrets'),
  'to read the other’s resources': ({ me, other }) =>
    within(me.as.owner, other.namespace).list('items'),
  'to write the other’s statuses': ({ me, other }) =>
    writeStatus(within(me.as.owner, other.namespace), 'card', { items: [] }),
  'to read the operator’s key of digests': ({ me, home }) =>
    within(me.as.owner, home).get('secrets', 'keyferry-digest-key'),
  'to take the operator’s Lease': ({ me, home }) =>
    within(me.as.owner, home).patch('leases', 'keyferry', { spec: { holderIdentity: 'me' } }),
  'a token of the operator’s account': ({ me, home }) => {
    const path = `/api/v1/namespaces/${home}/serviceaccounts/keyferry/token`
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }
    return me.as.owner.rest.send({ method: 'POST', path, body }, timeout(20_000))
  },
  'to bind the operator’s rights to everything': ({ me, name }) =>
    me.as.owner.create('clusterrolebindings', {
      metadata: { name },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: 'ClusterRole',
        name: 'cluster-admin',
      },
      subjects: [{ kind: 'ServiceAccount', name: 'tenant-owner', namespace: me.namespace }],
    }),
  'to loosen the schema of resources': ({ me }) =>
    me.as.owner.patch('crds', 'onepassworditems.onepassword.com', { spec: {} }),
  'to make an admission policy': ({ me, name }) =>
    me.as.owner.create('policies', { metadata: { name } }),
}

const RIGHTS: readonly Attack[] = [
  ...Object.entries(REQUESTS).map(
    ([tries, send]): Attack => ({
      row: 22,
      who: 'owner',
      tries,
      attempt: (scene) => refused(send(scene), 403),
    }),
  ),
  {
    row: 22,
    who: 'owner',
    tries: 'to act as the operator',
    async attempt({ me, home }) {
      const { server, token } = await wayOf(me.logins.owner.kubeconfig)
      const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
      const headers = {
        authorization: `Bearer ${token}`,
        'impersonate-user': `system:serviceaccount:${home}:keyferry`,
      }
      const { statusCode, body } = await request(`${server}/api/v1/secrets`, {
        dispatcher,
        headers,
      })
      await body.dump()
      await dispatcher.close()
      return won(statusCode !== 403, `the request ended with ${statusCode}`)
    },
  },
]

async function wayOf(kubeconfig: string): Promise<{ server: string; token: string }> {
  const config = JSON.parse(await readFile(kubeconfig, 'utf8'))
  return { server: config.clusters[0].cluster.server, token: config.users[0].user.token }
}

/** All of them. */
export const BESIDES: readonly Attack[] = [...LOAD, ...READERS, ...RIGHTS]
