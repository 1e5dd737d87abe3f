/**
 * A leader that is paused, as by SIGSTOP or a machine that swaps, and wakes when another one leads:
 * nothing that it still wanted to write has an effect.
 */
import { expect, test } from 'vitest'
import { brief, lateRequests, lateWrites } from '../support/audit.ts'
import { pause } from '../support/eventually.ts'
import { isFull } from '../support/gates.ts'
import {
  expectOneRestartPerContent,
  judge,
  otherThan,
  restart,
  startLoad,
  startReplica,
  untilLeads,
} from '../support/replicas.ts'
import { tell } from '../support/skip.ts'
import { setStage } from '../support/stage.ts'

/** How often, and how many pairs of replicas do it at the same time. */
const [ROUNDS, PAIRS] = isFull ? [200, 8] : [6, 3]
const PAUSE_MS = 20_000
/** Within it a leader is in the middle of what a burst gives it to do. */
const BUSY_MS = 150
/** Far more than a round takes. */
const ROUND_MS = 300_000

const pairs = Array.from({ length: PAIRS }, (_, n) => n + 1)
const roundsOf = (pair: number) => Math.floor((ROUNDS + PAIRS - pair) / PAIRS)

test.concurrent.each(pairs)(
  'pair %i: a leader that was paused for 20 s changes nothing once another one leads',
  async (pair) => {
    await using stage = await setStage()
    const replicas = [await startReplica(stage, 'one'), await startReplica(stage, 'two')]
    // Many pairs share one API server.
    const load = await startLoad(stage, 250 * Math.max(4, PAIRS))
    for (let round = 0; round < roundsOf(pair); round += 1) {
      const leader = await untilLeads(stage, replicas)
      await load.burst()
      await pause(BUSY_MS * Math.random())
      leader.process.signal('SIGSTOP')
      await pause(PAUSE_MS)
      await untilLeads(stage, [otherThan(leader, replicas)])
      leader.process.signal('SIGCONT')
      expect(await leader.process.exited).not.toBe(0)
      await restart(stage, leader)
    }
    await load.settle()
    const { records, terms, users } = await judge(stage, replicas)
    const holders = terms.map(({ holder }) => holder)
    // Load may cost a leader its Lease without any pause.
    expect(holders.length).toBeGreaterThan(roundsOf(pair))
    expect(new Set(holders).size).toBe(holders.length)
    const late = lateRequests(records, terms, users)
    const found = [`${late.length} late`, ...late.map(brief)].join('\n    ')
    tell(`pair ${pair}: ${roundsOf(pair)} rounds, ${records.length} requests, ${found}`)
    expect(lateWrites(records, terms, users).map(brief)).toEqual([])
    expectOneRestartPerContent(records)
  },
  ROUND_MS * roundsOf(1),
)
