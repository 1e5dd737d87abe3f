/**
 * One resource by itself: what the operator would say of it without a look at the world. The
 * operator's own functions decide; they are asked about one member at a time, so that each fault
 * has its place.
 */
import type { Claim, ItemSpec } from '../../operator/item.ts'
import { isBuiltType } from '../../operator/plan/builders.ts'
import { isLegalKey } from '../../operator/plan/names.ts'
import { parseText } from '../../operator/plan/reference.ts'
import { render } from '../../operator/plan/render.ts'
import type { Manifest, MemberPath } from '../manifest/parse.ts'
import { type Finding, findingAt } from './finding.ts'
import { namesFaults } from './object-meta.ts'
import { faultOf, recipeOf } from './recipe.ts'
import type { RuleId } from './rules.ts'

type Tell = (rule: RuleId, path: MemberPath, message: string, what?: 'name' | 'value') => Finding

/** What is wrong with a resource that the CRD allows. */
export function resourceFindings(manifest: Manifest, claim: Claim): Finding[] {
  const at: Tell = (rule, path, message, what) =>
    findingAt(rule, manifest, what ? { path, what } : { path }, message)
  const { type, spec } = claim
  const findings: Finding[] = []

  const refused = faultOf({ type })
  if (refused) findings.push(at('refused-type', ['type'], refused.message))
  if (spec.itemPath !== '' || Object.keys(spec.data).length === 0) {
    const fault = faultOf({ itemPath: spec.itemPath, data: {} })
    if (fault) findings.push(at('item-path', ['spec', 'itemPath'], fault.message))
  }
  findings.push(
    ...dataFindings(spec, at),
    ...secretMetadataFindings(spec, at),
    ...similarKeys(spec, at),
  )
  return findings.some(({ level }) => level === 'error')
    ? findings
    : [...findings, ...contentFindings(claim, at)]
}

function dataFindings(spec: ItemSpec, at: Tell): Finding[] {
  const findings: Finding[] = []
  for (const [key, text] of Object.entries(spec.data)) {
    const path = ['spec', 'data', key]
    const illegal = faultOf({ data: { [key]: '' } })
    const fault = illegal ? undefined : faultOf({ data: { [key]: text } })
    if (illegal) findings.push(at('data-key', path, illegal.message, 'name'))
    if (fault) {
      const rule = fault.reason === 'VolatileReference' ? 'volatile-reference' : 'reference'
      findings.push(at(rule, path, fault.message))
    } else if (!illegal && hasLooseReference(text)) {
      const message = `The text of "${key}" holds op:// outside of double braces`
      findings.push(at('near-reference', path, message))
    }
  }
  return findings
}

function secretMetadataFindings(spec: ItemSpec, at: Tell): Finding[] {
  const findings: Finding[] = []
  for (const [member, names] of [
    ['labels', spec.secretLabels],
    ['annotations', spec.secretAnnotations],
  ] as const) {
    const base = ['spec', 'secretMetadata', member]
    for (const name of Object.keys(names)) {
      const fault =
        member === 'labels'
          ? faultOf({ secretLabels: { [name]: '' } })
          : faultOf({ secretAnnotations: { [name]: '' } })
      if (fault) findings.push(at('secret-metadata', [...base, name], fault.message, 'name'))
    }
    for (const { path, message } of namesFaults(
      names,
      member === 'labels' ? 'label' : 'annotation',
    )) {
      findings.push(at('secret-metadata-form', [...base, ...path], message, 'name'))
    }
  }
  return findings
}

/** Whether a literal part of a text looks as if it were meant to be a reference. */
function hasLooseReference(text: string): boolean {
  return parseText(text).some((part) => part.kind === 'literal' && /\bop:\/\//.test(part.text))
}

/** Keys that may be one key written in two ways. */
function similarKeys({ data, requiredKeys }: ItemSpec, at: Tell): Finding[] {
  const findings: Finding[] = []
  const seen = new Map<string, string>()
  const look = (key: string, path: MemberPath, what: 'name' | 'value') => {
    const plain = key.toLowerCase().replaceAll(/[-_.]/g, '')
    const other = seen.get(plain)
    if (other === undefined) seen.set(plain, key)
    else if (other !== key) {
      const message = `The keys "${other}" and "${key}" differ in case and separators only`
      findings.push(at('similar-keys', path, message, what))
    }
  }
  for (const key of Object.keys(data)) look(key, ['spec', 'data', key], 'name')
  for (const [n, key] of requiredKeys.entries()) look(key, ['spec', 'requiredKeys', n], 'value')
  return findings
}

/** What can be said of the content before any item is known. */
function contentFindings({ type, spec }: Claim, at: Tell): Finding[] {
  const findings: Finding[] = []
  const texts = Object.entries(spec.data)
  const literals = texts.filter(([, text]) =>
    parseText(text).every(({ kind }) => kind === 'literal'),
  )
  const data = Object.fromEntries(literals)
  const rendered = render(recipeOf({ data }), new Map(), true)
  if ('reason' in rendered && rendered.reason === 'TooLarge') {
    return [at('too-large', ['spec', 'data'], rendered.message, 'name')]
  }
  const allLiteral = spec.itemPath === '' && literals.length === texts.length
  if (allLiteral) {
    const whole = render({ type, spec: { ...spec, requiredKeys: [] } }, new Map(), false)
    if ('reason' in whole && whole.reason === 'MissingKeys') {
      findings.push(at('missing-keys', ['type'], whole.message))
    }
  }
  const isOpen = spec.itemPath !== '' || isBuiltType(type)
  for (const [n, key] of spec.requiredKeys.entries()) {
    if (isLegalKey(key) && (isOpen || Object.hasOwn(spec.data, key))) continue
    const path = ['spec', 'requiredKeys', n]
    const message = `The required key "${key}" cannot be made: no item gives it, and it is not in spec.data`
    findings.push(at('missing-keys', path, message))
  }
  return findings
}
