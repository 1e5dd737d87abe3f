import { expect, test } from 'vitest'
import { createLog } from '../../../src/server/log.ts'

test('a line has the members of a line of Connect, and its number of a level', () => {
  const lines: string[] = []
  const log = createLog('debug', (line) => lines.push(line))
  log.error('one')
  log.warn({ scope: { request_id: 'r' } }, 'two')
  log.info('three')
  log.debug('four')
  log.trace('too fine')
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { level: 1, timestamp: expect.any(String), log_message: 'one' },
    { level: 2, timestamp: expect.any(String), scope: { request_id: 'r' }, log_message: 'two' },
    { level: 3, timestamp: expect.any(String), log_message: 'three' },
    { level: 4, timestamp: expect.any(String), log_message: 'four' },
  ])
  const [first = ''] = lines
  expect(Date.parse((JSON.parse(first) as { timestamp: string }).timestamp)).not.toBeNaN()
  expect(first.endsWith('\n')).toBe(true)
})
