/**
 * What comes with the program: whole by its checksum, free to use, and never run while it is
 * installed. What CI runs: by commit, with no rights but those that a job asks for.
 */
import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'

interface Locked {
  readonly dev?: boolean
  readonly license?: string
  readonly integrity?: string
  readonly resolved?: string
  readonly hasInstallScript?: boolean
}

const lock = JSON.parse(await readFile('package-lock.json', 'utf8')) as {
  readonly packages: Readonly<Record<string, Locked>>
}
const all = Object.entries(lock.packages).filter(([name]) => name !== '')
const shipped = all.filter(([, { dev }]) => !dev)
const namesOf = (packages: typeof all) => packages.map(([name]) => name)

/** Licences that ask for no more than their own text. */
const FREE = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-3-Clause',
  'Unlicense',
  // argparse, which js-yaml needs: Python's own.
  'PSF-2.0',
])

describe('the lock file', () => {
  test('has a checksum for each package, also for those of other machines', () => {
    const bare = all.filter(([, { integrity }]) => !integrity?.startsWith('sha512-'))
    expect(namesOf(bare)).toEqual([])
  })

  test('names no registry: each machine has its own', () => {
    expect(namesOf(all.filter(([, { resolved }]) => resolved))).toEqual([])
  })

  test('ships nothing that runs when it is installed, and runs nothing else either', async () => {
    expect(namesOf(shipped.filter(([, { hasInstallScript }]) => hasInstallScript))).toEqual([])
    expect((await readFile('.npmrc', 'utf8')).split('\n')).toContain('ignore-scripts=true')
  })

  test('ships only what is free to pass on', () => {
    expect(shipped.length).toBeGreaterThan(0)
    expect(namesOf(shipped.filter(([, { license = '' }]) => !FREE.has(license)))).toEqual([])
  })
})

test('each library that the program names has its row in docs/decisions', async () => {
  const { dependencies } = JSON.parse(await readFile('package.json', 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  const text = await readFile('docs/decisions/0001-libraries.md', 'utf8')
  const rows = text.split('\n').map((line) => line.split(/[| ]+/)[1])
  expect(Object.keys(dependencies).filter((name) => !rows.includes(name))).toEqual([])
})

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, { readonly steps: readonly { readonly uses?: string }[] }>>
}

describe.each(await readdir('.github/workflows'))('workflow %s', async (file) => {
  const workflow = parse(await readFile(`.github/workflows/${file}`, 'utf8')) as Workflow

  test('uses actions by commit, which no tag can move', () => {
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps)
    const used = steps.flatMap(({ uses }) => (uses === undefined ? [] : [uses]))
    expect(used.length).toBeGreaterThan(0)
    expect(used.filter((one) => !/^[\w-]+\/[\w/-]+@[0-9a-f]{40}$/.test(one))).toEqual([])
  })

  test('may do no more than read, but for the jobs that say so', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' })
  })
})
