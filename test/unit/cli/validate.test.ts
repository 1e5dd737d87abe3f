import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { validateCommand } from '../../../src/cli/validate.ts'
import { runCommand } from '../../support/command.ts'

let folder = ''

const GOOD =
  'apiVersion: onepassword.com/v1\nkind: OnePasswordItem\nmetadata:\n  name: a\nspec:\n  itemPath: op://v/i\n'
const BAD = GOOD.replace('op://v/i', 'nowhere').replace('name: a', 'name: b')
const ODD = GOOD.replace('name: a', 'name: c\n  annotations:\n    keyferry.dev/reload: now')

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-validate-'))
  const files = {
    'good/a.yaml': GOOD,
    'good/values.yaml': 'replicas: 2\n',
    'good/notes.txt': '{{',
    'bad/b.yml': BAD,
    'odd/c.json': JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [] }),
    'odd/c.yaml': ODD,
    'chart/Chart.yaml': 'name: shop\n',
    'chart/templates/item.yaml': '{{- if .Values.on }}\n',
  }
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
    await writeFile(path.join(folder, name), text)
  }
})
afterAll(() => rm(folder, { recursive: true }))

/** Paths of the test's own files; flags as they are. */
const inFolder = (word: string) =>
  /^(good|bad|odd|chart|nowhere)/.test(word) ? path.join(folder, word) : word

const keyferry = (args: readonly string[], input = '') =>
  runCommand(validateCommand, args.map(inFolder), { input })

describe('keyferry validate', () => {
  test('ends with 0 when nothing is found', async () => {
    const { code, out } = await keyferry(['good', 'chart'])
    expect(code).toBe(0)
    expect(out).toContain('No findings: 1 resource among 1 object in 3 files')
    expect(out).toContain(`${path.join(folder, 'chart', 'templates')} was skipped`)
  })

  test('ends with 1 for errors, also of standard input', async () => {
    const { code, out } = await keyferry(['--output', 'json', 'bad', '-'], `${GOOD}---\n${BAD}`)
    expect(code).toBe(1)
    const { findings } = JSON.parse(out) as { findings: { file: string; line: number }[] }
    expect(findings.map(({ file, line }) => [file, line])).toEqual([
      [path.join(folder, 'bad', 'b.yml'), 6],
      ['-', 13],
    ])
  })

  test('ends with 1 for warnings only when it is strict', async () => {
    expect((await keyferry(['odd'])).code).toBe(0)
    expect((await keyferry(['odd', '--strict'])).code).toBe(1)
  })

  test.each([
    [[], 'missing required argument'],
    [['--output', 'xml', 'good'], 'Allowed choices are'],
    [['nowhere'], 'nowhere cannot be read (ENOENT)'],
    [['good', '--vault-policy-file', 'nowhere.yaml'], 'nowhere.yaml cannot be read (ENOENT)'],
    [['good', '--nonsense'], 'unknown option'],
  ])('ends with 2 for %j', async (args, message) => {
    const { code, out, err } = await keyferry(args)
    expect(code).toBe(2)
    expect(err).toContain(message)
    expect(out).toBe('')
  })
})
