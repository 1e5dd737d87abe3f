/** The objects of the API, as openapi.json describes them. */
import type { components } from './api.generated.ts'

type Schemas = components['schemas']

/** A vault. */
export type ApiVault = Schemas['Vault']
/** An item as lists answer it. */
export type ItemSummary = Schemas['Item']
/** A whole item. */
export type FullItem = Schemas['FullItem']
/** A field of an item. */
export type ApiField = Schemas['Field']
/** A file of an item. */
export type ApiFile = Schemas['File']
/** An item as clients send it. */
export type ItemInput = Schemas['ItemInput']
/** A field as clients send it. */
export type FieldInput = Schemas['FieldInput']
/** How to generate a value, as clients send it. */
export type RecipeInput = Schemas['RecipeInput']
/** One operation of a patch. */
export type PatchOperation = Schemas['Patch'][number]
/** What a token that may not read learns of its own write. */
export type WriteReceipt = Schemas['WriteReceipt']
/** An entry of the activity. */
export type ApiRequest = Schemas['APIRequest']
/** The state of the server. */
export type Health = Schemas['HealthServerStateCheckResponse']
