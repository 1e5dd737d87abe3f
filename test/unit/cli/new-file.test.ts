import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { newFile } from '../../../src/cli/new-file.ts'
import { tempDir } from '../../support/server.ts'

describe('a new file', () => {
  let dir: string
  let file: string
  beforeEach(async () => {
    dir = await tempDir()
    file = path.join(dir, 'file')
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  test('has its name once it is complete, and not before', async () => {
    await newFile(file, async (draft) => {
      await writeFile(draft, 'content')
      expect(await readdir(dir)).not.toContain('file')
    })
    expect(await readdir(dir)).toEqual(['file'])
    expect(await readFile(file, 'utf8')).toBe('content')
  })

  test('is not there when making it fails, nor is a part of it', async () => {
    const half = newFile(file, async (draft) => {
      await writeFile(draft, 'half')
      throw new Error('broken off')
    })
    await expect(half).rejects.toThrow('broken off')
    expect(await readdir(dir)).toEqual([])
  })

  test('takes no place of another, also of one that came meanwhile', async () => {
    await writeFile(file, 'mine')
    const late = path.join(dir, 'late')
    const both = [
      newFile(file, (draft) => writeFile(draft, 'new')),
      newFile(late, async (draft) => {
        await writeFile(draft, 'new')
        await writeFile(late, 'mine')
      }),
    ]
    for (const each of both) {
      await expect(each).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    }
    expect((await readdir(dir)).toSorted()).toEqual(['file', 'late'])
    for (const each of [file, late]) expect(await readFile(each, 'utf8')).toBe('mine')
  })
})
