import { expect, test } from 'vitest'
import type { Details } from '../../../../src/status/model.ts'
import { BOX, boxAfter, neighbours, pictureOf } from '../../../../src/status/page/picture.ts'
import { ageOf } from '../../../../src/status/page/time.ts'

const workload = (name: string) =>
  ({ kind: 'Deployment', name, use: 'content', restarts: 'true', owes: name === 'web' }) as const

const DETAILS = {
  type: 'Opaque',
  items: [
    { vault: 'Production', item: 'Database', version: 3 },
    { vault: 'Production', item: 'Mail' },
    { vault: 'Infra', item: 'Mail', version: 1 },
  ],
  secret: { name: 'database', present: true },
  workloads: [workload('api'), workload('web'), { ...workload('old'), use: 'pull' }],
} as unknown as Details

test('vaults, items, Secret and workloads stand in columns, joined by lines', () => {
  const { boxes, lines } = pictureOf(DETAILS)
  expect(boxes.map(({ column, title, note }) => [column, title, note])).toEqual([
    [0, 'Production', 'vault'],
    [0, 'Infra', 'vault'],
    [1, 'Database', 'item, version 3'],
    [1, 'Mail', 'item, not applied'],
    [1, 'Mail', 'item, version 1'],
    [2, 'database', 'Secret, Opaque'],
    [3, 'api', 'Deployment'],
    [3, 'web', 'Deployment, to be restarted'],
    [3, 'old', 'Deployment, pulls images'],
  ])
  expect(lines).toHaveLength(3 + 3 + 3)
  const ids = new Set(boxes.map(({ id }) => id))
  expect(ids.size).toBe(boxes.length)
  for (const { from, to } of lines) expect([ids.has(from), ids.has(to)]).toEqual([true, true])
})

test('no two boxes touch, and all are within the drawing', () => {
  const { boxes, width, height } = pictureOf(DETAILS)
  for (const one of boxes) {
    expect(one.x).toBeGreaterThanOrEqual(0)
    expect(one.x + BOX.width).toBeLessThanOrEqual(width)
    expect(one.y).toBeGreaterThanOrEqual(0)
    expect(one.y + BOX.height).toBeLessThanOrEqual(height)
    for (const other of boxes) {
      const isApart =
        one === other ||
        Math.abs(one.x - other.x) > BOX.width ||
        Math.abs(one.y - other.y) > BOX.height
      expect(isApart, `${one.id}, ${other.id}`).toBe(true)
    }
  }
})

test('every box is reached by arrow keys', () => {
  const picture = pictureOf(DETAILS)
  const reached = new Set(['secret'])
  for (const id of reached) {
    for (const key of ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown']) {
      const next = boxAfter(key, id, picture)
      if (next !== undefined) reached.add(next)
    }
  }
  expect([...reached].toSorted()).toEqual(picture.boxes.map(({ id }) => id).toSorted())
  expect(boxAfter('x', 'secret', picture)).toBeUndefined()
  expect(boxAfter('Home', 'secret', picture)).toBe('vault Production')
  expect(boxAfter('End', 'secret', picture)).toBe('workload Deployment/old')
  expect(neighbours('secret', picture, 'to')).toEqual(['api', 'web', 'old'])
  expect(neighbours('secret', picture, 'from')).toEqual(['Database', 'Mail', 'Mail'])
})

test('of very many workloads the last box stands for the rest', () => {
  const workloads = Array.from({ length: 100 }, (_, n) => workload(`w${n}`))
  const { boxes, lines } = pictureOf({ ...DETAILS, workloads })
  const column = boxes.filter((box) => box.column === 3)
  expect(column).toHaveLength(20)
  expect(column.at(-1)).toMatchObject({ title: '81 more', note: 'in the table below' })
  expect(lines.filter(({ from }) => from === 'secret')).toHaveLength(20)
})

test('a resource without anything is drawn, too', () => {
  const { boxes, lines } = pictureOf({
    ...DETAILS,
    items: [],
    workloads: [],
    secret: { name: 'x', present: false },
  })
  expect(boxes).toMatchObject([{ id: 'secret', note: 'Secret, not there' }])
  expect(lines).toEqual([])
})

test.each([
  [-5, '0s'],
  [119_999, '119s'],
  [120_000, '2m'],
  [7_200_000, '2h'],
  [172_800_000, '2d'],
])('%i ms are %s', (ms, words) => {
  expect(ageOf(ms)).toBe(words)
})
