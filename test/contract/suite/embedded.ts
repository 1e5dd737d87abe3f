import type { TestServer } from '../../support/server.ts'
import type { Target } from './session.ts'

/** A target on a server of this project, with vaults and tokens of its own. */
export async function embeddedTarget(running: TestServer): Promise<Target> {
  const vault = await running.admin.createVault('Test Vault')
  const forbidden = await running.admin.createVault('Other Vault')
  return {
    host: running.url,
    vault: vault.id,
    vaultName: vault.name,
    rw: await running.token({ [vault.id]: 'rw' }),
    readOnly: await running.token({ [vault.id]: 'r' }),
    writeOnly: await running.token({ [vault.id]: 'w' }),
    forbiddenVault: forbidden.id,
    inlineLimit: 100 * 1024,
    settleMs: 0,
    async addFile(item, name, content) {
      return (await running.admin.addFile({ vault: vault.id, item, name, content })).id
    },
  }
}
