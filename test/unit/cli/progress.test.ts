import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Report, step } from '../../../src/cli/progress.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A screen that keeps what is written, and a work that ends when it is told to. */
function aStep(isTTY: boolean) {
  let written = ''
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let report: Report = () => undefined
  const screen = {
    isTTY,
    hasColors: () => false,
    write: (text: string) => Boolean((written += text)),
  }
  const done = step(
    'working',
    (told) => {
      report = told
      return promise
    },
    screen,
  )
  return { done, resolve, reject, report: () => report, written: () => written }
}

test('work of less than two seconds says nothing', async () => {
  const { done, resolve, written } = aStep(true)
  await vi.advanceTimersByTimeAsync(1_900)
  resolve('result')
  expect(await done).toBe('result')
  expect(written()).toBe('')
})

test('a terminal sees one line that grows, and a bar once the end is known', async () => {
  const { done, resolve, report, written } = aStep(true)
  await vi.advanceTimersByTimeAsync(2_000)
  expect(written()).toContain('\r\u001B[2K  working … 2 s')
  report()(1, 4)
  await vi.advanceTimersByTimeAsync(500)
  expect(written()).toContain(`  working ${'█'.repeat(6)}${'░'.repeat(18)} 1 of 4, `)
  expect(written()).not.toContain('\n')
  resolve('')
  await done
  expect(written()).toMatch(/done in \d s\n$/)
})

test('elsewhere there is a line now and then, without a bar', async () => {
  const { done, reject, report, written } = aStep(false)
  report()(30, 60)
  await vi.advanceTimersByTimeAsync(16_000)
  expect(written()).toBe('  working 30 of 60, 2 s\n  working 30 of 60, 15 s\n')
  reject(new Error('no'))
  await expect(done).rejects.toThrow('no')
  expect(written()).toContain('failed after 16 s\n')
})
