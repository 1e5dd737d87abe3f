import { expect, test } from 'vitest'
import { DATE, type Session } from './session.ts'

export function activityChecks(s: Session): void {
  test('40 activity counts from one and names who was denied what', async () => {
    await s.send('GET', `/v1/vaults/${s.target.forbiddenVault}`)
    const answer = await s.send('GET', '/v1/activity?limit=2&offset=1')
    expect(answer.status).toBe(200)
    expect(answer.json<object[]>()).toHaveLength(2)
    expect(answer.headers['content-range']).toMatch(/^2-3\/\d+$/)
    const all = (await s.send('GET', '/v1/activity?limit=20')).json<
      {
        requestId: string
        timestamp: string
        action: string
        result: string
        actor: { id: string; jti: string; account: string; requestIp: string }
        resource: { type: string; vault?: { id: string } }
      }[]
    >()
    const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
    for (const entry of all) {
      expect(entry.requestId).toMatch(uuid)
      expect(entry.timestamp).toMatch(DATE)
      expect(entry.action).toMatch(/^(READ|CREATE|UPDATE|DELETE)$/)
      expect(entry.actor.id).toMatch(uuid)
      expect(entry.actor.jti).toEqual(expect.any(String))
    }
    expect(all.find(({ result }) => result === 'DENY')?.resource).toMatchObject({
      type: 'VAULT',
      vault: { id: s.target.forbiddenVault },
    })
  })
}
