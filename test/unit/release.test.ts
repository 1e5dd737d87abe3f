/** What a release is made of: versions that agree, actions that cannot change, packages that run nothing. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
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

describe.each(readdirSync(WORKFLOWS))('the workflow %s', (name) => {
  const text = readFileSync(`${WORKFLOWS}/${name}`, 'utf8')
  const workflow = parse(text) as {
    permissions: Record<string, string>
    jobs: Record<string, { 'timeout-minutes': number }>
  }

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

describe('the packages that ship', () => {
  const shipped = locked.filter(([, { dev }]) => !dev)

  test('have their reason in docs/decisions', () => {
    const text = readFileSync('docs/decisions/0001-libraries.md', 'utf8')
    const rows = text.split('\n').map((line) => line.split(/[| ]+/)[1])
    for (const name of Object.keys(packageJson.dependencies)) expect(rows).toContain(name)
  })

  test('run nothing when they are installed', () => {
    expect(shipped.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([])
    expect(readFileSync('.npmrc', 'utf8')).toContain('ignore-scripts=true')
  })

  test('are free to use and to pass on', () => {
    expect(shipped.length).toBeGreaterThan(10)
    const free = [
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
    for (const [path, { license = 'none' }] of shipped) {
      const choices = license.replaceAll(/[()]/g, '').split(' OR ')
      expect(
        choices.some((one) => free.includes(one)),
        `${path}: ${license}`,
      ).toBe(true)
    }
  })
})
