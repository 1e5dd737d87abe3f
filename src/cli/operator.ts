import { Command } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { systemClock } from '../kube/clock.ts'
import { type Operator, type Phase, startOperator } from '../operator/run.ts'
import { loadSettings } from '../settings/load.ts'
import { ownCrd } from './crd.ts'
import { SETTINGS, type SettingKey, type Settings } from '../settings/settings.ts'
import { createJournal, type Journal } from '../status/journal.ts'
import { serveStatus } from '../status/server.ts'
import { createSite } from '../status/site.ts'
import { createLog, type Logger } from '../telemetry/log.ts'
import { type Page, plain, servePages } from '../telemetry/http.ts'
import { addSettings, flagsOf, readCa } from './setting-flags.ts'

/** Milliseconds for which work under way may end after a signal. */
const GRACE_MS = 8_000

/** `keyferry operator` */
export function operatorCommand(): Command {
  const command = new Command('operator').addHelpText(
    'after',
    '\nEvery flag can also be given as an environment variable of the same name in capitals.\n' +
      '\nExample:\n  OP_CONNECT_TOKEN=… keyferry operator --op-connect-host http://localhost:8080\n',
  )
  addSettings(command, Object.keys(SETTINGS) as SettingKey[])
  return command.action(async (options: Record<string, string>) => run(flagsOf(options)))
}

async function run(flags: Partial<Record<SettingKey, string>>): Promise<void> {
  const settings = loadSettings(flags)
  const log = createLog({ level: settings.logLevel, format: settings.logFormat })
  const stop = new AbortController()
  const connectCa = readCa(settings)
  const { version } = packageJson
  // Nobody would read it without the page.
  const journal = settings.statusAddress && createJournal(systemClock)
  const operator = await startOperator(
    { settings, log, version, connectCa, crd: ownCrd(), witness: journal?.witness },
    stop.signal,
  )
  // It may fail while the pages are being opened; it is awaited below.
  operator.ended.catch(() => undefined)
  const { metrics } = operator
  const pages = {
    '/metrics': async (): Promise<Page> => {
      return { status: 200, type: metrics.contentType, text: await metrics.print() }
    },
  }
  const probes = {
    // Answered by the event loop: while that stands still, nothing is.
    '/healthz': () => plain(200, 'ok'),
    '/readyz': () => readiness(operator.phase()),
  }
  if (settings.metricsAddress) await servePages(settings.metricsAddress, pages, stop.signal)
  if (settings.probeAddress) await servePages(settings.probeAddress, probes, stop.signal)
  if (journal) await serveStatusPage({ operator, journal, settings, log }, stop.signal)
  const scope = settings.watchNamespaces?.join(',') ?? 'all namespaces'
  log.info({ version, scope, connect: new URL(settings.connectHost).origin }, 'operator starts')
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      log.info({ signal: name }, 'operator stops')
      stop.abort()
      setTimeout(() => process.exit(0), GRACE_MS).unref()
    })
  }
  try {
    await operator.ended
  } finally {
    stop.abort()
  }
  // Keys that were to be looked at again later have left their timers behind.
  process.exit(0)
}

interface Watched {
  readonly operator: Operator
  readonly journal: Journal
  readonly settings: Settings
  readonly log: Logger
}

/** An address that is taken is no reason not to work: the page is a comfort. */
async function serveStatusPage({ log, ...watched }: Watched, signal: AbortSignal): Promise<void> {
  const { operator, settings } = watched
  const { statusAddress, instance } = settings
  if (statusAddress === undefined) return
  const site = createSite({
    ...watched,
    version: packageJson.version,
    installation: `${operator.namespace}/${instance}`,
    clock: systemClock,
  })
  try {
    await serveStatus(statusAddress, site, signal)
  } catch (error) {
    log.warn({ error }, 'the status page is not served')
  }
}

/** A standby is ready, too: else a rollout with several replicas would never end. */
function readiness(phase: Phase): Page {
  switch (phase) {
    case 'starting':
      return plain(503, 'the caches are not complete yet')
    case 'standby':
      return plain(200, 'ok: the caches are complete, another replica holds the Lease')
    case 'working':
      return plain(200, 'ok: the caches are complete, this replica works')
  }
}
