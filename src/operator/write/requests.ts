/** Name under which Keyferry owns fields, and its writes show in managedFields. */
export const FIELD_MANAGER = 'keyferry'

/**
 * Query of every write. The server gives up after 4 s, so that a write that was sent before a lease
 * ran out cannot take effect long after it.
 */
export const WRITE_QUERY = { fieldManager: FIELD_MANAGER, timeout: '4s' } as const
