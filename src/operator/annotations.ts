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
