import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CONTENTS } from '../../../.ci/contents.ts'
import { SITE_PAGES } from '../../../docs/.vitepress/pages.ts'
import { anchorsOf, linksOf, PAGES } from '../../support/documents.ts'

const links = PAGES.flatMap(linksOf)

test('every link leads to a file or folder that is there', () => {
  expect(links.length).toBeGreaterThan(150)
  expect(links.filter(({ file }) => !existsSync(file))).toEqual([])
})

test('every anchor is the heading of a page', () => {
  const anchored = links.filter(({ anchor }) => anchor !== undefined)
  expect(anchored.length).toBeGreaterThan(20)
  const isThere = ({ file, anchor = '' }: (typeof links)[number]) =>
    PAGES.includes(file) && anchorsOf(file).has(anchor)
  expect(anchored.filter((link) => !isThere(link))).toEqual([])
})

test('every page of the site is in the contents, or in a folder whose index is', () => {
  const listed = new Set(CONTENTS.flatMap(({ pages }) => pages.map(({ path }) => path)))
  const isListed = (page: string) =>
    listed.has(page) ||
    (page.split('/').length > 2 && listed.has(page.replace(/[^/]+$/, 'README.md')))
  expect(SITE_PAGES.filter((page) => !isListed(page))).toEqual(['docs/README.md'])
})
