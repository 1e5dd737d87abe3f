import { expect, test } from 'vitest'
import { KeyferryError } from '../../../src/errors.ts'
import { createHistory } from '../../../src/operator/intake/history.ts'
import { createViews } from '../../../src/operator/intake/views.ts'
import { parseWorkload } from '../../../src/operator/plan/workload.ts'
import { createReleaseReconcile } from '../../../src/operator/releases.ts'
import { createVirtualClock } from '../../support/virtual-clock.ts'

const DENIED = new KeyferryError('KUBE_STATUS', {
  message: 'PATCH: 403',
  remedy: 'Grant it.',
  retry: 'on-change',
  status: 403,
})

test('a finalizer that may not be taken off is told of, and tried again', async () => {
  const views = createViews()
  const metadata = {
    namespace: 'shop',
    name: 'web',
    uid: 'u',
    resourceVersion: '1',
    finalizers: ['onepassword.com/finalizer.secret'],
  }
  views.workloads.Deployment.observe(parseWorkload('Deployment', { metadata }))
  const told: string[] = []
  const release = createReleaseReconcile({
    rest: {
      send: () => Promise.reject(DENIED),
      stream: () => Promise.reject(DENIED),
      serverTime: () => 0,
      close: () => Promise.resolve(),
    },
    views,
    history: createHistory(createVirtualClock()),
    events: { emit: () => Promise.resolve() },
    serves: () => true,
    onFailure: (key) => told.push(key),
  })
  const signal = new AbortController().signal
  expect(await release('shop/Deployment/web', signal)).toEqual({ kind: 'backoff' })
  expect(told).toEqual(['shop/Deployment/web'])
})
