/** The site: what it is made of, and how it is found one's way in. `npm run docs:site` builds it. */
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { defineConfig, type DefaultTheme } from 'vitepress'
import { CONTENTS } from '../../.ci/contents.ts'
import { copyLinked, linksToSite, SOURCE } from './links.ts'
import { pathOnSite, SITE_PAGES, slugOf } from './pages.ts'

const SITE_FOLDER = 'site'

// oxlint-disable-next-line import/no-default-export
export default defineConfig({
  title: 'Keyferry',
  description: '1Password items become Kubernetes Secrets',
  srcDir: '..',
  // By itself it would look for more of them among the sources.
  additionalConfig: {},
  srcExclude: globSync('**/*.md', { exclude: ['node_modules', SITE_FOLDER] }).filter(
    (page) => !SITE_PAGES.includes(page),
  ),
  outDir: `../${SITE_FOLDER}`,
  cacheDir: '../.cache/vitepress',
  rewrites: Object.fromEntries(SITE_PAGES.map((page) => [page, pathOnSite(page)])),
  // What stands beside the pages is copied there when all are built.
  ignoreDeadLinks: [new RegExp(`^${SOURCE}`)],
  markdown: {
    html: false,
    anchor: { slugify: slugOf },
    config(md) {
      md.core.ruler.before('block', 'no-comments', (state) => {
        state.src = state.src.replaceAll(/^<!--.*-->$/gm, '')
      })
      md.core.ruler.push('links-to-site', ({ tokens, env }) => linksToSite(tokens, env))
      // Braces are no templates here.
      const { code_inline: code } = md.renderer.rules
      md.renderer.rules.code_inline = (tokens, n, ...rest) => {
        tokens[n]?.attrSet('v-pre', '')
        return code?.(tokens, n, ...rest) ?? ''
      }
    },
  },
  buildEnd: ({ outDir }) => copyLinked(outDir),
  themeConfig: {
    nav: navigation(),
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
  },
})

function navigation(): DefaultTheme.NavItem[] {
  return CONTENTS.flatMap(({ title, pages: [first] }) =>
    first ? [{ text: title, link: `/${pathOnSite(first.path)}` }] : [],
  )
}

function sidebar(): DefaultTheme.SidebarItem[] {
  return CONTENTS.map(({ title, pages }) => ({
    text: title,
    items: pages.map((page) => ({
      text: page.title,
      link: `/${pathOnSite(page.path)}`,
      ...below(page.path),
    })),
  }))
}

/** The pages that the index of a folder lists. */
function below(page: string): Pick<DefaultTheme.SidebarItem, 'items' | 'collapsed'> {
  const folder = path.dirname(page)
  if (folder === 'docs' || !page.startsWith('docs/')) return {}
  const others = SITE_PAGES.filter((one) => path.dirname(one) === folder && one !== page)
  const items = others.map((one) => ({ text: titleOf(one), link: `/${pathOnSite(one)}` }))
  return { collapsed: true, items }
}

function titleOf(page: string): string {
  return /^# (.+)$/m.exec(readFileSync(page, 'utf8'))?.[1] ?? page
}
