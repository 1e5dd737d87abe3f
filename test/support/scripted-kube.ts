/**
 * A Kubernetes API that a test plays by hand: requests wait until the test answers them.
 */
import type { KubeRequest, KubeRest } from '../../src/kube/rest.ts'

/** A streaming answer in the hands of a test. */
export interface ScriptedStream {
  /** Sends one watch event as a line. */
  event(type: string, object: unknown): void
  /** Sends text as it is. */
  raw(text: string): void
  /** Ends the stream in the ordinary way. */
  end(): void
  /** Breaks the connection. */
  fail(error: unknown): void
}

/** A request that waits for its answer. */
export interface Call {
  readonly request: KubeRequest
  answer(body: unknown): void
  fail(error: unknown): void
  /** Answers with an open stream. */
  open(): ScriptedStream
}

/** See the head of this file. */
export interface ScriptedKube extends KubeRest {
  /** Every request so far. */
  readonly requests: readonly KubeRequest[]
  /** The oldest request that waits; throws when there is none. */
  call(): Call
  /** Requests that wait. */
  readonly waiting: number
}

/** See the head of this file. */
export function createScriptedKube(): ScriptedKube {
  const requests: KubeRequest[] = []
  const calls: Call[] = []

  function pose(request: KubeRequest, signal: AbortSignal): Promise<unknown> {
    requests.push(request)
    return new Promise((resolve, reject) => {
      const call: Call = {
        request,
        answer: resolve,
        fail: reject,
        open() {
          const { stream, chunks } = createStream(signal)
          resolve(chunks)
          return stream
        },
      }
      const drop = () => {
        const place = calls.indexOf(call)
        if (place !== -1) calls.splice(place, 1)
        reject(signal.reason)
      }
      if (signal.aborted) return drop()
      calls.push(call)
      signal.addEventListener('abort', drop)
    })
  }

  return {
    requests,
    send: pose,
    stream: (request, signal) => pose(request, signal) as Promise<AsyncIterable<Uint8Array>>,
    serverTime: () => 0,
    close: () => Promise.resolve(),
    call() {
      const call = calls.shift()
      if (!call) throw new Error(`no request waits; so far there were ${requests.length}`)
      return call
    },
    get waiting() {
      return calls.length
    },
  }
}

/** A stream that ends or breaks when it is told to, and breaks when `signal` aborts. */
function createStream(signal: AbortSignal): {
  stream: ScriptedStream
  chunks: AsyncIterable<Uint8Array>
} {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(undefined, {
    highWaterMark: Number.POSITIVE_INFINITY,
  })
  const writer = writable.getWriter()
  const ignore = () => {}
  signal.addEventListener('abort', () => void writer.abort(signal.reason).catch(ignore))
  writer.closed.catch(ignore)
  const raw = (text: string) => void writer.write(Buffer.from(text)).catch(ignore)
  const stream: ScriptedStream = {
    event: (type, object) => raw(`${JSON.stringify({ type, object })}\n`),
    raw,
    end: () => void writer.close().catch(ignore),
    fail: (reason) => void writer.abort(reason).catch(ignore),
  }
  return { stream, chunks: readable }
}
