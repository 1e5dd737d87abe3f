import { withCircuit } from '../connect/circuit.ts'
import { type ConnectClient, connectClient } from '../connect/client.ts'
import { createTransport } from '../connect/transport.ts'
import type { Clock } from '../kube/clock.ts'
import type { Settings } from '../settings/settings.ts'
import { createTokenSource } from '../settings/token.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Reporter } from './report.ts'

/** The way to Connect. */
export type Connect = ConnectClient

/**
 * The client that `settings` name, with one circuit for its token.
 *
 * @throws KeyferryError SETTING_INVALID for a host or token that cannot be used
 */
export function createConnect(
  input: {
    readonly settings: Settings
    readonly version: string
    readonly connectCa: string | undefined
  },
  deps: {
    readonly clock: Clock
    readonly random: () => number
    readonly metrics: Metrics
    readonly report: Reporter
  },
): Connect {
  const { settings, version, connectCa } = input
  const { clock, random, metrics, report } = deps
  const now = () => clock.now()
  const source = { token: settings.connectToken, file: settings.connectTokenFile }
  const token = createTokenSource(source, now, report.tokenFailure)
  const transport = createTransport({
    host: settings.connectHost,
    token,
    userAgent: `keyferry/${version}`,
    ...(connectCa === undefined ? {} : { ca: connectCa }),
    onAnswer: (operation, status) => metrics.connectRequests.inc({ operation, status }),
  })
  return connectClient(withCircuit(transport, { now, random, token }))
}
