import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTurns } from '../../../src/kube/turns.ts'

test('nothing waits in empty lines', () => {
  expect(createTurns().shift()).toBeUndefined()
})

test('groups take turns, and inside a group the first in is the first out', () => {
  const turns = createTurns()
  for (const key of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) turns.push(key.slice(0, 1), key)
  const out = Array.from({ length: 7 }, () => turns.shift())
  expect(out).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', undefined])
})

test('a group that may not go keeps its place', () => {
  const turns = createTurns()
  for (const key of ['a1', 'b1', 'a2', 'b2']) turns.push(key.slice(0, 1), key)
  expect(turns.shift((group) => group !== 'a')).toBe('b1')
  expect(turns.shift(() => false)).toBeUndefined()
  expect(turns.shift()).toBe('a1')
})

/** What a line of groups is to do, written without regard to cost. */
function createModel() {
  let waiting: string[] = []
  const groupOf = (key: string) => key.slice(0, 1)
  return {
    push: (key: string) => void waiting.push(key),
    /** Whether `key` may come out now: the first of its group. */
    takes(key: string): boolean {
      const first = waiting.find((one) => groupOf(one) === groupOf(key))
      waiting = waiting.filter((one) => one !== key)
      return first === key
    },
    size: () => waiting.length,
  }
}

test('every key comes out once, in the order of its group', () => {
  const step = fc.oneof(fc.constantFrom('a', 'b', 'c', 'd'), fc.constant(undefined))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const turns = createTurns()
      const model = createModel()
      let asWanted = true
      for (const [n, group] of [...steps, ...steps.map(() => undefined)].entries()) {
        if (group === undefined) {
          const empty = model.size() === 0
          const key = turns.shift()
          asWanted &&= key === undefined ? empty : model.takes(key)
        } else {
          turns.push(group, `${group}${n}`)
          model.push(`${group}${n}`)
        }
      }
      expect([asWanted, model.size()]).toEqual([true, 0])
    }),
  )
})

test('a group that waits is passed by each other group at most once', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 200 }), (groups) => {
      const turns = createTurns()
      const left = new Map<string, number>()
      for (const group of groups) {
        turns.push(group, group)
        left.set(group, (left.get(group) ?? 0) + 1)
      }
      const passedBy = new Map<string, string[]>()
      for (let group = turns.shift(); group !== undefined; group = turns.shift()) {
        left.set(group, (left.get(group) ?? 0) - 1)
        passedBy.set(group, [])
        for (const [other, count] of left) {
          if (count > 0 && other !== group)
            passedBy.set(other, [...(passedBy.get(other) ?? []), group])
        }
        for (const names of passedBy.values()) expect(new Set(names).size).toBe(names.length)
      }
    }),
  )
})

test('a group of thousands is served in full', () => {
  const turns = createTurns()
  for (let n = 0; n < 5_000; n += 1) turns.push('big', `${n}`)
  for (let n = 0; n < 5_000; n += 1) expect(turns.shift()).toBe(`${n}`)
  expect(turns.shift()).toBeUndefined()
})
