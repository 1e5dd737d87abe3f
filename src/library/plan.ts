/**
 * `keyferry/plan`: what a resource asks for and what its Secret holds, computed without any I/O.
 *
 * ```ts
 * const claim = parseClaim(resource)
 * const paths = pathsOf(claim) // read these items, with the files that `filesOf` names
 * const content = isFault(paths) ? paths : render(claim, items, false)
 * ```
 *
 * The whole decision, with ownership, status and restarts, is `planSync`.
 */
export { type Item, parseItem } from '../connect/model.ts'
export { SecretValue } from '../connect/secret-value.ts'
export { type Claim, type ItemSpec, type ItemStatus, parseClaim } from '../operator/item.ts'
export {
  type Content,
  contentOfItem,
  type ItemContent,
  MAPPING_VERSION,
} from '../operator/plan/content.ts'
export { contentDigest, type DigestKey, digestKey } from '../operator/plan/digest.ts'
export { keyOfLabel } from '../operator/plan/names.ts'
export { planSync } from '../operator/plan/plan.ts'
export {
  type Fault,
  filesOf,
  isFault,
  type Paths,
  pathsOf,
  type Recipe,
  render,
} from '../operator/plan/render.ts'
export type { Decision, Plan, Policy, SecretManifest, Snapshot } from '../operator/plan/types.ts'
export { type Reason, REASONS } from '../operator/reasons.ts'
