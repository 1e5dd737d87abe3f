/** Text of reports: colours, counts and tables for people, JSON for programs. */
import { styleText } from 'node:util'

/** A colour or another way to set text off. */
export type Style = Parameters<typeof styleText>[0]

/** Sets a text off, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string

/** Where text goes. */
export type Sheet = Pick<NodeJS.WriteStream, 'isTTY' | 'hasColors'>

/** Colour on a terminal that has it, unless NO_COLOR says no: https://no-color.org. */
export function painter(sheet: Sheet): Paint {
  return sheet.isTTY && sheet.hasColors() ? coloured : plain
}

/** Wherever it goes. */
export const coloured: Paint = (style, text) => styleText(style, text, { validateStream: false })

/** Nothing is set off. */
export const plain: Paint = (_, text) => text

// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** Names and messages of others may hold what turns a terminal upside down. */
export function printable(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(UNPRINTABLE, (character) => (character === '\t' ? ' ' : '\uFFFD'))
}

/** `1 item`, `2 items`. */
export function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

/** A value for programs. */
export function asJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

/** A table. */
export interface Table {
  readonly headings: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** How a cell is set off; undefined leaves it as it is. */
  readonly styleOf?: (cell: string, column: number) => Style | undefined
}

/** Lines of a table, each with its end. */
export function table({ headings, rows, styleOf }: Table, paint: Paint): string {
  const shown = rows.map((row) => row.map(printable))
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...shown.map((row) => row[column]?.length ?? 0)),
  )
  const line = (
    row: readonly string[],
    style: (cell: string, column: number) => Style | undefined,
  ) =>
    row
      .map((cell, column) => {
        const [wanted, isLast] = [style(cell, column), column === row.length - 1]
        const gap = isLast ? '' : ' '.repeat((widths[column] ?? 0) - cell.length + 2)
        return (wanted && cell ? paint(wanted, cell) : cell) + gap
      })
      .join('')
      .trimEnd()
  const lines = [line(headings, () => 'bold'), ...shown.map((row) => line(row, styleOf ?? none))]
  return `${lines.join('\n')}\n`
}

const none = () => undefined
