import { type ApiServer, createApiServer } from './api-server.ts'
import { createSimulatedConnect, type SimulatedConnect } from './connect.ts'
import { createRandom, type Random } from './random.ts'
import { createScheduler, type Scheduler } from './scheduler.ts'

/** Everything outside of the operators' processes. */
export interface World {
  readonly random: Random
  readonly scheduler: Scheduler
  readonly server: ApiServer
  readonly connect: SimulatedConnect
}

/** @param documents what the API server publishes, by path */
export function createWorld(seed: number, documents: ReadonlyMap<string, unknown>): World {
  const random = createRandom(seed)
  const scheduler = createScheduler()
  const server = createApiServer({ now: scheduler.now, documents })
  return { random, scheduler, server, connect: createSimulatedConnect(scheduler, random) }
}
