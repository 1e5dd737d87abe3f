import { describe, expect, test } from 'vitest'
import { unique, type Item, type Session } from './session.ts'

const patch = (s: Session, id: string, body: unknown) =>
  s.send('PATCH', `${s.items}/${id}`, { body })

const patched = (s: Session, id: string, version: number) =>
  s.eventually(
    () => s.read(id),
    (item) => item.version === version,
  )

const withField = (s: Session) =>
  s.create({
    title: unique('patch'),
    tags: ['t0', 't1'],
    fields: [{ id: 'f', label: 'f', value: 'old' }],
  })

const value = (item: Item) => item.fields.find((field) => field.id === 'f')?.value

export function patchChecks(s: Session): void {
  describe('PATCH', () => {
    test('33 the value of a field is replaced, removed and added', async () => {
      const { id } = await withField(s)
      const path = '/fields/f/value'
      expect((await patch(s, id, [{ op: 'replace', path, value: 'new' }])).status).toBe(200)
      expect(value(await patched(s, id, 2))).toBe('new')
      expect((await patch(s, id, [{ op: 'remove', path }])).status).toBe(200)
      expect(value(await patched(s, id, 3))).toBeUndefined()
      expect((await patch(s, id, [{ op: 'add', path, value: 'again' }])).status).toBe(200)
      expect(value(await patched(s, id, 4))).toBe('again')
    })

    test('34 no operation changes nothing, an object is refused, a title is replaced', async () => {
      const { id } = await withField(s)
      const unmodified = await patch(s, id, [])
      expect(unmodified.status).toBe(200)
      expect((await s.read(id)).version).toBe(1)
      expect((await patch(s, id, {})).status).toBe(400)
      const title = unique('retitled')
      const answer = await patch(s, id, [{ op: 'replace', path: '/title', value: title }])
      expect(answer.status).toBe(200)
      expect(answer.json<Item>().title).toBe(title)
    })

    test('35 fields are appended, tags removed, the whole item replaced', async () => {
      const { id } = await withField(s)
      const field = { label: 'new', type: 'string', value: 'v' }
      const add = await patch(s, id, [{ op: 'add', path: '/fields', value: field }])
      const added = add.json<Item>().fields.find(({ label }) => label === 'new')
      expect(added).toMatchObject({ type: 'STRING', value: 'v', id: expect.stringMatching(/./) })
      await patched(s, id, 2)
      const remove = await patch(s, id, [{ op: 'remove', path: '/tags/1' }])
      expect(remove.json<Item>().tags).toEqual(['t0'])
      await patched(s, id, 3)
      const whole = { title: unique('whole'), category: 'SERVER', favorite: true, tags: ['x'] }
      const replaced = await patch(s, id, [{ op: 'replace', path: '/', value: whole }])
      expect(replaced.status).toBe(200)
      expect(await patched(s, id, 4)).toMatchObject(whole)
    })

    test.each([
      ['a field that is not there', [{ op: 'replace', path: '/fields/nope/value', value: 'x' }]],
      ['a position that is not there', [{ op: 'remove', path: '/tags/9' }]],
      ['a member that is not there', [{ op: 'replace', path: '/nothing', value: 'x' }]],
      ['an unknown operation', [{ op: 'move', path: '/title', from: '/x' }]],
    ])('%s answers 400', async (_, body) => {
      const { id } = await withField(s)
      expect((await patch(s, id, body)).status).toBe(400)
    })
  })
}
