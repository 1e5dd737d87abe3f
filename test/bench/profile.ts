/**
 * Where the operator's processor time goes, as flame pictures in docs/images: while it syncs many
 * resources, and while all items change.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { OperatorProcess } from '../support/operator.ts'
import { tell } from '../support/skip.ts'
import { escapeXml } from '../support/draw.ts'
import type { Figure } from './figures.ts'
import {
  type BenchCluster,
  createResources,
  startBenchConnect,
  startMeasured,
  syncedOf,
} from './setting.ts'
import { until, writesOf } from './throughput.ts'

const WIDTH = 1_200
const ROW = 16
const DEPTH = 45
/** Part of the whole that is still drawn. */
const LEAST = 0.003
/** No time that the program's own code could save. */
const NOBODYS = new Set(['(idle)', '(root)'])
/** How many of the functions that take most are told. */
const TOP = 10

/** The parts of a profile of V8 that count here. */
interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[]
}

/** A function with all that it called, in microseconds. */
interface Frame {
  readonly name: string
  total: number
  self: number
  readonly callees: Map<string, Frame>
}

/** Part `profile`: the functions that take most, in percent of the busy time. */
export async function benchProfile(cluster: BenchCluster, items: number): Promise<Figure[]> {
  using connect = await startBenchConnect(items, 1, 2)
  const namespace = await cluster.namespace('profile')
  await createResources([namespace], { count: items, vaults: 1 })
  const profiled = async (name: string, work: (operator: OperatorProcess) => Promise<void>) => {
    tell(`profile: ${name}`)
    const folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-profile-'))
    const operator = await startMeasured(cluster.kubeconfig, connect, namespace.namespace, {
      env: { POLLING_INTERVAL: '1' },
      flags: ['--cpu-prof', `--cpu-prof-dir=${folder}`],
    })
    await until(async () => (await syncedOf(operator)) >= items)
    await work(operator)
    await operator.stop()
    const [file = ''] = await readdir(folder)
    const root = treeOf(JSON.parse(await readFile(path.join(folder, file), 'utf8')) as Profile)
    await rm(folder, { recursive: true })
    await mkdir('docs/images', { recursive: true })
    await writeFile(`docs/images/flame-${name.replaceAll(' ', '-')}.svg`, flame(root))
    return top(root).map(([what, part]): Figure => {
      return { scenario: `profile of ${name}`, what, value: part * 100, unit: '%' }
    })
  }
  return [
    ...(await profiled('initial sync', async () => {})),
    ...(await profiled('all items change', async (operator) => {
      await connect.ask('change all')
      await until(async () => (await writesOf(operator)).secrets >= items)
    })),
  ]
}

function treeOf({ nodes, samples, timeDeltas }: Profile): Frame {
  const selfOf = new Map<number, number>()
  for (const [n, id] of samples.entries()) {
    selfOf.set(id, (selfOf.get(id) ?? 0) + (timeDeltas[n] ?? 0))
  }
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const root: Frame = { name: 'all', total: 0, self: 0, callees: new Map() }
  const add = (id: number, into: Frame): number => {
    const node = byId.get(id)
    if (node === undefined) return 0
    const { functionName, url } = node.callFrame
    const own = NOBODYS.has(functionName) ? 0 : (selfOf.get(id) ?? 0)
    const name = `${functionName || '(anonymous)'} ${url.startsWith('node:') ? url : ''}`.trim()
    const frame = into.callees.get(name) ?? { name, total: 0, self: 0, callees: new Map() }
    into.callees.set(name, frame)
    const total = (node.children ?? []).reduce((sum, child) => sum + add(child, frame), own)
    frame.self += own
    frame.total += total
    return total
  }
  root.total = add(nodes[0]?.id ?? 0, root)
  return root
}

/** Functions by the time that they took themselves, with their part of all. */
function top(root: Frame): [name: string, part: number][] {
  const selves = new Map<string, number>()
  const visit = ({ name, self, callees }: Frame): void => {
    selves.set(name, (selves.get(name) ?? 0) + self)
    for (const callee of callees.values()) visit(callee)
  }
  visit(root)
  const sorted = [...selves].toSorted(([, a], [, b]) => b - a).slice(0, TOP)
  return sorted.map(([name, self]) => [name, self / root.total])
}

/** Callers above, callees below them; the width is the time. */
function flame(root: Frame): string {
  const boxes: string[] = []
  let deepest = 0
  const paint = (frame: Frame, x: number, depth: number): void => {
    const width = (frame.total / root.total) * WIDTH
    if (width < LEAST * WIDTH || depth > DEPTH) return
    deepest = Math.max(deepest, depth)
    const y = depth * ROW
    const percent = ((frame.total / root.total) * 100).toFixed(1)
    // Six pixels are about one letter.
    const label = frame.name.slice(0, Math.floor(width / 6))
    boxes.push(
      `<g><title>${escapeXml(frame.name)} ${percent} %</title><rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="hsl(${20 + ((depth * 7) % 40)} 85% 65%)"/><text x="${(x + 2).toFixed(1)}" y="${y + 12}">${escapeXml(label)}</text></g>`,
    )
    let left = x
    const widest = [...frame.callees.values()].toSorted((a, b) => b.total - a.total)
    for (const callee of widest) {
      paint(callee, left, depth + 1)
      left += (callee.total / root.total) * WIDTH
    }
  }
  paint(root, 0, 0)
  const height = (deepest + 1) * ROW
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="monospace" font-size="10">`,
    '<rect width="100%" height="100%" fill="white"/>',
    ...boxes,
    '</svg>\n',
  ].join('\n')
}
