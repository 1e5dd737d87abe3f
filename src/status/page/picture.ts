/**
 * The picture of one resource: from its vaults by items and Secret to workloads, in columns. Pure:
 * places and ways, which `drawing.tsx` draws.
 */
import type { Details } from '../model.ts'

/** A box. Lengths in units of the drawing. */
export interface Box {
  readonly id: string
  readonly kind: 'vault' | 'item' | 'Secret' | 'workload'
  readonly title: string
  /** A second line. */
  readonly note: string
  readonly column: number
  readonly x: number
  readonly y: number
}

/** From one box to one in the next column. */
export interface Line {
  readonly from: string
  readonly to: string
}

/** See the head of this file. */
export interface Picture {
  readonly boxes: readonly Box[]
  readonly lines: readonly Line[]
  readonly width: number
  readonly height: number
}

/** Size of a box. */
export const BOX = { width: 190, height: 48 } as const
const GAP = { x: 64, y: 16 } as const
const EDGE = 4
/** Boxes for workloads; the last one stands for the rest. */
const MOST = 20

type Plain = Pick<Box, 'id' | 'kind' | 'title' | 'note'>

/** The picture of a resource. */
export function pictureOf({ items, secret, workloads, type }: Details): Picture {
  const vaults = [...new Set(items.map(({ vault }) => vault))].map(
    (vault): Plain => ({ id: `vault ${vault}`, kind: 'vault', title: vault, note: 'vault' }),
  )
  const itemBoxes = items.map(({ vault, item, version }): Plain => {
    const note = version === undefined ? 'item, not applied' : `item, version ${version}`
    return { id: `item ${vault}/${item}`, kind: 'item', title: item, note }
  })
  const note = secret.present ? `Secret, ${type}` : 'Secret, not there'
  const secretBox: Plain = { id: 'secret', kind: 'Secret', title: secret.name, note }
  const users = workloads.map(({ kind, name, use, owes }): Plain => {
    const what = use === 'pull' ? `${kind}, pulls images` : owes ? `${kind}, to be restarted` : kind
    return { id: `workload ${kind}/${name}`, kind: 'workload', title: name, note: what }
  })
  const columns = [vaults, itemBoxes, [secretBox], shortened(users)]
  const lines = [
    ...items.map(({ vault, item }) => ({ from: `vault ${vault}`, to: `item ${vault}/${item}` })),
    ...items.map(({ vault, item }) => ({ from: `item ${vault}/${item}`, to: 'secret' })),
    ...(columns[3] ?? []).map(({ id }) => ({ from: 'secret', to: id })),
  ]
  return arrange(columns, lines)
}

function shortened(boxes: readonly Plain[]): readonly Plain[] {
  if (boxes.length <= MOST) return boxes
  const more = boxes.length - MOST + 1
  const title = `${more} more`
  const rest: Plain = { id: 'workload more', kind: 'workload', title, note: 'in the table below' }
  return [...boxes.slice(0, MOST - 1), rest]
}

function arrange(columns: readonly (readonly Plain[])[], lines: readonly Line[]): Picture {
  const step = BOX.height + GAP.y
  const tallest = Math.max(...columns.map(({ length }) => length))
  const height = tallest * step - GAP.y
  const boxes = columns.flatMap((column, n) => {
    const top = (height - (column.length * step - GAP.y)) / 2
    const x = EDGE + n * (BOX.width + GAP.x)
    return column.map((box, row) => ({ ...box, column: n, x, y: EDGE + top + row * step }))
  })
  const width = columns.length * (BOX.width + GAP.x) - GAP.x
  return { boxes, lines, width: width + 2 * EDGE, height: height + 2 * EDGE }
}

/** Where an arrow key leads from a box: along a line, or within the column. */
export function boxAfter(key: string, at: string, { boxes, lines }: Picture): string | undefined {
  const box = boxes.find(({ id }) => id === at)
  const column = boxes.filter((one) => one.column === box?.column)
  const place = column.findIndex(({ id }) => id === at)
  switch (key) {
    case 'ArrowRight':
      return lines.find(({ from }) => from === at)?.to
    case 'ArrowLeft':
      return lines.find(({ to }) => to === at)?.from
    case 'ArrowDown':
      return column[place + 1]?.id
    case 'ArrowUp':
      return column[place - 1]?.id
    case 'Home':
      return boxes[0]?.id
    case 'End':
      return boxes.at(-1)?.id
    default:
      return undefined
  }
}

/** The titles of the boxes that lines lead to, or come from. */
export function neighbours(at: string, { boxes, lines }: Picture, side: 'from' | 'to'): string[] {
  const other = side === 'from' ? 'to' : 'from'
  const ids = lines.filter((line) => line[other] === at).map((line) => line[side])
  return boxes.filter(({ id }) => ids.includes(id)).map(({ title }) => title)
}
