/**
 * What lint cannot see: documentation agrees with the code, exports are documented, the layer rules
 * bite, manifests agree with each other.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { pages } from '../.ci/docs.ts'
import { ONE_PASSWORD_ITEM } from '../src/operator/item.ts'
import { SETTINGS } from '../src/settings/settings.ts'
import type { Rule } from './support/accounts.ts'

const sources = globSync('src/**/*.{ts,tsx}').filter((file) => !file.endsWith('.generated.ts'))
const made = await pages()
const read = (file: string) => readFileSync(file, 'utf8')

describe('documentation', () => {
  test.each(Object.entries(made))('%s is what the code says', (file, text) => {
    expect(read(file)).toBe(text)
  })

  // Links are followed by test/unit/docs/links.test.ts.
  test('names no file that is not there', () => {
    const named = [
      'README.md',
      'CONTRIBUTING.md',
      'SECURITY.md',
      ...globSync('docs/**/*.md'),
    ].flatMap((page) => {
      const code = /`((?:src|test|crds|charts|deploy|docs|\.ci)\/[\w./-]*\w)`/g
      return [...read(page).matchAll(code)].map(([, target = '']) => ({ page, target }))
    })
    expect(named.filter(({ target }) => !existsSync(target))).toEqual([])
    expect(named.length).toBeGreaterThan(20)
  })

  test('names the test of each scenario as it is', () => {
    const page = read('docs/decisions/0030-scenarios-and-their-tests.md')
    const rows = [...page.matchAll(/^\| ([^|]+) \| `(test\/[^`]+)` \| (.+) \|$/gm)]
    const scenarios = rows.map(([, scenario = '', file = '', title = '']) => ({
      scenario,
      file,
      title,
    }))
    const isThere = ({ file, title }: { file: string; title: string }) =>
      ["'", '"', '`'].some((quote) => read(file).includes(quote + title + quote))
    expect(scenarios.filter((one) => !isThere(one))).toEqual([])
    const covered = new Set(scenarios.map(({ scenario }) => scenario.split(' ', 1)[0]))
    const all = { P: 15, D: 12, E: 13, F: 12 }
    const wanted = Object.entries(all).flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, n) => `${letter}${n + 1}`),
    )
    expect(wanted.filter((one) => !covered.has(one))).toEqual([])
  })

  test('covers every export of the sources', () => {
    const bare = sources.flatMap((file) => {
      const lines = read(file).split('\n')
      return lines.flatMap((line, n) => {
        const name = /^export (?:async )?(?:function|const|class|interface|type) (\w+)/.exec(
          line,
        )?.[1]
        if (name === undefined || documented(lines, n)) return []
        return [`${file}: ${name}`]
      })
    })
    expect(bare).toEqual([])
  })
})

/** Whether a comment ends right above, or the export is the type of the schema right above it. */
function documented(lines: readonly string[], n: number): boolean {
  const above = lines.slice(0, n).findLast((line) => line.trim() !== '') ?? ''
  if (above.trim().endsWith('*/')) return true
  return /^export type \w+ = (?:z\.infer|\(typeof)/.test(lines[n] ?? '')
}

describe('layers', () => {
  const planted = (folder: string) => `${folder}/planted.ts`
  const folders = ['src/operator/plan', 'src/operator', 'src/status', 'src/status/page']
  afterAll(() => folders.forEach((folder) => rmSync(planted(folder), { force: true })))

  function expectRefusal(folder: string, text: string, why: string): void {
    writeFileSync(planted(folder), `/** Planted. */\n${text}\n`)
    const { stdout, status } = spawnSync('node_modules/.bin/oxlint', [planted(folder)], {
      encoding: 'utf8',
    })
    rmSync(planted(folder))
    expect(status).not.toBe(0)
    expect(stdout).toContain(why)
  }

  test.each([
    ["import { createRest } from '../../kube/rest.ts'\nexport const x = createRest", 'no request'],
    ["import { readFileSync } from 'node:fs'\nexport const x = readFileSync", 'plan/ is pure'],
    ['export const x = Date.now()', 'plan/ is pure'],
    [
      "import { createWriter } from '../write/write.ts'\nexport const x = createWriter",
      'knows neither',
    ],
  ])('the plan stage may not hold %j', (text, why) => expectRefusal('src/operator/plan', text, why))

  test.each([
    ['src/status', "import { createRest } from '../kube/rest.ts'\nexport const x = createRest"],
    ['src/status', "import { x } from '../operator/write/write.ts'\nexport const y = x"],
    ['src/status/page', "import { createFeed } from '../feed.ts'\nexport const x = createFeed"],
    ['src/status/page', "import { readFileSync } from 'node:fs'\nexport const x = readFileSync"],
    ['src/operator', "import { createFeed } from '../status/feed.ts'\nexport const x = createFeed"],
  ])('%s may not hold %j', (folder, text) => expectRefusal(folder, text, 'no-restricted-imports'))
})

/** What the operator has rights on. */
const TOUCHED = [
  'daemonsets',
  'deployments',
  'events',
  'leases',
  'namespaces',
  'onepassworditems',
  'onepassworditems/status',
  'rollouts',
  'secrets',
  'statefulsets',
]

describe('manifests', () => {
  test('the CRD is of the resource that the operator serves', () => {
    const crd = parse(read('crds/onepassword.com_onepassworditems.yaml'))
    const { group, plural, kind, version } = ONE_PASSWORD_ITEM
    expect(crd.spec).toMatchObject({
      group,
      names: { plural, kind },
      versions: [{ name: version }],
    })
  })

  test('an installation of some namespaces has there the rights of one of all', () => {
    const everywhere = rulesIn('deploy/base/rbac.yaml', 'ClusterRole')
    const served = rulesIn('deploy/overlays/namespaced/served.yaml', 'Role')
    const elsewhere = ({ resources }: Rule) => ['namespaces', 'leases'].includes(resources[0] ?? '')
    expect(served.filter((rule) => !elsewhere(rule))).toEqual(
      everywhere.filter((rule) => !elsewhere(rule)),
    )
    expect(served.filter(elsewhere)).toEqual([
      { apiGroups: [''], resources: ['namespaces'], verbs: ['get'] },
    ])
  })

  test('ask for no right on what the operator never touches, for no root and no moving tag', () => {
    const objects = globSync('deploy/base/*.yaml').flatMap((file) =>
      parseAllDocuments(read(file)).map((document) => document.toJSON()),
    )
    const rules: { resources: string[]; verbs: string[] }[] = objects.flatMap(
      ({ rules = [] }) => rules,
    )
    const touched = new Set(rules.flatMap(({ resources }) => resources))
    expect([...touched].toSorted()).toEqual(TOUCHED)
    expect(rules.flatMap(({ verbs }) => verbs)).not.toContain('*')
    const [{ spec }] = objects.filter(({ kind }) => kind === 'Deployment')
    const { containers, initContainers, securityContext } = spec.template.spec
    expect(initContainers).toBeUndefined()
    expect(securityContext.runAsNonRoot).toBe(true)
    for (const { image, securityContext } of containers) {
      expect(image).toMatch(/:\d|@sha256:/)
      expect(securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      })
    }
  })

  test('name no setting that does not exist', () => {
    const known = new Set<string>(Object.values(SETTINGS).map(({ name }) => name))
    const [deployment] = globSync('deploy/base/deployment.yaml').map((file) => parse(read(file)))
    const { env } = deployment.spec.template.spec.containers[0] as { env: { name: string }[] }
    expect(env.map(({ name }) => name).filter((name) => !known.has(name))).toEqual([])
  })
})

/** The rules of the role of that kind in a manifest. */
function rulesIn(file: string, kind: string): Rule[] {
  const objects = parseAllDocuments(read(file)).map((document) => document.toJS())
  return objects.find((object) => object.kind === kind).rules
}
