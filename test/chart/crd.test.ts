/**
 * `keyferry crd apply` with the rights that the chart's Job has, on a control plane of its own; and
 * what the operator says to a definition that lacks members.
 */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { adminRest, type Cluster, clusterOf, type KubeObject, readCrd } from '../support/cluster.ts'
import { type ControlPlane, startControlPlane } from '../support/control-plane/start.ts'
import { type Login, logInAs } from '../support/accounts.ts'
import { definition, isEstablished } from '../support/definitions.ts'
import { template } from '../support/helm.ts'
import { type OperatorProcess, startOperator } from '../support/operator.ts'
import { keyferry } from '../support/program.ts'
import { startScriptedConnect } from '../support/scripted-connect.ts'
import { applyHookRights } from './hooks.ts'

const NAME = 'onepassworditems.onepassword.com'
const NAMESPACE = 'keyferry'

let plane: ControlPlane
let cluster: Cluster
let job: Login

beforeAll(async () => {
  plane = await startControlPlane()
  cluster = clusterOf(adminRest(plane.kubeconfig), NAMESPACE)
  await cluster.create('namespaces', { metadata: { name: NAMESPACE } })
  const values = { 'vaultPolicy.mode': 'open' }
  const objects = await template({ name: 'keyferry', namespace: NAMESPACE, values })
  await applyHookRights(plane.kubeconfig, objects)
  job = await logInAs(cluster, 'keyferry-crd', plane.kubeconfig)
})

afterAll(async () => {
  await job[Symbol.asyncDispose]()
  await cluster.rest.close()
  await plane.stop()
})

beforeEach(async () => {
  if (await cluster.find('crds', NAME)) await cluster.delete('crds', NAME)
  await cluster.untilGone('crds', NAME)
})

/** As the chart's Job does it. */
async function apply(): Promise<string> {
  const { code, out, err } = await keyferry(['crd', 'apply'], {
    env: { KUBECONFIG: job.kubeconfig },
  })
  expect(err).toBe('')
  expect(code).toBe(0)
  return out.trim()
}

/** Installs a definition of somebody else. */
async function given(crd: object): Promise<void> {
  await cluster.create('crds', crd)
  await cluster.until('crds', NAME, isEstablished)
}

const schemaOf = ({ spec }: KubeObject, version = 'v1') =>
  spec.versions.find((one: { name: string }) => one.name === version).schema.openAPIV3Schema

/** The definition of the repository, changed. */
async function variant(change: (crd: KubeObject) => void): Promise<KubeObject> {
  const crd = parse(stringify(await readCrd())) as KubeObject
  change(crd)
  return crd
}

describe('keyferry crd apply', () => {
  test('makes the definition, and does nothing the second time', async () => {
    expect(await apply()).toBe(`${NAME} is applied`)
    const first = await cluster.until('crds', NAME, isEstablished)
    expect(schemaOf(first).properties.spec).toEqual(schemaOf(await readCrd()).properties.spec)
    expect(await apply()).toBe(`${NAME} is applied`)
    const second = await cluster.get('crds', NAME)
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion)
  })

  test("adds to the definition of 1Password's own operator, whose objects stay", async () => {
    await given(await definition('onepassworditems'))
    const old = await cluster.create('items', {
      metadata: { name: 'old' },
      spec: { itemPath: 'vaults/a/items/b' },
    })
    await apply()
    expect((await cluster.get('items', 'old')).metadata.uid).toBe(old.metadata.uid)
    const spec = { data: { USER: 'op://a/b/username' }, secretName: 'other' }
    const made = await cluster.create('items', { metadata: { name: 'new' }, spec })
    expect(made['spec']).toEqual(spec)
    const { metadata, spec: definitionSpec } = await cluster.get('crds', NAME)
    expect(metadata.annotations?.['controller-gen.kubebuilder.io/version']).toBeDefined()
    expect(definitionSpec.names.shortNames).toEqual(['opi'])
  })

  test('keeps what a third party has added', async () => {
    const extra = { type: 'string', default: 'x' }
    const theirs = await variant(({ spec }) => {
      const [v1] = spec.versions
      const v2 = structuredClone(v1)
      v2.name = 'v2'
      v1.storage = false
      v1.schema.openAPIV3Schema.properties.spec.properties = { itemPath: { type: 'string' }, extra }
      v1.additionalPrinterColumns = [{ name: 'Extra', type: 'string', jsonPath: '.spec.extra' }]
      delete v1.schema.openAPIV3Schema['x-kubernetes-validations']
      spec.names.shortNames = ['theirs']
      spec.names.categories = ['secrets']
      spec.versions = [v2, v1]
    })
    await given(theirs)
    await apply()
    const crd = await cluster.get('crds', NAME)
    const { names, versions } = crd['spec']
    expect(names).toMatchObject({ shortNames: ['opi', 'theirs'], categories: ['secrets'] })
    expect(versions.map(({ name, storage }: KubeObject) => [name, storage])).toEqual([
      ['v2', true],
      ['v1', false],
    ])
    expect(schemaOf(crd).properties.spec.properties).toMatchObject({ extra, data: {} })
    expect(versions[1].additionalPrinterColumns.map(({ name }: KubeObject) => name)).toEqual(
      expect.arrayContaining(['Ready', 'Extra']),
    )
  })

  test('leaves the definition of a newer release alone, unless it lacks something', async () => {
    const release = { 'keyferry.dev/release': '99.0.0' }
    await given(
      await variant((crd) => {
        crd.metadata.annotations = release
        schemaOf(crd).properties.spec.properties.itemPath.maxLength = 4096
      }),
    )
    expect(await apply()).toContain('99.0.0')
    const kept = await cluster.get('crds', NAME)
    expect(schemaOf(kept).properties.spec.properties.itemPath.maxLength).toBe(4096)
    delete schemaOf(kept).properties.spec.properties.data
    delete schemaOf(kept)['x-kubernetes-validations']
    await cluster.replace('crds', kept)
    expect(await apply()).toBe(`${NAME} is applied`)
    const added = await cluster.get('crds', NAME)
    expect(schemaOf(added).properties.spec.properties.data).toBeDefined()
  })

  test('has no rights on other definitions, nor to remove its own', async () => {
    await apply()
    const rest = adminRest(job.kubeconfig)
    const own = clusterOf(rest, '')
    const other = { ...(await readCrd()), metadata: { name: 'others.onepassword.com' } }
    const refused = { status: 403 }
    await expect(own.apply('crds', other)).rejects.toMatchObject(refused)
    await expect(own.delete('crds', NAME)).rejects.toMatchObject(refused)
    await expect(own.list('crds')).rejects.toMatchObject(refused)
    await rest.close()
  })

  test('says in one sentence what it may not do', async () => {
    const nobody = await logInAs(cluster, 'nobody', plane.kubeconfig)
    const { code, err } = await keyferry(['crd', 'apply', '--kubeconfig', nobody.kubeconfig])
    await nobody[Symbol.asyncDispose]()
    expect(code).toBe(1)
    expect(err).toMatch(/^keyferry: GET .*: 403 .*\n {2}Grant the missing verb.*\n$/)
  })
})

describe('the operator', () => {
  const operators: OperatorProcess[] = []
  afterAll(async () => {
    for (const operator of operators) {
      await operator.stop()
      await rm(path.dirname(operator.logFile), { recursive: true })
    }
  })

  test('stops under a definition that lacks members, and runs in shadow mode', async () => {
    await given(await definition('onepassworditems'))
    await using connect = await scripted()
    const common = { kubeconfig: plane.kubeconfig, connect: connect.url, namespace: NAMESPACE }
    const stopped = await startOperator({ ...common, ready: false })
    operators.push(stopped)
    expect(await stopped.exited).toBe(1)
    const said = (await stopped.logs()).split('\n').filter((line) => !line.startsWith('{'))
    expect(said.slice(0, 2)).toEqual([
      `keyferry: the CustomResourceDefinition ${NAME} is not served or lacks spec.secretName, ` +
        'spec.data, spec.secretMetadata, spec.requiredKeys, spec.emptyValues and 15 more',
      '  Apply the current one: keyferry crd apply, or crds.manage=true in the chart.',
    ])
    operators.push(await startOperator({ ...common, env: { DRY_RUN: 'true' } }))
  })

  test('waits for a definition that is applied at the same time', async () => {
    await using connect = await scripted()
    const kubeconfig = plane.kubeconfig
    const starting = startOperator({ kubeconfig, connect: connect.url, namespace: NAMESPACE })
    await apply()
    const operator = await starting
    operators.push(operator)
    expect(await operator.logs()).toContain('caches are complete')
  })
})

async function scripted() {
  const connect = await startScriptedConnect()
  connect.vault('Production')
  return { url: connect.url, [Symbol.asyncDispose]: () => connect.close() }
}
