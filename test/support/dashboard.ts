/**
 * Grafana's own schema of dashboards, as the types that Grafana generates from it in Go.
 */
import { copyFile } from 'node:fs/promises'
import path from 'node:path'
import { goEnv, once } from './clients.ts'
import { run } from './run.ts'

const SOURCE = path.join(import.meta.dirname, 'dashboard')
const SCHEMA = 'grafana-foundation-sdk@0.0.22'

/** Path of a program that tells what is wrong with the dashboard in a file. */
export async function dashboardJudge(): Promise<string> {
  const dir = await once(SCHEMA, async (draft) => {
    for (const file of ['main.go', 'go.mod', 'go.sum']) {
      await copyFile(path.join(SOURCE, file), path.join(draft, file))
    }
    await run('go', ['build', '-o', 'judge', '.'], { cwd: draft, env: goEnv() })
  })
  return path.join(dir, 'judge')
}
