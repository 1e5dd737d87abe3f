/**
 * Two tenants of one operator try everything against each other, with accounts of the real API
 * server and the rights that tenants have: each attack is a row that says what would be its success.
 */
import { beforeAll, describe, expect, inject, test } from 'vitest'
import type { Attack, Scene } from '../support/attacks/attack.ts'
import { REACH } from '../support/attacks/reach.ts'
import { BESIDES } from '../support/attacks/rights.ts'
import { isWrite, readAudit } from '../support/audit.ts'
import { type KubeObject, textsOf } from '../support/cluster.ts'
import { tally } from '../support/gates.ts'
import { startTenants, type Tenant, type Tenants } from '../support/tenants.ts'

const ATTACKS = [...REACH, ...BESIDES]

let world: Tenants
/** Requests to Connect before the first attack. */
let before: number
/** What no attack may touch. */
let treasures: readonly KubeObject[]
let trials = 0

beforeAll(async () => {
  world = await startTenants()
  before = world.stage.connect.requests.length
  treasures = await readTreasures()
  return () => world[Symbol.asyncDispose]()
})

/** The Secret of each tenant's own vault, its resource, and the Secret of its platform. */
async function readTreasures(): Promise<KubeObject[]> {
  const all = world.tenants.map(async ({ estate }) => [
    await estate.get('secrets', 'card'),
    await estate.get('secrets', 'platform'),
    await estate.get('items', 'card'),
  ])
  return (await Promise.all(all)).flat()
}

/** @param first whether the first tenant attacks the second */
function sceneOf(attack: Attack, first: boolean): Scene {
  const [a, b] = world.tenants
  const [me, other] = first ? [a, b] : [b, a]
  const name = `attack-${ATTACKS.indexOf(attack)}-${first ? 'a' : 'b'}`
  return { me, other, home: world.stage.cluster.namespace, name }
}

describe.concurrent('a tenant does not succeed', () => {
  test.each(ATTACKS.map((attack) => [attack.row, attack.who, attack.tries, attack] as const))(
    'threat %i: the %s tries %s',
    async (_row, _who, _tries, attack) => {
      const ways = [sceneOf(attack, true), sceneOf(attack, false)]
      expect(await Promise.all(ways.map(attack.attempt))).toEqual(ways.map(() => []))
      trials += ways.length
    },
  )
})

test('of all that nothing was asked of Connect, written elsewhere, touched or told', async () => {
  const { connect, cluster } = world.stage
  const secret = world.tenants.flatMap(({ hidden: { vault, item } }) => [vault, item])
  const asked = connect.requests.slice(before)
  expect(asked.filter((one) => secret.some((id) => one.includes(id)))).toEqual([])
  expect(await readTreasures()).toEqual(treasures)
  const [a, b] = world.tenants
  expect([await stolen(a, b), await stolen(b, a)]).toEqual([[], []])
  // The operator writes where resources are, and in its own namespace.
  const user = `system:serviceaccount:${cluster.namespace}:keyferry`
  const writes = (await readAudit(inject('auditLog'))).filter(
    (one) => one.user === user && isWrite(one),
  )
  const places = new Set(writes.map(({ namespace }) => namespace))
  expect(places).toEqual(new Set([cluster, a, b].map(({ namespace }) => namespace)))
  expect(await world.operator.logs()).not.toContain('ended unexpectedly')
  expect(trials).toBe(2 * ATTACKS.length)
  const what = 'attacks by the accounts of two tenants'
  await tally({ gate: 18, what, trials, violations: 0 })
})

/** Names of the Secrets in one namespace that hold what is another tenant's. */
async function stolen({ estate }: Tenant, { hidden }: Tenant): Promise<string[]> {
  const secrets = await estate.list('secrets')
  return secrets.filter((one) => holds(one, hidden)).map(({ metadata }) => metadata.name)
}

function holds(secret: KubeObject, { number }: Tenant['hidden']): boolean {
  return Object.values(textsOf(secret)).some((text) => text.includes(number))
}
