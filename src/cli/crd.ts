import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { parse } from 'yaml'
import packageJson from '../../package.json' with { type: 'json' }
import { KeyferryError } from '../errors.ts'
import { systemClock } from '../kube/clock.ts'
import { loadAccess } from '../kube/config.ts'
import { addCrd, type Crd, CRDS, missingMembers, schemaOf } from '../kube/crd.ts'
import { objectPath } from '../kube/resource.ts'
import { createRest, type KubeRest } from '../kube/rest.ts'
import { isConflict, isNotFound } from '../kube/status.ts'
import { ONE_PASSWORD_ITEM } from '../operator/item.ts'
import { CRD_TEXT } from '../tools/crd.ts'
import { type OutputFlags, outputOption, tell } from './output.ts'
import { step } from './progress.ts'

/** Annotation of the definition: the release that applied it last. */
export const RELEASE = 'keyferry.dev/release'
/** Milliseconds for the API server to accept the definition and serve it. */
const PATIENCE_MS = 30_000
const RETRY_MS = 200

/** The definition that this program is made for. */
export function ownCrd(): Crd {
  return parse(CRD_TEXT) as Crd
}

interface Flags extends OutputFlags {
  readonly kubeconfig?: string
}

/** `keyferry crd …` */
export function crdCommand(): Command {
  const crd = new Command('crd')
  crd
    .command('apply')
    .description('add what this release needs to the CustomResourceDefinition of the cluster')
    .option('--kubeconfig <file>', 'kubeconfig to use outside a cluster')
    .addOption(outputOption())
    .addHelpText(
      'after',
      '\nMembers, versions and columns that the definition has from elsewhere stay, and one of a\n' +
        'newer release of Keyferry stays as it is. It takes get, create and patch on\n' +
        `customresourcedefinitions/${ownCrd().metadata.name}.`,
    )
    .action(async ({ kubeconfig, ...flags }: Flags) => {
      const { version } = packageJson
      const access = loadAccess(kubeconfig)
      const rest = createRest({ access, clock: systemClock, userAgent: `keyferry/${version}` })
      try {
        const newer = await step('applying', () => applyCrd(rest, ownCrd(), version))
        const { name } = ownCrd().metadata
        const text = newer
          ? `${name} is of the newer release ${newer} and stays as it is`
          : `${name} is applied`
        tell(flags, { name, applied: newer === undefined, newer }, text)
      } finally {
        await rest.close()
      }
    })
  return crd
}

/** @returns the newer release that the definition is of, which stays as it is */
async function applyCrd(rest: KubeRest, ours: Crd, release: string): Promise<string | undefined> {
  const { name } = ours.metadata
  const path = objectPath(CRDS, { namespace: '', name })
  const signal = AbortSignal.timeout(PATIENCE_MS)
  for (;;) {
    const live = await find(rest, path, signal)
    const newer = live && releaseAfter(live, ours, release)
    if (newer) return newer
    try {
      await rest.send(
        {
          method: 'PATCH',
          patch: 'apply',
          path,
          query: { fieldManager: 'keyferry', force: true },
          body: toApply(ours, live, release),
        },
        signal,
      )
    } catch (error) {
      // Somebody else wrote it since it was read: what to add is judged anew.
      if (!isConflict(error)) throw error
      continue
    }
    await untilServed(rest, path, signal)
    return undefined
  }
}

async function find(rest: KubeRest, path: string, signal: AbortSignal): Promise<Crd | undefined> {
  try {
    return (await rest.send({ method: 'GET', path }, signal)) as Crd
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

/** The release of `live` if it is a later one and has all that ours has. */
function releaseAfter(live: Crd, ours: Crd, release: string): string | undefined {
  const theirs = live.metadata.annotations?.[RELEASE]
  if (theirs === undefined || !isLater(theirs, release)) return undefined
  const { version } = ONE_PASSWORD_ITEM
  const wanted = schemaOf(ours, version)
  const missing = wanted === undefined ? [] : missingMembers(wanted, schemaOf(live, version))
  return missing.length === 0 ? theirs : undefined
}

/** A pre-release counts as its release. */
function isLater(a: string, b: string): boolean {
  const [left = '', right = ''] = [a, b].map((release) => release.split('-', 1)[0])
  return left.localeCompare(right, 'en', { numeric: true }) > 0
}

function toApply(ours: Crd, live: Crd | undefined, release: string): unknown {
  const { metadata, ...rest } = live === undefined ? ours : addCrd(ours, live)
  return {
    ...rest,
    metadata: {
      name: metadata.name,
      annotations: { ...metadata.annotations, [RELEASE]: release },
      // The definition as it was read, so that nothing added since is lost.
      ...(live === undefined ? {} : { resourceVersion: live.metadata.resourceVersion }),
    },
  }
}

async function untilServed(rest: KubeRest, path: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { metadata, status } = (await rest.send({ method: 'GET', path }, signal)) as Crd
    const condition = (type: string) => status?.conditions?.find((one) => one.type === type)
    if (condition('Established')?.status === 'True') return
    const names = condition('NamesAccepted')
    if (names?.status === 'False') {
      throw new KeyferryError('CRD_UNFIT', {
        message: `the API server refuses the names of ${metadata.name}: ${names.message}`,
        remedy: 'Remove the CustomResourceDefinition that has taken one of its names.',
        retry: 'on-change',
      })
    }
    await sleep(RETRY_MS, undefined, { signal })
  }
}
