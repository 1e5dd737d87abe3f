import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openPolicyFile, type PolicyFile } from '../../../src/operator/policy-file.ts'

let folder: string
let file: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-policy-'))
  file = path.join(folder, 'policy.yaml')
})
afterEach(() => rm(folder, { recursive: true }))

const OPEN = 'mode: open\nrules: []'
const CLOSED = 'mode: closed\nrules: []'
const allows = ({ current }: PolicyFile) => current().allows('a', { id: 'x', name: 'y' })

function handlers() {
  const told: string[] = []
  return {
    told,
    onChange: () => void told.push('changed'),
    onFailure: ({ message }: Error) => void told.push(message),
  }
}

test('without a file everything is allowed', async () => {
  expect(allows(await openPolicyFile(undefined))).toBe(true)
})

test.each([
  ['is not there', undefined, 'cannot be read (ENOENT)'],
  ['makes no sense', 'mode: maybe', 'cannot be used: '],
])('a file that %s stops the start', async (_what, text, message) => {
  if (text !== undefined) await writeFile(file, text)
  await expect(openPolicyFile(file)).rejects.toMatchObject({
    code: 'SETTING_INVALID',
    message: expect.stringContaining(message),
  })
})

test('a changed file is told once, the same file never', async () => {
  await writeFile(file, OPEN)
  const policy = await openPolicyFile(file)
  const { told, ...rest } = handlers()
  await policy.reread(rest)
  expect(told).toEqual([])
  await writeFile(file, CLOSED)
  await policy.reread(rest)
  await policy.reread(rest)
  expect(told).toEqual(['changed'])
  expect(allows(policy)).toBe(false)
})

test('the last good policy outlives bad and missing files, each told once', async () => {
  await writeFile(file, CLOSED)
  const policy = await openPolicyFile(file)
  const { told, ...rest } = handlers()
  const look = async () => {
    await policy.reread(rest)
    expect(allows(policy)).toBe(false)
  }
  await writeFile(file, 'mode: open\nrules: none')
  await look()
  await look()
  await rm(file)
  await look()
  await look()
  await writeFile(file, CLOSED)
  await look()
  expect(told).toEqual([
    expect.stringContaining('cannot be used: rules'),
    expect.stringContaining('cannot be read (ENOENT)'),
  ])
  await writeFile(file, OPEN)
  await policy.reread(rest)
  expect(told.at(-1)).toBe('changed')
  expect(allows(policy)).toBe(true)
})
