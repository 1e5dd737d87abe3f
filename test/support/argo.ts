/**
 * As much of Argo's custom resources as the operator's watches and patches meet.
 * Source: argo-rollouts `manifests/crds/rollout-crd.yaml`, which has the same names and scope.
 */
import { collectionPath } from '../../src/kube/resource.ts'
import { type Cluster, RESOURCES } from './cluster.ts'
import { eventually, timeout } from './eventually.ts'

const GROUP = 'argoproj.io'

function crd(plural: string, kind: string) {
  const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  return {
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: { plural, singular: kind.toLowerCase(), kind },
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  }
}

/** What Argo CD installs: another kind of the group that Rollouts have. */
export async function installArgoCd(cluster: Cluster): Promise<void> {
  await cluster.apply('crds', crd('applications', 'Application'))
  await served(cluster, 'applications')
}

/** The kind Rollout, without the controller. */
export async function installRollouts(cluster: Cluster): Promise<void> {
  await cluster.apply('crds', crd('rollouts', 'Rollout'))
  await served(cluster, 'rollouts')
}

async function served({ rest }: Cluster, plural: string): Promise<void> {
  const path = collectionPath({ ...RESOURCES.rollouts, plural })
  await eventually(`${plural} are served`, () => rest.send({ method: 'GET', path }, timeout(5_000)))
}
