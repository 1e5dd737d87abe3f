/**
 * What the operator's own account can do under the admission policies, whoever uses it: the attempts
 * are made with its token. That operators work under the policies, all other cluster tests show.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { installRights, type Login, logInAs } from '../support/accounts.ts'
import {
  adminRest,
  type Cluster,
  clusterOf,
  type Kind,
  type KubeObject,
} from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let login: Login
let rest: ReturnType<typeof adminRest>
/** The namespace as the operator's account sees it. */
let account: Cluster

beforeAll(async () => {
  stage = await setStage()
  const { namespace } = stage.cluster
  await installRights(stage.cluster, { name: 'keyferry', namespaces: [namespace] })
  login = await logInAs(stage.cluster, 'keyferry', inject('kubeconfig'))
  rest = adminRest(login.kubeconfig)
  account = clusterOf(rest, namespace)
  await eventually('the policies are in force', async () => {
    const refusal = await messageOf(account.create('secrets', { metadata: { name: 'probe' } }))
    if (refusal === 'done') await stage.cluster.delete('secrets', 'probe')
    return refusal !== 'done'
  })
})
afterAll(async () => {
  await rest?.close()
  await login?.[Symbol.asyncDispose]()
  await stage?.close()
})

const MANAGED = { 'keyferry.dev/managed': 'true' }
const INCUMBENTS = {
  'operator.1password.io/item-path': 'vaults/v/items/i',
  'operator.1password.io/item-version': '1',
}
const FINALIZER = 'onepassword.com/finalizer.secret'

/** What came of a request. */
async function messageOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt
    return 'done'
  } catch (error) {
    return (error as Error).message
  }
}

let counter = 0
/** An object that the administrator makes, under a name of its own. */
async function given(kind: Kind, object: Partial<KubeObject>): Promise<KubeObject> {
  counter += 1
  const name = `given-${counter}`
  const metadata = { ...object.metadata, name }
  return stage.cluster.create(kind, { ...object, metadata })
}

const aSecret = (metadata: object, more: object = {}) =>
  given('secrets', { metadata: metadata as KubeObject['metadata'], ...more })

describe.concurrent('of Secrets, the account', () => {
  test('makes those with the label alone', async () => {
    const make = (name: string, labels: object, more = {}) =>
      messageOf(account.create('secrets', { metadata: { name, labels }, ...more }))
    expect(await make('made', MANAGED)).toBe('done')
    expect(await make('plain', {})).toContain('without its label')
    expect(await make('almost', { 'keyferry.dev/managed': 'no' })).toContain('without its label')
    expect(await make('other-digest-key', {})).toContain('without its label')
    expect(await make('my-digest-key', {}, { immutable: true })).toBe('done')
  })

  test.each([
    ['kubernetes.io/service-account-token', { 'kubernetes.io/service-account.name': 'default' }],
    ['bootstrap.kubernetes.io/token', {}],
    ['helm.sh/release.v1', {}],
  ])('makes none of type %s', async (type, annotations) => {
    const name = `mint-${type.split('/')[0]}`
    const metadata = { name, labels: MANAGED, annotations }
    expect(await messageOf(account.create('secrets', { metadata, type }))).toContain('mints')
    expect(await stage.cluster.find('secrets', name)).toBeUndefined()
  })

  test.each<[string, object, string]>([
    ['with the label', { labels: MANAGED }, 'done'],
    ['of the former operator', { annotations: INCUMBENTS }, 'done'],
    ['that are offered', { annotations: { 'keyferry.dev/adopt': 'true' } }, 'done'],
    ['of somebody else', { labels: { app: 'web' } }, 'neither its own nor offered'],
    ['offered by half', { annotations: { 'keyferry.dev/adopt': 'yes' } }, 'neither its own'],
    [
      'with one annotation of the former operator',
      { annotations: { 'operator.1password.io/item-path': 'x' } },
      'neither its own',
    ],
  ])('changes and deletes those %s: %o, %s', async (_what, metadata, result) => {
    const before = await aSecret(metadata, { stringData: { a: 'b' } })
    const labels = { ...before.metadata.labels, ...MANAGED }
    const changed = { ...before, metadata: { ...before.metadata, labels }, data: { a: 'eHg=' } }
    expect(await messageOf(account.replace('secrets', changed))).toContain(result)
    const other = await aSecret(metadata)
    expect(await messageOf(account.delete('secrets', other.metadata.name))).toContain(result)
  })

  test('takes the label off none, and changes and deletes no token', async () => {
    const ours = await aSecret({ labels: MANAGED })
    const { labels: _, ...metadata } = ours.metadata
    expect(await messageOf(account.replace('secrets', { ...ours, metadata }))).toContain(
      'without its label',
    )
    const { metadata: owner } = await given('serviceaccounts', {})
    const annotations = { 'kubernetes.io/service-account.name': owner.name }
    const type = 'kubernetes.io/service-account-token'
    const token = await aSecret({ labels: MANAGED, annotations }, { type })
    expect(await messageOf(account.delete('secrets', token.metadata.name))).toContain('mints')
    // Without a version: the token controller writes it at the same time.
    const anyVersion = { ...token.metadata, resourceVersion: '' }
    const changed = { ...token, metadata: anyVersion, data: { ...token['data'], more: 'eHg=' } }
    expect(await messageOf(account.replace('secrets', changed))).toContain('mints')
  })
})

const MARK = 'keyferry.dev/secret-0123456789'
const template = (more: object) => ({ spec: { template: more } })
const container = { name: 'app', image: 'example.invalid/evil' }

describe.concurrent('of workloads, the account', () => {
  const aWorkload = async () => {
    const { metadata, spec } = aDeployment('app', [], { theirs: 'yes' })
    spec.template.metadata = { ...spec.template.metadata, annotations: { theirs: 'yes' } } as never
    return given('deployments', { metadata: metadata as never, spec })
  }
  const attempt = async (body: object) => {
    const { metadata } = await aWorkload()
    return messageOf(account.patch('deployments', metadata.name, body))
  }

  test('sets and changes its own marks', async () => {
    const { metadata } = await aWorkload()
    for (const mark of ['one', 'two', null]) {
      const body = template({ metadata: { annotations: { [MARK]: mark } } })
      expect(await messageOf(account.patch('deployments', metadata.name, body))).toBe('done')
    }
  })

  test.each<[string, object, string]>([
    ['an image', template({ spec: { containers: [container] } }), 'nothing of a pod template'],
    ['a host path', template({ spec: { hostNetwork: true } }), 'nothing of a pod template'],
    ['a ServiceAccount', template({ spec: { serviceAccountName: 'admin' } }), 'of a pod template'],
    ['labels of pods', template({ metadata: { labels: { x: 'y' } } }), 'nothing of a pod template'],
    ['annotations', template({ metadata: { annotations: { x: 'y' } } }), 'no annotation but'],
    ['theirs', template({ metadata: { annotations: { theirs: 'no' } } }), 'no annotation but'],
    ['theirs away', template({ metadata: { annotations: { theirs: null } } }), 'no annotation but'],
    ['all away', template({ metadata: { annotations: null } }), 'no annotation but'],
    ['replicas', { spec: { replicas: 0 } }, "nothing of a workload's spec"],
    ['paused', { spec: { paused: true } }, "nothing of a workload's spec"],
    ['away a member', { spec: { revisionHistoryLimit: null, minReadySeconds: 5 } }, 'spec'],
    ['its labels', { metadata: { labels: { x: 'y' } } }, 'no labels and owners'],
    ['its annotations', { metadata: { annotations: { [MARK]: 'x' } } }, 'of a workload itself'],
    ['a finalizer on', { metadata: { finalizers: ['example.com/x'] } }, 'no finalizer but'],
    [
      'owners',
      {
        metadata: {
          ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' }],
        },
      },
      'no labels and owners',
    ],
  ])('does not set %s', async (_what, body, message) => {
    expect(await attempt(body)).toContain(message)
  })

  test('takes off the finalizer of the former operator alone', async () => {
    const finalizers = ['example.com/theirs', FINALIZER]
    const workload = await given('deployments', {
      ...(aDeployment('app', []) as never as KubeObject),
      metadata: { finalizers } as never,
    })
    const patch = (left: string[]) =>
      messageOf(
        account.patch('deployments', workload.metadata.name, { metadata: { finalizers: left } }),
      )
    expect(await patch([FINALIZER])).toContain('no finalizer but')
    expect(await patch([])).toContain('no finalizer but')
    expect(await patch(['example.com/theirs'])).toBe('done')
    await stage.cluster.patch('deployments', workload.metadata.name, {
      metadata: { finalizers: null },
    })
  })
})

describe.concurrent('of resources, the account', () => {
  test.each<[string, object, string]>([
    ['the spec', { spec: { itemPath: 'vaults/a/items/b' } }, 'nothing of a resource'],
    ['the type', { type: 'example.com/x' }, 'nothing of a resource'],
    ['labels', { metadata: { labels: { a: 'b' } } }, 'nothing of a resource'],
    ['annotations', { metadata: { annotations: { a: 'b' } } }, 'nothing of a resource'],
    ['a finalizer on', { metadata: { finalizers: [FINALIZER] } }, 'no finalizer but'],
  ])('does not set %s', async (_what, body, message) => {
    const { metadata } = await given('items', { spec: { itemPath: 'vaults/x/items/y' } })
    expect(await messageOf(account.patch('items', metadata.name, body))).toContain(message)
  })

  test('takes off the finalizer of the former operator', async () => {
    const { metadata } = await given('items', {
      metadata: { finalizers: [FINALIZER] } as never,
      spec: { itemPath: 'vaults/x/items/y' },
    })
    const body = { metadata: { finalizers: [] } }
    expect(await messageOf(account.patch('items', metadata.name, body))).toBe('done')
  })
})

test('what the policies cannot limit is said: the account still reads every Secret', async () => {
  const foreign = await aSecret({}, { stringData: { a: 'theirs' } })
  const read = await account.get('secrets', foreign.metadata.name)
  expect(read['data']).toEqual(foreign['data'])
})
