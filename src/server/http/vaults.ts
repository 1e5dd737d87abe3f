import type { ApiRequest } from '../api.ts'
import { filterVaults } from '../items/filter.ts'
import type { Vault } from '../items/model.ts'
import { vaultBody, vaultIdentity } from '../items/output.ts'
import { notFound } from '../refusals.ts'
import type { ActivityEntry } from '../store/activity.ts'
import { accountId, type Grant } from '../tokens.ts'
import { type AppContext, grantOf, type Handler, pathId } from './context.ts'
import { filterOf } from './filters.ts'

/** A token that may not read a vault learns which vault it is for, and nothing else. */
const bodyFor = (grant: Grant, vault: Vault) =>
  grant.mayRead(vault.id) ? vaultBody(vault) : vaultIdentity(vault)

/** Operations on vaults, and on the record of activity. */
export function vaultHandlers({ store }: AppContext): {
  list: Handler
  get: Handler
  activity: Handler
} {
  return {
    async list(request) {
      const narrow = filterOf(request)
      const grant = grantOf(request)
      const found = await Promise.all(grant.vaults.map((id) => store.vault(id)))
      const vaults = found.filter((vault) => vault !== undefined)
      return narrow(vaults, filterVaults).map((vault) => bodyFor(grant, vault))
    },
    async get(request) {
      const id = pathId(request, 'vaultUuid')
      const vault = await store.vault(id)
      if (vault === undefined) throw notFound('vault', id)
      return bodyFor(grantOf(request), vault)
    },
    async activity(request, reply) {
      const { limit = 50, offset = 0 } = request.query as { limit?: number; offset?: number }
      const grant = grantOf(request)
      const visible = ({ jti, vault }: ActivityEntry) =>
        jti === grant.jti || (vault !== undefined && grant.mayRead(vault))
      const { entries, total } = await store.activity.list(visible, { limit, offset })
      const first = entries.length === 0 ? 0 : offset + 1
      const last = entries.length === 0 ? 0 : offset + entries.length
      reply.header('Content-Range', `${first}-${last}/${total}`)
      return entries.map((entry) => activityBody(entry, accountId(store)))
    },
  }
}

function activityBody(entry: ActivityEntry, account: string): ApiRequest {
  const { vault, item, itemVersion } = entry
  return {
    requestId: entry.requestId,
    timestamp: entry.timestamp,
    action: entry.action,
    result: entry.result,
    actor: {
      id: entry.actor,
      account,
      jti: entry.jti,
      userAgent: entry.userAgent,
      requestIp: entry.requestIp,
    },
    resource: {
      type: entry.type,
      ...(vault ? { vault: { id: vault } } : {}),
      ...(item ? { item: { id: item } } : {}),
      ...(itemVersion === undefined ? {} : { itemVersion }),
    },
  }
}
