/**
 * A relay in front of etcd that can stand still: the API server behind it stays in the past, and
 * catches up when it goes on. What tells each end that the other one lives still passes, so that
 * nobody gives the connection up.
 */
import net from 'node:net'
import type { AddressInfo } from 'node:net'

/** See the head of this file. */
export interface Relay extends AsyncDisposable {
  /** Host and port. */
  readonly address: string
  /** From now on no answer of etcd and no event passes. */
  pause(): void
  resume(): void
}

/** Bytes of the head of a frame, and what it says. Source: RFC 9113 §4.1, §6. */
const HEAD = 9
const DATA = 0
const HEADERS = 1

/** @param target host and port of an etcd that speaks HTTP/2 without TLS */
export async function startRelay(target: string): Promise<Relay> {
  const [host, port] = target.split(':')
  const sockets = new Set<net.Socket>()
  const held: (readonly [net.Socket, Buffer])[] = []
  let paused = false
  const join = (socket: net.Socket, other: net.Socket, take: (chunk: Buffer) => void) => {
    sockets.add(socket)
    socket.on('data', take)
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      other.destroy()
    })
  }
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), host)
    let rest: Buffer = Buffer.alloc(0)
    join(near, far, (chunk) => far.write(chunk))
    join(far, near, (chunk) => {
      rest = Buffer.concat([rest, chunk])
      for (let frame = frameIn(rest); frame !== undefined; frame = frameIn(rest)) {
        rest = rest.subarray(frame.length)
        const type = frame[3]
        if (paused && (type === DATA || type === HEADERS)) held.push([near, frame])
        else near.write(frame)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = server.address() as AddressInfo
  return {
    address: `127.0.0.1:${own.port}`,
    pause() {
      paused = true
    },
    resume() {
      paused = false
      for (const [near, frame] of held.splice(0)) near.write(frame)
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The first frame, once it is whole. */
function frameIn(bytes: Buffer): Buffer | undefined {
  if (bytes.length < HEAD) return undefined
  const length = HEAD + bytes.readUIntBE(0, 3)
  return bytes.length < length ? undefined : bytes.subarray(0, length)
}
