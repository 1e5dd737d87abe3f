/**
 * The documentation as tests read it: pages, their anchors and links, their blocks of code.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseAllDocuments } from 'yaml'
import { SITE_PAGES, slugOf } from '../../docs/.vitepress/pages.ts'

/** A block of code. */
export interface Block {
  readonly page: string
  /** Line of its first line, from 1. */
  readonly line: number
  /** What stands behind the opening fence. */
  readonly language: string
  readonly text: string
}

/** A link or picture. */
export interface Link {
  readonly page: string
  /** The target's path from the root of the repository; of the page itself for `#anchor`. */
  readonly file: string
  readonly anchor: string | undefined
}

/** All pages, with what stands at the root besides. */
export const PAGES: readonly string[] = ['README.md', ...SITE_PAGES]

const read = (page: string) => readFileSync(page, 'utf8')

const FENCE = /^([ \t]*)(`{3,})([^\n`]*)\n([\s\S]*?)^\1\2[ \t]*$/gm

/** The blocks of code of a page. */
export function blocksOf(page: string): Block[] {
  const text = read(page)
  return [...text.matchAll(FENCE)].map(([, indent = '', , language = '', body = ''], n) => {
    const all = [...text.matchAll(FENCE)][n]
    const line = text.slice(0, all?.index).split('\n').length + 1
    return {
      page,
      line,
      language: language.trim(),
      text: body.replaceAll(`\n${indent}`, '\n').replace(indent, ''),
    }
  })
}

/** What is left of a page without its blocks of code. */
export function proseOf(page: string): string {
  return read(page).replaceAll(FENCE, '')
}

/** The texts in backticks of a page. */
export function inlineCodeOf(page: string): string[] {
  return [...proseOf(page).matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)
}

/** The links of a page, but for those to other servers. */
export function linksOf(page: string): Link[] {
  const prose = proseOf(page).replaceAll(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', anchor] = target.split('#')
      return { page, file: file === '' ? page : path.join(path.dirname(page), file), anchor }
    })
}

/** The anchors of a page, as GitHub makes them of its headings. */
export function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of proseOf(page).matchAll(/^#{1,6} (.+)$/gm)) {
    const slug = slugOf(heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1'))
    let n = 0
    while (anchors.has(n === 0 ? slug : `${slug}-${n}`)) n += 1
    anchors.add(n === 0 ? slug : `${slug}-${n}`)
  }
  return anchors
}

/** An object of Kubernetes in a page. */
export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  readonly [member: string]: unknown
}

/** Whether the examples of a page are there to be refused. */
export function showsMistakes(page: string): boolean {
  return page.startsWith('docs/rules/')
}

/** The objects of Kubernetes in a block; none in one that holds something else. */
export function manifestsIn({ language, text }: Block): Manifest[] {
  if (language !== 'yaml') return []
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Partial<Manifest> | null)
    .filter(
      (value): value is Manifest => value?.apiVersion !== undefined && value.kind !== undefined,
    )
}
