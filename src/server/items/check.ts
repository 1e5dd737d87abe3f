import { Ajv } from 'ajv'
import type { ItemInput } from '../api.ts'
import document from '../openapi.json' with { type: 'json' }
import { badInput } from '../refusals.ts'

/** What a validator found, as far as a message may tell. */
interface Finding {
  readonly instancePath?: string
  readonly message?: string | undefined
  readonly params?: Record<string, unknown>
}

/** The options that every check by the document shares: nothing is converted or filled in. */
export const CHECK_OPTIONS = {
  coerceTypes: false,
  useDefaults: false,
  removeAdditional: false,
  strict: false,
} as const

const isItemInput = new Ajv(CHECK_OPTIONS).compile<ItemInput>({
  $ref: '#/components/schemas/ItemInput',
  components: document.components,
})

/**
 * Checks what a patch or an import makes of an item by the schema that checks request bodies.
 * @throws KeyferryError REQUEST_REFUSED 400
 */
export function assertItemInput(value: unknown): asserts value is ItemInput {
  if (!isItemInput(value)) throw badInput(findingText(isItemInput.errors ?? []))
}

/** Where the input is wrong and what is expected there; never what was given. */
export function findingText(findings: readonly Finding[]): string {
  const [finding] = findings
  if (finding === undefined) return 'Invalid input'
  if (finding.instancePath === '/category') return 'Invalid item category'
  if (finding.params?.['missingProperty'] === 'category') return 'Invalid item category'
  return `Invalid input: ${finding.instancePath || 'body'} ${finding.message ?? 'is not valid'}`
}
