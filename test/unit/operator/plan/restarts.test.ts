import { describe, expect, test } from 'vitest'
import { type Debt, formatDebt, parseDebt } from '../../../../src/operator/plan/debt.ts'
import {
  type DebtSnapshot,
  optInOf,
  planDebt,
  restartPatch,
  workloadName,
} from '../../../../src/operator/plan/restarts.ts'
import {
  parseWorkload,
  templateAnnotation,
  type Workload,
} from '../../../../src/operator/plan/workload.ts'
import { asLive, asMeta, aSnapshot, NOW, planOf } from '../../../builders/snapshot.ts'

const SECRET = 'database'
const AUTO = 'operator.1password.io/auto-restart'
const debt: Debt = { digest: 'k.new', since: '2026-01-02T03:04:05Z', gaveUp: [] }

function aWorkload(
  more: Record<string, unknown> = {},
  pod: Record<string, unknown> = {},
): Workload {
  const metadata = {
    namespace: 'shop',
    name: 'web',
    uid: 'web-uid',
    resourceVersion: '5',
    creationTimestamp: '2026-01-01T00:00:00Z',
    annotations: { [AUTO]: 'true' },
  }
  const containers = [{ envFrom: [{ secretRef: { name: SECRET } }] }]
  return parseWorkload('Deployment', {
    metadata: { ...metadata, ...(more['metadata'] as object) },
    spec: {
      template: { spec: { containers, ...pod }, ...(more['template'] as object) },
      ...(more['spec'] as object),
    },
  })
}

function aDebt(more: Partial<DebtSnapshot> = {}): DebtSnapshot {
  const live = asLive(planOf(aSnapshot()))
  return {
    secret: asMeta(live),
    debt,
    users: [aWorkload()],
    namespaceLevel: undefined,
    policy: { autoRestart: 'false', delayMs: 2_000 },
    tried: new Set(),
    denied: new Map(),
    openMs: 500,
    passedMs: undefined,
    ...more,
  }
}

const names = (workloads: readonly Workload[]) => workloads.map(workloadName)

describe('parseWorkload', () => {
  test.each([
    ['env', { containers: [{ env: [{ valueFrom: { secretKeyRef: { name: 's' } } }] }] }],
    ['envFrom', { containers: [{ envFrom: [{ secretRef: { name: 's' } }] }] }],
    ['init containers', { initContainers: [{ envFrom: [{ secretRef: { name: 's' } }] }] }],
    ['a volume', { volumes: [{ name: 'v', secret: { secretName: 's' } }] }],
    [
      'a projected volume',
      {
        volumes: [
          { name: 'v', projected: { sources: [{ configMap: {} }, { secret: { name: 's' } }] } },
        ],
      },
    ],
    ['a csi volume', { volumes: [{ name: 'v', csi: { nodePublishSecretRef: { name: 's' } } }] }],
    ['an old driver', { volumes: [{ name: 'v', cephfs: { secretRef: { name: 's' } } }] }],
    ['azureFile', { volumes: [{ name: 'v', azureFile: { secretName: 's' } }] }],
  ])('finds a Secret in %s', (_where, pod) => {
    expect(aWorkload({}, { containers: [], ...pod }).uses).toEqual(['s'])
  })

  test('finds the Secret that an annotation names, on the workload or its template', () => {
    const item = 'operator.1password.io/item-name'
    expect(
      aWorkload({ metadata: { annotations: { [item]: 's' } } }, { containers: [] }).uses,
    ).toEqual(['s'])
    const template = { metadata: { annotations: { [item]: 's' } } }
    expect(aWorkload({ template }, { containers: [] }).uses).toContain('s')
  })

  test('keeps image pull secrets apart', () => {
    const workload = aWorkload({}, { containers: [], imagePullSecrets: [{ name: 'pull' }] })
    expect(workload.uses).toEqual([])
    expect(workload.pulls).toEqual(['pull'])
  })

  test.each([
    [{ paused: true }, 'paused'],
    [{ updateStrategy: { type: 'OnDelete' } }, 'OnDelete'],
    [{ updateStrategy: { rollingUpdate: { partition: 2 } } }, 'partition'],
    [{}, undefined],
  ])('says of %j what holds a rollout back: %s', (spec, held) => {
    expect(aWorkload({ spec }).held).toBe(held)
  })
})

describe('who owes', () => {
  test('a user of the Secret that opted in owes until it carries the digest', () => {
    expect(names(planDebt(aDebt()).owing)).toEqual(['Deployment/web'])
    const annotations = { [templateAnnotation(SECRET)]: debt.digest }
    const paid = aWorkload({ template: { metadata: { annotations } } })
    const users = [{ ...paid, uses: [SECRET] }]
    expect(planDebt(aDebt({ users })).owing).toEqual([])
  })

  test.each([
    ['not opted in', aWorkload({ metadata: { annotations: {} } })],
    ['being deleted', aWorkload({ metadata: { deletionTimestamp: '2026-01-02T00:00:00Z' } })],
    ['a user of another Secret', aWorkload({}, { containers: [] })],
    [
      'created after the content',
      aWorkload({ metadata: { creationTimestamp: '2026-01-02T03:04:11Z' } }),
    ],
  ])('a workload that is %s owes nothing', (_what, workload) => {
    expect(planDebt(aDebt({ users: [workload] })).owing).toEqual([])
  })

  test('a workload created within five seconds of the content owes', () => {
    const workload = aWorkload({ metadata: { creationTimestamp: '2026-01-02T03:04:10Z' } })
    expect(planDebt(aDebt({ users: [workload] })).owing).toHaveLength(1)
  })

  test('a workload that was given up owes no more', () => {
    const gaveUp = ['Deployment/web']
    expect(planDebt(aDebt({ debt: { ...debt, gaveUp } })).owing).toEqual([])
  })
})

describe('optInOf', () => {
  // The first level that says anything decides: resource, workload, namespace, operator.
  test.each([
    ['true', 'false', 'false', 'false', 'true'],
    ['false', 'true', 'true', 'true', 'false'],
    ['', 'true', 'false', 'false', 'true'],
    ['', 'FALSE', 'true', 'true', 'false'],
    ['', '', 'T', 'false', 'true'],
    ['', '', '0', 'true', 'false'],
    ['', '', '', 'true', 'true'],
    ['', '', '', 'false', 'false'],
    ['perhaps', 'true', 'true', 'true', 'false'],
    ['', 'yes', 'true', 'true', 'false'],
    ['1', '', '', 'false', 'true'],
    ['notify', 'true', '', 'false', 'notify'],
    ['', 'Notify', 'true', 'true', 'notify'],
    ['', '', '', 'notify', 'notify'],
  ] as const)('resource %j, workload %j, namespace %j, operator %j → %j', (...levels) => {
    const [resource, own, namespace, autoRestart, expected] = levels
    const { secret } = aDebt()
    const annotations = resource ? { ...secret.annotations, [AUTO]: resource } : secret.annotations
    const workload = { ...aWorkload(), autoRestart: own || undefined }
    const policy = { autoRestart, delayMs: 0 }
    const namespaceLevel = namespace || undefined
    expect(optInOf({ secret: { ...secret, annotations }, namespaceLevel, policy }, workload)).toBe(
      expected,
    )
  })
})

describe('paying and closing', () => {
  test('nothing is paid before the delay has passed', () => {
    expect(planDebt(aDebt({ openMs: 500 })).payAfterMs).toBe(1_500)
    expect(planDebt(aDebt({ openMs: 9_000 })).payAfterMs).toBe(0)
  })

  test.each([
    ['put back after a try', { tried: new Set(['web-uid']) }, 'put back'],
    ['refused', { denied: new Map([['web-uid', 'it is forbidden']]) }, 'forbidden'],
  ])('a workload whose template was %s is given up', (_what, memory, why) => {
    const plan = planDebt(aDebt(memory))
    expect(plan.owing).toEqual([])
    expect(plan.giveUp.map((one) => one.why).join()).toContain(why)
    expect(plan.close).toBe(false)
  })

  test('a workload that a controller keeps is restarted only when it opted in itself', () => {
    const ownerReferences = [{ controller: true }]
    const own = aWorkload({ metadata: { ownerReferences } })
    expect(planDebt(aDebt({ users: [own] })).owing).toHaveLength(1)
    const inherited = aWorkload({ metadata: { ownerReferences, annotations: {} } })
    const plan = planDebt(aDebt({ users: [inherited], namespaceLevel: 'true' }))
    expect(plan.giveUp).toHaveLength(1)
  })

  test('a debt is closed when nobody owes and the caches have been past it for ten seconds', () => {
    expect(planDebt(aDebt({ users: [] })).close).toBe(false)
    expect(planDebt(aDebt({ users: [], passedMs: 4_000 }))).toMatchObject({
      close: false,
      recheckMs: 6_000,
    })
    expect(planDebt(aDebt({ users: [], passedMs: 10_000 })).close).toBe(true)
    expect(planDebt(aDebt({ passedMs: 60_000 })).close).toBe(false)
  })

  test('the patch names the version and touches only the template annotations', () => {
    const owed = [{ secretName: SECRET, digest: 'k.new' }]
    expect(restartPatch(aWorkload(), owed, NOW)).toEqual({
      metadata: { resourceVersion: '5' },
      spec: { template: { metadata: { annotations: { [templateAnnotation(SECRET)]: 'k.new' } } } },
    })
  })
})

describe('a Rollout of Argo', () => {
  const raw = {
    metadata: {
      namespace: 'shop',
      name: 'web',
      uid: 'u',
      resourceVersion: '5',
      annotations: { [templateAnnotation(SECRET)]: 'k.old' },
    },
    spec: { template: { spec: { containers: [{ envFrom: [{ secretRef: { name: SECRET } }] }] } } },
  }

  test('is restarted by restartAt, and remembers on itself', () => {
    const rollout = parseWorkload('Rollout', raw)
    expect(rollout.restartedFor).toEqual({ [templateAnnotation(SECRET)]: 'k.old' })
    expect(restartPatch(rollout, [{ secretName: SECRET, digest: 'k.new' }], NOW)).toEqual({
      metadata: { resourceVersion: '5', annotations: { [templateAnnotation(SECRET)]: 'k.new' } },
      spec: { restartAt: '2026-01-02T03:04:05Z' },
    })
  })

  test('asks for no Secret', () => {
    const annotations = {
      'operator.1password.io/item-path': 'vaults/a/items/b',
      'operator.1password.io/item-name': 'x',
    }
    const metadata = { ...raw.metadata, annotations }
    expect(parseWorkload('Rollout', { ...raw, metadata }).asks).toBeUndefined()
    expect(parseWorkload('Deployment', { ...raw, metadata }).asks).toEqual({
      secretName: 'x',
      itemPath: 'vaults/a/items/b',
    })
  })
})

test('a workload that wants to be told is neither restarted nor waited for', () => {
  const annotations = { [AUTO]: 'notify' }
  const users = [aWorkload({ metadata: { annotations } })]
  const plan = planDebt(aDebt({ users, passedMs: 20_000 }))
  expect(names(plan.notify)).toEqual(['Deployment/web'])
  expect(plan.owing).toEqual([])
  expect(plan.close).toBe(true)
})

describe('a debt as an annotation', () => {
  test('reads as it was written', () => {
    for (const one of [debt, { ...debt, gaveUp: ['Deployment/web'] }]) {
      expect(parseDebt(formatDebt(one))).toEqual(one)
    }
  })

  test.each([
    undefined,
    '',
    'x',
    '{}',
    '{"digest":"x"}',
    '{"digest":1,"since":"2026-01-01T00:00:00Z"}',
    '{"digest":"x","since":"now"}',
  ])('%j is no debt', (text) => {
    expect(parseDebt(text)).toBeUndefined()
  })
})
