/** Commands in the documentation, parsed by the program's own definitions. */
import { existsSync } from 'node:fs'
import { type Command, CommanderError } from 'commander'
import { describe, expect, test } from 'vitest'
import packageJson from '../../../package.json' with { type: 'json' }
import { program } from '../../../src/cli/program.ts'
import { blocksOf, inlineCodeOf, PAGES } from '../../support/documents.ts'

interface Told {
  readonly where: string
  readonly words: readonly string[]
}

const lines = PAGES.flatMap(blocksOf).flatMap(({ page, line, language, text }) => {
  if (!['sh', 'console', 'text'].includes(language)) return []
  const whole = text.replaceAll(/\\\n\s*/g, ' ').split('\n')
  const isSession = whole.some((one) => /^\s*\$ /.test(one))
  if (language === 'text' && !isSession) return []
  return whole
    .filter((one) => !isSession || /^\s*\$ /.test(one))
    .map((one) => ({ where: `${page}:${line}`, text: one.replace(/^\s*\$ /, '') }))
})

const commands = lines.flatMap(({ where, text }) =>
  simpleCommands(text).map((words): Told => ({ where, words })),
)

/** The simple commands of a line, as words: pipes, lists and substitutions part them. */
function simpleCommands(line: string): string[][] {
  const words = line.match(/'[^']*'|(?:"[^"]*"|[^\s|;&()'"])+|[|;&()]/g) ?? []
  const found: string[][] = [[]]
  for (const word of words) {
    if (word.startsWith('#')) break
    if (/^[|;&()]$/.test(word) || /^\d?[<>]/.test(word)) found.push([])
    else found.at(-1)?.push(word.replaceAll(/^['"]|['"]$/g, ''))
  }
  return found.filter((one) => one.length > 0)
}

/** The arguments of the program, where a command runs it in one of its ways. */
function argumentsOf(words: readonly string[]): readonly string[] | undefined {
  const bare = words.slice(words.findIndex((word) => !/^\w+=/.test(word)))
  const [first, second] = bare
  if (first === 'keyferry') return bare.slice(1)
  if (first === 'kubectl' && second === 'keyferry') return bare.slice(2)
  if (first === 'node' && second === 'dist/keyferry.mjs') return bare.slice(2)
  const inImage = bare.indexOf('/keyferry.mjs')
  return inImage === -1 ? undefined : bare.slice(inImage + 1)
}

const runs = commands.flatMap(({ where, words }) => {
  const args = argumentsOf(words)
  return args === undefined ? [] : [{ where, args }]
})

/** The program, whose commands do nothing but read their arguments. */
async function inert(): Promise<Command> {
  const root = await program(() => true)
  const quiet = (command: Command) => {
    command.configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
    // A group of commands has nothing to do; one that does both, such as connect, has options.
    const isGroup = command.commands.length > 0 && command.options.length === 0
    if (!isGroup) command.action(() => undefined)
    command.commands.forEach(quiet)
  }
  quiet(root)
  return root
}

describe('commands of keyferry', () => {
  test('there are many', () => {
    expect(runs.length).toBeGreaterThan(40)
  })

  test.each(runs.map(({ where, args }) => [`${where} keyferry ${args.join(' ')}`, args] as const))(
    '%s',
    async (_, args) => {
      const root = await inert()
      const refusal = await root.parseAsync(args, { from: 'user' }).then(
        () => undefined,
        // Help and the version are no failures.
        (error: unknown) =>
          error instanceof CommanderError && error.exitCode === 0 ? undefined : error,
      )
      expect(refusal).toBeUndefined()
    },
  )

  test('those in sentences name commands and options that there are', async () => {
    const root = await inert()
    const told = PAGES.flatMap((page) =>
      inlineCodeOf(page)
        .filter((code) => /^keyferry [a-z-]+(?: |$)/.test(code))
        .map((code) => ({ page, code, words: code.split(/\s+/).slice(1) })),
    )
    expect(told.length).toBeGreaterThan(30)
    expect(told.filter(({ words }) => !isKnown(root, words))).toEqual([])
  })
})

function isKnown(command: Command, words: readonly string[]): boolean {
  const [first, ...rest] = words
  if (first === undefined) return true
  const sub = command.commands.find((one) => one.name() === first)
  if (sub) return isKnown(sub, rest)
  // The first word must be a command; what follows are arguments, and options.
  if (command.parent === null) return false
  return words
    .filter((word) => word.startsWith('--'))
    .every((word) => optionsOf(command).includes(word.split('=', 1)[0] ?? ''))
}

function optionsOf(command: Command | null): string[] {
  if (command === null) return []
  return [...command.options.map(({ long }) => long ?? ''), ...optionsOf(command.parent)]
}

describe('scripts', () => {
  const inBlocks = commands.map(({ words }) => words.join(' '))
  const inSentences = PAGES.flatMap(inlineCodeOf)

  test('of npm are in package.json', () => {
    const named = [...inBlocks, ...inSentences].flatMap((text) =>
      [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name),
    )
    expect(named.length).toBeGreaterThan(20)
    expect(named.filter((name) => !(name in packageJson.scripts))).toEqual([])
  })

  test('of the repository are there', () => {
    const named = [...inBlocks, ...inSentences].flatMap((text) =>
      [...text.matchAll(/(?:^|\bnode )((?:\.ci|test)\/[\w./-]+)/g)].map(([, name = '']) => name),
    )
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter((name) => !existsSync(name))).toEqual([])
  })
})
