/**
 * A Kubernetes API whose answers a function gives, one request after the other.
 */
import type { KubeRequest, KubeRest } from '../../src/kube/rest.ts'
import { statusError } from '../../src/kube/status.ts'

/** See the head of this file. */
export interface AnsweringKube extends KubeRest {
  /** Every request so far. */
  readonly requests: readonly KubeRequest[]
  /** Those that were to change something, as `PUT secrets/db`. */
  writes(): string[]
}

/** @param answer of a request; what it throws is how the request fails */
export function answeringKube(answer: (request: KubeRequest) => unknown): AnsweringKube {
  const requests: KubeRequest[] = []
  return {
    requests,
    writes: () =>
      requests
        .filter(({ method }) => method !== 'GET')
        .map(({ method, path }) => `${method} ${path.split('/').slice(-2).join('/')}`),
    async send(request) {
      requests.push(request)
      return answer(request)
    },
    stream: () => Promise.reject(new Error('nothing is watched')),
    serverTime: () => 0,
    close: () => Promise.resolve(),
  }
}

/** An answer of the API server other than 2xx. @param reason such as `AlreadyExists` */
export function refusal(status: number, reason?: string, message = ''): Error {
  return statusError('TEST', status, JSON.stringify({ kind: 'Status', reason, message }))
}
