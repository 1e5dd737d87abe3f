import { describe, expect, test } from 'vitest'
import { unique, type Session } from './session.ts'

export function tokenChecks(s: Session): void {
  describe('tokens', () => {
    test('4 no token answers 401', async () => {
      expect((await s.send('GET', '/v1/vaults', { token: undefined })).status).toBe(401)
    })

    test('5 an unreadable token answers 401', async () => {
      expect((await s.send('GET', '/v1/vaults', { token: 'x' })).status).toBe(401)
    })

    test('16 a vault out of scope answers 403 with Authorization in its text', async () => {
      const answer = await s.send('GET', `/v1/vaults/${s.target.forbiddenVault}`)
      expect(answer.status).toBe(403)
      expect(answer.json<{ message: string }>().message).toMatch(/^Authorization:/)
    })

    test('18 a token that may only read cannot create', async ({ skip }) => {
      if (s.target.readOnly === undefined) return skip('the server has no such token for tests')
      const body = { title: 'x', category: 'SERVER' }
      const answer = await s.send('POST', s.items, { token: s.target.readOnly, body })
      expect(answer.status).toBe(403)
    })

    test('36 a token that may only write cannot read, nor learn by writing', async ({ skip }) => {
      if (s.target.writeOnly === undefined) return skip('the server has no such token for tests')
      const token = s.target.writeOnly
      const value = unique('hidden')
      const item = await s.create({
        title: unique('blind'),
        fields: [{ id: 'secret', label: 'secret', type: 'CONCEALED', value }],
      })
      const path = `${s.items}/${item.id}`
      expect((await s.send('GET', path, { token })).status).toBe(403)
      expect((await s.send('GET', s.items, { token })).status).toBe(403)
      const patch = [{ op: 'add', path: '/fields', value: { label: 'other', value: 'x' } }]
      for (const body of [patch, []]) {
        const answer = await s.send('PATCH', path, { token, body })
        expect(answer.status).toBe(200)
        expect(answer.text).not.toContain(value)
      }
    })
  })
}
