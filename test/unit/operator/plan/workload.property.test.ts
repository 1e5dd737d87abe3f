/**
 * Which Secrets reach a pod: compared with a reader that knows nothing of the shape of pods but the
 * members that name Secrets.
 */
import * as fc from 'fast-check'
import { expect } from 'vitest'
import { parseWorkload } from '../../../../src/operator/plan/workload.ts'
import { property } from '../../../support/property.ts'

const anyName = fc.constantFrom('a', 'b', 'c', 'd', 'e')
const ref = fc.record({ name: anyName, optional: fc.boolean() }, { requiredKeys: ['name'] })

const anyEnv = fc.oneof(
  ref.map((secretKeyRef) => ({
    name: 'X',
    valueFrom: { secretKeyRef: { ...secretKeyRef, key: 'k' } },
  })),
  anyName.map((name) => ({ name: 'X', valueFrom: { configMapKeyRef: { name, key: 'k' } } })),
  anyName.map((value) => ({ name: 'X', value })),
)
const anyEnvFrom = fc.oneof(
  ref.map((secretRef) => ({ secretRef })),
  ref.map((configMapRef) => ({ configMapRef })),
)
const anyContainer = fc.record(
  {
    name: fc.constant('app'),
    env: fc.array(anyEnv, { maxLength: 3 }),
    envFrom: fc.array(anyEnvFrom, { maxLength: 3 }),
  },
  { requiredKeys: ['name'] },
)
const anyVolume = fc.oneof(
  anyName.map((secretName) => ({ name: 'v', secret: { secretName } })),
  anyName.map((secretName) => ({ name: 'v', azureFile: { secretName, shareName: 's' } })),
  ref.map((nodePublishSecretRef) => ({ name: 'v', csi: { driver: 'd', nodePublishSecretRef } })),
  fc
    .tuple(fc.constantFrom('cephfs', 'rbd', 'iscsi', 'flexVolume', 'scaleIO', 'storageos'), ref)
    .map(([driver, secretRef]) => ({ name: 'v', [driver]: { secretRef } })),
  ref.map((secret) => ({ name: 'v', projected: { sources: [{ configMap: secret }, { secret }] } })),
  anyName.map((name) => ({ name: 'v', configMap: { name } })),
  anyName.map((claimName) => ({ name: 'v', persistentVolumeClaim: { claimName } })),
  fc.constant({ name: 'v', emptyDir: {} }),
)
const anyPod = fc.record(
  {
    containers: fc.array(anyContainer, { maxLength: 3 }),
    initContainers: fc.array(anyContainer, { maxLength: 2 }),
    volumes: fc.array(anyVolume, { maxLength: 4 }),
    imagePullSecrets: fc.array(ref, { maxLength: 2 }),
    serviceAccountName: anyName,
  },
  { requiredKeys: ['containers'] },
)

/** Members whose value is, or names, a Secret. */
const NAMING = ['secretKeyRef', 'secretRef', 'nodePublishSecretRef', 'secret']

function* namedIn(value: unknown): Generator<string> {
  if (typeof value !== 'object' || value === null) return
  for (const [member, inner] of Object.entries(value)) {
    if (member === 'imagePullSecrets') continue
    if (member === 'secretName') yield inner as string
    if (NAMING.includes(member)) {
      const { name } = inner as { name?: string }
      if (name !== undefined) yield name
    }
    yield* namedIn(inner)
  }
}

property(
  'every Secret that a pod names counts as used, and no other name does',
  fc.property(anyPod, fc.constantFrom('Deployment', 'StatefulSet', 'Rollout'), (pod, kind) => {
    const { uses, pulls } = parseWorkload(kind, {
      metadata: { namespace: 'n', name: 'w', uid: 'u', resourceVersion: '1' },
      spec: { template: { spec: pod } },
    })
    expect(uses.toSorted()).toEqual([...new Set(namedIn(pod))].toSorted())
    expect(pulls).toEqual([...new Set((pod.imagePullSecrets ?? []).map(({ name }) => name))])
  }),
)
