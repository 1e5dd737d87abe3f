/**
 * Every reason a condition, Event or metric can carry: a closed list, documented where it is
 * defined.
 */

/**
 * What a reason says about the future:
 * - `fine`: the Secret is as it should be
 * - `passes`: the cause can pass by itself, Keyferry goes on trying
 * - `damaged`: as `passes`, but meanwhile the Secret is not what it should be
 * - `person`: only a change by a person helps
 */
export type ReasonKind = 'fine' | 'passes' | 'damaged' | 'person'

interface ReasonInfo {
  readonly kind: ReasonKind
  readonly meaning: string
  readonly remedy: string
}

/** The closed list. */
export const REASONS = {
  Synced: {
    kind: 'fine',
    meaning: 'The Secret holds the content of the items.',
    remedy: 'Nothing to do.',
  },
  Frozen: {
    kind: 'fine',
    meaning: 'The item is tagged operator.1password.io:ignore-secret; the Secret stays as it is.',
    remedy: 'Remove the tag to let the Secret follow the item again.',
  },
  Progressing: {
    kind: 'passes',
    meaning: 'The first attempt for this generation is under way.',
    remedy: 'Nothing to do.',
  },
  ConnectUnreachable: {
    kind: 'passes',
    meaning: 'The Connect server cannot be reached or does not answer in time.',
    remedy: 'Check OP_CONNECT_HOST, the network policy, and that the Connect server runs.',
  },
  ConnectUnauthorized: {
    kind: 'passes',
    meaning: 'The Connect server refuses the token.',
    remedy: 'Put a valid token of this Connect server into the operator’s token Secret.',
  },
  ConnectForbidden: {
    kind: 'passes',
    meaning: 'The Connect token may not read the vault.',
    remedy: 'Issue a Connect token with read access to the vault.',
  },
  ConnectRateLimited: {
    kind: 'passes',
    meaning: 'The Connect server asks for fewer requests.',
    remedy: 'Nothing to do; requests pause as long as the server asks.',
  },
  ConnectUnavailable: {
    kind: 'passes',
    meaning: 'The Connect server answers with an error of its own.',
    remedy: 'Look at the Connect server: its /health says what it waits for.',
  },
  ConnectBadAnswer: {
    kind: 'passes',
    meaning: 'An answer of the Connect server is incomplete or not what was asked for.',
    remedy: 'Check that OP_CONNECT_HOST is a Connect server and no proxy changes its answers.',
  },
  KubernetesUnavailable: {
    kind: 'passes',
    meaning: 'The Kubernetes API server refuses or fails a request that it should take.',
    remedy: 'Look at the message: a missing right, an admission webhook or an overload.',
  },
  SecretMissing: {
    kind: 'damaged',
    meaning: 'The Secret is gone and cannot be written again while Connect is out of reach.',
    remedy: 'Bring Connect back; the Secret then returns by itself.',
  },
  SecretChanged: {
    kind: 'damaged',
    meaning: 'The Secret was edited and cannot be repaired while Connect is out of reach.',
    remedy: 'Bring Connect back; the Secret is then repaired.',
  },
  DriftContested: {
    kind: 'damaged',
    meaning: 'Somebody keeps changing the Secret; it is repaired once a minute.',
    remedy: 'Stop the other writer: the managedFields of the Secret name it.',
  },
  InvalidItemPath: {
    kind: 'person',
    meaning: 'spec.itemPath is not a path of an item.',
    remedy: 'Write vaults/<vault>/items/<item>, with names or ids; use ids for names with a slash.',
  },
  InvalidReference: {
    kind: 'person',
    meaning: 'A key or a reference in spec.data is not well formed.',
    remedy: 'Write op://vault/item/field, in double braces inside of a text.',
  },
  VolatileReference: {
    kind: 'person',
    meaning: 'A reference asks for a one-time password, which changes every 30 seconds.',
    remedy: 'Refer to the field itself: its value is the seed from which codes are made.',
  },
  FieldNotFound: {
    kind: 'person',
    meaning: 'A reference means no field or file of its item, or more than one.',
    remedy: 'Correct the reference; the message lists what the item has.',
  },
  InvalidValue: {
    kind: 'person',
    meaning: 'A value cannot go through the pipe or into the form that the reference asks for.',
    remedy: 'Correct the value in 1Password, or leave the pipe out.',
  },
  InvalidMetadata: {
    kind: 'person',
    meaning: 'spec.secretMetadata sets a label or annotation that tools or the API server act on.',
    remedy: 'Remove the label or annotation that the message names.',
  },
  TypeRefused: {
    kind: 'person',
    meaning: 'Secrets of that type mint credentials or steer other tools.',
    remedy: 'Use another type.',
  },
  MissingKeys: {
    kind: 'person',
    meaning: 'Keys that spec.requiredKeys or the type of the Secret demands would be missing.',
    remedy: 'Add the fields to the item, or correct spec.requiredKeys.',
  },
  VaultNotAllowed: {
    kind: 'person',
    meaning: 'The vault policy no longer allows the vault for this namespace; the content stays.',
    remedy: 'Ask whoever keeps VAULT_POLICY_FILE to allow the vault, or use another one.',
  },
  VaultNotFound: {
    kind: 'person',
    meaning: 'There is no such vault, or the token or the vault policy does not allow it.',
    remedy: 'Check the name of the vault and that token and policy allow it for this namespace.',
  },
  ItemNotFound: {
    kind: 'person',
    meaning: 'The vault has no active item of that title or id.',
    remedy: 'Check the title or id of the item; titles must match exactly.',
  },
  NoKeys: {
    kind: 'person',
    meaning: 'The item gives no key at all: every field is empty or has an unusable label.',
    remedy: 'Give the item a field with a label and a value.',
  },
  TooLarge: {
    kind: 'person',
    meaning: 'The values are larger than the 1 MiB that a Secret holds.',
    remedy: 'Remove or shrink the keys that the message names with their sizes.',
  },
  NotOurSecret: {
    kind: 'person',
    meaning: 'A Secret of that name exists and belongs to somebody else; it is left alone.',
    remedy: 'Rename the resource, or delete the Secret if nobody needs it.',
  },
  SecretClaimedTwice: {
    kind: 'person',
    meaning: 'Another resource asks for a Secret of the same name and has the older claim.',
    remedy: 'Give one of the two resources another secretName.',
  },
  OtherInstance: {
    kind: 'person',
    meaning: 'Another Keyferry installation that is alive serves the Secret.',
    remedy: 'Divide the resources with ITEM_SELECTOR or WATCH_NAMESPACE, or stop the other one.',
  },
  AnotherOperator: {
    kind: 'person',
    meaning: '1Password’s own operator is running and serves the resource too.',
    remedy: 'Scale that operator to zero; Keyferry then goes on by itself.',
  },
  SecretImmutable: {
    kind: 'person',
    meaning: 'The Secret is immutable, so its new content cannot be written.',
    remedy: 'Delete the Secret; it is made anew with the current content.',
  },
  SecretInvalid: {
    kind: 'person',
    meaning: 'The API server refuses the Secret as invalid.',
    remedy: 'Correct what the message names: often the type demands keys the item does not give.',
  },
} as const satisfies Record<string, ReasonInfo>

/** A reason of the closed list. */
export type Reason = keyof typeof REASONS

/** What is told besides: in Events of what was done or is left to do, and in other conditions. */
export const NOTICES = {
  SecretTakenOver: {
    meaning: 'The Secret was somebody else’s or the former operator’s; its resource has it now.',
    remedy: 'Nothing to do.',
  },
  SecretRepaired: {
    meaning: 'Somebody changed the content of the Secret, and it was put right.',
    remedy: 'Find out who changes it: the managedFields of the Secret name the writer.',
  },
  SecretRestored: {
    meaning: 'Somebody deleted the Secret, and it was written again.',
    remedy: 'Delete the resource to be rid of the Secret.',
  },
  SecretTypeChanged: {
    meaning: 'The Secret was deleted and created at once, because a type cannot be changed.',
    remedy: 'Nothing to do.',
  },
  RestartOwed: {
    meaning: 'Reason of the condition Restarting: workloads have to restart for the new content.',
    remedy: 'Nothing to do; the condition goes once all of them were restarted.',
  },
  Restarted: {
    meaning: 'The workload was restarted for new content, or its template was marked.',
    remedy: 'Do what the message leaves to do: resume what is paused, delete pods of OnDelete.',
  },
  RestartDue: {
    meaning: 'A Secret has new content, and the workload wants to be told instead of restarted.',
    remedy: 'Restart the workload when it suits.',
  },
  RestartUnclear: {
    meaning: 'Nothing was restarted: auto-restart is neither true, false nor notify.',
    remedy: 'Correct the annotation on the resource, the workload or the namespace.',
  },
  RestartNotPossible: {
    meaning: 'The workload was not restarted, for the cause that the message gives.',
    remedy: 'Restart it by hand, and let what puts its template back ignore our annotations.',
  },
  ConnectAnswers: {
    meaning: 'On the operator’s Pod: the Connect server answers again.',
    remedy: 'Nothing to do.',
  },
} as const satisfies Record<string, Omit<ReasonInfo, 'kind'>>

/** A reason of an Event: of {@link REASONS}, or of {@link NOTICES}. */
export type EventReason = Reason | keyof typeof NOTICES
