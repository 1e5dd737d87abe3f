/**
 * Several who ask for one item at the same time, in whatever order Connect answers and the item
 * changes. `KEYFERRY_SEED=… npm run test:unit -- races` tries the same orders.
 */
import * as fc from 'fast-check'
import { describe, expect } from 'vitest'
import type { ConnectClient } from '../../../../src/connect/client.ts'
import type { SecretValue } from '../../../../src/connect/secret-value.ts'
import { createContentReader } from '../../../../src/operator/intake/content.ts'
import type { ItemContent } from '../../../../src/operator/plan/content.ts'
import { anItem } from '../../../builders/snapshot.ts'
import { race } from '../../../support/property.ts'

/** An item whose every part says the same version, in a Connect server that takes its time. */
function scriptedConnect(s: fc.Scheduler) {
  let version = 1
  const counts = { items: 0 }
  const fileId = (at: number) => `f${at}`.padEnd(26, '0')
  const item = () =>
    anItem({
      version,
      fields: [{ id: 'u', label: 'username', value: `v${version}` }],
      files: [{ id: fileId(version), name: 'file', size: 2 }],
    })
  const client = {
    async item() {
      counts.items += 1
      await s.schedule(Promise.resolve(), 'the item is read')
      const answer = item()
      await s.schedule(Promise.resolve(), 'the item is answered')
      return answer
    },
    async fileContent(_id: unknown, id: string) {
      await s.schedule(Promise.resolve(), 'the file is read')
      if (id !== fileId(version)) throw new Error('no such file')
      return Buffer.from(`v${version}`)
    },
  } as unknown as ConnectClient
  return { client, counts, head: item, edit: () => (version += 1) }
}

const textOf = (value: SecretValue | undefined) => Buffer.from(value?.reveal() ?? []).toString()

/** What all parts of a content say; more than one: it is of no version that there ever was. */
function versionsIn({ item, files }: ItemContent): Set<string> {
  const texts = [
    `v${item.version}`,
    ...[item.fields[0]?.value, ...files.values()].map((value) => textOf(value)),
  ]
  return new Set(texts)
}

describe('readers of one item', () => {
  /** `askers` ask while the item changes; the first `leavers` of them leave before their answer. */
  async function ask(s: fc.Scheduler, askers: number, edits: number, leavers: number) {
    const { client, counts, head, edit } = scriptedConnect(s)
    const reader = createContentReader(client, new AbortController().signal)
    const answers: Promise<ItemContent>[] = []
    const leave = Array.from({ length: askers }, () => new AbortController())
    const waiting = new Set<number>()
    const gone = new Set<number>()
    const steps = leave.map(({ signal }, n) => ({
      label: 'somebody asks',
      builder: async () => {
        const answer = reader.read(head(), 'all', signal)
        answers.push(answer)
        waiting.add(n)
        const over = () => void waiting.delete(n)
        answer.then(over, over)
      },
    }))
    s.scheduleSequence(steps)
    for (let n = 0; n < edits; n += 1) void s.schedule(Promise.resolve(), 'an edit').then(edit)
    for (const [n, controller] of leave.slice(0, leavers).entries()) {
      const leaves = () => {
        if (waiting.has(n)) gone.add(n)
        controller.abort(LEFT)
      }
      void s.schedule(Promise.resolve(), 'somebody leaves').then(leaves)
    }
    await s.waitIdle()
    const settled = await s.waitFor(Promise.allSettled(answers))
    return { settled, gone, counts, reader, head, signal: new AbortController().signal }
  }
  const LEFT = new Error('left')

  race(
    'get all of one version, or none of it',
    fc.asyncProperty(fc.scheduler(), fc.nat(4), fc.nat(2), async (s, askers, edits) => {
      const { settled } = await ask(s, askers + 1, edits, 0)
      for (const one of settled) {
        if (one.status === 'fulfilled') expect(versionsIn(one.value).size).toBe(1)
      }
      if (edits === 0) expect(settled.map(({ status }) => status)).not.toContain('rejected')
    }),
  )

  race(
    'get their answer although others leave, who wait no longer',
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 5 }), async (s, askers) => {
      const { settled, gone } = await ask(s, askers, 0, askers - 1)
      for (const n of gone) expect(settled[n]?.status).toBe('rejected')
      expect(settled.at(-1)?.status).toBe('fulfilled')
      for (const one of settled) if (one.status === 'rejected') expect(one.reason).toBe(LEFT)
    }),
  )

  race(
    'share a read that is under way, and none that is over',
    fc.asyncProperty(fc.scheduler(), fc.integer({ min: 1, max: 5 }), async (s, askers) => {
      const { counts, reader, head, signal } = await ask(s, askers, 0, 0)
      expect(counts.items).toBeLessThanOrEqual(askers)
      const before = counts.items
      const again = [reader.read(head(), 'all', signal), reader.read(head(), 'all', signal)]
      await s.waitFor(Promise.all(again))
      expect(counts.items).toBe(before + 1)
    }),
  )
})
