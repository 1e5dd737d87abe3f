/**
 * `keyferry/connect`: the Connect API as a library.
 *
 * ```ts
 * const client = createConnectClient({ host: 'http://localhost:8080', token: () => token, userAgent: 'my-tool/1' })
 * const vault = findVault(await client.vaults(), 'Production')
 * ```
 */
export * from '../connect/client.ts'
export type { FieldDraft, ItemDraft, PatchOperation, Recipe, Text } from '../connect/draft.ts'
export { type ItemPath, parseItemPath } from '../connect/item-path.ts'
export { findItem, findVault } from '../connect/lookup.ts'
export type {
  Activity,
  Field,
  File,
  Health,
  Item,
  ItemSummary,
  Url,
  Vault,
} from '../connect/model.ts'
export { SecretValue } from '../connect/secret-value.ts'
export type { Transport, TransportOptions } from '../connect/transport.ts'
export { type ErrorCode, isKeyferryError, KeyferryError } from '../errors.ts'
