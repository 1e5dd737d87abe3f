import type { ItemSpec } from '../../operator/item.ts'
import { type Fault, isFault, pathsOf, type Recipe } from '../../operator/plan/render.ts'

const HARMLESS: ItemSpec = {
  itemPath: '',
  secretName: 'secret',
  data: { key: '' },
  secretLabels: {},
  secretAnnotations: {},
  requiredKeys: [],
  emptyValues: undefined,
  onItemMissing: 'Keep',
  deletionPolicy: 'Delete',
  existingSecret: 'Refuse',
}

/** Members that replace those of a recipe without a fault. */
export type Members = Partial<ItemSpec> & { readonly type?: string }

/** A recipe in which only the given members can be at fault. */
export function recipeOf({ type = 'Opaque', ...members }: Members): Recipe {
  return { type, spec: { ...HARMLESS, ...members } }
}

/** What the operator says of these members alone. */
export function faultOf(members: Members): Fault | undefined {
  const paths = pathsOf(recipeOf(members))
  return isFault(paths) ? paths : undefined
}
