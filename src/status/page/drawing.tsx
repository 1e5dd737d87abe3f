import { useMemo, useState } from 'preact/hooks'
import type { Details } from '../model.ts'
import {
  BOX,
  type Box,
  boxAfter,
  type Line,
  neighbours,
  type Picture,
  pictureOf,
} from './picture.ts'

/** From vaults to workloads, drawn; arrow keys walk along the lines. */
export function Drawing({ details }: { readonly details: Details }) {
  const picture = useMemo(() => pictureOf(details), [details])
  const [chosen, choose] = useState('secret')
  const { boxes, lines, width, height } = picture
  const current = boxes.some(({ id }) => id === chosen) ? chosen : 'secret'
  const onKeyDown = (event: KeyboardEvent) => {
    const to = boxes.findIndex(({ id }) => id === boxAfter(event.key, current, picture))
    if (to === -1) return
    event.preventDefault()
    const drawn = event.currentTarget as SVGSVGElement
    // That chooses it.
    drawn.querySelectorAll<SVGGElement>('.box')[to]?.focus()
  }
  return (
    <div class="drawing" role="region" aria-label="Picture" tabIndex={0}>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        width={width}
        height={height}
        role="listbox"
        aria-label="From vault to workloads"
        aria-describedby="walk"
        onKeyDown={onKeyDown}
      >
        {lines.map((line) => (
          <Way key={`${line.from} ${line.to}`} line={line} picture={picture} chosen={current} />
        ))}
        {boxes.map((box) => (
          <BoxView
            key={box.id}
            box={box}
            words={wordsOf(box, picture)}
            isChosen={box.id === current}
            choose={choose}
          />
        ))}
      </svg>
      <p id="walk" class="hint">
        Arrow keys walk along the lines.
      </p>
    </div>
  )
}

const PADDING = 10

interface BoxProps {
  readonly box: Box
  readonly words: string
  readonly isChosen: boolean
  readonly choose: (id: string) => void
}

function BoxView({ box: { id, kind, title, note, x, y }, words, isChosen, choose }: BoxProps) {
  const { width, height } = BOX
  return (
    <g
      class={`box ${kind}`}
      role="option"
      aria-selected={isChosen}
      aria-label={words}
      tabIndex={isChosen ? 0 : -1}
      onClick={() => choose(id)}
      onFocus={() => choose(id)}
    >
      <title>{title}</title>
      <rect x={x} y={y} width={width} height={height} rx="6" />
      {/* It cuts off what does not fit. */}
      <svg x={x + PADDING} y={y} width={width - 2 * PADDING} height={height}>
        <text y="20">{title}</text>{' '}
        <text y="37" class="note">
          {note}
        </text>
      </svg>
    </g>
  )
}

/** A box as it is read aloud. */
function wordsOf({ id, title, note }: Box, picture: Picture): string {
  const from = neighbours(id, picture, 'from')
  const to = neighbours(id, picture, 'to')
  return [
    `${title} ${note}`,
    ...(from.length > 0 ? [`from ${from.join(', ')}`] : []),
    ...(to.length > 0 ? [`to ${to.join(', ')}`] : []),
  ].join('; ')
}

interface WayProps {
  readonly line: Line
  readonly picture: Picture
  readonly chosen: string
}

function Way({ line, picture, chosen }: WayProps) {
  const from = picture.boxes.find(({ id }) => id === line.from)
  const to = picture.boxes.find(({ id }) => id === line.to)
  if (!from || !to) return null
  const [x, y] = [from.x + BOX.width, from.y + BOX.height / 2]
  const end = to.y + BOX.height / 2
  const middle = (x + to.x) / 2
  const isChosen = line.from === chosen || line.to === chosen
  return (
    <path
      class={isChosen ? 'way chosen' : 'way'}
      d={`M${x} ${y}C${middle} ${y} ${middle} ${end} ${to.x} ${end}`}
      aria-hidden="true"
    />
  )
}
