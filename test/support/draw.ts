/** Pictures of numbers, as SVG. */
import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'

/** Members of every picture, which has to be readable on white and on black. */
const STYLE = {
  background: 'white',
  config: {
    font: 'sans-serif',
    axis: { labelColor: '#444', titleColor: '#444', gridColor: '#e5e7eb', domainColor: '#9ca3af' },
    legend: { labelColor: '#444', titleColor: '#444', labelLimit: 400 },
    title: { color: '#111', fontSize: 13, anchor: 'start' },
    view: { stroke: null },
  },
} as const

/** Draws a chart that Vega-Lite describes. */
export async function draw(spec: object): Promise<string> {
  const { spec: compiled } = compile({ ...STYLE, ...spec } as TopLevelSpec)
  const view = new View(parse(compiled), { renderer: 'none' })
  try {
    return await view.toSVG()
  } finally {
    view.finalize()
  }
}

/** One picture and where its upper left corner comes to lie, in pixels. */
export interface Tile {
  readonly x: number
  readonly y: number
  readonly svg: string
}

/** Puts pictures side by side. */
export function assemble(tiles: readonly Tile[], width: number, height: number): string {
  const parts = tiles.map(({ x, y, svg }) => svg.replace('<svg ', `<svg x="${x}" y="${y}" `))
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`
  return [head, '<rect width="100%" height="100%" fill="white"/>', ...parts, '</svg>\n'].join('\n')
}

/** Text as part of an SVG. */
export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
