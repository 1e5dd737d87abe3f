/**
 * Builds the site of the documentation into site/, and checks that it asks nothing of anybody else.
 *
 *   npm run docs:site
 *   npm run docs:site -- --base /keyferry/ --out site
 */
import { readFile } from 'node:fs/promises'
import { globSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'vitepress'

/** Where on its server the site is, and where it is written. */
export interface SiteOptions {
  /** Path with slashes at both ends. */
  readonly base?: string
  readonly out?: string
}

/**
 * Builds the site. Dead links end the build.
 *
 * @returns its pages, relative to the folder
 */
export async function buildSite({ base = '/', out = 'site' }: SiteOptions = {}): Promise<string[]> {
  await build('docs', { base, outDir: path.resolve(out) })
  const pages = globSync('**/*.html', { cwd: out }).toSorted()
  for (const page of pages) {
    const asked = outsideOf(await readFile(path.join(out, page), 'utf8'))
    if (asked.length > 0) throw new Error(`${page} asks others for ${asked.join(', ')}`)
  }
  return pages
}

/** What a browser would fetch from elsewhere to show a page; links are for people to follow. */
export function outsideOf(html: string): string[] {
  const elements = html.match(/<(?:script|link|img|iframe|source|video|audio)\b[^>]*>/g) ?? []
  return elements.filter((element) => /\b(?:src|href|srcset)="?(?:https?:)?\/\//.test(element))
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { base: { type: 'string' }, out: { type: 'string' } } })
  const { length } = await buildSite(values)
  console.log(`${length} pages`)
}
