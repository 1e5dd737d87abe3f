import { describe, expect, test } from 'vitest'
import { type Session } from './session.ts'

export function serviceChecks(s: Session): void {
  describe('service', () => {
    test('1 heartbeat answers a dot without a token', async () => {
      const answer = await s.send('GET', '/heartbeat', { token: undefined })
      expect(answer.status).toBe(200)
      expect(answer.headers['content-type']).toMatch(/^text\/plain/)
      expect(answer.text).toBe('.')
    })

    test('2 health names the server and an active sync', async () => {
      const answer = await s.send('GET', '/health', { token: undefined })
      expect(answer.status).toBe(200)
      expect(answer.json()).toEqual({
        name: expect.any(String),
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        dependencies: expect.arrayContaining([
          expect.objectContaining({ service: 'sync', status: 'ACTIVE' }),
        ]),
      })
    })

    test('3 metrics are Prometheus text', async () => {
      const answer = await s.send('GET', '/metrics', { token: undefined })
      expect(answer.status).toBe(200)
      expect(answer.headers['content-type']).toMatch(/^text\/plain/)
      expect(answer.text).toMatch(/^# HELP /m)
      expect(answer.text).toMatch(/^# TYPE /m)
    })

    test('unknown paths answer 404', async () => {
      expect((await s.send('GET', '/v1/nothing')).status).toBe(404)
    })
  })
}
