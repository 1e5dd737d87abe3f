import type { Advice, State } from '../model.ts'
import { ageOf, momentOf } from './time.ts'

const MARKS: Readonly<Record<State, string>> = {
  failed: '✕',
  pending: '…',
  stale: '!',
  restarting: '↻',
  ready: '✓',
}

/** A state: never by colour alone. */
export function StateMark({ state }: { readonly state: State }) {
  return (
    <span class={`state ${state}`}>
      <span aria-hidden="true">{MARKS[state]}</span> {state}
    </span>
  )
}

/** A time by its age; the moment itself comes with it. */
export function Age({ at, now }: { readonly at: number | undefined; readonly now: number }) {
  if (at === undefined || at === 0) return <>–</>
  return (
    <time dateTime={new Date(at).toISOString()} title={momentOf(at)}>
      {ageOf(now - at)}
    </time>
  )
}

/** What a reason asks somebody to do; nothing for those that ask nothing. */
export function remedyOf(advice: Readonly<Record<string, Advice>>, reason: string): string {
  const remedy = advice[reason]?.remedy ?? ''
  return remedy.startsWith('Nothing to do') ? '' : remedy
}
