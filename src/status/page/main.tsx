import { render } from 'preact'
import { useEffect, useReducer, useState } from 'preact/hooks'
import { follow } from './connection.ts'
import { FIRST_QUESTION } from './list.ts'
import { Overview } from './overview.tsx'
import { ResourcePage } from './resource.tsx'
import { useRoute } from './route.ts'
import { Table } from './table.tsx'
import { momentOf } from './time.ts'
import { after, keyOf, NOTHING_YET, type View } from './view.ts'

function Page() {
  const [view, tell] = useReducer(after, NOTHING_YET)
  const [question, ask] = useState(FIRST_QUESTION)
  const [active, setActive] = useState('')
  const route = useRoute()
  useEffect(() => follow('/api/events', tell), [])
  useReloadForVersion(view)
  const { health, advice } = view
  const row = route.kind === 'resource' ? view.rows.get(keyOf(route)) : undefined
  return (
    <>
      <header class="top">
        <h1>
          <a href="#/">Keyferry</a>
        </h1>
        {health && <p class="installation">{health.installation}</p>}
        <Connection view={view} />
      </header>
      <main>
        {health === undefined && <p>Waiting for the operator…</p>}
        {health && route.kind === 'list' && (
          <>
            <Overview health={health} />
            <Table
              rows={view.rows}
              now={health.now}
              {...{ advice, question, ask, active, setActive }}
            />
          </>
        )}
        {health && route.kind === 'resource' && (
          <ResourcePage
            key={keyOf(route)}
            namespace={route.namespace}
            name={route.name}
            row={row}
            advice={advice}
            now={health.now}
          />
        )}
      </main>
    </>
  )
}

/** Another version of the operator may speak of other things than this page knows. */
function useReloadForVersion({ health }: View) {
  const [first, setFirst] = useState<string>()
  const version = health?.version
  useEffect(() => {
    if (first === undefined) setFirst(version)
    else if (version !== undefined && version !== first) location.reload()
  }, [version])
}

function Connection({ view: { connection, at } }: { readonly view: View }) {
  return (
    <p class={`connection ${connection}`} role="status">
      {connection === 'live' && 'Live'}
      {connection === 'connecting' && 'Connecting…'}
      {connection === 'lost' &&
        `Disconnected: this is as of ${momentOf(at)}. It connects again by itself.`}
    </p>
  )
}

const place = document.getElementById('page')
if (place) render(<Page />, place)
