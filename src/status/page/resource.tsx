import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Details, Row, Snapshot, WorkloadView } from '../model.ts'
import { Drawing } from './drawing.tsx'
import { Age, remedyOf, StateMark } from './parts.tsx'
import { momentOf } from './time.ts'

interface Props {
  readonly namespace: string
  readonly name: string
  /** A new object whenever something about it changed; undefined when it is gone. */
  readonly row: Row | undefined
  readonly advice: Snapshot['advice']
  readonly now: number
}

/** All of one resource. */
export function ResourcePage({ namespace, name, row, advice, now }: Props) {
  const details = useDetails(namespace, name, row)
  const title = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${namespace}/${name} – Keyferry`
    // Who came by a link of the table goes on reading here.
    title.current?.focus()
  }, [])
  return (
    <article class="resource">
      <p>
        <a href="#/">All resources</a>
      </p>
      <h2 ref={title} tabIndex={-1}>
        {namespace}/{name}
      </h2>
      {row === undefined && <p role="status">There is no such resource (any more).</p>}
      {row && details && <Sections details={details} advice={advice} now={now} />}
    </article>
  )
}

/** Read again whenever the row is told anew. */
function useDetails(namespace: string, name: string, row: Row | undefined): Details | undefined {
  const [details, setDetails] = useState<Details>()
  useEffect(() => {
    if (row === undefined) return undefined
    const end = new AbortController()
    // A failure is the stream's as well, which says so and tells the row again.
    fetch(`/api/resources/${namespace}/${name}`, { signal: end.signal })
      .then(async (answer) =>
        answer.ok ? setDetails((await answer.json()) as Details) : undefined,
      )
      .catch(() => undefined)
    return () => end.abort()
  }, [row])
  return details
}

interface Timed {
  readonly details: Details
  readonly now: number
}

interface SectionProps extends Timed {
  readonly advice: Snapshot['advice']
}

function Sections({ details, advice, now }: SectionProps) {
  const { row, type, secret } = details
  const remedy = remedyOf(advice, row.reason)
  return (
    <>
      <p class="verdict">
        <StateMark state={row.state} /> <strong>{row.reason}</strong> {advice[row.reason]?.meaning}
      </p>
      {remedy && <p class="advice">{remedy}</p>}
      <dl class="facts">
        <Fact name="Secret">{secret.present ? secret.name : `${secret.name}, not there`}</Fact>
        <Fact name="Type">{type}</Fact>
        <Fact name="Item version">{row.versions.join(', ') || '–'}</Fact>
        <Fact name="Age">
          <Age at={row.created} now={now} />
        </Fact>
        <Fact name="Last change">
          <Age at={row.changed} now={now} />
        </Fact>
        {secret.restartSince !== undefined && (
          <Fact name="Restart owed for">
            <Age at={secret.restartSince} now={now} />
          </Fact>
        )}
      </dl>
      <h3>Where it comes from, and who uses it</h3>
      <Drawing details={details} />
      <Keys details={details} />
      <Workloads details={details} />
      <Conditions details={details} now={now} />
      <History details={details} now={now} />
    </>
  )
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

interface ListProps {
  readonly title: string
  readonly columns: readonly string[]
  readonly empty: string
  readonly rows: readonly (readonly [string, ...ComponentChildren[]])[]
}

/** A small table; the first cell of a row is its name. */
function List({ title, columns, empty, rows }: ListProps) {
  const id = title.toLowerCase().replaceAll(' ', '-')
  return (
    <section aria-labelledby={id}>
      <h3 id={id}>{title}</h3>
      {rows.length === 0 ? (
        <p>{empty}</p>
      ) : (
        <div class="wide" role="region" aria-labelledby={id} tabIndex={0}>
          <table>
            <thead>
              <tr>
                {columns.map((column) => (
                  <th key={column} scope="col">
                    {column}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map(([name, ...cells]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {cells.map((cell, n) => (
                    <td key={columns[n + 1]}>{cell}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}

function Keys({ details: { keys } }: { readonly details: Details }) {
  return (
    <List
      title="Keys"
      columns={['Key', 'Comes from']}
      empty="The Secret has no keys yet."
      rows={keys.map(({ name, from }) => [name, from])}
    />
  )
}

function Workloads({ details: { workloads } }: { readonly details: Details }) {
  return (
    <List
      title="Workloads"
      columns={['Workload', 'Uses it for', 'When the content changes']}
      empty="No workload of the namespace uses the Secret."
      rows={workloads.map((one) => [`${one.kind}/${one.name}`, USES[one.use], wishOf(one)])}
    />
  )
}

const USES = { content: 'its pods', pull: 'pulling images' } as const
const WISHES = { true: 'restarts', false: 'is left alone', notify: 'is told by an Event' } as const

function wishOf({ use, restarts, owes }: WorkloadView): string {
  if (use === 'pull') return 'pulls with the new content'
  return owes ? 'restarts: that is still owed' : WISHES[restarts]
}

function Conditions({ details: { conditions }, now }: Timed) {
  return (
    <List
      title="Conditions"
      columns={['Condition', 'Status', 'For', 'Reason', 'Message']}
      empty="The first attempt has not ended."
      rows={conditions.map(({ type, status, since, reason, message }) => [
        type,
        status,
        <Age at={since} now={now} />,
        reason,
        message,
      ])}
    />
  )
}

const HAPPENINGS = {
  created: 'Secret created',
  updated: 'Secret updated',
  recreated: 'Secret made anew with another type',
  deleted: 'Secret deleted',
  repaired: 'Secret repaired',
  state: 'Became',
  restarted: 'Restarted',
  'gave up': 'Cannot be restarted',
} as const

function History({ details: { history }, now }: Timed) {
  return (
    <section aria-labelledby="history">
      <h3 id="history">Lately</h3>
      {history.length === 0 && <p>Nothing since this operator started.</p>}
      <ol class="history">
        {history.map(({ at, kind, detail }) => (
          <li key={`${at} ${kind} ${detail}`}>
            <time dateTime={new Date(at).toISOString()}>{momentOf(at)}</time>{' '}
            <span class="hint">
              (<Age at={at} now={now} /> ago)
            </span>{' '}
            <strong>{HAPPENINGS[kind]}</strong> {detail}
          </li>
        ))}
      </ol>
    </section>
  )
}
