import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { text } from 'node:stream/consumers'
import { Command } from 'commander'
import { SecretValue } from '../connect/secret-value.ts'
import { KeyferryError } from '../errors.ts'
import type { Admin, NewToken } from '../server/admin/admin.ts'
import type { Right, Token } from '../server/items/model.ts'
import type { Style } from '../tools/report/text.ts'
import { type CommandFactory, withAdmin } from './connect-admin.ts'
import { type OutputFlags, outputOption, say, tell } from './output.ts'

const EXAMPLES = `
Examples:
  $ keyferry connect token create --vault Production=rw --vault Shared=r --expires 90d
  Accept a token that clients use already, so that they need no new one:
  $ keyferry connect token create --vault Production=r --from-file old-token.txt`

/** `keyferry connect token …` */
export const tokenCommand: CommandFactory = (env) => {
  const token = new Command('token').description('make, list and revoke tokens')
  token
    .command('create')
    .description('make a token; prints it, this once')
    .requiredOption('--vault <vault=rights>', 'name or id, and r, w or rw; repeatable', collect, [])
    .option('--name <name>', 'what the token is for')
    .option('--expires <when>', '90d, 12h, 2027-01-31 or a full RFC 3339 date (default: never)')
    .option('--opaque', 'a random text instead of a JWT')
    .option('--create-vaults', 'make the vaults that do not exist yet')
    .option('--from-file <file>', 'accept the token in this file, - for standard input')
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(async (flags: CreateFlags, command: Command) => {
      const request = await newToken(flags)
      const issued = await withAdmin(command, env, async (admin) => {
        if (flags.createVaults) await createVaults(admin, Object.keys(request.vaults))
        return admin.createToken(request)
      })
      const { id } = issued
      if (flags.fromFile !== undefined) return tell(flags, { id }, id)
      const made = Buffer.from(issued.token.reveal()).toString('utf8')
      return tell(flags, { id, token: made }, made)
    })
  token
    .command('list')
    .description('list the tokens, without the tokens themselves')
    .addOption(outputOption())
    .action(async (flags: OutputFlags, command: Command) => {
      const [tokens, vaults] = await withAdmin(command, env, (admin) =>
        Promise.all([admin.tokens(), admin.vaults()]),
      )
      const names = new Map(vaults.map(({ id, name }) => [id, name]))
      const rows = tokens.map((entry) => [
        entry.id,
        entry.kind,
        stateOf(entry, Date.now()),
        Object.entries(entry.rights)
          .map(([vault, right]) => `${names.get(vault) ?? vault}=${right}`)
          .join(','),
        entry.name,
      ])
      const headings = ['ID', 'KIND', 'STATE', 'RIGHTS', 'NAME']
      tell(flags, tokens.map(publicPart), { headings, rows, styleOf })
    })
  token
    .command('revoke')
    .description('end a token at once; prints its id')
    .argument('<id>', 'as token list shows it: the jti of a JWT')
    .addOption(outputOption())
    .action(async (id: string, flags: OutputFlags, command: Command) => {
      const wasInForce = await withAdmin(command, env, (admin) => admin.revokeToken(id))
      if (!wasInForce) say('the token had been revoked before')
      tell(flags, { id, wasInForce }, id)
    })
  return token
}

/** What is in force stands out from what is not. */
function styleOf(cell: string, column: number): Style | undefined {
  if (column !== 2) return undefined
  return cell.startsWith('valid') ? 'green' : 'dim'
}

interface CreateFlags extends OutputFlags {
  readonly vault: readonly string[]
  readonly name?: string
  readonly expires?: string
  readonly opaque?: boolean
  readonly fromFile?: string
  readonly createVaults?: boolean
}

const collect = (value: string, all: readonly string[]): string[] => [...all, value]

/** Makes those of the wanted vaults that are there neither by name nor by id. */
async function createVaults(admin: Admin, wanted: readonly string[]): Promise<void> {
  const { sameName } = await import('../server/admin/names.ts')
  const there = await admin.vaults()
  for (const name of wanted) {
    const known = there.some((vault) => vault.id === name || sameName(name)(vault))
    if (!known) await admin.createVault(name)
  }
}

async function newToken(flags: CreateFlags): Promise<NewToken> {
  const { name, expires, opaque, fromFile } = flags
  const given =
    fromFile === undefined
      ? undefined
      : await (fromFile === '-' ? text(process.stdin) : readFile(fromFile, 'utf8'))
  return {
    vaults: Object.fromEntries(flags.vault.map(parseRight)),
    ...(name === undefined ? {} : { name }),
    ...(expires === undefined ? {} : { expires: parseExpiry(expires, Date.now()) }),
    form:
      given === undefined
        ? opaque
          ? 'opaque'
          : 'jwt'
        : { given: SecretValue.fromText(given.trim()) },
  }
}

/** `NAME=rw`; the name may hold equals signs itself. @throws KeyferryError INPUT_INVALID */
export function parseRight(text: string): [vault: string, right: Right] {
  const split = text.lastIndexOf('=')
  const vault = text.slice(0, split)
  const right = (['r', 'w', 'rw'] as const).find((known) => known === text.slice(split + 1))
  if (split < 1 || right === undefined) {
    throw invalid(`--vault ${text} names no right`, 'Write NAME=r, NAME=w or NAME=rw.')
  }
  return [vault, right]
}

const UNIT_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const

/** @returns Unix seconds. @throws KeyferryError INPUT_INVALID also for a moment that has passed */
export function parseExpiry(text: string, nowMs: number): number {
  const span = /^(\d{1,6})([smhdw])$/.exec(text)
  const unit = span?.[2] as keyof typeof UNIT_SECONDS | undefined
  const seconds = unit
    ? Math.floor(nowMs / 1000) + Number(span?.[1]) * UNIT_SECONDS[unit]
    : Math.floor(Date.parse(/^\d{4}-\d\d-\d\d/.test(text) ? text : '') / 1000)
  if (Number.isNaN(seconds)) {
    throw invalid(`--expires ${text} is no date`, 'Write 90d, 12h, 2027-01-31 or an RFC 3339 date.')
  }
  if (seconds * 1000 <= nowMs) throw invalid(`--expires ${text} has passed`, 'Give a later date.')
  return seconds
}

function stateOf({ expires, revokedAt }: Token, nowMs: number): string {
  if (revokedAt !== undefined) return `revoked ${revokedAt}`
  if (expires === undefined) return 'valid'
  const date = new Date(expires * 1000).toISOString().slice(0, 19)
  return expires * 1000 <= nowMs ? `expired ${date}Z` : `valid until ${date}Z`
}

function publicPart(token: Token): object {
  return { ...token, hash: undefined }
}

function invalid(message: string, remedy: string): KeyferryError {
  return new KeyferryError('INPUT_INVALID', { message, remedy, retry: 'on-change' })
}
