import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHeap } from '../../../src/kube/heap.ts'

test('an empty heap gives nothing', () => {
  const heap = createHeap<number>((a, b) => a < b)
  expect([heap.peek(), heap.pop(), heap.size]).toEqual([undefined, undefined, 0])
})

test('elements come out in order, however pushes and pops are mixed', () => {
  const step = fc.oneof({ weight: 2, arbitrary: fc.integer() }, fc.constant('pop' as const))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = createHeap<number>((a, b) => a < b)
      let model: number[] = []
      const out: unknown[] = []
      const wanted: unknown[] = []
      for (const one of steps) {
        if (one === 'pop') {
          const [least, ...rest] = model.toSorted((a, b) => a - b)
          out.push(heap.peek(), heap.pop())
          wanted.push(least, least)
          model = rest
        } else {
          heap.push(one)
          model.push(one)
        }
        out.push(heap.size)
        wanted.push(model.length)
      }
      expect(out).toEqual(wanted)
    }),
  )
})
