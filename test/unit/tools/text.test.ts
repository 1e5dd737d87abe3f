import { expect, test } from 'vitest'
import { coloured, painter, plain, printable, table } from '../../../src/tools/report/text.ts'

const ESCAPE = '\u001B['
const rows = [
  ['a', 'longer than its heading', ''],
  ['bc', 'x', 'end'],
]
const headings = ['ID', 'NAME', 'LAST']

test('columns of a table stand under each other, and no line ends with spaces', () => {
  expect(table({ headings, rows }, plain)).toBe(
    'ID  NAME                     LAST\na   longer than its heading\nbc  x                        end\n',
  )
})

test('colours leave the columns where they are', () => {
  const styleOf = (cell: string) => (cell === 'bc' ? ('red' as const) : undefined)
  const painted = table({ headings, rows, styleOf }, coloured)
  expect(painted).toContain(`${ESCAPE}31mbc${ESCAPE}39m  x`)
  // oxlint-disable-next-line no-control-regex
  expect(painted.replaceAll(/\u001B\[\d+m/g, '')).toBe(table({ headings, rows }, plain))
})

test('a cell turns no terminal upside down', () => {
  expect(table({ headings: ['A'], rows: [['x\u001B[2Jy\nz']] }, coloured)).toContain('x�[2Jy�z\n')
  expect(printable('a\tb\u202E')).toBe('a b�')
})

test.each([
  [true, true, `${ESCAPE}31mx${ESCAPE}39m`],
  // NO_COLOR, or a terminal without colours.
  [true, false, 'x'],
  [false, true, 'x'],
])('a terminal %s with colours %s gets %j', (isTTY, colours, expected) => {
  expect(painter({ isTTY, hasColors: () => colours })('red', 'x')).toBe(expected)
})
