import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

interface Connection {
  /** The request that is being answered or still arriving. */
  request: IncomingMessage | undefined
}

/**
 * Bounds the number of connections without shutting new ones out: when one too many arrives,
 * the one that has gone longest without a complete request is closed. Thousands of slow clients
 * then cannot keep a health check from being answered.
 */
export function limitConnections(server: Server, limit: number): void {
  const open = new Map<Socket, Connection>()
  server.on('connection', (socket: Socket) => {
    open.set(socket, { request: undefined })
    socket.once('close', () => open.delete(socket))
    if (open.size > limit) makeRoom(open)
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    open.delete(socket)
    open.set(socket, { request })
    response.once('close', () => {
      if (open.get(socket)?.request === request) open.set(socket, { request: undefined })
    })
  })
}

/** Map order is age: a connection moves to the end with every request. */
function makeRoom(open: ReadonlyMap<Socket, Connection>): void {
  let newest: Socket | undefined
  for (const [socket, { request }] of open) {
    if (request === undefined || !request.complete) return void socket.destroy()
    newest = socket
  }
  newest?.destroy()
}
