import {
  openSession,
  type Queryable,
  type Session,
  type SessionOptions,
} from './postgres-session.ts'
import type { PostgresTarget } from './postgres-url.ts'

/** Connections to one database, opened as they are needed. A statement takes any that is free. */
export interface Pool extends Queryable {
  /** Lends one connection to `work`; one on which something may be under way still is closed. */
  lend<T>(work: (session: Session) => Promise<T>): Promise<T>
  /** Waits for what is lent, and closes all. */
  end(): Promise<void>
}

/** How many connections there may be, and how long they rest. */
export interface PoolOptions extends Omit<SessionOptions, 'onClose'> {
  readonly connections: number
  /** Milliseconds for which a connection that nobody needs is kept. */
  readonly idleMs: number
}

/** A pool without connections. */
export function createPool(target: PostgresTarget, options: PoolOptions): Pool {
  const shelf = createShelf(options.idleMs)
  const queue = createQueue(options.connectMs)
  let open = 0
  let isEnding = false
  let onEmpty: (() => void) | undefined

  function gone(): void {
    open -= 1
    if (open === 0) onEmpty?.()
    const next = queue.next()
    if (next) create().then(next.resolve, next.reject)
  }

  async function create(): Promise<Session> {
    open += 1
    let session: Session | undefined
    const onClose = () => {
      // Before it is open, its failure is told by the exception.
      if (session === undefined) return
      shelf.drop(session)
      gone()
    }
    try {
      session = await openSession(target, { ...options, onClose })
      return session
    } catch (error) {
      gone()
      throw error
    }
  }

  function take(): Promise<Session> {
    if (isEnding) return Promise.reject(new Error('the store is closed'))
    const rested = shelf.newest()
    if (rested === undefined) return open < options.connections ? create() : queue.wait()
    shelf.drop(rested)
    return Promise.resolve(rested)
  }

  function give(session: Session): void {
    if (!session.isOpen()) return
    const next = queue.next()
    if (next) next.resolve(session)
    else if (isEnding) session.close()
    else shelf.put(session)
  }

  const lend: Pool['lend'] = async (work) => {
    const session = await take()
    try {
      return await work(session)
    } finally {
      give(session)
    }
  }
  return {
    lend,
    query: (text, values) => lend((session) => session.query(text, values)),
    async end() {
      isEnding = true
      shelf.close()
      if (open > 0) await new Promise<void>((resolve) => (onEmpty = resolve))
    },
  }
}

/** Connections that nobody uses, each for `idleMs` at most. */
function createShelf(idleMs: number) {
  const resting = new Map<Session, NodeJS.Timeout>()
  return {
    put: (session: Session) => resting.set(session, setTimeout(session.close, idleMs)),
    newest: () => [...resting.keys()].at(-1),
    drop(session: Session) {
      clearTimeout(resting.get(session))
      resting.delete(session)
    },
    close() {
      for (const session of resting.keys()) session.close()
    },
  }
}

interface Waiting {
  readonly resolve: (session: Session) => void
  readonly reject: (error: Error) => void
}

/** Who waits for a connection, for `limitMs` at most. */
function createQueue(limitMs: number) {
  const waiting = new Set<Waiting>()
  return {
    wait: () =>
      new Promise<Session>((resolve, reject) => {
        const one: Waiting = { resolve, reject }
        waiting.add(one)
        setTimeout(() => {
          if (waiting.delete(one)) reject(new Error('all connections are in use'))
        }, limitMs).unref()
      }),
    next(): Waiting | undefined {
      const [first] = waiting
      if (first) waiting.delete(first)
      return first
    },
  }
}
