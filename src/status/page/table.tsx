import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import { type Row, type Snapshot, STATES, type State } from '../model.ts'
import { answer, type Column, countStates, distinct, type Question } from './list.ts'
import { Age, remedyOf, StateMark } from './parts.tsx'
import { hashOf } from './route.ts'
import { rowAfter, scrollTo, spanOf } from './rows.ts'
import { keyOf } from './view.ts'

interface Props {
  readonly rows: ReadonlyMap<string, Row>
  readonly advice: Snapshot['advice']
  readonly question: Question
  readonly ask: (question: Question) => void
  /** Key of the row that was walked to last; empty before. */
  readonly active: string
  readonly setActive: (key: string) => void
  readonly now: number
}

/** All resources: search, filters, and as much of the table as is in sight. */
export function Table(props: Props) {
  const { rows, question } = props
  const found = useMemo(() => answer(rows.values(), question), [rows, question])
  useEffect(() => {
    document.title = 'Keyferry'
  }, [])
  return (
    <section class="resources" aria-labelledby="resources">
      <h2 id="resources">Resources</h2>
      <Filters {...props} />
      <p role="status" class="count">
        {`${found.length} of ${rows.size}`}
      </p>
      <Rows {...props} found={found} />
    </section>
  )
}

function Filters({ rows, question, ask }: Props) {
  const counts = useMemo(() => countStates(rows.values()), [rows])
  const toggle = (state: State) => {
    const without = question.states.filter((one) => one !== state)
    const isOn = without.length < question.states.length
    ask({ ...question, states: isOn ? without : [...question.states, state] })
  }
  return (
    <div class="filters" role="search">
      <label>
        Search
        <input
          type="search"
          value={question.search}
          onInput={({ currentTarget }) => ask({ ...question, search: currentTarget.value })}
        />
      </label>
      <Choice member="namespace" {...{ rows, question, ask }} />
      <Choice member="reason" {...{ rows, question, ask }} />
      <div role="group" aria-label="State" class="states">
        {STATES.map((state) => (
          <button
            key={state}
            type="button"
            aria-pressed={question.states.includes(state)}
            onClick={() => toggle(state)}
          >
            <StateMark state={state} /> {counts[state]}
          </button>
        ))}
      </div>
    </div>
  )
}

function Choice(
  props: Pick<Props, 'rows' | 'question' | 'ask'> & { member: 'namespace' | 'reason' },
) {
  const { rows, question, ask, member } = props
  const texts = useMemo(() => distinct(rows.values(), member), [rows])
  const chosen = question[member]
  return (
    <label>
      {member === 'namespace' ? 'Namespace' : 'Reason'}
      <select
        value={chosen}
        onChange={({ currentTarget }) => ask({ ...question, [member]: currentTarget.value })}
      >
        <option value="">all</option>
        {/* What was chosen stays to be seen when its last resource goes. */}
        {[...new Set([...texts, ...(chosen === '' ? [] : [chosen])])].map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  )
}

const COLUMNS: readonly (readonly [Column, string])[] = [
  ['namespace', 'Namespace'],
  ['name', 'Name'],
  ['secret', 'Secret'],
  ['state', 'State'],
  ['reason', 'Reason'],
  ['version', 'Version'],
  ['age', 'Age'],
  ['changed', 'Changed'],
]

function Rows(props: Props & { readonly found: readonly Row[] }) {
  const { found, advice, active, setActive, now } = props
  const scroller = useRef<HTMLDivElement>(null)
  const { height, top, visible, measure } = useSight(scroller)
  const onKeyDown = useWalk(found, { scroller, height, visible, active, setActive })
  const span = spanOf({ count: found.length, height, top, visible })
  const shown = found.slice(span.first, span.end)
  // Tab leads to one row: the one that was walked to, or the first while that is out of sight.
  const inSight = shown.find((row) => keyOf(row) === active) ?? shown[0]
  return (
    <div class="scroller" ref={scroller} onScroll={measure} onKeyDown={onKeyDown}>
      <table aria-labelledby="resources" aria-rowcount={found.length + 1}>
        <Head {...props} />
        <tbody>
          <Gap height={span.above} />
          {shown.map((row, n) => (
            <TableRow
              key={keyOf(row)}
              row={row}
              index={span.first + n + 2}
              isStop={row === inSight}
              remedy={remedyOf(advice, row.reason)}
              now={now}
              onFocus={setActive}
            />
          ))}
          <Gap height={span.below} />
        </tbody>
      </table>
      {found.length === 0 && <p class="empty">No resource answers to that.</p>}
    </div>
  )
}

function Head({ question, ask }: Pick<Props, 'question' | 'ask'>) {
  const sort = (by: Column) =>
    ask({ ...question, by, descending: by === question.by && !question.descending })
  const order = (by: Column) =>
    by !== question.by ? undefined : question.descending ? 'descending' : 'ascending'
  return (
    <thead>
      <tr aria-rowindex={1}>
        {COLUMNS.map(([by, title]) => (
          <th key={by} scope="col" class={by} aria-sort={order(by)}>
            <button type="button" onClick={() => sort(by)}>
              {title}
            </button>
          </th>
        ))}
      </tr>
    </thead>
  )
}

interface TableRowProps {
  readonly row: Row
  readonly index: number
  readonly isStop: boolean
  readonly remedy: string
  readonly now: number
  readonly onFocus: (key: string) => void
}

function TableRow({ row, index, isStop, remedy, now, onFocus }: TableRowProps) {
  const key = keyOf(row)
  return (
    <tr aria-rowindex={index}>
      <td class="namespace">{row.namespace}</td>
      <th scope="row" class="name">
        <a
          href={hashOf(row)}
          tabIndex={isStop ? 0 : -1}
          data-key={key}
          onFocus={() => onFocus(key)}
        >
          {row.name}
        </a>
      </th>
      <td class="secret">{row.secret}</td>
      <td class="state">
        <StateMark state={row.state} />
      </td>
      <td class="reason" title={remedy}>
        {row.reason}
        {remedy && <span class="remedy">{remedy}</span>}
      </td>
      <td class="version">{row.versions.join(', ') || '–'}</td>
      <td class="age">
        <Age at={row.created} now={now} />
      </td>
      <td class="changed">
        <Age at={row.changed} now={now} />
      </td>
    </tr>
  )
}

/** Stands for the rows that are not made. */
function Gap({ height }: { readonly height: number }) {
  if (height === 0) return null
  return (
    <tr aria-hidden="true" class="gap">
      <td colSpan={COLUMNS.length} style={{ height: `${height}px` }} />
    </tr>
  )
}

/** Height of a row in pixels; on narrow screens it has three lines. As `style.css` has it. */
const NARROW = matchMedia('(max-width: 46rem)')
const rowHeight = () => (NARROW.matches ? 84 : 48)

/** What of the table is in sight. */
function useSight(scroller: { readonly current: HTMLDivElement | null }) {
  const [sight, setSight] = useState({ height: rowHeight(), top: 0, visible: 800 })
  const measure = () => {
    const { scrollTop: top = 0, clientHeight: visible = 800 } = scroller.current ?? {}
    setSight({ height: rowHeight(), top, visible })
  }
  useLayoutEffect(() => {
    measure()
    addEventListener('resize', measure)
    return () => removeEventListener('resize', measure)
  }, [])
  return { ...sight, measure }
}

interface WalkedTable {
  readonly scroller: { readonly current: HTMLDivElement | null }
  readonly height: number
  readonly visible: number
  readonly active: string
  readonly setActive: (key: string) => void
}

/**
 * Arrow keys lead through all rows, also through those that are not made yet; and who comes back to
 * the table is where they left it.
 */
function useWalk(found: readonly Row[], table: WalkedTable) {
  const { scroller, height, visible, active, setActive } = table
  const [wanted, want] = useState(active)
  const show = (row: number) => {
    if (scroller.current === null || row === -1) return
    const { scrollTop: top } = scroller.current
    // The head of the table hides the height of a row.
    scroller.current.scrollTop = scrollTo(row, { height, top, visible: visible - height })
  }
  useLayoutEffect(() => show(found.findIndex((row) => keyOf(row) === active)), [])
  const onKeyDown = (event: KeyboardEvent) => {
    const from = (event.target as HTMLElement).dataset['key']
    if (from === undefined) return
    const at = found.findIndex((row) => keyOf(row) === from)
    const page = Math.max(1, Math.floor(visible / height) - 1)
    const to = rowAfter(event.key, at, { count: found.length, page })
    const row = to === undefined ? undefined : found[to]
    if (row === undefined || to === undefined) return
    event.preventDefault()
    show(to)
    setActive(keyOf(row))
    want(keyOf(row))
  }
  // It is there once the scrolled table is drawn.
  useEffect(() => {
    if (wanted === '') return
    const link = scroller.current?.querySelector<HTMLElement>(`[data-key="${CSS.escape(wanted)}"]`)
    if (!link) return
    link.focus({ preventScroll: true })
    want('')
  })
  return onKeyDown
}
