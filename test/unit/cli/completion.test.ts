import { spawnSync } from 'node:child_process'
import { Command, Option } from 'commander'
import { describe, expect, test } from 'vitest'
import { completionCommand } from '../../../src/cli/completion.ts'
import { SHELLS } from '../../../src/tools/completion/completion.ts'
import { runCommand } from '../../support/command.ts'

function program(): Promise<Command> {
  const store = new Command('store').addCommand(new Command('open').description('it’s open'))
  const check = new Command('check')
    .description('check: things')
    .addOption(new Option('-o, --output <format>', 'form').choices(['human', 'json']))
    .option('--strict', "don't pass")
  return Promise.resolve(new Command('keyferry').addCommand(store).addCommand(check))
}

const script = async (shell: string) =>
  (await runCommand((io) => completionCommand(program, io), [shell])).out

describe('completion', () => {
  test.each([
    [['keyferry', ''], 'store check'],
    [['keyferry', 'ch'], 'check'],
    [['keyferry', 'store', ''], 'open'],
    [['keyferry', 'check', '--st'], '--strict'],
    [['keyferry', 'check', '--output', ''], 'human json'],
    [['keyferry', 'check', '-o', 'j'], 'json'],
    [['keyferry', 'check', 'store', '--s'], '--strict'],
    [['keyferry', 'store', 'open', ''], ''],
  ])('bash completes %j to "%s"', async (line, wanted) => {
    const ask = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _keyferry; echo "${COMPREPLY[*]}"'
    const all = ['-c', `${await script('bash')}\n${ask}`, 'bash', ...line]
    const { stdout, stderr } = spawnSync('bash', all, { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(stdout.trim()).toBe(wanted)
  })

  test.each(SHELLS)('the script for %s names every command and option', async (shell) => {
    const text = await script(shell)
    for (const word of ['store', 'open', 'check', 'output', 'strict', 'json']) {
      expect(text).toContain(word)
    }
    // Every quote is closed: a help text with one of its own would end it early.
    expect(text.match(/'/g)?.length).toSatisfy((count: number) => count % 2 === 0)
  })

  test('another shell is wrong usage', async () => {
    expect((await runCommand((io) => completionCommand(program, io), ['tcsh'])).code).toBe(2)
  })
})
