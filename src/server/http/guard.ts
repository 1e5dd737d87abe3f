import { isId } from '../../connect/model.ts'
import { badInput, refuse } from '../refusals.ts'
import type { Grant, Tokens } from '../tokens.ts'
import type { Operation } from './operations.ts'

/** Ids in the path of a request; each is there when the operation's path has it. */
export interface PathIds {
  readonly vaultUuid?: string
  readonly itemUuid?: string
  readonly fileUuid?: string
}

/**
 * Lets a request in, before its body is read. In this order: the token (401), the form of the
 * ids (400), its rights (403). Rights are a property of the token alone, so the answer for a
 * vault out of scope says nothing about whether the vault exists.
 * @throws KeyferryError REQUEST_REFUSED
 */
export async function admit(
  tokens: Tokens,
  operation: Operation,
  authorization: string | undefined,
  ids: PathIds,
): Promise<Grant | undefined> {
  if (operation.need === 'public') return undefined
  const bearer = bearerOf(authorization ?? '')
  const grant = bearer === '' ? undefined : await tokens.check(bearer)
  if (grant === undefined) throw refuse(401, 'Invalid bearer token')
  assertIds(ids)
  return grant
}

const SCHEME = 'bearer '

/** The token of an Authorization header, or nothing. */
function bearerOf(authorization: string): string {
  const isBearer = authorization.slice(0, SCHEME.length).toLowerCase() === SCHEME
  return isBearer ? authorization.slice(SCHEME.length).trim() : ''
}

function assertIds({ vaultUuid, itemUuid, fileUuid }: PathIds): void {
  if (vaultUuid !== undefined && !isId(vaultUuid)) throw badInput('Invalid Vault UUID')
  if (itemUuid !== undefined && !isId(itemUuid)) throw badInput('Invalid Item UUID')
  if (fileUuid !== undefined && !isId(fileUuid)) throw badInput('Invalid File UUID')
}

/** @throws KeyferryError REQUEST_REFUSED 403 when the token lacks what the operation needs */
export function authorise(grant: Grant, operation: Operation, vault: string | undefined): void {
  if (vault === undefined) return
  const reads = grant.mayRead(vault)
  const writes = grant.mayWrite(vault)
  if (!reads && !writes) {
    throw refuse(403, `Authorization: token does not have access to vault ${vault}`)
  }
  if ((operation.need === 'read' && !reads) || (operation.need === 'write' && !writes)) {
    const verb = operation.action.toLowerCase()
    throw refuse(
      403,
      `Authorization: token does not have permission to perform ${verb} on vault ${vault}`,
    )
  }
}
