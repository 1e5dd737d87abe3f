import { expect, test } from 'vitest'
import type { ConnectClient } from '../../../../src/connect/client.ts'
import { createCatalog } from '../../../../src/operator/intake/catalog.ts'
import { parseVaultPolicy } from '../../../../src/operator/vault-policy.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'

const CREATED = '2024-01-01T00:00:00Z'
const vault = (id: string, name: string) => ({
  id: id.repeat(26),
  name,
  contentVersion: 1,
  attributeVersion: 1,
  createdAt: CREATED,
})

/** A catalog over two vaults, of which the namespace `shop` may have one; `office` has both. */
function setUp() {
  const requests: string[] = []
  const client = {
    async vaults() {
      requests.push('vaults')
      return [vault('a', 'Production'), vault('b', 'Payments')]
    },
    async items(id: string) {
      requests.push(`items ${id[0]}`)
      return []
    },
  } as unknown as ConnectClient
  const policy = parseVaultPolicy(`
mode: closed
rules:
  - { namespaces: [shop], vaults: [Production] }
  - { namespaces: [office], vaults: ["*"] }
`)
  const clock = createVirtualClock()
  const catalog = createCatalog({
    client,
    clock,
    policy: () => policy,
    end: new AbortController().signal,
  })
  const ask = (namespace: string, name: string, askedAt: number) =>
    catalog.resolve(
      {
        namespace,
        path: { vault: name, item: 'x' },
        boundId: undefined,
        askedAt,
        fresh: false,
      },
      new AbortController().signal,
    )
  return { ask, clock, requests }
}

test('what is not allowed and what is not there take the same requests and the same time', async () => {
  const histories = []
  for (const name of ['Payments', 'Nothing', 'b'.repeat(26)]) {
    const { ask, clock, requests } = setUp()
    await ask('office', 'Payments', 0)
    requests.length = 0
    const history: unknown[] = []
    const note = async (askedAt: number) => {
      const { kind, ...rest } = await ask('shop', name, askedAt)
      const answer = ['not-allowed', 'no-vault'].includes(kind) ? 'no' : { kind, ...rest }
      history.push([answer, requests.splice(0)])
    }
    await clock.advance(500)
    await note(clock.now())
    await clock.advance(1_500)
    await note(500)
    await note(500)
    await clock.advance(700)
    await note(clock.now())
    histories.push(history)
  }
  const [payments, ...others] = histories
  expect(payments).toEqual([
    [{ kind: 'later', ms: 1_500 }, []],
    ['no', ['vaults']],
    ['no', []],
    [{ kind: 'later', ms: 1_300 }, []],
  ])
  expect(others).toEqual([payments, payments])
})

test('a vault is listed for those who may have it, and for them alone', async () => {
  const { ask, requests } = setUp()
  expect(await ask('shop', 'Payments', 0)).toEqual({ kind: 'not-allowed', vaultId: 'b'.repeat(26) })
  expect(await ask('elsewhere', 'Production', 0)).toMatchObject({ kind: 'not-allowed' })
  expect(requests).toEqual(['vaults'])
  expect(await ask('shop', 'production', 0)).toEqual({ kind: 'no-item', vaultId: 'a'.repeat(26) })
  expect(requests).toEqual(['vaults', 'items a'])
})
