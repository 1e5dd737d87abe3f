import { describe, expect, test } from 'vitest'
import { createDoubts } from '../../../../src/operator/intake/doubts.ts'
import { candidates, type ItemList, mergeItems } from '../../../../src/operator/intake/item-list.ts'
import { anItem, VAULT } from '../../../builders/snapshot.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'

const idOf = (letter: string) => letter.repeat(26)
const item = (letter: string, version: number) =>
  anItem({ id: idOf(letter), title: letter, version })

/** Lists of one vault, one after the other. */
function setUp() {
  const clock = createVirtualClock()
  const doubts = {
    back: createDoubts(clock, 3),
    gone: createDoubts(clock, 2),
    still: createDoubts(clock, 3),
  }
  let held: ItemList | undefined
  const vault = {
    id: VAULT,
    name: 'V',
    createdAt: '',
    description: undefined,
    items: undefined,
    type: undefined,
    updatedAt: undefined,
  }
  /** What is held after one more list, as `a1 b2`. */
  function after(contentVersion: number, ...answered: ReturnType<typeof item>[]): string {
    const at = { ...vault, contentVersion, attributeVersion: 1 }
    held = mergeItems(at, held, answered, { doubts, now: clock.now() })
    const texts = [...held.byId.values()].map(({ title, version }) => `${title}${version}`)
    return `${texts.toSorted().join(' ')}${held.doubtful ? '?' : ''}`
  }
  return { clock, after, held: () => held as ItemList }
}

describe('an item whose version goes back', () => {
  test('keeps the higher one until three lists in a row say so', () => {
    const { after } = setUp()
    expect(after(1, item('a', 5))).toBe('a5')
    expect(after(2, item('a', 4))).toBe('a5?')
    expect(after(2, item('a', 4))).toBe('a5?')
    expect(after(2, item('a', 4))).toBe('a4')
  })

  test('keeps it for good while lists disagree', () => {
    const { after } = setUp()
    after(1, item('a', 5))
    for (let n = 0; n < 50; n += 1) {
      expect(after(2, item('a', 4))).toBe('a5?')
      expect(after(2, item('a', 5))).toBe('a5')
    }
  })

  test('keeps it for two minutes, however seldom is listed', async () => {
    const { clock, after } = setUp()
    after(1, item('a', 5))
    expect(after(2, item('a', 4))).toBe('a5?')
    await clock.advance(120_000)
    expect(after(2, item('a', 4))).toBe('a4')
  })
})

describe('an item that a list leaves out', () => {
  test('is there until a second list leaves it out, too', () => {
    const { after } = setUp()
    expect(after(1, item('a', 1), item('b', 1))).toBe('a1 b1')
    expect(after(2, item('b', 1))).toBe('a1 b1?')
    expect(after(2, item('b', 1))).toBe('b1')
  })

  test('stays when the next list has it again', () => {
    const { after } = setUp()
    after(1, item('a', 1), item('b', 1))
    for (let n = 0; n < 50; n += 1) {
      expect(after(2)).toBe('a1 b1?')
      expect(after(2, item('a', 1), item('b', 1))).toBe('a1 b1')
    }
  })
})

test('a higher version counts at once, and so does a new item', () => {
  const { after } = setUp()
  after(1, item('a', 1))
  expect(after(2, item('a', 2), item('b', 1))).toBe('a2 b1')
})

test('a vault that moved while its items did not is of its former version for three lists', () => {
  const { after, held } = setUp()
  after(1, item('a', 1))
  for (const version of [1, 1, 2]) {
    after(2, item('a', 1))
    expect(held().contentVersion).toBe(version)
  }
})

test('a name means items with it as id or title', () => {
  const { after, held } = setUp()
  after(1, item('a', 1), item('b', 1))
  expect(candidates(held(), 'a').map(({ id }) => id)).toEqual([idOf('a')])
  expect(candidates(held(), idOf('b')).map(({ title }) => title)).toEqual(['b'])
  expect(candidates(held(), 'c')).toEqual([])
})
