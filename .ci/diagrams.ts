/**
 * Draws boxes and arrows as SVG that follows the reader's choice of light or dark. Plain data, so that
 * a picture is changed like a sentence.
 */

/** What a box stands for, which decides its colour. */
type Kind = 'ours' | 'cluster' | 'outside' | 'plain'

/** A box with a title. */
export interface Box {
  readonly at: readonly [x: number, y: number, width: number, height: number]
  readonly title: string
  readonly lines?: readonly string[]
  readonly kind: Kind
}

/** A line with a head. */
export interface Arrow {
  /** Corners of the line, the last one with the head. */
  readonly points: readonly (readonly [x: number, y: number])[]
  readonly text?: string
  /** Middle of the text; beside the first part of the line unless told. */
  readonly textAt?: readonly [x: number, y: number]
  readonly dashed?: true
}

/** A picture. */
export interface Diagram {
  readonly size: readonly [width: number, height: number]
  /** What it shows, for those who cannot see it. */
  readonly says: string
  readonly boxes: readonly Box[]
  readonly arrows: readonly Arrow[]
}

const STYLE = `
text { font: 14px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.small { font-size: 12px; fill: #59636e; }
.ground { fill: #ffffff; }
rect { stroke-width: 1.5; }
.ours { fill: #ddf4ff; stroke: #0969da; }
.cluster { fill: #dafbe1; stroke: #1a7f37; }
.outside { fill: #fff8c5; stroke: #9a6700; }
.plain { fill: #f6f8fa; stroke: #818b98; }
.arrow { fill: none; stroke: #59636e; stroke-width: 1.5; marker-end: url(#head); }
.dashed { stroke-dasharray: 5 4; }
#head path { fill: #59636e; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .small { fill: #9198a1; }
  .ground { fill: #0d1117; }
  .ours { fill: #121d2f; stroke: #4493f8; }
  .cluster { fill: #12261e; stroke: #3fb950; }
  .outside { fill: #272115; stroke: #d29922; }
  .plain { fill: #151b23; stroke: #656c76; }
  .arrow { stroke: #9198a1; }
  #head path { fill: #9198a1; }
}
`

/** The picture as the text of an SVG file. */
export function draw({ size: [width, height], says, boxes, arrows }: Diagram): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escape(says)}">`,
    `<style>${STYLE}</style>`,
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 Z"/></marker></defs>',
    `<rect class="ground" x="0" y="0" width="${width}" height="${height}" rx="8"/>`,
    ...boxes.map(drawBox),
    ...arrows.map(drawArrow),
    '</svg>',
    '',
  ].join('\n')
}

const LINE = 18

function drawBox({ at: [x, y, width, height], title, lines = [], kind }: Box): string {
  const first = y + height / 2 - (lines.length * LINE) / 2 + 5
  const text = (line: string, n: number, style: string) =>
    `<text class="${style}" x="${x + width / 2}" y="${first + n * LINE}" text-anchor="middle">${escape(line)}</text>`
  return [
    `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="6"/>`,
    text(title, 0, 'title'),
    ...lines.map((line, n) => text(line, n + 1, 'small')),
  ].join('\n')
}

function drawArrow({ points, text, textAt, dashed }: Arrow): string {
  const style = dashed ? 'arrow dashed' : 'arrow'
  const line = `<path class="${style}" d="M${points.map(([x, y]) => `${x} ${y}`).join(' L')}"/>`
  if (text === undefined) return line
  const [[x1, y1] = [0, 0], [x2, y2] = [0, 0]] = points
  const [x, y] = textAt ?? [(x1 + x2) / 2, (y1 + y2) / 2 - 8]
  return `${line}\n<text class="small" x="${x}" y="${y}" text-anchor="middle">${escape(text)}</text>`
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** A straight one. */
export function arrow(
  from: readonly [number, number],
  to: readonly [number, number],
  text?: string,
): Arrow {
  return { points: [from, to], ...(text === undefined ? {} : { text }) }
}
