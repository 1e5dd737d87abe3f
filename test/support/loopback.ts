/**
 * Servers of the loopback interface that behave, or not, exactly as a test says.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import net from 'node:net'

/** A listening server. */
export interface Loopback {
  readonly url: string
  readonly close: () => Promise<void>
}

/** Answers a request. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

/** An HTTP server. */
export async function startHttp(handler: Handler): Promise<Loopback> {
  const server = createServer((request, response) => void handler(request, response))
  const url = await listen(server)
  return {
    url,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A TCP server that speaks HTTP as badly as `answer` wants: it gets the socket of each request. */
export async function startRaw(
  answer: (socket: net.Socket, nth: number) => void,
): Promise<Loopback> {
  const sockets = new Set<net.Socket>()
  let requests = 0
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      if (!chunk.includes('\r\n\r\n')) return
      requests += 1
      answer(socket, requests)
    })
  })
  const url = await listen(server)
  return {
    url,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function listen(server: net.Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  return `http://127.0.0.1:${address.port}`
}

/** The body of a request as text. */
export async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks = await Array.fromAsync(request as AsyncIterable<Buffer>)
  return Buffer.concat(chunks).toString()
}
