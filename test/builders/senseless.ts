/** Resources that keep the schema of the CRD, most of them, and that nobody can have meant. */
import * as fc from 'fast-check'
import { type Schema, valid } from './resource.ts'

const WORDS = {
  type: [
    'kubernetes.io/tls',
    'kubernetes.io/service-account-token',
    'no/type/at all',
    'Opaque',
    'helm.sh/release.v1',
    'kubernetes.io/dockerconfigjson',
    'kubernetes.io/ssh-auth',
    '',
  ],
  itemPath: [
    'vaults//items/',
    'vaults/Production/items/',
    '//',
    'op://',
    'op://Production/good/password',
    'vaults/../items/good',
    'vaults/Production/items/good/',
    'VAULTS/Production/items/good',
    'vaults/Production/items/good?x=y',
    'vaults/Production/items/%67ood',
    'vaults/production/items/Good',
    'items/good/vaults/Production',
    `vaults/${'x'.repeat(1_000)}/items/good`,
  ],
  secretName: ['neighbour', 'other.name', 'a', 'keyferry-digest-key', 'x'.repeat(253)],
  key: [
    'a',
    '',
    '.',
    '..',
    '...',
    'a b',
    '-',
    'é',
    'password',
    '__proto__',
    'A'.repeat(253),
    'A'.repeat(254),
  ],
  value: [
    '{{ op://Production/good/password | base64 | base64 }}',
    '{{ op://Production/good/password | shell }}',
    '{{ op://Production/good/nothing }}',
    'op://Production/good/password?attribute=otp',
    'op://Production/good/password?ssh-format=openssh',
    'op://Production/none/password',
    'op://None/good/password',
    '{{ op://Production/good/password | json | base64decode }}',
    '{{ {{ op://a/b/c }} }}',
    String.raw`\{{ }}`,
    '{{',
    '}}',
    'op://',
    '',
  ],
  label: ['app', 'a/b/c', '', 'app.kubernetes.io/managed-by', 'keyferry.dev/managed', 'é'],
  annotation: [
    'kubernetes.io/service-account.name',
    'keyferry.dev/owner',
    'note',
    'a b',
    'operator.1password.io/item-path',
    'meta.helm.sh/release-name',
  ],
  text: ['', 'x', 'true', ' ', '-', 'ä', 'x'.repeat(63)],
} as const

const word = (name: keyof typeof WORDS) => fc.constantFrom<string>(...WORDS[name])
const maybe = <T>(what: fc.Arbitrary<T>) => fc.option(what, { nil: undefined, freq: 3 })
const few = (keys: fc.Arbitrary<string>, values: fc.Arbitrary<string>) =>
  fc.dictionary(keys, values, { maxKeys: 3, noNullPrototype: true })

/** Of the resource itself: what means something to Keyferry, and finalizers. */
const metadata = fc.record({
  labels: few(
    fc.constantFrom('app', 'keyferry.dev/managed', 'app.kubernetes.io/instance'),
    fc.constantFrom('x', ''),
  ),
  annotations: few(
    fc.constantFrom(
      'keyferry.dev/refresh',
      'operator.1password.io/auto-restart',
      'keyferry.dev/owner',
      'keyferry.dev/adopt',
    ),
    word('text'),
  ),
  finalizers: fc.constantFrom([], ['onepassword.com/finalizer.secret'], ['example.com/theirs']),
})

/**
 * Members of resources, metadata included.
 *
 * @param itemPath one that is good
 * @param schema of the CRD: what it allows comes up, too
 */
export function senseless(itemPath: string, schema: Schema): fc.Arbitrary<object> {
  const spec = fc.record({
    itemPath: fc.oneof(fc.constant(itemPath), word('itemPath')),
    secretName: maybe(word('secretName')),
    data: maybe(few(word('key'), word('value'))),
    secretMetadata: maybe(
      fc.record({
        labels: few(word('label'), word('text')),
        annotations: few(word('annotation'), word('text')),
      }),
    ),
    requiredKeys: maybe(fc.uniqueArray(word('key'), { maxLength: 3 })),
    emptyValues: maybe(fc.constantFrom('Skip', 'Include')),
    onItemMissing: maybe(fc.constantFrom('Keep', 'Delete')),
    deletionPolicy: maybe(fc.constantFrom('Delete', 'Retain')),
    existingSecret: maybe(fc.constantFrom('Refuse', 'Adopt')),
  })
  const ours = fc.record({ type: maybe(word('type')), spec, metadata: maybe(metadata) })
  return fc.oneof({ weight: 3, arbitrary: ours }, valid(schema) as fc.Arbitrary<object>)
}
