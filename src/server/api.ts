/** The objects of the API, as openapi.json describes them. */
import type { components } from './api.generated.ts'

type Schemas = components['schemas']

export type ApiVault = Schemas['Vault']
export type ItemSummary = Schemas['Item']
export type FullItem = Schemas['FullItem']
export type ApiField = Schemas['Field']
export type ApiFile = Schemas['File']
export type ItemInput = Schemas['ItemInput']
export type FieldInput = Schemas['FieldInput']
export type RecipeInput = Schemas['RecipeInput']
export type PatchOperation = Schemas['Patch'][number]
export type WriteReceipt = Schemas['WriteReceipt']
export type ApiRequest = Schemas['APIRequest']
export type Health = Schemas['HealthServerStateCheckResponse']
