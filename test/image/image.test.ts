/**
 * The image that users build, run as strictly as a cluster may run it: by an unknown user, on a
 * file system that is read only, without any capability.
 */
import { chmod, copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { GenericContainer, Wait } from 'testcontainers'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { isReady, valueOf } from '../support/cluster.ts'
import { installRights, logInAs } from '../support/accounts.ts'
import { dockerAt } from '../support/docker.ts'
import { eventually } from '../support/eventually.ts'
import { forEach } from '../support/for-each.ts'
import { IMAGE } from '../support/image.ts'
import { TOKEN } from '../support/operator.ts'
import { freePort } from '../support/processes.ts'
import { setStage, type Stage } from '../support/stage.ts'

const MIB = 2 ** 20

const docker = dockerAt(inject('dockerHost'))

/** A container as the chart's security context makes it. */
class StrictContainer extends GenericContainer {
  constructor() {
    super(IMAGE)
    this.hostConfig.ReadonlyRootfs = true
    this.withDroppedCapabilities('ALL').withSecurityOpt('no-new-privileges').withNetworkMode('host')
  }
}

beforeAll(() => {
  process.env['DOCKER_HOST'] = docker.host
  process.env['TESTCONTAINERS_HOST_OVERRIDE'] = '127.0.0.1'
  // Its own image would have to be pulled; every container here ends with its test.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true'
})

describe('the image', () => {
  test('runs as nobody in particular, and says what it is', async () => {
    const [image] = JSON.parse(await docker.run(['image', 'inspect', IMAGE])) as {
      Config: { User: string; Labels: Record<string, string>; Entrypoint: string[] }
    }[]
    expect(image?.Config.User).toBe('65532:65532')
    expect(image?.Config.Entrypoint).toEqual([
      '/nodejs/bin/node',
      '--optimize-for-size',
      '--no-maglev',
      '--no-sparkplug',
      '--initial-old-space-size=16',
      '/keyferry.mjs',
    ])
    expect(image?.Config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'Keyferry',
      'org.opencontainers.image.version': packageJson.version,
      'org.opencontainers.image.licenses': 'MIT',
    })
  })

  test('adds less than 10 MB to Node, in one step', async () => {
    const sizes = await docker.run(['history', '--human=false', '--format', '{{.Size}}', IMAGE])
    // The last line is the base.
    const own = sizes.trim().split('\n').slice(0, -1).map(Number)
    expect(own.filter((size) => size > 0)).toHaveLength(1)
    expect(Math.max(...own)).toBeLessThan(10 * MIB)
  })

  test('carries the bill of materials and the licences of the program in it', async () => {
    const script = `
      const { readFileSync } = require('node:fs')
      const { createHash } = require('node:crypto')
      const { metadata, components } = JSON.parse(readFileSync('/keyferry.cdx.json', 'utf8'))
      const is = createHash('sha256').update(readFileSync('/keyferry.mjs')).digest('hex')
      const licences = readFileSync('/keyferry.licenses.txt', 'utf8')
      const unnamed = components.filter((one) => !licences.includes(one.name + ' ' + one.version))
      const [{ content: said }] = metadata.component.hashes
      console.log(JSON.stringify({ is, said, count: components.length, unnamed }))`
    const node = ['--network=none', '--read-only', '--entrypoint', '/nodejs/bin/node', IMAGE]
    const out = await docker.run(['run', '--rm', ...node, '-e', script])
    const found = JSON.parse(out) as { is: string; said: string; count: number; unnamed: object[] }
    expect(found.is).toBe(found.said)
    expect(found.count).toBeGreaterThan(40)
    expect(found.unnamed).toEqual([])
  })

  test('has no shell', async () => {
    const args = ['run', '--rm', '--network=none', '--entrypoint', '/bin/sh', IMAGE, '-c', 'true']
    await expect(docker.run(args)).rejects.toThrow('no such file or directory')
  })

  test('prints its version', async () => {
    const args = ['--network=none', '--read-only', '--cap-drop=ALL']
    const out = await docker.run(['run', '--rm', ...args, IMAGE, '--version'])
    expect(out.trim()).toMatch(/^\d+\.\d+\.\d+$/)
  })

  test('syncs an item to a Secret', async () => {
    await using stage = await setStage()
    const { cluster, connect, vault } = stage
    await using operator = await startOperator(stage)
    connect.add(vault, { title: 'db', fields: [{ label: 'password', value: 'one' }] })
    await stage.item('db', 'db')
    await cluster.until('items', 'db', isReady)
    expect(valueOf(await cluster.get('secrets', 'db'), 'password')).toBe('one')
    const health = await fetch(`${operator.probes}/healthz`)
    expect(health.status).toBe(200)
  })

  test('takes less than 100 MiB of memory for an operator with 1,000 resources', async () => {
    await using stage = await setStage()
    const { connect, vault } = stage
    const names = Array.from({ length: 1_000 }, (_, n) => `item-${n}`)
    for (const name of names) {
      connect.add(vault, { title: name, fields: [{ label: 'password', value: `of ${name}` }] })
    }
    await forEach(names, 16, (name) => stage.item(name, name))
    await using operator = await startOperator(stage)
    const read = async () => (await fetch(`${operator.metrics}/metrics`)).text()
    const synced = 'keyferry_resources{ready="True",reason="Synced"} 1000'
    await eventually('all are synced', async () => (await read()).includes(synced))
    const resident = async () => {
      const table = await docker.run(['top', operator.container, '-o', 'pid,rss'])
      return Number(table.trim().split(/\s+/).at(-1)) / 1_024
    }
    await eventually(
      'it takes less than 100 MiB',
      // As Prometheus does: an operator that does nothing at all has no reason to tidy up.
      async () => (await read()) !== '' && (await resident()) < 100,
      async () => `it takes ${await resident()} MiB`,
    )
  })

  test('serves the Connect API from a folder that it may write to', async () => {
    const port = await freePort()
    await using _server = await new StrictContainer()
      .withCommand(['connect', '--port', String(port), '--data', '/data'])
      .withTmpFs({ '/data': 'rw,mode=0700,uid=65532,gid=65532' })
      .start()
    const beat = await eventually('the server answers', async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/heartbeat`)
      return answer.status === 200 && answer.text()
    })
    expect(beat).toBe('.')
  })
})

/** An operator for the namespace of a stage, and where its pages are. */
async function startOperator({ cluster, connect }: Stage) {
  await using started = new AsyncDisposableStack()
  const { namespace } = cluster
  await installRights(cluster, { name: 'keyferry', namespaces: [namespace] })
  const login = started.use(await logInAs(cluster, 'keyferry', inject('kubeconfig')))
  const pod = started.use(await podOf(login.kubeconfig, namespace))
  const [probes, metrics] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
  const container = new StrictContainer()
    .withBindMounts([{ source: pod.account, target: ACCOUNT, mode: 'ro' }])
    .withEnvironment({
      ...pod.env,
      OP_CONNECT_HOST: connect.url,
      OP_CONNECT_TOKEN: TOKEN,
      WATCH_NAMESPACE: namespace,
      POD_NAMESPACE: namespace,
      PROBE_ADDRESS: probes,
      METRICS_ADDRESS: metrics,
    })
    .withWaitStrategy(Wait.forLogMessage(/caches are complete/))
  const running = started.use(await container.start())
  const resources = started.move()
  return {
    container: running.getId(),
    probes: `http://${probes}`,
    metrics: `http://${metrics}`,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** Where a pod finds its account. */
const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/** What a kubelet gives to a container so that it can log in. */
async function podOf(kubeconfig: string, namespace: string) {
  const { clusters, users } = JSON.parse(await readFile(kubeconfig, 'utf8'))
  const { server, 'certificate-authority': authority } = clusters[0].cluster
  const account = await mkdtemp(path.join(os.tmpdir(), 'keyferry-account-'))
  // The user of the container is another one.
  await chmod(account, 0o755)
  await writeFile(path.join(account, 'token'), users[0].user.token, { mode: 0o644 })
  await writeFile(path.join(account, 'namespace'), namespace)
  await copyFile(authority, path.join(account, 'ca.crt'))
  const { hostname, port } = new URL(server)
  return {
    account,
    env: { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
    [Symbol.asyncDispose]: () => rm(account, { recursive: true }),
  }
}
