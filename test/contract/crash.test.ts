import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { remoteAdmin } from '../../src/server/admin/socket.ts'
import { adminProxy } from '../../src/server/admin/wire.ts'
import { createRandom } from '../simulation/random.ts'
import { isFull, SEED, tally } from '../support/gates.ts'
import { call } from '../support/http.ts'
import { keyferry, type ServerProcess, startProgram } from '../support/program.ts'
import { tempDir } from '../support/server.ts'
import { tell } from '../support/skip.ts'

/** Kills of the server, at moments that chance decides. */
const ROUNDS = isFull ? 300 : 200
const random = createRandom(SEED)
const LANES = 2
const WRITERS = 4
/** Every so many rounds the keys are rotated meanwhile, and the kill falls into that too. */
const ROTATE_EVERY = 4

/** What is known of an item (its text, or `deleted`): the last state that was acknowledged, and a write without answer. */
interface Known {
  acked: string | undefined
  version: number
  open: string | undefined
}

interface Lane {
  readonly dir: string
  readonly vault: string
  readonly token: string
  readonly items: Map<string, Known>
  /** Texts of creations that got no answer: they may have happened. */
  readonly openCreates: Set<string>
  acked: number
  kills: number
  /** Rotations that began, and those that ended before the kill. */
  readonly rotations: { begun: number; ended: number }
}

interface Item {
  id: string
  version: number
  title: string
  fields: { value?: string }[]
}

/** An item whose every part says the same, so that a mixture of two shows. */
const body = (text: string) => ({
  title: text,
  category: 'SERVER',
  tags: [text],
  fields: [
    { id: 'a', label: 'a', value: text },
    { id: 'b', label: 'b', value: text.repeat(50) },
  ],
})

async function openLane(): Promise<Lane> {
  const dir = await tempDir()
  const vault = (await keyferry(['connect', 'vault', 'create', '--data', dir, 'V'])).out.trim()
  const made = await keyferry(['connect', 'token', 'create', '--data', dir, '--vault', 'V=rw'])
  const token = made.out.trim()
  const rotations = { begun: 0, ended: 0 }
  return {
    dir,
    vault,
    token,
    items: new Map(),
    openCreates: new Set(),
    acked: 0,
    kills: 0,
    rotations,
  }
}

/** Writes until the server is gone, noting what was acknowledged. */
async function writeUntilDeath(lane: Lane, server: ServerProcess, writer: number): Promise<void> {
  const path = `/v1/vaults/${lane.vault}/items`
  // The items that earlier rounds left are divided among the writers: the store stays small.
  const own = [...lane.items.keys()].filter((_, index) => index % WRITERS === writer)
  for (let n = 0; ; n++) {
    const text = `${writer}-${Date.now()}-${n}`
    const { token } = lane
    const id = own[n % 5]
    const known = id === undefined ? undefined : lane.items.get(id)
    const open = known && n % 7 === 6 ? 'deleted' : text
    if (known) known.open = open
    else lane.openCreates.add(text)
    try {
      if (id === undefined || known === undefined) {
        const answer = await call(server.url, 'POST', path, { token, body: body(text) })
        expect(answer.status).toBe(200)
        const item = answer.json<Item>()
        lane.items.set(item.id, { acked: text, version: 1, open: undefined })
        lane.openCreates.delete(text)
        own.push(item.id)
      } else if (open === 'deleted') {
        expect((await call(server.url, 'DELETE', `${path}/${id}`, { token })).status).toBe(204)
        Object.assign(known, { acked: 'deleted', open: undefined })
        own.splice(own.indexOf(id), 1)
      } else {
        const answer = await call(server.url, 'PUT', `${path}/${id}`, { token, body: body(text) })
        expect(answer.status).toBe(200)
        const version = answer.json<Item>().version + 1
        Object.assign(known, { acked: text, version, open: undefined })
      }
      lane.acked += 1
    } catch (error) {
      if (error instanceof Error && 'code' in error) return
      throw error
    }
  }
}

/** Compares everything the server holds with what was acknowledged, then takes it for known. */
async function check(lane: Lane, server: ServerProcess): Promise<void> {
  const { token, vault } = lane
  const get = async (path: string) =>
    call(server.url, 'GET', `/v1/vaults/${vault}${path}`, { token })
  const listed = (await get('/items')).json<Item[]>()
  expect((await get('')).json<{ items: number }>().items).toBe(listed.length)
  const items: Item[] = []
  for (const { id } of listed) items.push((await get(`/items/${id}`)).json<Item>())
  expect([...lostItems(lane, items), ...items.flatMap((item) => wrongParts(lane, item))]).toEqual(
    [],
  )
  lane.items.clear()
  lane.openCreates.clear()
  for (const { id, title, version } of items) {
    lane.items.set(id, { acked: title, version, open: undefined })
  }
}

/** Items that were acknowledged, that nobody deleted, and that are not there. */
function lostItems(lane: Lane, present: readonly Item[]): string[] {
  const ids = new Set(present.map(({ id }) => id))
  return [...lane.items]
    .filter(([id, { acked, open }]) => !ids.has(id) && acked !== 'deleted' && open !== 'deleted')
    .map(([id]) => `item ${id} was acknowledged and is gone`)
}

function wrongParts(lane: Lane, { id, title, version, fields }: Item): string[] {
  const known = lane.items.get(id)
  const whole = fields[0]?.value === title && fields[1]?.value === title.repeat(50)
  if (!whole) return [`item ${id} is half of one write and half of another`]
  if (known === undefined) return lane.openCreates.has(title) ? [] : [`nobody wrote item ${id}`]
  const wanted = known.version + (title === known.acked ? 0 : 1)
  const possible = title === known.acked || title === known.open
  return possible && version === wanted ? [] : [`item ${id} holds what was never last`]
}

/** Rotates the keys, as `keyferry connect rotate-key` does, until done or until the server is gone. */
async function rotateUntilDeath(lane: Lane): Promise<void> {
  const remote = await remoteAdmin(lane.dir, () => undefined).catch(() => undefined)
  if (remote === undefined) return
  lane.rotations.begun += 1
  const { rotateKey } = adminProxy((call) => remote.send(call))
  // A call that breaks off is what this is about; what it left, the next start tells.
  await rotateKey(undefined, () => undefined).then(
    () => (lane.rotations.ended += 1),
    () => undefined,
  )
  await remote.close()
}

async function runLane(lane: Lane, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const server = await startProgram(['--data', lane.dir])
    await check(lane, server)
    const writers = Array.from({ length: WRITERS }, (_, writer) =>
      writeUntilDeath(lane, server, writer),
    )
    const rotation = n % ROTATE_EVERY === 0 ? rotateUntilDeath(lane) : undefined
    // Any moment of the first writes; on a slow machine a fixed time would come before them.
    await sleep(random.between(20, 120))
    await server.stop('SIGKILL')
    lane.kills += 1
    await Promise.all([...writers, rotation])
  }
}

function sum<K extends string>(parts: readonly Record<K, number>[], name: K): number {
  return parts.reduce((total, part) => total + part[name], 0)
}

test(`nothing acknowledged is lost, and nothing is half there, in ${ROUNDS} kills during writes`, {
  timeout: 60_000 + ROUNDS * 3_000,
}, async () => {
  const lanes = await Promise.all(Array.from({ length: LANES }, openLane))
  try {
    await Promise.all(lanes.map((lane) => runLane(lane, ROUNDS / LANES)))
    for (const lane of lanes) {
      const server = await startProgram(['--data', lane.dir])
      await check(lane, server)
      expect(await server.stop()).toBe(0)
    }
    const acked = sum(lanes, 'acked')
    const rotations = lanes.map((lane) => lane.rotations)
    const [begun, ended] = [sum(rotations, 'begun'), sum(rotations, 'ended')]
    tell(
      `${ROUNDS} kills, ${acked} acknowledged writes, ${begun} rotations, ${ended} of them whole`,
    )
    const trials = lanes.reduce((total, lane) => total + lane.kills, 0)
    // A violation has failed the test already.
    await tally({
      gate: 14,
      what: 'kills of the server during writes',
      trials,
      violations: 0,
      seed: SEED,
    })
    expect(acked).toBeGreaterThan(ROUNDS)
    expect(begun).toBeGreaterThan(ROUNDS / ROTATE_EVERY / 2)
  } finally {
    for (const lane of lanes) await rm(lane.dir, { recursive: true, force: true })
  }
})
