import { KeyferryError } from '../errors.ts'

/** Whether an object with these labels is selected. */
export type Selector = (labels: Readonly<Record<string, string>>) => boolean

const REQUIREMENT =
  /^\s*(?:(?<absent>!)\s*(?<no>[\w./-]+)|(?<name>[\w./-]+)\s*(?:(?<op>==?|!=)\s*(?<value>[\w.-]*)|\s(?<set>in|notin)\s*\((?<values>[\w., -]*)\))?)\s*$/

/**
 * Reads a label selector as kubectl takes it: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. What the API
 * server might read in another way, such as `a>1`, is refused.
 *
 * @throws KeyferryError INPUT_INVALID
 * Source: Kubernetes documentation, "Labels and Selectors"
 */
export function parseSelector(text: string): Selector {
  const requirements = splitRequirements(text).map(parseRequirement)
  return (labels) => requirements.every((holds) => holds(labels))
}

/** At commas outside of parentheses. */
function splitRequirements(text: string): string[] {
  return text.trim() === '' ? [] : text.split(/,(?![^(]*\))/)
}

function parseRequirement(text: string): Selector {
  const parts = REQUIREMENT.exec(text)?.groups
  if (parts === undefined) throw invalid(text)
  const { absent, no = '', name = '', op, value = '', set } = parts
  if (absent !== undefined) return (labels) => !(no in labels)
  if (op === '!=') return (labels) => labels[name] !== value
  if (op !== undefined) return (labels) => labels[name] === value
  if (set === undefined) return (labels) => name in labels
  const values = (parts['values'] ?? '').split(',').map((one) => one.trim())
  const inSet = (labels: Readonly<Record<string, string>>) => values.includes(labels[name] ?? '')
  return set === 'in'
    ? (labels) => name in labels && inSet(labels)
    : (labels) => !(name in labels) || !inSet(labels)
}

function invalid(text: string): KeyferryError {
  return new KeyferryError('INPUT_INVALID', {
    message: `"${text}" is no requirement of a label selector`,
    remedy: 'Write requirements such as app=web, tier!=test, env in (a,b), separated by commas.',
    retry: 'on-change',
  })
}
