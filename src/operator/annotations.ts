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

/** Whether a resource's label stays off its Secret. `more`: the setting LABELS_NOT_COPIED. */
export function isNotCopied(label: string, more: readonly string[]): boolean {
  const matches = (pattern: string) =>
    pattern.endsWith('*') ? label.startsWith(pattern.slice(0, -1)) : label === pattern
  return isOwnName(label) || TRACKING_LABELS.some(matches) || more.some(matches)
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
