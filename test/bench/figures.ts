/** What a benchmark found, and what it was to find. */
export interface Figure {
  readonly scenario: string
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly goal?: Goal
  /** Number of resources, where cost may grow with it. */
  readonly n?: number
}

/** A bound that a figure is to keep. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number }

/** Whether the goal is reached; true without one. */
export function isReached({ value, goal }: Figure): boolean {
  if (goal === undefined) return true
  return 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast
}

/** As a row of a table. */
export function rowOf(figure: Figure) {
  const { scenario, what, value, unit, goal } = figure
  const bound =
    goal === undefined ? '' : 'atMost' in goal ? `≤ ${goal.atMost}` : `≥ ${goal.atLeast}`
  return {
    scenario,
    what,
    value: `${rounded(value)} ${unit}`.trim(),
    goal: bound,
    reached: goal === undefined ? '' : isReached(figure) ? 'yes' : 'NO',
  }
}

/** Three digits, or the whole number. */
function rounded(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}
