/**
 * Which rows of a long table are there: those in sight and a few around them. Pure.
 */

/** A part of a table; heights in pixels. */
export interface Span {
  readonly first: number
  /** Behind the last. */
  readonly end: number
  /** Height of what is left out above and below. */
  readonly above: number
  readonly below: number
}

/** Rows beyond what is in sight, so that scrolling a little shows no gap. */
const MARGIN = 8

/** The rows to make, of `count` that are all `height` high. */
export function spanOf(view: {
  readonly count: number
  readonly height: number
  readonly top: number
  readonly visible: number
}): Span {
  const { count, height, top, visible } = view
  const start = Math.floor(top / height) - MARGIN
  const end = Math.min(count, Math.ceil((top + visible) / height) + MARGIN)
  const first = Math.max(0, Math.min(start, end))
  return { first, end, above: first * height, below: (count - end) * height }
}

/** Where a key leads from a row; undefined for a key that leads nowhere. */
export function rowAfter(
  key: string,
  at: number,
  { count, page }: { readonly count: number; readonly page: number },
): number | undefined {
  const last = count - 1
  const clamp = (n: number) => Math.max(0, Math.min(last, n))
  switch (key) {
    case 'ArrowDown':
      return clamp(at + 1)
    case 'ArrowUp':
      return clamp(at - 1)
    case 'PageDown':
      return clamp(at + page)
    case 'PageUp':
      return clamp(at - page)
    case 'Home':
      return 0
    case 'End':
      return last
    default:
      return undefined
  }
}

/** Where to scroll so that a row is in sight; as it is when it is already. */
export function scrollTo(
  row: number,
  {
    height,
    top,
    visible,
  }: { readonly height: number; readonly top: number; readonly visible: number },
): number {
  if (row * height < top) return row * height
  return Math.max(top, (row + 1) * height - visible)
}
