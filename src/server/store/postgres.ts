import type { Engine } from './engine.ts'
import { unavailable } from './failures.ts'

export async function openPostgres(_url: string): Promise<Engine> {
  throw unavailable('PostgreSQL is not implemented yet')
}
