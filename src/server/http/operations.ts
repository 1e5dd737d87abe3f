/** What each operation of the document needs, and how activity and logs call it. */

export type OperationId =
  | 'Activity_getApiRequests'
  | 'Vaults_listAll'
  | 'Vaults_getDetailsById'
  | 'Items_getAll'
  | 'Items_createNewItem'
  | 'Items_getDetails'
  | 'Items_updateItemDetails'
  | 'Items_delete'
  | 'Items_patchDetails'
  | 'Files_getAllFilesInsideItem'
  | 'Files_getDetailsById'
  | 'Files_getContent'
  | 'Health_checkLiveness'
  | 'Health_serverStateCheck'
  | 'Metrics_queryServerMetrics'

/**
 * - `public`: no token
 * - `token`: any valid token
 * - `vault`: a token with any right in the vault of the path
 * - `read`, `write`: that right in the vault of the path
 */
export type Need = 'public' | 'token' | 'vault' | 'read' | 'write'

/** What is asked of a token, and how activity names the call. */
export interface Operation {
  readonly need: Need
  readonly action: 'READ' | 'CREATE' | 'UPDATE' | 'DELETE'
  /** Absent: not recorded. */
  readonly resource?: 'ITEM' | 'VAULT'
}

/** Every operation of the document. */
export const operations: Readonly<Record<OperationId, Operation>> = {
  Activity_getApiRequests: { need: 'token', action: 'READ' },
  Vaults_listAll: { need: 'token', action: 'READ', resource: 'VAULT' },
  Vaults_getDetailsById: { need: 'vault', action: 'READ', resource: 'VAULT' },
  Items_getAll: { need: 'read', action: 'READ', resource: 'VAULT' },
  Items_createNewItem: { need: 'write', action: 'CREATE', resource: 'ITEM' },
  Items_getDetails: { need: 'read', action: 'READ', resource: 'ITEM' },
  Items_updateItemDetails: { need: 'write', action: 'UPDATE', resource: 'ITEM' },
  Items_delete: { need: 'write', action: 'DELETE', resource: 'ITEM' },
  Items_patchDetails: { need: 'write', action: 'UPDATE', resource: 'ITEM' },
  Files_getAllFilesInsideItem: { need: 'read', action: 'READ', resource: 'ITEM' },
  Files_getDetailsById: { need: 'read', action: 'READ', resource: 'ITEM' },
  Files_getContent: { need: 'read', action: 'READ', resource: 'ITEM' },
  Health_checkLiveness: { need: 'public', action: 'READ' },
  Health_serverStateCheck: { need: 'public', action: 'READ' },
  Metrics_queryServerMetrics: { need: 'public', action: 'READ' },
}

/** Whether the document means this operation. */
export function isOperationId(text: string | undefined): text is OperationId {
  return text !== undefined && Object.hasOwn(operations, text)
}
