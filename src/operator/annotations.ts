/**
 * Labels and annotations that Keyferry reads or writes. Of the incumbent's prefix it writes only
 * `item-path`, `item-version` and `auto-restart`, and only on Secrets; all that is new has a prefix
 * of its own, because the incumbent puts a finalizer on every Deployment that carries another
 * annotation of its prefix.
 */

/** Resolved path of the item: `vaults/<id>/items/<id>`. */
export const ITEM_PATH = 'operator.1password.io/item-path'
/** Version of the item whose content the Secret holds. */
export const ITEM_VERSION = 'operator.1password.io/item-version'
/** Name of the Secret that an annotated workload asks for. */
export const ITEM_NAME = 'operator.1password.io/item-name'
/** Whether workloads restart when the content changes: on resources, workloads, namespaces. */
export const AUTO_RESTART = 'operator.1password.io/auto-restart'
/** Finalizer of the incumbent, taken off wherever it is met; never put on. */
export const INCUMBENT_FINALIZER = 'onepassword.com/finalizer.secret'

/** Label by which Secrets are watched. */
export const MANAGED = 'keyferry.dev/managed'
/** `<key id>.<HMAC>` of the Secret's content. */
export const DIGEST = 'keyferry.dev/digest'
/** Who the Secret belongs to, with a proof that Keyferry said so. */
export const OWNER = 'keyferry.dev/owner'
/** Names of the labels and annotations that Keyferry put there, besides its own prefix. */
export const APPLIED = 'keyferry.dev/applied'
/** The Keyferry installation that serves the Secret. */
export const INSTANCE = 'keyferry.dev/instance'
/** The restart that is owed for the Secret's content, while it is owed. */
export const RESTART = 'keyferry.dev/restart'
/** On a Secret of somebody else: allows a resource with `existingSecret: Adopt` to take it over. */
export const ADOPT = 'keyferry.dev/adopt'
/** On a resource: any new value asks for a refresh now. */
export const REFRESH = 'keyferry.dev/refresh'
/** Tag of an item whose Secrets are not to be updated. */
export const IGNORE_TAG = 'operator.1password.io:ignore-secret'

/** What a label, annotation, tag or finalizer is for. */
export interface MarkInfo {
  readonly what: 'label' | 'annotation' | 'finalizer' | 'tag'
  /** Objects that carry it. */
  readonly on: string
  /** Whose it is to write: `you`, or Keyferry. */
  readonly by: 'you' | 'Keyferry'
  readonly meaning: string
}

/** The names above, each with what it is for: a closed list. */
export const MARKS: Readonly<Record<string, readonly MarkInfo[]>> = {
  [ITEM_PATH]: [
    {
      what: 'annotation',
      on: 'Deployment, StatefulSet, DaemonSet, or its pod template',
      by: 'you',
      meaning: 'Path of the item, vaults/VAULT/items/ITEM or op://VAULT/ITEM; goes with item-name.',
    },
    {
      what: 'annotation',
      on: 'Secret',
      by: 'Keyferry',
      meaning: 'Path of the first item that the content is from, by ids.',
    },
  ],
  [ITEM_NAME]: [
    {
      what: 'annotation',
      on: 'Deployment, StatefulSet, DaemonSet, or its pod template',
      by: 'you',
      meaning: 'Name of the Secret that the workload asks for.',
    },
  ],
  [AUTO_RESTART]: [
    {
      what: 'annotation',
      on: 'OnePasswordItem, Deployment, StatefulSet, DaemonSet, Rollout, Namespace',
      by: 'you',
      meaning: 'Whether workloads restart when content changes: true, false or notify.',
    },
    {
      what: 'annotation',
      on: 'Secret',
      by: 'Keyferry',
      meaning: 'That of the resource: where the first level of the decision is read from.',
    },
  ],
  [REFRESH]: [
    {
      what: 'annotation',
      on: 'OnePasswordItem',
      by: 'you',
      meaning: 'Any new value has the item read at once; status.refresh then shows the value.',
    },
  ],
  [ADOPT]: [
    {
      what: 'annotation',
      on: 'Secret',
      by: 'you',
      meaning: 'The value true lets a resource with existingSecret: Adopt take the Secret over.',
    },
  ],
  [IGNORE_TAG]: [
    {
      what: 'tag',
      on: 'item in 1Password',
      by: 'you',
      meaning: 'Freezes the Secrets of the item until the tag is gone.',
    },
  ],
  [MANAGED]: [
    {
      what: 'label',
      on: 'Secret',
      by: 'Keyferry',
      meaning: 'Always true; by this label Secrets are watched and found.',
    },
  ],
  [ITEM_VERSION]: [
    {
      what: 'annotation',
      on: 'Secret',
      by: 'Keyferry',
      meaning: 'Version of the first item that the content is from.',
    },
  ],
  [DIGEST]: [
    {
      what: 'annotation',
      on: 'Secret',
      by: 'Keyferry',
      meaning:
        'Keyed digest of type, keys and values; it tells whether content changed, not to what.',
    },
  ],
  [OWNER]: [
    {
      what: 'annotation',
      on: 'Secret',
      by: 'Keyferry',
      meaning: 'Whose the Secret is, with a proof that only this installation can make.',
    },
  ],
  [APPLIED]: [
    {
      what: 'annotation',
      on: 'Secret',
      by: 'Keyferry',
      meaning:
        'Names of the labels and annotations that were put there at the wish of the resource.',
    },
  ],
  [INSTANCE]: [
    {
      what: 'annotation',
      on: 'Secret',
      by: 'Keyferry',
      meaning: 'Name of the installation (INSTANCE) that serves the Secret.',
    },
  ],
  [RESTART]: [
    {
      what: 'annotation',
      on: 'Secret',
      by: 'Keyferry',
      meaning: 'The restart that is owed for the content, while it is owed.',
    },
  ],
  [INCUMBENT_FINALIZER]: [
    {
      what: 'finalizer',
      on: 'OnePasswordItem and workloads',
      by: 'Keyferry',
      meaning: 'Of 1Password’s own operator; taken off wherever it is met, never put on.',
    },
  ],
}

const OWN_PREFIXES = ['keyferry.dev/', 'operator.1password.io/']

/** Whether Keyferry or the incumbent gives `name` its meaning. */
export function isOwnName(name: string): boolean {
  return OWN_PREFIXES.some((prefix) => name.startsWith(prefix))
}

/**
 * Labels by which other tools track what they own. Copied to a Secret they would make those tools
 * prune or fight over it. A name that ends in `*` stands for a prefix.
 */
const TRACKING_LABELS = [
  'app.kubernetes.io/instance',
  'app.kubernetes.io/managed-by',
  'argocd.argoproj.io/instance',
  'kustomize.toolkit.fluxcd.io/*',
  'helm.toolkit.fluxcd.io/*',
  'applyset.kubernetes.io/*',
  'kapp.k14s.io/*',
  'objectset.rio.cattle.io/*',
  'configmanagement.gke.io/*',
  'configsync.gke.io/*',
  'velero.io/*',
]

/**
 * Annotations that tools and the API server act on: who could set them on a Secret through a
 * resource would gain rights that resources do not give.
 */
const RESERVED_ANNOTATIONS = [
  ...TRACKING_LABELS,
  'kubectl.kubernetes.io/*',
  'meta.helm.sh/*',
  'helm.sh/*',
  'kubernetes.io/*',
  'argocd.argoproj.io/tracking-id',
  'config.k8s.io/*',
  'cli-utils.sigs.k8s.io/*',
]

/** Whether a resource may not set an annotation on its Secret. */
export function isReservedAnnotation(name: string): boolean {
  return isOwnName(name) || RESERVED_ANNOTATIONS.some((pattern) => matches(name, pattern))
}

/** Whether a resource's label stays off its Secret. `more`: the setting LABELS_NOT_COPIED. */
export function isNotCopied(label: string, more: readonly string[]): boolean {
  return isOwnName(label) || [...TRACKING_LABELS, ...more].some((one) => matches(label, one))
}

/** A pattern that ends in `*` stands for a prefix. */
function matches(name: string, pattern: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

/**
 * A boolean as Go's strconv.ParseBool reads it, without regard to case: what the incumbent
 * accepts. Undefined for anything else.
 */
export function parseBoolean(text: string | undefined): boolean | undefined {
  switch ((text ?? '').toLowerCase()) {
    case '1':
    case 't':
    case 'true':
      return true
    case '0':
    case 'f':
    case 'false':
      return false
    default:
      return undefined
  }
}
