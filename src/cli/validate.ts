import process from 'node:process'
import { readFile } from 'node:fs/promises'
import { Command, Option } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { readSources } from '../tools/manifest/files.ts'
import { FORMATS, type Format, report } from '../tools/report/report.ts'
import { painter } from '../tools/report/text.ts'
import { validate } from '../tools/validate/validate.ts'
import { type Io, usage } from './usage.ts'

const EXAMPLES = `
Exit codes: 0 nothing found, 1 errors found (with --strict also warnings), 2 wrong usage.

Examples:
  $ keyferry validate deploy/
  $ kubectl kustomize overlays/production | keyferry validate -
  $ helm template shop charts/shop | keyferry validate --strict -
  $ keyferry validate --output sarif deploy/ > keyferry.sarif`

interface Flags {
  readonly output: Format
  readonly strict?: true
  readonly namespace?: string
  readonly vaultPolicyFile?: string
}

/** `keyferry validate` */
export function validateCommand(io: Io = process): Command {
  return new Command('validate')
    .argument('<path...>', 'files, folders, or - for standard input')
    .addOption(
      new Option('-o, --output <format>', 'form of the report').choices(FORMATS).default('human'),
    )
    .option('--strict', 'fail for warnings, too')
    .option('-n, --namespace <name>', 'namespace of manifests that name none')
    .option(
      '--vault-policy-file <file>',
      'vault policy of the operator; checked, and checked against',
    )
    .addHelpText('after', EXAMPLES)
    .action(async (paths: string[], flags: Flags) => {
      io.exitCode = await run(io, paths, flags)
    })
}

async function run(io: Io, paths: readonly string[], flags: Flags): Promise<number> {
  const { output, strict, namespace, vaultPolicyFile: file } = flags
  const { sources, skipped } = await usage(io, () => readSources(paths, io.stdin))
  const policy =
    file && (await usage(io, async () => ({ name: file, text: await readFile(file, 'utf8') })))
  const found = validate(sources, { ...(policy ? { policy } : {}), namespace })
  const texts = new Map(
    [...sources, ...(policy ? [policy] : [])].map((one) => [one.name, one.text]),
  )
  const { version } = packageJson
  io.stdout.write(report(output, { ...found, texts, skipped, version, paint: painter(io.stdout) }))
  return found.findings.some(({ level }) => strict || level === 'error') ? 1 : 0
}
