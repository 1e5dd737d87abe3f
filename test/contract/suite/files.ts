import { describe, expect, test } from 'vitest'
import type { Answer } from '../../support/http.ts'
import { UNKNOWN, unique, type Session } from './session.ts'

export function fileChecks(s: Session): void {
  describe('files', () => {
    test('37 38 files are listed, described, inlined and downloaded', async ({ skip }) => {
      if (!s.target.addFile || !s.target.inlineLimit)
        return skip('the server takes no files from tests')
      const content = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255))
      const { id } = await s.create({ title: unique('files') })
      const file = await s.target.addFile(id, 'a "quoted" näme.bin', content)
      const list = await s.send('GET', `${s.items}/${id}/files/`)
      expect(list.status).toBe(200)
      const path = `/v1/vaults/${s.target.vault}/items/${id}/files/${file}`
      const described = {
        id: file,
        name: 'a "quoted" näme.bin',
        size: 1024,
        content_path: `${path}/content`,
      }
      expect(list.json()).toEqual([described])
      expect((await s.read(id)).files).toEqual([described])
      expect((await s.send('GET', path)).json()).toEqual(described)
      const inline = await s.send('GET', `${path}?inline_files=true`)
      expect(inline.json()).toEqual({ ...described, content: content.toString('base64') })
      const download = await s.send('GET', described.content_path)
      expect(download.status).toBe(200)
      expect(download.headers['content-type']).toBe('application/octet-stream')
      expect(download.headers['content-length']).toBe('1024')
      expect(download.headers['content-disposition']).toMatch(/^attachment; filename="/)
      expect(download.bytes.equals(content)).toBe(true)
      const large = await s.target.addFile(id, 'large', Buffer.alloc(s.target.inlineLimit + 1))
      const refused: Answer = await s.send(
        'GET',
        `${s.items}/${id}/files/${large}?inline_files=true`,
      )
      expect(refused.status).toBe(413)
      expect(refused.json<{ message: string }>().message).toContain('/content')
    })

    test('an unknown file answers 404', async () => {
      const { id } = await s.create({ title: unique('no file') })
      const answer = await s.send('GET', `${s.items}/${id}/files/${UNKNOWN}`)
      expect(answer.status).toBe(404)
      expect((await s.send('GET', `${s.items}/${id}/files`)).json()).toEqual([])
    })
  })
}
