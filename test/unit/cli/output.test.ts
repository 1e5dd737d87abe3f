import type { Command } from 'commander'
import { expect, test } from 'vitest'
import { connectCommand } from '../../../src/cli/connect.ts'
import { explainCommand } from '../../../src/cli/explain.ts'
import { planCommand } from '../../../src/cli/plan.ts'
import { renderCommand } from '../../../src/cli/render.ts'
import { validateCommand } from '../../../src/cli/validate.ts'

/** Commands that do something, by their whole names. */
function leaves(command: Command, before: string): [string, Command][] {
  const name = `${before} ${command.name()}`
  const below = command.commands.flatMap((one) => leaves(one, name))
  return below.length > 0 ? below : [[name, command]]
}

const COMMANDS = [
  connectCommand({}),
  explainCommand(),
  planCommand(),
  renderCommand(),
  validateCommand(),
].flatMap((one) => leaves(one, 'keyferry'))

/** Their results are no data: a document that is JSON already, and nothing at all. */
const WITHOUT = ['keyferry connect export', 'keyferry connect rotate-key']

test('every command that tells something tells it to programs, too', () => {
  expect(COMMANDS.length).toBeGreaterThan(15)
  for (const [name, command] of COMMANDS) {
    const output = command.options.find(({ long }) => long === '--output')
    const isWithout = WITHOUT.includes(name)
    expect([name, output?.short, output?.defaultValue]).toEqual(
      isWithout ? [name, undefined, undefined] : [name, '-o', 'human'],
    )
    if (!isWithout) expect(output?.argChoices).toEqual(expect.arrayContaining(['human', 'json']))
  }
})
