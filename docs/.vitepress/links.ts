/**
 * Links as they are in the repository, made to lead somewhere on the site: to other pages, or to
 * copies of files that are no pages.
 */
import { cp, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pathOnSite, SITE_PAGES } from './pages.ts'

/** Where copies of files are on the site. */
export const SOURCE = '/source/'

/** Files and folders that a page links to. */
const linked = new Set<string>()

interface Token {
  readonly type: string
  readonly children: Token[] | null
  attrGet(name: string): string | null
  attrSet(name: string, value: string): void
}

/** Gives the links of a page their places on the site. */
export function linksToSite(tokens: readonly Token[], env: { realPath?: string; path?: string }) {
  const page = path.relative('.', env.realPath ?? env.path ?? '')
  for (const token of tokens) {
    if (token.type === 'link_open') linkToSite(token, page)
    if (token.children) linksToSite(token.children, env)
  }
}

function linkToSite(token: Token, page: string): void {
  const href = token.attrGet('href') ?? ''
  if (href === '' || /^(\w+:|#)/.test(href)) return
  const [file = '', anchor] = href.split('#')
  const target = path.normalize(path.join(path.dirname(page), decodeURI(file))).replace(/\/$/, '')
  const found = [target, path.join(target, 'README.md')].find((one) => SITE_PAGES.includes(one))
  const hash = anchor === undefined ? '' : `#${anchor}`
  if (found) return token.attrSet('href', `/${pathOnSite(found)}${hash}`)
  linked.add(target)
  token.attrSet('href', `${SOURCE}${nameOfCopy(target)}`)
  token.attrSet('target', '_self')
}

/** Browsers show texts and pictures; other files they would only store. */
function nameOfCopy(target: string): string {
  return target.endsWith('.svg') ? target : `${target}.txt`
}

/** Copies the files that pages link to; of a folder a list of what is in it, and that. */
export async function copyLinked(outDir: string): Promise<void> {
  for (const target of linked) await copy(target, path.join(outDir, SOURCE))
}

async function copy(target: string, folder: string): Promise<void> {
  const place = path.join(folder, nameOfCopy(target))
  await mkdir(path.dirname(place), { recursive: true })
  if (!(await stat(target)).isDirectory()) return cp(target, place)
  const names = await readdir(target, { recursive: true })
  await writeFile(place, `${target}/\n${names.toSorted().join('\n')}\n`)
}
