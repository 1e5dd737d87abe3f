/**
 * The reading of kubeconfigs against that of Kubernetes' own client, in what both support alike. The
 * client is here to judge: what it takes with it is more than all else that the program is made of.
 */
import { KubeConfig } from '@kubernetes/client-node'
import * as fc from 'fast-check'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { RequestOptions } from 'node:https'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect } from 'vitest'
import { type Credentials, loadAccess } from '../../../src/kube/config.ts'
import { property } from '../../support/property.ts'

const folder = mkdtempSync(path.join(os.tmpdir(), 'keyferry-kubeconfig-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const FILES = ['ca.crt', 'client.crt', 'client.key'] as const
for (const name of FILES) writeFileSync(path.join(folder, name), `content of ${name}`)

const base64 = fc
  .constantFrom('CA', 'CERT', 'a\r\nb')
  .map((text) => Buffer.from(text).toString('base64'))
const anyName = fc.oneof(
  fc.constantFrom('a', 'b', 'kind-kind', 'arn:aws:eks:eu-west-1:1:cluster/x', '#', "it's"),
  fc.string({ minLength: 1, maxLength: 8 }),
)
const anyText = fc.oneof(
  fc.constantFrom('abc', '0123', 'true', 'null', '{x', ' padded ', ':'),
  fc.string({ minLength: 1, maxLength: 8 }),
)

const anyServer = fc
  .tuple(
    fc.constantFrom('kube.example', '10.0.0.1', '[fd00::1]'),
    fc.constantFrom('', ':6443', '/', ':6443/api/'),
  )
  .map((parts) => `https://${parts.join('')}`)
const anyCluster = fc.record(
  {
    server: anyServer,
    'certificate-authority-data': base64,
    'insecure-skip-tls-verify': fc.boolean(),
    'tls-server-name': fc.constantFrom('kube', 'kube.example'),
  },
  { requiredKeys: ['server'] },
)
const anyFileCluster = fc.record({
  server: anyServer,
  'certificate-authority': fc.constantFrom('ca.crt', './ca.crt', path.join(folder, 'ca.crt')),
})
const anyUser = fc.oneof(
  fc.record({ token: anyText, as: anyText }, { requiredKeys: ['token'] }),
  fc.record({ username: anyText, password: anyText }),
  fc.record({ 'client-certificate-data': base64, 'client-key-data': base64 }),
  fc.constant({ 'client-certificate': 'client.crt', 'client-key': 'client.key' }),
  fc.constant({}),
)

interface Named {
  readonly name: string
}
const several = <T extends object>(kind: string, one: fc.Arbitrary<T>) =>
  fc.uniqueArray(
    fc.tuple(anyName, one).map(([name, members]): Named => ({ name, [kind]: members })),
    { minLength: 1, maxLength: 3, selector: ({ name }) => name },
  )

const anyConfig = fc
  .record({
    clusters: several('cluster', fc.oneof(anyCluster, anyFileCluster)),
    users: several('user', anyUser),
    contexts: fc.uniqueArray(
      fc.record({
        name: anyName,
        namespace: fc.option(anyName),
        cluster: fc.nat(2),
        user: fc.nat(2),
      }),
      { minLength: 1, maxLength: 3, selector: ({ name }) => name },
    ),
    current: fc.nat(2),
  })
  .map(({ clusters, users, contexts, current }) => {
    const nth = (list: readonly Named[], n: number) => list[n % list.length]?.name
    return {
      apiVersion: 'v1',
      kind: 'Config',
      clusters,
      users,
      contexts: contexts.map(({ name, namespace, cluster, user }) => ({
        name,
        context: {
          cluster: nth(clusters, cluster),
          user: nth(users, user),
          ...(namespace === null ? {} : { namespace }),
        },
      })),
      'current-context': nth(contexts, current),
    }
  })

/** What the client makes of the same file. */
async function judge(file: string): Promise<Credentials & { server: string; namespace: string }> {
  const config = new KubeConfig()
  config.loadFromFile(file)
  const options: RequestOptions = {}
  await config.applyToHTTPSOptions(options)
  const { ca, cert, key, servername, rejectUnauthorized, auth } = options
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    // Space round a token is none of it, as for kubectl.
    headers[name.toLowerCase()] = String(value).replace(/^Bearer\s+(.*?)\s*$/, 'Bearer $1')
  }
  if (auth) headers['authorization'] = `Basic ${Buffer.from(auth).toString('base64')}`
  const tls = { ca, cert, key, servername, rejectUnauthorized }
  return {
    server: config.getCurrentCluster()?.server.replace(/\/+$/, '') ?? '',
    namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    headers,
    tls: JSON.parse(JSON.stringify(tls)) as Credentials['tls'],
  }
}

describe('any kubeconfig', () => {
  property(
    "gives the server, namespace, headers and certificates that Kubernetes' client gives",
    fc.asyncProperty(anyConfig, async (config) => {
      const file = path.join(folder, 'config')
      writeFileSync(file, JSON.stringify(config))
      const { server, namespace, credentials } = loadAccess(file)
      const { headers, tls } = await credentials(false)
      const ours = { server, namespace, headers, tls: JSON.parse(JSON.stringify(tls)) as unknown }
      expect(ours).toEqual(await judge(file))
    }),
  )
})
