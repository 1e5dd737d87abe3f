import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { validate } from '../../../src/tools/validate/validate.ts'

const FOLDER = path.join(import.meta.dirname, 'charts')
const charts = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'))

describe('rendered output of public charts', () => {
  test('is of ten charts at least', () => expect(charts.length).toBeGreaterThanOrEqual(10))

  test.each(charts)('%s is read whole and has no finding', (name) => {
    const text = readFileSync(path.join(FOLDER, name), 'utf8')
    const found = validate([{ name, text }])
    expect(found.findings).toEqual([])
    expect(found.objects).toBe(text.match(/^kind: /gm)?.length)
  })

  test.each(charts)('a mistake in the first object of %s is found in its line', (name) => {
    const lines = readFileSync(path.join(FOLDER, name), 'utf8').split('\n')
    const at = lines.indexOf('  labels:') + 1
    const text = lines.toSpliced(at, 0, '    keyferry.dev/reload: now').join('\n')
    const [finding] = validate([{ name, text }]).findings
    expect(finding?.rule).toBe('unknown-annotation')
    expect(finding?.place).toMatchObject({ line: at + 1, column: 5 })
  })
})
