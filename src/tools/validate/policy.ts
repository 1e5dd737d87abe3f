/**
 * The vault policy, as far as it can be judged by names: a vault that is named by its id cannot be
 * judged by rules that name it, nor the reverse. What is uncertain is not told.
 */
import { parse as parseYaml } from 'yaml'
import { isId } from '../../connect/model.ts'
import { isKeyferryError } from '../../errors.ts'
import { ITEM_PATH } from '../../operator/annotations.ts'
import { isFault, pathsOf } from '../../operator/plan/render.ts'
import { parseVaultPolicy, type VaultPolicy } from '../../operator/vault-policy.ts'
import type { MemberPath, Source } from '../manifest/parse.ts'
import { annotationPath } from './annotations.ts'
import { type Finding, findingAt } from './finding.ts'
import { recipeOf } from './recipe.ts'
import { RULES } from './rules.ts'
import type { Subject } from './scope.ts'

/** What a policy says against subjects, and against itself. */
export interface PolicyCheck {
  readonly findings: readonly Finding[]
  /** @param fallback namespace of objects that name none; empty when unknown */
  judge(subject: Subject, fallback: string): readonly Finding[]
}

/** @param source the policy file */
export function policyCheck(source: Source): PolicyCheck {
  try {
    const policy = parseVaultPolicy(source.text)
    return { findings: [], judge: hasIds(source.text) ? () => [] : judgeBy(policy) }
  } catch (error) {
    if (!isKeyferryError(error)) throw error
    const place = { line: 1, column: 1, endLine: 1, endColumn: 1 }
    const { level } = RULES['policy-file']
    const { message } = error
    const finding = { rule: 'policy-file', level, message, place, file: source.name } as const
    return { findings: [finding], judge: () => [] }
  }
}

function hasIds(text: string): boolean {
  const { rules } = parseYaml(text) as { readonly rules: readonly { readonly vaults: string[] }[] }
  return rules.some(({ vaults }) => vaults.some(isId))
}

function judgeBy(policy: VaultPolicy): PolicyCheck['judge'] {
  return ({ manifest, claim, workload }, fallback) => {
    const asked =
      claim ?? (workload?.asks && recipeOf({ itemPath: workload.asks.itemPath, data: {} }))
    const namespace = (claim ?? workload)?.namespace || fallback
    const paths = asked && pathsOf(asked)
    if (!paths || namespace === '' || isFault(paths)) return []
    return [...paths].flatMap(([name, { vault }]) => {
      if (isId(vault) || policy.allows(namespace, { id: vault, name: vault })) return []
      const message = `The vault policy does not allow vault "${vault}" in namespace ${namespace}`
      const places = claim ? placesOf(claim.spec, name) : [annotationPath(manifest, ITEM_PATH)]
      return places.map((path) => findingAt('vault-policy', manifest, { path }, message))
    })
  }
}

function placesOf(
  spec: { readonly itemPath: string; readonly data: Readonly<Record<string, string>> },
  name: string,
): MemberPath[] {
  const keys = Object.entries(spec.data).filter(([, text]) => text.includes(`${name}/`))
  const inData = keys.map(([key]) => ['spec', 'data', key])
  return name === spec.itemPath ? [['spec', 'itemPath'], ...inData] : inData
}
