import { execFile } from 'node:child_process'
import { existsSync, globSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outsideOf } from '../../../.ci/site.ts'
import { pathOnSite, SITE_PAGES } from '../../../docs/.vitepress/pages.ts'
import { anchorsOf, linksOf } from '../../support/documents.ts'

let folder = ''
const page = (source: string) =>
  readFile(path.join(folder, pathOnSite(source).replace(/\.md$/, '.html')), 'utf8')

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'keyferry-site-'))
  // Dead links, and what is fetched from elsewhere, end it.
  await promisify(execFile)(process.execPath, ['.ci/site.ts', '--out', folder])
}, 300_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

test('it has every page, with the pictures and a search, and no comment for authors', async () => {
  for (const source of SITE_PAGES) {
    expect(await page(source)).toContain('<h1')
    expect(await page(source)).not.toContain('&lt;!--')
  }
  expect(globSync('assets/*.svg', { cwd: folder }).length).toBeGreaterThan(3)
  expect(globSync('assets/chunks/*localSearchIndex*', { cwd: folder }).length).toBeGreaterThan(0)
})

test('anchors are those of the pages on GitHub', async () => {
  for (const source of ['docs/resource.md', 'docs/commands.md', 'SECURITY.md']) {
    const html = await page(source)
    for (const anchor of anchorsOf(source)) expect(html).toContain(`id="${anchor}"`)
  }
})

test('links to files that are no pages lead to copies', async () => {
  const html = await page('docs/install.md')
  const others = linksOf('docs/install.md').filter(({ file }) => !file.endsWith('.md'))
  expect(others.length).toBeGreaterThan(1)
  for (const { file } of others) {
    const copy = `source/${file.replace(/\/$/, '')}.txt`
    expect(html).toContain(`href="/${copy}"`)
    expect(existsSync(path.join(folder, copy))).toBe(true)
  }
})

test('templates of references are texts', async () => {
  expect(await page('docs/resource.md')).toContain('{{ op://Production/Database/username }}')
})

test('what a page fetches from elsewhere is found', () => {
  expect(outsideOf('<script src="https://cdn.example.com/a.js"></script>')).toHaveLength(1)
  expect(outsideOf('<link rel="stylesheet" href="//fonts.example.com/a.css">')).toHaveLength(1)
  expect(outsideOf('<a href="https://semver.org">x</a><img src="/a.svg">')).toEqual([])
})
