/** What a release is made of: versions that agree, actions that cannot change, packages that run nothing. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { bundleProgram } from '../../.ci/bundle.mjs'
import { billOf, licencesOf, materialsOf } from '../../.ci/materials.mjs'
import packageJson from '../../package.json' with { type: 'json' }

const WORKFLOWS = '.github/workflows'
const { version } = packageJson

describe('the version of package.json', () => {
  test('is that of chart, program and image', () => {
    const chart = parse(readFileSync('charts/keyferry/Chart.yaml', 'utf8'))
    expect(chart).toMatchObject({ version, appVersion: version })
    const label = `org.opencontainers.image.version="${version}"`
    expect(readFileSync('Dockerfile', 'utf8')).toContain(label)
  })
})

interface Job {
  readonly 'timeout-minutes': number
  readonly permissions?: Readonly<Record<string, string>>
  readonly needs?: string
  readonly steps: readonly {
    readonly uses?: string
    readonly run?: string
    readonly with?: Readonly<Record<string, unknown>>
  }[]
}

describe.each(readdirSync(WORKFLOWS))('the workflow %s', (name) => {
  const text = readFileSync(`${WORKFLOWS}/${name}`, 'utf8')
  const workflow = parse(text) as {
    permissions: Record<string, string>
    jobs: Record<string, Job>
  }
  const steps = Object.values(workflow.jobs).flatMap((job) => job.steps)

  test('uses actions by their commit, and says which version that is', () => {
    const uses = text.match(/uses: .+/g) ?? []
    expect(uses.length).toBeGreaterThan(0)
    for (const line of uses) expect(line).toMatch(/^uses: [\w.-]+\/[\w.-]+@[0-9a-f]{40} # v[\d.]+$/)
  })

  test('may read the source and no more, unless a job says otherwise, and ends', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' })
    for (const job of Object.values(workflow.jobs))
      expect(job['timeout-minutes']).toBeGreaterThan(0)
  })

  test('runs what every change is judged by', () => {
    expect(steps.map(({ run }) => run)).toContain('sudo env "PATH=$PATH" "HOME=$HOME" .ci/run')
  })

  test("leaves no token in the clone, and puts nobody's text into a script", () => {
    for (const { uses = '', run = '', with: inputs } of steps) {
      if (uses.startsWith('actions/checkout@')) expect(inputs?.['persist-credentials']).toBe(false)
      expect(run).not.toContain('${{')
    }
  })
})

describe('a release', () => {
  const { jobs } = parse(readFileSync(`${WORKFLOWS}/release.yml`, 'utf8')) as {
    jobs: Record<string, Job>
  }
  const { check, release } = jobs
  const scripts = (release?.steps ?? []).map(({ run = '' }) => run).join('\n')
  const actions = (release?.steps ?? []).map(({ uses = '' }) => uses.split('@')[0])

  test('is made after everything passed, by the one job that may publish, which may no more', () => {
    expect(Object.keys(jobs)).toEqual(['check', 'release'])
    expect([check?.permissions, release?.needs]).toEqual([undefined, 'check'])
    expect(release?.permissions).toEqual({
      contents: 'read',
      packages: 'write',
      'id-token': 'write',
      attestations: 'write',
    })
  })

  test('signs and attests image and chart', () => {
    expect(scripts.match(/cosign sign --yes .+/g)).toEqual([
      'cosign sign --yes "$IMAGE@$DIGEST"',
      'cosign sign --yes "$CHARTS/keyferry@$digest"',
    ])
    expect(scripts).toContain('cosign attest --yes --type cyclonedx')
    const provenance = actions.filter((name) => name === 'actions/attest-build-provenance')
    expect(provenance).toHaveLength(2)
  })

  test('ends with the checks that SECURITY.md tells users to make', () => {
    const last = release?.steps.at(-1)?.run ?? ''
    const told = readFileSync('SECURITY.md', 'utf8')
    for (const command of ['cosign verify', 'gh attestation verify', 'cosign verify-attestation']) {
      expect(last).toContain(command)
      expect(told).toContain(command)
    }
  })
})

interface Package {
  readonly dev?: boolean
  readonly version?: string
  readonly integrity?: string
  readonly resolved?: string
  readonly license?: string
  readonly hasInstallScript?: boolean
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  readonly packages: Record<string, Package>
}
const locked = Object.entries(lock.packages).filter(([path]) => path !== '')

describe('the packages of the lock file', () => {
  test('are known by their hash, also those for other systems', () => {
    expect(locked.length).toBeGreaterThan(100)
    for (const [path, { integrity }] of locked) expect(integrity, path).toMatch(/^sha512-/)
  })

  test('name no registry: each machine has its own', () => {
    for (const [path, { resolved }] of locked) expect(resolved, path).toBeUndefined()
  })
})

/** Each one is somebody else who may change what runs next to every Secret. */
const MOST_PACKAGES = 60

/** Tools for whoever installs the package, which gets them bundled: what the status page is made of. */
const BUNDLED = ['preact']

const FREE = [
  'MIT',
  'Apache-2.0',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'PSF-2.0',
  'Unlicense',
]

/** Whether what is under that SPDX expression is free to use and to pass on. */
function isFree(license: string): boolean {
  const choices = license.replaceAll(/[()]/g, '').split(' OR ')
  return choices.some((one) => FREE.includes(one))
}

describe('the packages that ship', () => {
  const shipped = locked.filter(([, { dev }]) => !dev)

  test('are few, and all that an installation without tools has', () => {
    expect(shipped.length).toBeLessThanOrEqual(MOST_PACKAGES)
    const args = ['ls', '--omit=dev', '--all', '--package-lock-only', '--parseable']
    const listed = execFileSync('npm', args, { encoding: 'utf8' }).trim().split('\n').slice(1)
    const folders = listed.map((line) => line.slice(line.indexOf('node_modules/')))
    expect(folders.toSorted()).toEqual(shipped.map(([path]) => path).toSorted())
  })

  test('have their reason in docs/decisions', () => {
    const text = readFileSync('docs/decisions/0001-libraries.md', 'utf8')
    const rows = text.split('\n').map((line) => line.split(/[| ]+/)[1])
    const names = [...Object.keys(packageJson.dependencies), ...BUNDLED]
    for (const name of names) expect(rows).toContain(name)
  })

  test('run nothing when they are installed', () => {
    expect(shipped.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([])
    expect(readFileSync('.npmrc', 'utf8')).toContain('ignore-scripts=true')
  })

  test('are free to use and to pass on', () => {
    expect(shipped.length).toBeGreaterThan(10)
    for (const [path, { license = 'none' }] of shipped) {
      expect(isFree(license), `${path}: ${license}`).toBe(true)
    }
  })
})

describe('the bundle', () => {
  const program = Buffer.from('the program')
  const found = bundleProgram(false).then(materialsOf)

  test('is made of few packages, all of them free, and no tools but those of the status page', async () => {
    const materials = await found
    expect(materials.length).toBeGreaterThan(40)
    expect(materials.length).toBeLessThanOrEqual(MOST_PACKAGES)
    const tools = materials.filter(({ folder }) => lock.packages[folder]?.dev)
    expect(tools.map(({ name }) => name)).toEqual(BUNDLED)
    for (const { name, license } of materials) expect(isFree(license), name).toBe(true)
    // What would run beside the program is not in it.
    expect(materials.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['fastify', 'undici', 'pg-protocol', 'jose']),
    )
  })

  test('has a bill of materials that says of each what npm does, and names the program by its hash', async () => {
    const materials = await found
    const bill = await billOf(materials, program)
    expect(bill.metadata.component).toMatchObject({
      name: 'keyferry',
      version,
      hashes: [{ alg: 'SHA-256', content: createHash('sha256').update(program).digest('hex') }],
    })
    const args = ['sbom', '--omit=dev', '--package-lock-only', '--sbom-format=cyclonedx']
    const npm = JSON.parse(execFileSync('npm', args, { encoding: 'utf8' })) as typeof bill
    const ofNpm = new Map(npm.components.map((one) => [one.purl, one]))
    // npm leaves some out that are installed; what it names is what we name.
    const both = bill.components.filter(({ purl }) => ofNpm.has(purl))
    expect(both.length).toBeGreaterThan(40)
    for (const { purl, name, version: own, hashes, licenses } of both) {
      expect(ofNpm.get(purl)).toMatchObject({ name, version: own, hashes, licenses })
    }
    const versions = new Set(materials.map((one) => `${one.name}@${one.version}`))
    expect(bill.components.map((one) => one['bom-ref']).toSorted()).toEqual(
      [...versions].toSorted(),
    )
  })

  test('has a bill in which everything is there because of something', async () => {
    const { dependencies, metadata } = await billOf(await found, program)
    const next = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]))
    const reached = new Set<string>()
    const visit = (ref: string) => {
      if (reached.has(ref)) return
      reached.add(ref)
      next.get(ref)?.forEach(visit)
    }
    visit(metadata.component['bom-ref'])
    expect([...reached].toSorted()).toEqual(dependencies.map(({ ref }) => ref).toSorted())
  })

  test('comes with the licence of each', async () => {
    const materials = await found
    const text = await licencesOf(materials)
    for (const { name, version: own } of materials) expect(text).toContain(`${name} ${own} (`)
    expect(text.match(/Permission is hereby granted/g)?.length).toBeGreaterThan(30)
    expect(text).toContain('Apache License')
  })
})
