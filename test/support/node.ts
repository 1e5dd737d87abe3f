/**
 * A node of a real cluster: containerd, kubelet, kube-proxy, scheduler and DNS on this machine, as
 * root. Its pods reach each other over a bridge, whose address is that of the API server too.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { aptInstall } from './apt.ts'
import { adminRest, clusterOf, condition, type KubeObject } from './cluster.ts'
import { findNodeAssets } from './control-plane/assets.ts'
import { type ControlPlane, startControlPlane } from './control-plane/start.ts'
import { eventually } from './eventually.ts'
import { type Daemon, freePort, startDaemon, which } from './processes.ts'
import { run, runToEnd } from './run.ts'

const BRIDGE = 'keyferry0'
const SUBNET = '10.213.77'
/** Of this machine, on the bridge. */
const GATEWAY = `${SUBNET}.1`
const PLUGINS = '/usr/lib/cni'
const INSTEAD = 'install it, or run the tests as root'

/** Image of the containers that hold the namespaces of a pod; to be imported before a pod starts. */
export const PAUSE_IMAGE = 'docker.io/library/keyferry-test:pause'

/** A control plane with a node. */
export interface Node extends AsyncDisposable {
  readonly plane: ControlPlane
  /** Makes an image, as `docker save` gives it, known to the node. */
  importImage(archive: string): Promise<void>
}

/** Installs what a node is made of besides Kubernetes, where it is not there. */
export async function installNodePrograms(): Promise<void> {
  if (!(await which('containerd'))) await aptInstall('containerd', INSTEAD)
  if (!existsSync(PLUGINS)) await aptInstall('containernetworking-plugins', INSTEAD)
  if (!(await which('iptables'))) await aptInstall('iptables', INSTEAD)
}

/** @throws Error that says what is missing, where no node can be started */
export async function startNode(): Promise<Node> {
  await installNodePrograms()
  const assets = await findNodeAssets()
  await using started = new AsyncDisposableStack()
  const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-node-'))
  started.defer(() => rm(folder, { recursive: true, force: true }))
  const start = (command: string, args: readonly string[]): Daemon => {
    const daemon = startDaemon(command, args, {
      logFile: path.join(folder, `${path.basename(command)}.log`),
    })
    started.defer(async () => void (await daemon.stop()))
    return daemon
  }

  started.defer(await forwardPackets())
  await makeBridge()
  started.defer(async () => void (await run('ip', ['link', 'delete', BRIDGE])))
  const plane = await startControlPlane({ gateway: GATEWAY })
  started.defer(() => plane.stop())
  const { kubeconfig } = plane

  const containerd = await startContainerd(folder, start)
  started.defer(() => containerd.removeAll())

  start(assets.scheduler, [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${await freePort()}`,
    '--leader-elect=false',
  ])
  // Its rules stay when it ends.
  started.defer(async () => void (await run(assets.proxy, ['--cleanup', '--proxy-mode=iptables'])))
  start(assets.proxy, [
    `--kubeconfig=${kubeconfig}`,
    '--proxy-mode=iptables',
    '--hostname-override=node',
    '--conntrack-max-per-core=0',
    '--masquerade-all',
    `--healthz-bind-address=127.0.0.1:${await freePort()}`,
    `--metrics-bind-address=127.0.0.1:${await freePort()}`,
  ])
  const corefile = path.join(folder, 'Corefile')
  await writeFile(
    corefile,
    `.:53 {\n  bind ${GATEWAY}\n  kubernetes cluster.local {\n    kubeconfig ${kubeconfig}\n  }\n}\n`,
  )
  start(assets.dns, ['-conf', corefile])
  const configuration = path.join(folder, 'kubelet.yaml')
  await writeFile(configuration, JSON.stringify(await kubeletConfiguration(containerd.socket)))
  start(assets.kubelet, [
    `--kubeconfig=${kubeconfig}`,
    `--config=${configuration}`,
    `--root-dir=${path.join(folder, 'kubelet')}`,
    `--cert-dir=${path.join(folder, 'kubelet-certs')}`,
    '--hostname-override=node',
    `--node-ip=${GATEWAY}`,
  ])
  await untilNodeIsReady(kubeconfig)

  const resources = started.move()
  return {
    plane,
    importImage: (archive) => containerd.importImage(archive),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

async function makeBridge(): Promise<void> {
  // Of a run that was killed.
  await runToEnd('ip', ['link', 'delete', BRIDGE])
  await run('ip', ['link', 'add', BRIDGE, 'type', 'bridge'])
  await run('ip', ['address', 'add', `${GATEWAY}/24`, 'dev', BRIDGE])
  await run('ip', ['link', 'set', BRIDGE, 'up'])
}

/** Lets pods reach what is behind a Service. @returns what puts the machine back */
async function forwardPackets(): Promise<() => Promise<void>> {
  const file = '/proc/sys/net/ipv4/ip_forward'
  const before = await readFile(file, 'utf8')
  await writeFile(file, '1')
  return () => writeFile(file, before)
}

/** Pods that are still there are ended by the node's own containerd, whose data goes with `folder`. */
async function startContainerd(
  folder: string,
  start: (command: string, args: readonly string[]) => Daemon,
) {
  const file = (name: string) => path.join(folder, name)
  const socket = file('containerd.sock')
  const conf = file('cni')
  await mkdir(conf)
  await writeFile(
    path.join(conf, '10-bridge.conflist'),
    JSON.stringify({
      cniVersion: '0.4.0',
      name: 'keyferry',
      plugins: [
        {
          type: 'bridge',
          bridge: BRIDGE,
          isGateway: true,
          ipMasq: true,
          hairpinMode: true,
          ipam: {
            type: 'host-local',
            dataDir: file('addresses'),
            ranges: [[{ subnet: `${SUBNET}.0/24`, gateway: GATEWAY }]],
            routes: [{ dst: '0.0.0.0/0' }],
          },
        },
      ],
    }),
  )
  const configuration = file('containerd.toml')
  await writeFile(
    configuration,
    `version = 2
root = "${file('containerd')}"
state = "${file('containerd-state')}"
[grpc]
address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${PAUSE_IMAGE}"
# Root may lack the right to lower it.
restrict_oom_score_adj = true
# With its state: in the machine's own folder there may be those of others.
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "${PLUGINS}"
conf_dir = "${conf}"
[plugins."io.containerd.internal.v1.opt"]
path = "${file('opt')}"
`,
  )
  start('containerd', ['--config', configuration])
  const ctr = (args: readonly string[]) =>
    run('ctr', ['--address', socket, '--namespace', 'k8s.io', ...args])
  await eventually('containerd answers', async () => (await ctr(['version'])) !== '')
  return {
    socket,
    importImage: async (archive: string) => void (await ctr(['images', 'import', archive])),
    async removeAll() {
      const ids = (await ctr(['tasks', 'list', '--quiet'])).split('\n').filter(Boolean)
      for (const id of ids) await ctr(['tasks', 'delete', '--force', id]).catch(() => '')
      const mounts = (await run('mount', [])).split('\n').map((line) => line.split(' ')[2] ?? '')
      for (const mount of mounts.filter((one) => one.startsWith(folder)).toReversed()) {
        await runToEnd('umount', ['--lazy', mount])
      }
    },
  }
}

async function kubeletConfiguration(socket: string): Promise<object> {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: GATEWAY,
    port: await freePort(),
    healthzPort: 0,
    readOnlyPort: 0,
    // Only this machine and its pods reach that address.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: 'AlwaysAllow' },
    containerRuntimeEndpoint: `unix://${socket}`,
    clusterDNS: [GATEWAY],
    clusterDomain: 'cluster.local',
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    // A full disk is not what is tested.
    evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '1Mi' },
    imageGCHighThresholdPercent: 100,
    // How soon a Secret that changed is in the files of a pod.
    syncFrequency: '2s',
  }
}

async function untilNodeIsReady(kubeconfig: string): Promise<void> {
  const rest = adminRest(kubeconfig)
  const isUp = (node: KubeObject) => condition(node, 'Ready')?.status === 'True'
  await clusterOf(rest, '').until('nodes', 'node', isUp)
  await rest.close()
}
