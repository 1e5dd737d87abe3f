import type { ComponentChildren } from 'preact'
import type { Health } from '../model.ts'
import { ageOf } from './time.ts'

/** Connect, Lease, queue and poll at a glance. */
export function Overview({ health }: { readonly health: Health }) {
  return (
    <section aria-labelledby="overview">
      <h2 id="overview" class="hidden">
        Health
      </h2>
      <dl class="cards">
        <Connect health={health} />
        <Lease health={health} />
        <Queue health={health} />
        <PollCard health={health} />
      </dl>
    </section>
  )
}

type Mood = 'good' | 'bad' | 'neutral'

interface CardProps {
  readonly title: string
  readonly mood: Mood
  readonly value: string
  readonly children: ComponentChildren
}

function Card({ title, mood, value, children }: CardProps) {
  return (
    <div class={`card ${mood}`}>
      <dt>{title}</dt>
      <dd class="value">{value}</dd>
      <dd class="note">{children}</dd>
    </div>
  )
}

interface Props {
  readonly health: Health
}

function Connect({ health: { poll, now } }: Props) {
  const { failure, last } = poll
  if (failure) {
    return (
      <Card title="Connect" mood="bad" value={failure.reason}>
        for {ageOf(now - failure.since)}: {failure.message}
      </Card>
    )
  }
  if (last === undefined) {
    return (
      <Card title="Connect" mood="neutral" value="Not asked yet">
        Whoever holds the Lease asks.
      </Card>
    )
  }
  return (
    <Card title="Connect" mood="good" value="Answers">
      {`last asked ${ageOf(now - last.at)} ago`}
    </Card>
  )
}

const PHASES = {
  starting: 'The caches are not complete yet.',
  standby: 'Another replica works.',
  working: 'This replica works.',
} as const

function Lease({ health: { phase, shards, shadow, pod } }: Props) {
  const value = shards === undefined ? 'None needed' : phase === 'working' ? 'Held' : 'Not held'
  const parts = shards && shards.all > 1 ? ` ${shards.held} of ${shards.all} shards.` : ''
  return (
    <Card title="Lease" mood={phase === 'working' ? 'good' : 'neutral'} value={value}>
      {PHASES[phase]}
      {parts}
      {shadow && ' Shadow mode: nothing is written.'}
      {pod && ` ${pod}`}
    </Card>
  )
}

function Queue({ health: { waiting } }: Props) {
  const queues = Object.entries(waiting).filter(([, count]) => count > 0)
  const all = queues.reduce((sum, [, count]) => sum + count, 0)
  return (
    <Card
      title="Queue"
      mood={all === 0 ? 'good' : 'neutral'}
      value={all === 0 ? 'Empty' : String(all)}
    >
      {all === 0
        ? 'Nothing waits for a worker.'
        : queues.map(([name, count]) => `${name} ${count}`).join(', ')}
    </Card>
  )
}

function PollCard({ health: { poll, now } }: Props) {
  const { last, everyMs, failure } = poll
  const late = last !== undefined && now - last.at > 3 * everyMs + 60_000
  const mood: Mood = failure || late ? 'bad' : last ? 'good' : 'neutral'
  return (
    <Card title="Poll" mood={mood} value={last ? `${ageOf(now - last.at)} ago` : 'None yet'}>
      every {ageOf(everyMs)}
      {last && `, took ${last.ms} ms`}
    </Card>
  )
}
