/**
 * Which namespaces may draw from which vaults. Judged on the vault that a path means, by id or name,
 * before any item of it is listed or read.
 */
import * as z from 'zod/mini'
import { parse as parseYaml } from 'yaml'
import { isId } from '../connect/model.ts'
import { KeyferryError } from '../errors.ts'

/** Says who may draw from where. */
export interface VaultPolicy {
  allows(namespace: string, vault: { readonly id: string; readonly name: string }): boolean
}

/** Without a policy every namespace may draw from every vault that the token can read. */
export const OPEN_POLICY: VaultPolicy = { allows: () => true }

const schema = z.strictObject({
  /** closed: only what a rule allows; open: also every vault that no rule names. */
  mode: z.enum(['open', 'closed']),
  rules: z.array(
    z.strictObject({
      /** Names; `*` at the end stands for any rest. */
      namespaces: z.array(z.string().check(z.minLength(1))).check(z.minLength(1)),
      /** Names or ids; `*` at the end stands for any rest. */
      vaults: z.array(z.string().check(z.minLength(1))).check(z.minLength(1)),
    }),
  ),
})

/**
 * A policy from the text of its file (YAML or JSON).
 *
 * @throws KeyferryError SETTING_INVALID with the place of the mistake
 */
export function parseVaultPolicy(text: string): VaultPolicy {
  let value: unknown
  try {
    value = parseYaml(text, { maxAliasCount: 0 })
  } catch (cause) {
    throw invalid(`it is no YAML (${(cause as Error).message.split('\n')[0]})`)
  }
  const result = z.safeParse(schema, value)
  if (!result.success) {
    const [issue] = result.error.issues
    throw invalid(`${issue?.path.join('.') || 'the document'}: ${issue?.message ?? 'is malformed'}`)
  }
  const { mode, rules } = result.data
  return {
    allows(namespace, vault) {
      const naming = rules.filter(({ vaults }) => vaults.some((one) => means(one, vault)))
      if (naming.length === 0) return mode === 'open'
      return naming.some(({ namespaces }) => namespaces.some((one) => matches(one, namespace)))
    },
  }
}

/**
 * A vault's name compares without regard to case, as paths do. What has the form of an id means
 * that id alone: else whoever may name vaults could name one after another's id.
 */
function means(
  pattern: string,
  { id, name }: { readonly id: string; readonly name: string },
): boolean {
  return isId(pattern) ? pattern === id : matches(pattern.toLowerCase(), name.toLowerCase())
}

function matches(pattern: string, text: string): boolean {
  return pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern
}

function invalid(why: string): KeyferryError {
  return new KeyferryError('SETTING_INVALID', {
    message: `VAULT_POLICY_FILE cannot be used: ${why}`,
    remedy: 'Write mode: open or closed, and rules, each with namespaces and vaults.',
    retry: 'on-change',
  })
}
