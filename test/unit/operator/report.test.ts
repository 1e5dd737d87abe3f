import { expect, test } from 'vitest'
import { createReporter } from '../../../src/operator/report.ts'
import { createLog } from '../../../src/telemetry/log.ts'
import { createMetrics } from '../../../src/telemetry/metrics.ts'
import { aSnapshot, asLive, planOf } from '../../builders/snapshot.ts'

test('runs are counted under the reason that the resource shows, also when it is looked at again later', async () => {
  const metrics = createMetrics({ waiting: () => ({}), resources: () => [] })
  const report = createReporter(
    createLog({ level: 'info', format: 'json' }, { write() {} }),
    metrics,
  )
  const live = asLive(planOf(aSnapshot()), { ownerReferences: [], annotations: {} })
  const foreign = aSnapshot({ secret: { kind: 'read', secret: live } })
  const told = planOf(foreign)
  report.outcome(foreign, told)
  // The second time nothing is left to tell, and the reason is the same.
  const status = told.status ?? foreign.claim.status
  const again = { ...foreign, claim: { ...foreign.claim, status } }
  report.outcome(again, planOf(again))
  expect(await metrics.print()).toContain(
    'keyferry_runs_total{result="recheck",reason="NotOurSecret"} 2',
  )
})
