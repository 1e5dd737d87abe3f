import { beforeAll, describe } from 'vitest'
import { activityChecks } from './activity.ts'
import { fileChecks } from './files.ts'
import { itemChecks } from './items.ts'
import { patchChecks } from './patch.ts'
import { serviceChecks } from './service.ts'
import { createSession, type Target } from './session.ts'
import { tokenChecks } from './tokens.ts'
import { vaultChecks } from './vaults.ts'

/**
 * The black-box checks of the Connect API. Numbers in the names of tests are those of the list
 * of conformance checks in docs/connect-differences.md.
 * @param skip counts the checks as skipped
 */
export function connectSuite(name: string, open: () => Promise<Target>, skip = false): void {
  describe.skipIf(skip)(`Connect API: ${name}`, () => {
    let target: Target | undefined
    beforeAll(async () => {
      target = await open()
    })
    const session = createSession(() => {
      if (target === undefined) throw new Error('the server under test did not start')
      return target
    })
    serviceChecks(session)
    tokenChecks(session)
    vaultChecks(session)
    itemChecks(session)
    patchChecks(session)
    fileChecks(session)
    activityChecks(session)
  })
}
