/**
 * Installations of the chart that differ in everything that changes what is made.
 */
import type { Release } from '../support/helm.ts'

/** What 1password-credentials.json looks like; its keys protect nothing. */
export const CREDENTIALS = JSON.stringify({
  verifier: { salt: 'c2FsdA', localHash: 'aGFzaA' },
  encCredentials: { kid: 'k', enc: 'A256GCM', cty: 'b5+jwk+json', iv: 'aXY', data: 'ZGF0YQ' },
  version: '2',
  deviceUuid: 'abcdefghijklmnopqrstuvwxyz',
  uniqueKey: { alg: 'A256GCM', ext: true, k: 'a2V5', key_ops: ['decrypt'], kty: 'oct', kid: 'k' },
})

const NAMESPACE = 'keyferry'
const OPEN = { 'vaultPolicy.mode': 'open' }
const MONITORING = {
  'metrics.serviceMonitor.enabled': true,
  'metrics.serviceMonitor.labels': { release: 'prometheus' },
  'metrics.rules.enabled': true,
  'metrics.dashboard.enabled': true,
}

/** By name, which is that of the release, too. */
export const CASES: Readonly<Record<string, Release>> = Object.fromEntries(
  Object.entries({
    keyferry: OPEN,
    embedded: {
      'vaultPolicy.mode': 'closed',
      'vaultPolicy.rules': [{ namespaces: ['shop', 'shop-*'], vaults: ['Production'] }],
      'connect.embedded.enabled': true,
      'connect.embedded.vaults': ['Production', 'Shared things'],
      'connect.embedded.clients': [{ podSelector: {} }],
      'connect.embedded.storage.storageClassName': 'fast',
      'networkPolicy.egress.enabled': true,
      replicas: 2,
      ...MONITORING,
    },
    namespaced: {
      ...OPEN,
      watchNamespaces: ['team-a', 'team-b'],
      'connect.embedded.enabled': true,
      'connect.embedded.storage.size': '',
      'connect.embedded.keySecret': 'own-key',
      'connect.embedded.tlsSecret': 'own-tls',
      'restarts.rollouts': false,
    },
    onepassword: {
      ...OPEN,
      'connect.onepassword.enabled': true,
      'connect.onepassword.credentials.value': CREDENTIALS,
      'connect.onepassword.tlsSecret': 'connect-tls',
      'connect.onepassword.proxy.https': 'http://proxy.example.com:3128',
      'connect.onepassword.proxy.none': '.svc,10.0.0.0/8',
      'connect.onepassword.caConfigMap': 'proxy-ca',
      'connect.ca.existingSecret': 'connect-tls',
      'connect.token.value': 'a-token-of-connect',
      'networkPolicy.egress.enabled': true,
      'restarts.enabled': false,
    },
    shadow: { ...OPEN, dryRun: true, 'podDisruptionBudget.enabled': false },
    'shadow-namespaced': { ...OPEN, dryRun: true, watchNamespaces: ['team-a'] },
    bare: {
      ...OPEN,
      'rbac.create': false,
      'rbac.userRoles': false,
      'serviceAccount.name': 'default',
      'admissionPolicy.enabled': false,
      'networkPolicy.enabled': false,
      'crds.manage': false,
      'metrics.port': 0,
    },
    full: {
      ...OPEN,
      ...MONITORING,
      fullnameOverride: 'secrets',
      commonLabels: { team: 'platform' },
      replicas: 3,
      shards: 3,
      itemSelector: 'team in (a, b)',
      'image.repository': 'registry.example.com:5000/keyferry',
      'image.digest': `sha256:${'0'.repeat(64)}`,
      imagePullSecrets: ['pull'],
      priorityClassName: 'system-cluster-critical',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ key: 'control-plane', operator: 'Exists', effect: 'NoSchedule' }],
      affinity: { nodeAffinity: {} },
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' },
      ],
      podLabels: { cost: 'low' },
      podAnnotations: { note: 'true' },
      'serviceAccount.annotations': { owner: 'platform' },
      settings: { POLLING_INTERVAL: 1_000_000, RESTART_DELAY: 0.5, AUTO_RESTART: true },
      extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/run/keyferry/ca/ca.crt' }],
      'connect.host': 'https://connect.example.com',
      'connect.ca.existingConfigMap': 'authorities',
      'connect.token.existingSecret': 'op-token',
      'connect.token.key': 'access',
    },
  }).map(([name, values]) => [name, { name, namespace: NAMESPACE, values }]),
)

/** A case. */
export function caseOf(name: string): Release {
  const found = CASES[name]
  if (found === undefined) throw new Error(`there is no case ${name}`)
  return found
}
