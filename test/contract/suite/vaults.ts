import { describe, expect, test } from 'vitest'
import { DATE, ID, type Vault, type Session } from './session.ts'

export function vaultChecks(s: Session): void {
  describe('vaults', () => {
    test('6 7 the list holds the vaults of the token, with and without a slash', async () => {
      const answer = await s.send('GET', '/v1/vaults')
      expect(answer.status).toBe(200)
      const vault = answer.json<Vault[]>().find(({ id }) => id === s.target.vault)
      expect(vault).toEqual(
        expect.objectContaining({
          id: expect.stringMatching(ID),
          name: s.target.vaultName,
          attributeVersion: expect.any(Number),
          contentVersion: expect.any(Number),
          items: expect.any(Number),
          type: expect.stringMatching(/^(USER_CREATED|PERSONAL|EVERYONE|TRANSFER)$/),
          createdAt: expect.stringMatching(DATE),
          updatedAt: expect.stringMatching(DATE),
        }),
      )
      const slashed = await s.send('GET', '/v1/vaults/')
      expect(slashed.status).toBe(200)
      expect(slashed.json()).toEqual(answer.json())
    })

    const oneVault: [string, (vault: string) => string][] = [
      ['8 by name, percent-encoded', (v) => `/v1/vaults?filter=name%20eq%20%22${v}%22`],
      [
        '9 by title, form-encoded',
        (v) => `/v1/vaults?filter=title+eq+%22${v.replaceAll('%20', '+')}%22`,
      ],
      [
        '10 by title in another case',
        (v) => `/v1/vaults/?filter=title%20eq%20%22${v.toLowerCase()}%22`,
      ],
    ]
    test.each(oneVault)('%s finds the vault', async (_, path) => {
      const answer = await s.send('GET', path(encodeURIComponent(s.target.vaultName)))
      expect(answer.status).toBe(200)
      expect(answer.json<Vault[]>().map(({ id }) => id)).toEqual([s.target.vault])
    })

    test.each([
      ['11 an unknown name', 'nope+nope'],
      ['12 an id, which is no name,', ''],
    ])('%s finds nothing', async (_, wanted) => {
      const value = wanted || s.target.vault
      const answer = await s.send('GET', `/v1/vaults?filter=title+eq+%22${value}%22`)
      expect(answer.status).toBe(200)
      expect(answer.json()).toEqual([])
    })

    test('13 a filter that is none answers 400', async () => {
      expect((await s.send('GET', "/v1/vaults?filter='")).status).toBe(400)
    })

    test('14 one vault is an object', async () => {
      const answer = await s.send('GET', `/v1/vaults/${s.target.vault}`)
      expect(answer.status).toBe(200)
      expect(answer.json<Vault>().id).toBe(s.target.vault)
    })

    test('15 a name in the place of an id answers 400', async () => {
      expect((await s.send('GET', '/v1/vaults/Test%20Vault/items/x')).status).toBe(400)
    })

    test('two slashes at the start of a path are one', async () => {
      expect((await s.send('GET', '//v1/vaults')).status).toBe(200)
    })
  })
}
