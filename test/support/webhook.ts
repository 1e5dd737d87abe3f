import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { CERTIFICATE, PRIVATE_KEY } from './certificate.ts'
import type { Cluster, KubeObject } from './cluster.ts'

/** An admission webhook of one namespace. */
export interface Webhook extends AsyncDisposable {
  /** How often it was asked. */
  readonly asked: number
}

/** One operation of a JSON patch. */
export interface PatchStep {
  readonly op: 'add' | 'replace'
  readonly path: string
  readonly value: unknown
}

/**
 * Lets `refuses` judge changes in the cluster's namespace. It refuses as most webhooks do: without a
 * status code of its own.
 *
 * @param mutates what the webhook changes in those that it lets pass
 */
export async function startWebhook(
  cluster: Cluster,
  rule: { readonly group: string; readonly resource: string; readonly operations: string[] },
  refuses: (object: KubeObject) => boolean,
  mutates?: (object: KubeObject) => readonly PatchStep[],
): Promise<Webhook> {
  const kind = mutates ? 'mutatingwebhooks' : 'webhooks'
  let asked = 0
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { request: review } = (await json(request)) as {
      request: { uid: string; object: KubeObject }
    }
    asked += 1
    const allowed = !refuses(review.object)
    const patch = Buffer.from(JSON.stringify(mutates?.(review.object) ?? [])).toString('base64')
    const verdict = {
      uid: review.uid,
      allowed,
      ...(allowed ? {} : { status: { message: 'not here' } }),
      ...(allowed && mutates ? { patchType: 'JSONPatch', patch } : {}),
    }
    response.setHeader('content-type', 'application/json')
    response.end(
      JSON.stringify({
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: verdict,
      }),
    )
  }
  const server = createServer({ cert: CERTIFICATE, key: PRIVATE_KEY }, (request, response) => {
    void answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const name = `test-${cluster.namespace}`
  await cluster.create(kind, {
    metadata: { name },
    webhooks: [
      {
        name: `${name}.keyferry.dev`,
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        clientConfig: {
          url: `https://localhost:${port}/`,
          caBundle: Buffer.from(CERTIFICATE).toString('base64'),
        },
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': cluster.namespace } },
        rules: [
          {
            apiGroups: [rule.group],
            apiVersions: ['*'],
            resources: [rule.resource],
            operations: rule.operations,
          },
        ],
      },
    ],
  })
  return {
    get asked() {
      return asked
    },
    async [Symbol.asyncDispose]() {
      await cluster.delete(kind, name)
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
