/**
 * The definitions for pipelines: each runs as its pipeline would run it.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'

const folder = mkdtempSync(path.join(os.tmpdir(), 'keyferry-pipeline-'))
afterAll(() => rmSync(folder, { recursive: true }))
const bad =
  'apiVersion: onepassword.com/v1\nkind: OnePasswordItem\nmetadata:\n  name: a\nspec:\n  itemPath: nowhere\n'
writeFileSync(path.join(folder, 'bad.yaml'), bad)

const PATIENT = 60_000

describe('pipelines', () => {
  test(
    'the hook for pre-commit checks the files of the repository that it is called in',
    () => {
      const [hook] = parse(readFileSync('.pre-commit-hooks.yaml', 'utf8')) as { entry: string }[]
      const entry = path.resolve(hook?.entry ?? '')
      const { status, stdout } = spawnSync(entry, ['bad.yaml'], { cwd: folder, encoding: 'utf8' })
      expect(stdout).toContain('bad.yaml:6:13 error item-path')
      expect(status).toBe(1)
    },
    PATIENT,
  )

  test(
    'the GitHub Action annotates the pull request and writes SARIF',
    () => {
      const action = parse(readFileSync('action.yml', 'utf8')) as {
        runs: { steps: { run: string; env: Record<string, string> }[] }
      }
      const step = action.runs.steps[0]!
      expect(Object.keys(step.env)).toEqual(['PATHS', 'STRICT', 'SARIF_FILE'])
      const { status, stdout } = spawnSync('bash', ['-e', '-o', 'pipefail', '-c', step.run], {
        cwd: folder,
        encoding: 'utf8',
        env: {
          ...process.env,
          GITHUB_ACTION_PATH: process.cwd(),
          PATHS: 'bad.yaml',
          STRICT: 'true',
          SARIF_FILE: 'out.sarif',
        },
      })
      expect(status).toBe(1)
      expect(stdout).toMatch(/^::error file=bad\.yaml,line=6,col=13,/)
      const log = JSON.parse(readFileSync(path.join(folder, 'out.sarif'), 'utf8')) as {
        runs: { results: object[] }[]
      }
      expect(log.runs[0]?.results).toHaveLength(1)
    },
    PATIENT,
  )
})
