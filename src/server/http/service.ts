import type { Health } from '../api.ts'
import { type AppContext, CONNECT_VERSION, type Handler } from './context.ts'

/** Operations about the server itself; they need no token and name nothing that is stored. */
export function serviceHandlers(context: AppContext): {
  heartbeat: Handler
  health: Handler
  metrics: Handler
} {
  return {
    heartbeat: async (_, reply) => reply.type('text/plain; charset=utf-8').send('.'),
    async health(_, reply) {
      const readable = await canRead(context)
      const serving = readable && !context.stopping()
      return reply.code(serving ? 200 : 503).send(healthBody(context, readable))
    },
    metrics: async (_, reply) =>
      reply.type('text/plain; version=0.0.4; charset=utf-8').send(await context.metrics.render()),
  }
}

async function canRead({ store }: AppContext): Promise<boolean> {
  try {
    await store.vault('')
    return true
  } catch {
    return false
  }
}

/** The entries of Connect's own answer that clients look at, with what is true of them here. */
function healthBody({ store, stopping }: AppContext, readable: boolean): Health {
  const writes = {
    ok: { status: 'ACTIVE', message: 'Connected to the store' },
    full: { status: 'READ_ONLY', message: 'No space is left: reads go on, writes are refused' },
    failed: { status: 'READ_ONLY', message: 'A write failed: reads go on, restart the server' },
  }[store.writeState()]
  const state = readable ? writes : { status: 'FAILED', message: 'The store cannot be read' }
  const synced = readable && !stopping()
  return {
    name: 'Keyferry Connect API',
    version: CONNECT_VERSION,
    dependencies: [
      { service: store.engine, ...state },
      { service: 'account_data', status: synced ? 'AVAILABLE' : 'NOT_SYNCED' },
      { service: 'sync', status: synced ? 'ACTIVE' : 'STOPPED' },
      { service: '1Password', status: 'ACTIVE', message: 'Served from the embedded store' },
    ],
  }
}
