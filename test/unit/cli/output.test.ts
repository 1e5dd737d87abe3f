import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { program } from '../../../src/cli/program.ts'

/** Commands that do something, by their whole names. */
function leaves(command: Command, before: string): [string, Command][] {
  const name = `${before}${command.name()}`
  const below = command.commands.flatMap((one) => leaves(one, `${name} `))
  return below.length > 0 ? below : [[name, command]]
}

/** Their results are no data: a server, nothing at all, JSON already, and a script. */
const WITHOUT = [
  'keyferry operator',
  'keyferry connect rotate-key',
  'keyferry connect export',
  'keyferry completion',
]

test('every command that tells something tells it to programs, too', async () => {
  const commands = leaves(await program(() => true), '')
  expect(commands.length).toBeGreaterThan(20)
  for (const [name, command] of commands) {
    const output = command.options.find(({ long }) => long === '--output')
    const isWithout = WITHOUT.includes(name)
    expect([name, output?.short, output?.defaultValue]).toEqual(
      isWithout ? [name, undefined, undefined] : [name, '-o', 'human'],
    )
    if (!isWithout) expect(output?.argChoices).toEqual(expect.arrayContaining(['human', 'json']))
  }
})
