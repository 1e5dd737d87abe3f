/**
 * Manifests for the rules of `keyferry validate`: for each rule some that are bad and a near miss
 * that is good.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { RuleId } from '../../src/tools/validate/rules.ts'
import { type Validation, validate } from '../../src/tools/validate/validate.ts'

/** One case: a stream of manifests. */
export interface Case {
  readonly rule: RuleId
  readonly isBad: boolean
  readonly title: string
  readonly text: string
}

const FOLDER = path.join(import.meta.dirname, '..', 'unit', 'tools', 'corpus')

/** The vault policy of the cases of rule `vault-policy`. */
export const POLICY = 'mode: closed\nrules:\n  - namespaces: [shop]\n    vaults: [Production]\n'

/** All cases. */
export function readCorpus(): readonly Case[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.cases'))
    .toSorted()
    .flatMap((file) => casesIn(path.basename(file, '.cases') as RuleId, path.join(FOLDER, file)))
}

function casesIn(rule: RuleId, file: string): Case[] {
  const [, ...parts] = readFileSync(file, 'utf8').split(/^#### /m)
  return parts.map((part) => {
    const end = part.indexOf('\n')
    const [verdict = '', ...title] = part.slice(0, end).split(' ')
    const text = part.slice(end + 1).replaceAll('<16 KiB>', 'x'.repeat(16_384))
    return { rule, isBad: verdict === 'bad', title: title.join(' '), text }
  })
}

/** What is found in a case. */
export function judge({ rule, text }: Case): Validation {
  const source = { name: 'case.yaml', text }
  if (rule === 'policy-file') return validate([], { policy: source })
  if (rule !== 'vault-policy') return validate([source])
  return validate([source], { policy: { name: 'policy.yaml', text: POLICY }, namespace: 'shop' })
}
