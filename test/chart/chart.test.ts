/**
 * What the chart makes of its values, judged by a real API server.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { SETTINGS } from '../../src/settings/settings.ts'
import { adminRest, type Cluster, clusterOf, type KubeObject } from '../support/cluster.ts'
import { install } from '../support/definitions.ts'
import {
  CHART,
  type Container,
  find,
  helm,
  kubectl,
  kustomize,
  podsOf,
  template,
  withValues,
} from '../support/helm.ts'
import { CASES, caseOf, CREDENTIALS } from './cases.ts'
import { rightsIn } from './rights.ts'
import { readFile } from 'node:fs/promises'

const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' }
const NAMESPACES = ['keyferry', 'team-a', 'team-b']

let cluster: Cluster
const kubeconfig = inject('kubeconfig')

beforeAll(async () => {
  cluster = clusterOf(adminRest(kubeconfig), 'keyferry')
  for (const name of NAMESPACES) {
    await cluster.apply('namespaces', { metadata: { name, labels: RESTRICTED } })
  }
  await install(cluster, ['servicemonitors', 'prometheusrules'])
})

afterAll(async () => {
  await cluster.rest.close()
})

describe.each(Object.entries(CASES))('installation %s', (_name, release) => {
  test('is taken by the API server as it stands', async () => {
    const objects = await template(release)
    const args = [
      'apply',
      '--server-side',
      '--dry-run=server',
      '--validate=strict',
      '--output=name',
    ]
    const out = await kubectl(kubeconfig, args, objects)
    expect(out.trim().split('\n')).toHaveLength(objects.length)
  })

  test('makes only pods of the restricted Pod Security Standard', async () => {
    const pods = podsOf(await template(release))
    const args = ['create', '--namespace=keyferry', '--dry-run=server', '--validate=strict']
    const out = await kubectl(kubeconfig, args, pods)
    expect(out.trim().split('\n')).toHaveLength(pods.length)
  })

  test('has names and labels of its own, and selectors that hit its pods only', async () => {
    const objects = await template(release)
    const keys = objects.map(({ kind, metadata }) =>
      [kind, metadata.namespace, metadata.name].join(),
    )
    expect(new Set(keys).size).toBe(keys.length)
    const foreign = objects.filter(({ kind, metadata }) => {
      const instance = metadata.labels?.['app.kubernetes.io/instance']
      return !String(kind).startsWith('Validating') && instance !== release.name
    })
    expect(foreign).toEqual([])
    for (const { kind, spec } of objects.filter(({ kind }) => kind === 'Deployment')) {
      expect(spec.template.metadata.labels, kind).toMatchObject(spec.selector.matchLabels)
    }
  })
})

test('a Pod that is not restricted would have been refused', async () => {
  const [pod] = podsOf(await template(caseOf('keyferry')))
  const spec = { ...pod?.['spec'], hostNetwork: true }
  const args = ['create', '--namespace=keyferry', '--dry-run=server']
  await expect(kubectl(kubeconfig, args, [{ ...pod, spec }])).rejects.toThrow(
    'violates PodSecurity',
  )
})

test('helm lint has nothing to say', async () => {
  for (const { values } of Object.values(CASES)) {
    const { code, out } = await withValues(values, (args) =>
      helm(['lint', '--strict', CHART, ...args]),
    )
    expect(out).not.toMatch(/\[(WARNING|ERROR)\]/)
    expect(code).toBe(0)
  }
})

describe('rights', () => {
  test('are these, and no others', async () => {
    const parts: string[] = []
    for (const [name, release] of Object.entries(CASES)) {
      parts.push(`# ${name}`, ...rightsIn(await template(release)), '')
    }
    await expect(parts.join('\n')).toMatchFileSnapshot('rights.golden.txt')
  })

  test('are those of the plain manifests', async () => {
    const rename = (lines: string[]) =>
      lines.map((line) => line.replaceAll('keyferry.keyferry', 'keyferry'))
    const operator = (lines: string[]) => lines.filter((line) => !/-crd|-view|-edit/.test(line))
    const chart = rename(operator(rightsIn(await template(caseOf('keyferry')))))
    const plain = rightsIn(await kustomize('deploy'))
    expect(chart.toSorted()).toEqual(plain.toSorted())
  })
})

describe('mistakes are told in one sentence', () => {
  const OPEN = { 'vaultPolicy.mode': 'open' }
  const ONEPASSWORD = { ...OPEN, 'connect.onepassword.enabled': true }
  const credentials = (value: string) => ({
    ...ONEPASSWORD,
    'connect.onepassword.credentials.value': value,
  })
  const base64 = (text: string) => Buffer.from(text).toString('base64')

  test.each<[string, Record<string, unknown>, string]>([
    ['no vault policy', {}, 'Say which namespaces may draw from which vaults'],
    [
      'an unknown vault policy',
      { 'vaultPolicy.mode': 'all' },
      "must be one of '', 'open', 'closed'",
    ],
    ['an unknown value', { ...OPEN, imagePullSecret: 'x' }, "'imagePullSecret' not allowed"],
    ['an unknown setting', { ...OPEN, 'settings.POLLING': 3 }, "invalid propertyName 'POLLING'"],
    [
      'two Connect servers',
      { ...ONEPASSWORD, 'connect.embedded.enabled': true },
      'exclude each other: enable one Connect server',
    ],
    [
      'no vaults',
      { ...OPEN, 'connect.embedded.enabled': true, 'connect.embedded.vaults': [] },
      'connect.embedded.vaults names no vault',
    ],
    ['no token', { ...OPEN, 'connect.token.existingSecret': '' }, 'There is no Connect token'],
    ['no credentials', ONEPASSWORD, '1Password Connect needs its credentials'],
    ['credentials in base64 twice', credentials(base64(base64(CREDENTIALS))), 'in base64 twice'],
    ['another file', credentials('{"token":"x"}'), 'is not the file 1password-credentials.json'],
    ['cut credentials', credentials(CREDENTIALS.slice(0, -9)), 'is not the file 1password-'],
    ['no file at all', credentials('~/Downloads'), 'is not the file 1password-credentials.json'],
    [
      'a variable that the chart sets',
      { ...OPEN, extraEnv: [{ name: 'INSTANCE', value: 'x' }] },
      'extraEnv sets INSTANCE',
    ],
    ['several shadows', { ...OPEN, dryRun: true, replicas: 2 }, 'set replicas=1'],
  ])('%s', async (_what, values, sentence) => {
    const failure = await template({ name: 'r', namespace: 'keyferry', values }).then(
      () => 'it was rendered',
      (error: Error) => error.message,
    )
    expect(failure).toContain(sentence)
    expect(failure.split('\n').filter(Boolean).length).toBeLessThanOrEqual(4)
  })
})

describe('values reach their place', () => {
  const operatorOf = (objects: readonly KubeObject[], name: string) => {
    const [operator] = find(objects, 'Deployment', name)['spec'].template.spec
      .containers as Container[]
    return operator
  }
  const envOf = ({ env = [] }: Container) =>
    Object.fromEntries(env.map(({ name, value }) => [name, value]))

  test('settings, whatever their type, as text', async () => {
    const operator = operatorOf(await template(caseOf('full')), 'secrets')
    expect(operator && envOf(operator)).toMatchObject({
      INSTANCE: 'secrets',
      ITEM_SELECTOR: 'team in (a, b)',
      POLLING_INTERVAL: '1000000',
      RESTART_DELAY: '0.5',
      AUTO_RESTART: 'true',
      OP_CONNECT_HOST: 'https://connect.example.com',
      OP_CONNECT_CA_FILE: '/run/keyferry/ca/ca.crt',
      NODE_EXTRA_CA_CERTS: '/run/keyferry/ca/ca.crt',
    })
    expect(operator?.image).toBe(`registry.example.com:5000/keyferry@sha256:${'0'.repeat(64)}`)
  })

  test('every setting of the operator, by the chart or by its settings', async () => {
    const schema = JSON.parse(await readFile(`${CHART}/values.schema.json`, 'utf8'))
    const free = schema.properties.settings.propertyNames.enum as string[]
    const checks = await readFile(`${CHART}/templates/_checks.tpl`, 'utf8')
    const taken = [...(/has \.name \(list ([^)]*)\)/.exec(checks)?.[1] ?? '').matchAll(/"(\w+)"/g)]
    const all = Object.values(SETTINGS).map(({ name }) => name)
    const known = [...free, ...taken.map(([, name]) => name), 'KUBECONFIG']
    expect(new Set(known)).toEqual(new Set(all))
  })

  test.each([
    ['JSON', CREDENTIALS],
    ['base64', Buffer.from(CREDENTIALS).toString('base64')],
    [
      'base64 in lines',
      Buffer.from(CREDENTIALS)
        .toString('base64')
        .replaceAll(/(.{60})/g, '$1\n'),
    ],
  ])('credentials given as %s, as the file that 1Password made', async (_form, text) => {
    const { name, namespace, values } = caseOf('onepassword')
    const more = { ...values, 'connect.onepassword.credentials.value': text }
    const objects = await template({ name, namespace, values: more })
    const { data } = find(objects, 'Secret', 'onepassword-keyferry-connect-credentials')
    const file = Buffer.from(data['1password-credentials.json'], 'base64').toString()
    expect(JSON.parse(file)).toEqual(JSON.parse(CREDENTIALS))
  })
})
