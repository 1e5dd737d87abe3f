/** Which files of the repository are pages of the site, and where they are on it. */
import { globSync } from 'node:fs'
import path from 'node:path'
import { CONTENTS } from '../../.ci/contents.ts'

const listed = CONTENTS.flatMap(({ pages }) => pages.map((page) => page.path))

/** The pages, as paths in the repository: all of `docs/`, and what is listed besides. */
export const SITE_PAGES: readonly string[] = [
  ...new Set([...globSync('docs/**/*.md').toSorted(), ...listed]),
]

/** Where a page is on the site: `docs/rules/README.md` is `rules/index.md`. */
export function pathOnSite(page: string): string {
  const place = page.startsWith('docs/') ? path.relative('docs', page) : page
  return place.replace(/(^|\/)README\.md$/, '$1index.md')
}

/** The anchor of a heading, as GitHub makes it. */
export function slugOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
    .replaceAll(' ', '-')
}
