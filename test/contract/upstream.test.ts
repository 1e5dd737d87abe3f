import process from 'node:process'
import { call } from '../support/http.ts'
import type { Target } from './suite/session.ts'
import { connectSuite } from './suite/suite.ts'

/**
 * The same checks against a real Connect server.
 *
 * OP_CONNECT_HOST and OP_CONNECT_TOKEN name it; the token must be allowed to read and write
 * exactly one vault, whose items the checks create and leave behind. OP_CONNECT_TOKEN_READ and
 * OP_CONNECT_TOKEN_WRITE, for the same vault, add the checks of tokens with less. Files cannot
 * be added through the API, so their checks count as skipped.
 */
const { OP_CONNECT_HOST, OP_CONNECT_TOKEN, OP_CONNECT_TOKEN_READ, OP_CONNECT_TOKEN_WRITE } =
  process.env

async function upstreamTarget(): Promise<Target> {
  const host = OP_CONNECT_HOST ?? ''
  const rw = OP_CONNECT_TOKEN ?? ''
  const answer = await call(host, 'GET', '/v1/vaults', { token: rw })
  const vaults = answer.json<{ id: string; name: string }[]>()
  const [vault] = vaults
  if (vault === undefined || vaults.length !== 1) {
    throw new Error(`OP_CONNECT_TOKEN must be for one vault; it is for ${vaults.length}`)
  }
  return {
    host,
    rw,
    vault: vault.id,
    vaultName: vault.name,
    ...(OP_CONNECT_TOKEN_READ ? { readOnly: OP_CONNECT_TOKEN_READ } : {}),
    ...(OP_CONNECT_TOKEN_WRITE ? { writeOnly: OP_CONNECT_TOKEN_WRITE } : {}),
    forbiddenVault: 'zzzzzzzzzzzzzzzzzzzzzzzzzz',
    // Writes show after a synchronisation: Terraform's provider waits about as long.
    settleMs: 10_000,
  }
}

connectSuite('a real Connect server', upstreamTarget, !OP_CONNECT_HOST || !OP_CONNECT_TOKEN)
