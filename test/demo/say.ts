import { styleText } from 'node:util'

let chapters = 0

/** A heading of the story. */
export function chapter(title: string): void {
  chapters += 1
  console.log(`\n${styleText(['bold', 'cyan'], `${chapters}. ${title}`)}`)
}

/** A line of the story. */
export function say(line: string, kind: 'text' | 'command' = 'text'): void {
  console.log(kind === 'command' ? `   ${styleText('dim', '$')} ${line}` : `   ${line}`)
}

/** Rows with aligned columns. */
export function table(rows: readonly Readonly<Record<string, string>>[]): void {
  const names = Object.keys(rows[0] ?? {})
  const widthOf = (name: string) =>
    Math.max(name.length, ...rows.map((row) => row[name]?.length ?? 0))
  const widths = names.map(widthOf)
  const line = (cells: readonly string[]) =>
    cells.map((cell, n) => cell.padEnd(widths[n] ?? 0)).join('  ')
  say(styleText('dim', line(names.map((name) => name.toUpperCase()))))
  for (const row of rows) say(line(names.map((name) => row[name] ?? '')))
}
