/**
 * The plain manifests and the examples for GitOps, judged by a real API server and by the
 * definitions that Argo CD, Flux and the Prometheus operator release.
 */
import { createRequire } from 'node:module'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { parse } from 'yaml'
import { once } from '../support/clients.ts'
import { adminRest, type Cluster, clusterOf, type KubeObject } from '../support/cluster.ts'
import { install } from '../support/definitions.ts'
import { find, kubectl, kustomize, objectsIn, podsOf, template } from '../support/helm.ts'
import { run } from '../support/run.ts'
import { rightsIn } from './rights.ts'

const kubeconfig = inject('kubeconfig')
const DRY = ['--dry-run=server', '--validate=strict', '--output=name']
const OVERLAYS = ['embedded-connect', 'monitoring', 'namespaced'].map(
  (name) => `deploy/overlays/${name}`,
)

let cluster: Cluster

beforeAll(async () => {
  cluster = clusterOf(adminRest(kubeconfig), '')
  const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  for (const name of ['keyferry', 'team-a', 'team-b']) {
    await cluster.apply('namespaces', { metadata: { name, labels: restricted } })
  }
  for (const name of ['argocd', 'flux-system']) {
    await cluster.apply('namespaces', { metadata: { name } })
  }
  await install(cluster, [
    'servicemonitors',
    'prometheusrules',
    'applications',
    'helmreleases',
    'gitrepositories',
  ])
})

afterAll(() => cluster.rest.close())

describe.each(['deploy', ...OVERLAYS])('%s', (folder) => {
  test('is taken by the API server, with restricted pods', async () => {
    const objects = await kustomize(folder)
    const out = await kubectl(
      kubeconfig,
      ['apply', '--server-side', '--force-conflicts', ...DRY],
      objects,
    )
    expect(out.trim().split('\n')).toHaveLength(objects.length)
    const pods = podsOf(objects)
    const made = await kubectl(kubeconfig, ['create', '--namespace=keyferry', ...DRY], pods)
    expect(made.trim().split('\n')).toHaveLength(pods.length)
  })
})

test('a namespaced installation has the rights that the chart gives, and none elsewhere', async () => {
  const own = rightsIn(await kustomize('deploy/overlays/namespaced'))
  const served = rightsIn(await objectsIn('deploy/overlays/namespaced/served.yaml'))
  const values = {
    'vaultPolicy.mode': 'open',
    'rbac.userRoles': false,
    'crds.manage': false,
    watchNamespaces: ['here'],
  }
  const chart = rightsIn(await template({ name: 'keyferry', namespace: 'keyferry', values }))
  expect(new Set([...own, ...served])).toEqual(new Set(chart))
  expect([...own, ...served].join()).not.toContain('everywhere')
})

test('the embedded server of the overlay is run as that of the chart', async () => {
  const values = { 'vaultPolicy.mode': 'open', 'connect.embedded.enabled': true }
  const chart = await template({ name: 'keyferry', namespace: 'keyferry', values })
  const plain = await kustomize('deploy/overlays/embedded-connect')
  const containers = (objects: readonly KubeObject[]) => {
    const { initContainers, containers: main } = find(objects, 'StatefulSet', 'keyferry-connect')[
      'spec'
    ].template.spec
    return [...initContainers, ...main].map(({ name, args, env, volumeMounts }) => ({
      name,
      args,
      env,
      volumeMounts,
    }))
  }
  expect(containers(plain)).toEqual(containers(chart))
})

describe('examples', () => {
  test.each(['argocd/application.yaml', 'argocd/argocd-cm.yaml', 'flux/keyferry.yaml'])(
    '%s is taken by the API server',
    async (file) => {
      const objects = await objectsIn(`deploy/examples/${file}`)
      const out = await kubectl(
        kubeconfig,
        ['apply', '--server-side', '--force-conflicts', ...DRY],
        objects,
      )
      expect(out.trim().split('\n')).toHaveLength(objects.length)
    },
  )

  test('give the chart values that it takes', async () => {
    const [argo] = await objectsIn('deploy/examples/argocd/application.yaml')
    const flux = find(
      await objectsIn('deploy/examples/flux/keyferry.yaml'),
      'HelmRelease',
      'keyferry',
    )
    for (const values of [argo?.['spec'].source.helm.valuesObject, flux['spec'].values]) {
      const objects = await template({ name: 'keyferry', namespace: 'keyferry', values })
      const [operator] = find(objects, 'Deployment', 'keyferry')['spec'].template.spec.containers
      expect(operator.image).toMatch(/^registry\.example\.com\/keyferry:/)
    }
  })

  test('the health check of Argo CD tells what a resource says', async () => {
    const health = await healthCheck()
    const item = (generation: number, conditions: object[] | undefined, observed = generation) => ({
      metadata: { generation },
      status: { observedGeneration: observed, ...(conditions ? { conditions } : {}) },
    })
    const ready = (status: string, message: string) => ({ type: 'Ready', status, message })
    expect(health({ metadata: { generation: 1 } })).toMatchObject({ status: 'Progressing' })
    expect(health(item(1, [], -1))).toMatchObject({ status: 'Progressing' })
    expect(health(item(1, [ready('Unknown', 'soon')]))).toMatchObject({ status: 'Progressing' })
    expect(health(item(1, [ready('True', 'ok')]))).toEqual({ status: 'Healthy', message: 'ok' })
    expect(health(item(2, [ready('True', 'ok')], 1))).toMatchObject({ status: 'Progressing' })
    const stale = { type: 'Stale', status: 'True', message: 'Connect is away' }
    expect(health(item(1, [ready('True', 'ok'), stale]))).toEqual({
      status: 'Healthy',
      message: 'Connect is away',
    })
    expect(health(item(1, [ready('False', 'no vault')]))).toEqual({
      status: 'Degraded',
      message: 'no vault',
    })
  })
})

/** Fengari is Lua in JavaScript. */
const FENGARI = 'fengari@0.1.5'

/** The health check of the example, as Argo CD runs it: `obj` is the resource. */
async function healthCheck(): Promise<(object: unknown) => unknown> {
  const dir = await once(FENGARI, async (draft) => {
    await writeFile(path.join(draft, 'package.json'), '{"private":true}')
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save']
    await run('npm', ['install', ...flags, FENGARI], { cwd: draft })
  })
  const { lua, lauxlib, lualib, to_luastring, to_jsstring } = createRequire(`${dir}/`)('fengari')
  const [map] = await objectsIn('deploy/examples/argocd/argocd-cm.yaml')
  const script = map?.['data']['resource.customizations.health.onepassword.com_OnePasswordItem']
  return (object) => {
    const state = lauxlib.luaL_newstate()
    lualib.luaL_openlibs(state)
    const program = `local obj = ${literal(object)}
      local function check() ${script} end
      local found = check()
      return '{"status": "' .. found.status .. '", "message": "' .. found.message .. '"}'`
    if (lauxlib.luaL_dostring(state, to_luastring(program)) !== lua.LUA_OK) {
      throw new Error(lua.lua_tojsstring(state, -1))
    }
    return parse(to_jsstring(lua.lua_tostring(state, -1)))
  }
}

/** A value as Lua writes it. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return `{${value.map(literal).join(', ')}}`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([key, one]) => `${key} = ${literal(one)}`)
  return `{${members.join(', ')}}`
}
