/**
 * Every rule of `keyferry validate`: a closed list, from which the pages in `docs/rules` are made.
 * An `error` is what the API server refuses or the operator marks; a `warning` is what both take
 * although it hardly does what was meant.
 */

/** How bad a finding is. */
export type Level = 'error' | 'warning'

interface RuleInfo {
  readonly level: Level
  readonly title: string
  readonly meaning: string
  readonly remedy: string
}

/** The closed list. */
export const RULES = {
  yaml: {
    level: 'error',
    title: 'The text is YAML',
    meaning:
      'The text cannot be read: it is no YAML or JSON, or a name occurs twice in one object.',
    remedy: 'Correct the text at this place. Render Helm templates before they are checked.',
  },
  'api-version': {
    level: 'error',
    title: 'The kind is one that the cluster serves',
    meaning:
      'The API group onepassword.com has the kind OnePasswordItem in version v1 and nothing else.',
    remedy: 'Write apiVersion: onepassword.com/v1 and kind: OnePasswordItem.',
  },
  metadata: {
    level: 'error',
    title: 'Names, labels and annotations are legal',
    meaning: 'The API server refuses names, labels or annotations of this form.',
    remedy: 'Correct the name; the message says which form it must have.',
  },
  schema: {
    level: 'error',
    title: 'Members have the form that the CRD demands',
    meaning: 'A member has another type, length or value than the schema of the CRD allows.',
    remedy: 'Correct the member; `kubectl explain onepassworditem.spec` tells its form.',
  },
  'unknown-member': {
    level: 'error',
    title: 'Members are known to the CRD',
    meaning:
      'The CRD has no such member: kubectl refuses it, other clients see it dropped silently.',
    remedy: 'Correct the name of the member, or remove it.',
  },
  cel: {
    level: 'error',
    title: 'The rules of the CRD hold',
    meaning:
      'A validation rule (CEL) of the CRD does not hold, so the API server refuses the object.',
    remedy: 'The message is the rule’s own.',
  },
  'item-path': {
    level: 'error',
    title: 'Item paths are well formed',
    meaning: 'The path of the item is not one: the resource gets reason InvalidItemPath.',
    remedy: 'Write vaults/<vault>/items/<item> or op://<vault>/<item>, with names or ids.',
  },
  reference: {
    level: 'error',
    title: 'References are well formed',
    meaning:
      'A reference or pipe in spec.data is not one: the resource gets reason InvalidReference.',
    remedy: 'Write op://vault/item/field, in double braces inside of a text, with known pipes.',
  },
  'volatile-reference': {
    level: 'error',
    title: 'References do not ask for one-time passwords',
    meaning:
      'A one-time password changes every 30 seconds: the resource gets reason VolatileReference.',
    remedy: 'Refer to the field itself: its value is the seed from which codes are made.',
  },
  'near-reference': {
    level: 'warning',
    title: 'References are where references are read',
    meaning: 'A text holds op:// where it is no reference, so it stays as it is.',
    remedy: 'Put the reference into double braces, or let the text begin with op://.',
  },
  'data-key': {
    level: 'error',
    title: 'Keys of spec.data are legal keys of a Secret',
    meaning: 'The key cannot be in a Secret: the resource gets reason InvalidReference.',
    remedy: 'Use letters, digits, dots, dashes and underscores only, 253 at most.',
  },
  'similar-keys': {
    level: 'warning',
    title: 'Keys differ in more than case and separators',
    meaning: 'Two keys of one Secret differ in case, dashes, dots or underscores only.',
    remedy: 'Remove the one that is not meant, or ignore this if both are.',
  },
  'missing-keys': {
    level: 'error',
    title: 'Demanded keys can be there',
    meaning:
      'A key that requiredKeys or the type demands cannot be made: the resource gets reason MissingKeys.',
    remedy: 'Add the key to spec.data or an item that gives it, or correct what is demanded.',
  },
  'too-large': {
    level: 'error',
    title: 'Literals fit into a Secret',
    meaning: 'The literals alone have more than 1 MiB: the resource gets reason TooLarge.',
    remedy: 'Divide the data among several resources.',
  },
  'refused-type': {
    level: 'error',
    title: 'The type may be written',
    meaning: 'Secrets of that type mint credentials or steer other tools: reason TypeRefused.',
    remedy: 'Use another type.',
  },
  'secret-metadata': {
    level: 'error',
    title: 'Labels and annotations of the Secret are free to be set',
    meaning:
      'Tools or the API server act on that label or annotation: the resource gets reason InvalidMetadata.',
    remedy: 'Remove it from spec.secretMetadata.',
  },
  'secret-metadata-form': {
    level: 'error',
    title: 'Labels and annotations of the Secret are legal',
    meaning:
      'The API server refuses a Secret with such a label or annotation: the resource gets reason SecretInvalid.',
    remedy: 'Correct the name or value; the message says which form it must have.',
  },
  'duplicate-object': {
    level: 'error',
    title: 'An object is there once',
    meaning: 'Two manifests are of the same object: one would overwrite the other.',
    remedy: 'Remove one of them.',
  },
  'duplicate-secret': {
    level: 'error',
    title: 'A Secret has one resource',
    meaning: 'Two resources make the same Secret: all but one get reason SecretClaimedTwice.',
    remedy: 'Give each resource a spec.secretName of its own.',
  },
  'foreign-secret': {
    level: 'error',
    title: 'A Secret has one source',
    meaning:
      'A manifest makes the Secret that the resource is to make: the resource gets reason NotOurSecret.',
    remedy:
      'Remove the Secret’s manifest, rename one of both, or let the resource adopt it (existingSecret: Adopt).',
  },
  'contested-ask': {
    level: 'error',
    title: 'Workloads agree on what a Secret holds',
    meaning:
      'Two workloads ask for different items under one Secret name: the younger one gets nothing but an Event.',
    remedy: 'Give each its own item-name annotation.',
  },
  'shadowed-ask': {
    level: 'warning',
    title: 'A Secret is asked for in one way',
    meaning:
      'A resource makes the Secret that a workload asks for: the workload’s item-path has no effect.',
    remedy: 'Remove the annotations from the workload.',
  },
  'half-ask': {
    level: 'warning',
    title: 'Workloads ask with both annotations',
    meaning:
      'A workload asks for a Secret by item-path and item-name together; one alone has no effect.',
    remedy: 'Add the other annotation, or remove this one.',
  },
  'unknown-annotation': {
    level: 'warning',
    title: 'Annotations and labels are known',
    meaning: 'The name looks like one of Keyferry’s, but nobody reads it.',
    remedy: 'Correct the name, or remove it.',
  },
  'misplaced-annotation': {
    level: 'warning',
    title: 'Annotations are where they are read',
    meaning:
      'The annotation has a meaning, but not on this kind of object or not in its pod template.',
    remedy: 'Move it; the message says where it is read.',
  },
  'unclear-opt-in': {
    level: 'warning',
    title: 'The wish for restarts is clear',
    meaning: 'The text of auto-restart is no boolean and not notify: it counts as no.',
    remedy: 'Write "true", "false" or "notify".',
  },
  'idle-opt-in': {
    level: 'warning',
    title: 'Workloads that want restarts use a Secret that can change',
    meaning: 'The workload wants restarts, but uses no Secret that a resource here makes.',
    remedy: 'Let it use the Secret, or remove the annotation.',
  },
  'vault-policy': {
    level: 'error',
    title: 'The vault policy allows the vault',
    meaning:
      'The policy file does not allow the vault for this namespace: the resource gets reason VaultNotFound.',
    remedy: 'Use another vault, or have the policy changed.',
  },
  'policy-file': {
    level: 'error',
    title: 'The vault policy can be used',
    meaning: 'The operator does not start with this policy file.',
    remedy: 'Write mode: open or closed, and rules, each with namespaces and vaults.',
  },
} as const satisfies Record<string, RuleInfo>

/** The id of a rule. */
export type RuleId = keyof typeof RULES
