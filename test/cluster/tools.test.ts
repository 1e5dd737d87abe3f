import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { explainCommand } from '../../src/cli/explain.ts'
import { planCommand } from '../../src/cli/plan.ts'
import { renderCommand } from '../../src/cli/render.ts'
import { isReady, type KubeObject } from '../support/cluster.ts'
import { runCommand } from '../support/command.ts'
import { eventually, timeout } from '../support/eventually.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

let stage: Stage
let folder = ''
let item = ''

const RESOURCE = `apiVersion: onepassword.com/v1
kind: OnePasswordItem
metadata:
  name: database
  labels: { team: shop }
spec:
  itemPath: vaults/Production/items/Database
  data:
    URL: "x://{{ op://Production/Database/password | urlencode }}@y"
    MODE: fast
`

beforeAll(async () => {
  stage = await setStage()
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-tools-'))
  await writeFile(path.join(folder, 'database.yaml'), RESOURCE)
  const { connect, vault, cluster } = stage
  item = connect.add(vault, {
    title: 'Database',
    fields: [
      { label: 'username', value: 'app' },
      { label: 'password', value: 'p@ss-word', section: { id: 's' } },
    ],
    sections: [{ id: 's', label: 'Login' }],
  })
  await stage.operator()
  await cluster.apply('items', parse(RESOURCE))
  await cluster.until('items', 'database', isReady)
  const annotations = { 'operator.1password.io/auto-restart': 'true' }
  await cluster.create('deployments', aDeployment('app', ['database'], annotations))
  return stage.close
})
afterAll(() => rm(folder, { recursive: true }))

const env = () => ({
  KUBECONFIG: inject('kubeconfig'),
  OP_CONNECT_HOST: stage.connect.url,
  OP_CONNECT_TOKEN: 'test-token',
  POD_NAMESPACE: stage.cluster.namespace,
})
const file = () => path.join(folder, 'database.yaml')

describe('render', () => {
  const render = (args: readonly string[], isTTY = false) => {
    const all = ['--namespace', stage.cluster.namespace, ...args, file()]
    return runCommand(renderCommand, all, { env: env(), isTTY })
  }

  test('masks every value, and kubectl would apply it', async () => {
    const { code, out } = await render([])
    expect(code).toBe(0)
    expect(out).not.toMatch(/app|p@ss|fast/)
    const manifest = parse(out) as KubeObject
    expect(manifest['stringData']).toEqual({
      MODE: '***',
      URL: '***',
      password: '***',
      username: '***',
    })
    const named = { ...manifest, metadata: { ...manifest.metadata, name: 'rendered' } }
    const created = await stage.cluster.create('secrets', named)
    expect(created.metadata.labels).toEqual({ team: 'shop' })
  })

  test('reveals on a terminal or with --yes, what the operator writes', async () => {
    const refused = await render(['--reveal'])
    expect([refused.code, refused.out]).toEqual([2, ''])
    const wanted = (await stage.cluster.get('secrets', 'database'))['data']
    for (const { out } of [await render(['--reveal'], true), await render(['--reveal', '--yes'])]) {
      expect(parse(out)).toMatchObject({ data: wanted })
    }
  })

  test('says why a resource gives no Secret', async () => {
    const input = RESOURCE.replace('items/Database', 'items/Nothing')
    const { code, err, out } = await runCommand(renderCommand, ['-'], { input, env: env() })
    expect([code, out]).toEqual([1, ''])
    expect(err).toContain('no active item "Nothing"')
  })
})

describe('explain', () => {
  const explain = (args: readonly string[], more: Record<string, string> = env()) =>
    runCommand(explainCommand, args, { env: more })

  test('tells where each key comes from, who uses the Secret, and what is next', async () => {
    const { cluster, connect } = stage
    const name = `${cluster.namespace}/database`
    const first = await explain([name])
    expect(first.code).toBe(0)
    expect(first.out).toContain('password: field "password" in section "Login"')
    expect(first.out).toContain('URL: spec.data: op://Production/Database/password | urlencode')
    expect(first.out).toContain('MODE: literal in spec.data')
    expect(first.out).toContain('Deployment/app (restarts): never restarted for this Secret')
    expect(first.out).toContain('Next: unchanged')
    connect.set(item, 'username', 'other')
    await cluster.until(
      'deployments',
      'app',
      ({ spec }) => spec.template.metadata.annotations !== undefined,
    )
    const second = await explain([name])
    expect(second.out).toMatch(
      /Deployment\/app \(restarts\): restarted \d{4}-\S+Z for the present content/,
    )
    expect(second.out).not.toMatch(/p@ss|other/)
  })

  test('works without a Connect server, and says what it then does not know', async () => {
    const { KUBECONFIG, POD_NAMESPACE } = env()
    const { code, out } = await explain([`${stage.cluster.namespace}/database`], {
      KUBECONFIG,
      POD_NAMESPACE,
    })
    expect(code).toBe(0)
    expect(out).toContain('Ready: True Synced')
    expect(out).toContain('password: item vaults/Production/items/Database')
    expect(out).toContain('Next: unknown')
  })

  test('ends with one sentence for what nobody asks for', async () => {
    await expect(explain([`${stage.cluster.namespace}/nothing`])).rejects.toThrow('asks for')
  })
})

describe('plan', () => {
  const plan = (input: string, more: Record<string, string> = env()) =>
    runCommand(planCommand, ['--namespace', stage.cluster.namespace, '-'], { input, env: more })

  test('ends with 0 when nothing would change, and shows no value', async () => {
    const { code, out } = await plan(RESOURCE)
    expect(out).toContain('1 unchanged')
    expect(code).toBe(0)
    expect(out).not.toMatch(/p@ss|fast/)
  })

  test('tells keys and restarts of a change, with 3', async () => {
    const { code, out } = await plan(RESOURCE.replace('MODE: fast', 'SPEED: slow'))
    expect(code).toBe(3)
    expect(out).toContain('adds SPEED')
    expect(out).toContain('removes MODE')
    expect(out).toContain('restarts Deployment/app: Secret database has new content')
    expect(out).toContain('1 workload to restart.')
  })

  test('without a cluster everything is new', async () => {
    const { KUBECONFIG: _, ...alone } = env()
    const { code, out } = await plan(RESOURCE, alone)
    expect(code).toBe(3)
    expect(out).toContain('1 to create')
  })

  test('refuses manifests that the API server would refuse', async () => {
    const { code, err, out } = await plan(RESOURCE.replace('itemPath', 'itempath'))
    expect([code, out]).toEqual([1, ''])
    expect(err).toContain('unknown-member')
  })
})

describe('the vault policy at admission', () => {
  const send = (method: 'POST' | 'DELETE', target: string, body?: unknown) =>
    stage.cluster.rest.send({ method, path: target, ...(body ? { body } : {}) }, timeout(20_000))
  const GROUP = '/apis/admissionregistration.k8s.io/v1'
  const policies = `${GROUP}/validatingadmissionpolicies`
  const bindings = `${GROUP}/validatingadmissionpolicybindings`

  test('refuses literal references to vaults that the namespace may not name', async () => {
    const cluster = await stage.another()
    const { namespace } = cluster
    const name = `keyferry-vault-policy-${namespace}`
    const [policy, binding] = parseAllDocuments(
      await readFile('deploy/vault-policy/policy.yaml', 'utf8'),
    ).map((one) => one.toJS() as KubeObject)
    // For this namespace alone: other tests share the cluster.
    const matchResources = {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    }
    const rules = { _all: 'Shared\n', [namespace]: 'Production\nabcdefghijklmnopqrstuvwxyz\n' }
    await cluster.create('configmaps', { metadata: { name: 'keyferry-vault-rules' }, data: rules })
    await send('POST', policies, { ...policy, metadata: { name } })
    const paramRef = { ...binding?.['spec'].paramRef, namespace }
    const spec = { ...binding?.['spec'], policyName: name, paramRef, matchResources }
    await send('POST', bindings, { ...binding, metadata: { name }, spec })
    try {
      let n = 0
      const isTaken = async (kind: 'items' | 'deployments', object: object) => {
        n += 1
        const base = kind === 'items' ? { metadata: { name: `a-${n}` } } : {}
        return cluster.create(kind, { ...base, ...object }).then(
          () => true,
          (error: Error) => {
            expect(error.message).toContain('may not name')
            return false
          },
        )
      }
      const item = (one: object) => isTaken('items', { spec: one })
      await eventually(
        'the policy is in force',
        async () => !(await item({ itemPath: 'op://Private/x' })),
      )
      expect(await item({ itemPath: 'vaults/Private/items/x' })).toBe(false)
      expect(await item({ data: { a: 'x {{ op://Private/x/y }}' } })).toBe(false)
      expect(await item({ itemPath: 'op://production/x', data: { a: 'op://Private/x/y' } })).toBe(
        false,
      )
      expect(
        await item({ itemPath: 'op://production/x', data: { a: '{{ op://Shared/x/y }}', b: 'z' } }),
      ).toBe(true)
      expect(await item({ itemPath: 'vaults/abcdefghijklmnopqrstuvwxyz/items/x' })).toBe(true)
      const asks = (vault: string) => ({
        'operator.1password.io/item-path': `vaults/${vault}/items/x`,
        'operator.1password.io/item-name': 'x',
      })
      expect(await isTaken('deployments', aDeployment('bad', [], asks('Private')))).toBe(false)
      expect(await isTaken('deployments', aDeployment('good', [], asks('Production')))).toBe(true)
      const inTemplate = aDeployment('template', [])
      Object.assign(inTemplate.spec.template.metadata, { annotations: asks('Private') })
      expect(await isTaken('deployments', inTemplate)).toBe(false)
    } finally {
      await send('DELETE', `${bindings}/${name}`)
      await send('DELETE', `${policies}/${name}`)
    }
  })
})
