import type { FastifyReply, FastifyRequest } from 'fastify'
import { isId } from '../../connect/model.ts'
import { timestamp } from '../items/model.ts'
import type { ActivityEntry } from '../store/activity.ts'
import type { AppContext } from './context.ts'
import { type Operation, operations } from './operations.ts'
import type { PathIds } from './guard.ts'

const MAX_AGENT_CHARACTERS = 256

/** After an answer: counts it, logs it, and records who asked for what. */
export function report(context: AppContext, request: FastifyRequest, reply: FastifyReply): void {
  const { method, id } = request
  const state = request.state ?? {}
  const { operation, grant } = state
  const status = reply.statusCode
  const ms = Math.round(reply.elapsedTime * 1000) / 1000
  context.metrics.answered(operation ?? 'unknown', status, ms / 1000)
  const scope = { request_id: id, jti: grant?.jti }
  const params = (request.params ?? {}) as PathIds
  // What went well is in the activity; the log has it only when asked.
  const level = status < 400 ? 'debug' : 'info'
  if (context.log.isLevelEnabled(level)) {
    const fields = { scope, method, operation, status, ms, ...idsOf(params) }
    context.log[level](fields, 'request completed')
  }
  const entry = entryFor(context, request, status)
  if (entry) context.store.activity.record(entry)
}

/** Only what has the form of an id may enter a log: a path can hold anything, even a value. */
function idsOf({ vaultUuid, itemUuid }: PathIds): { vault?: string; item?: string } {
  return {
    ...(vaultUuid && isId(vaultUuid) ? { vault: vaultUuid } : {}),
    ...(itemUuid && isId(itemUuid) ? { item: itemUuid } : {}),
  }
}

function entryFor(
  { now }: AppContext,
  request: FastifyRequest,
  status: number,
): ActivityEntry | undefined {
  const { operation, grant, item, itemVersion } = request.state
  if (operation === undefined || grant === undefined) return undefined
  const { action, resource }: Operation = operations[operation]
  if (resource === undefined || (status >= 300 && status !== 403)) return undefined
  const ids = idsOf(request.params ?? {})
  const itemId = ids.item ?? item
  return {
    requestId: request.id,
    timestamp: timestamp(now()),
    action,
    result: status === 403 ? 'DENY' : 'SUCCESS',
    actor: grant.actor,
    jti: grant.jti,
    userAgent: (request.headers['user-agent'] ?? '').slice(0, MAX_AGENT_CHARACTERS),
    requestIp: request.ip,
    type: resource,
    ...(ids.vault ? { vault: ids.vault } : {}),
    ...(itemId ? { item: itemId } : {}),
    ...(itemVersion === undefined ? {} : { itemVersion }),
  }
}
