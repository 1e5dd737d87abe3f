/** docs/performance.md and its pictures, made of what a benchmark found. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import os from 'node:os'
import { assemble, draw } from '../support/draw.ts'
import { type Figure, rowOf } from './figures.ts'

const PAGE = 'docs/performance.md'
const PICTURE = 'docs/images/growth.svg'
const [BEGIN, END] = ['<!-- figures -->\n', '<!-- end of figures -->']
const TILE = { width: 480, height: 260 }

/** Rewrites the table on the page and draws how cost grows; what the page says else stays. */
export async function writePage(figures: readonly Figure[]): Promise<void> {
  const text = await readFile(PAGE, 'utf8')
  const [head = '', rest = ''] = text.split(BEGIN)
  const tail = rest.slice(rest.indexOf(END))
  await writeFile(PAGE, `${head}${BEGIN}\n${machine()}\n\n${table(figures)}\n\n${tail}`)
  await mkdir('docs/images', { recursive: true })
  await writeFile(PICTURE, await drawGrowth(figures))
}

function machine(): string {
  const cpus = os.cpus()
  const memory = Math.round(os.totalmem() / 2 ** 30)
  const day = new Date().toISOString().slice(0, 10)
  return `Measured on ${day}, Node ${process.version}, ${cpus.length} processors (${cpus[0]?.model.trim()}), ${memory} GiB, with etcd, API server, Connect server and operator on this one machine.`
}

function table(figures: readonly Figure[]): string {
  const rows = figures.map(rowOf).map((row) => `| ${Object.values(row).join(' | ')} |`)
  return [
    '| scenario | what | value | goal | reached |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

/** What is drawn over the number of resources. */
const GROWTH: readonly { readonly title: string; readonly of: (figure: Figure) => boolean }[] = [
  {
    title: 'Initial sync: resources a second',
    of: ({ scenario, unit }) => scenario.startsWith('initial sync') && unit === 'items/s',
  },
  {
    title: 'All items change: resources a second',
    of: ({ scenario, unit }) => scenario.startsWith('all of') && unit === 'items/s',
  },
  { title: 'Warm start: milliseconds until ready', of: ({ what }) => what === 'until ready' },
  { title: 'Memory: megabytes', of: ({ what }) => what === 'resident after all of this' },
]

async function drawGrowth(figures: readonly Figure[]): Promise<string> {
  const tiles = []
  for (const [n, { title, of }] of GROWTH.entries()) {
    const values = figures.filter((figure) => figure.n !== undefined && of(figure))
    const svg = await draw({
      ...TILE,
      autosize: { type: 'fit', contains: 'padding' },
      padding: 10,
      title,
      data: { values },
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'n', type: 'quantitative', title: 'resources' },
        y: { field: 'value', type: 'quantitative', title: null },
        color: { field: 'what', type: 'nominal', title: null, legend: { orient: 'bottom' } },
      },
    })
    tiles.push({ x: (n % 2) * TILE.width, y: Math.floor(n / 2) * TILE.height, svg })
  }
  return assemble(tiles, 2 * TILE.width, 2 * TILE.height)
}
