// How the program becomes one file, and the parts that other programs may import become theirs.

import * as esbuild from 'esbuild'
import { readFile } from 'node:fs/promises'
import path from 'node:path'

/**
 * What the program needs of undici, whose index module loads all it has: the rest would be half a
 * megabyte of source and its share of memory. A member that is missing here fails the build.
 */
const UNDICI = `
  import api from './lib/api/index.js'
  import Dispatcher from './lib/dispatcher/dispatcher.js'
  // As the whole index does it.
  Object.assign(Dispatcher.prototype, api)
  export { default as Agent } from './lib/dispatcher/agent.js'`

/** @type {import('esbuild').Plugin} */
const trimUndici = {
  name: 'trim-undici',
  setup(build) {
    build.onLoad({ filter: /\/node_modules\/undici\/index\.js$/ }, ({ path: file }) => ({
      contents: UNDICI,
      resolveDir: path.dirname(file),
      loader: 'js',
    }))
  },
}

/**
 * The CRD is read from `crds/` in the sources; a bundle is alone, so it carries the text.
 *
 * @type {import('esbuild').Plugin}
 */
const inlineCrd = {
  name: 'inline-crd',
  setup(build) {
    build.onLoad({ filter: /src\/tools\/crd\.ts$/ }, async () => {
      const text = await readFile('crds/onepassword.com_onepassworditems.yaml', 'utf8')
      return { contents: `export const CRD_TEXT = ${JSON.stringify(text)}`, loader: 'js' }
    })
  },
}

const PAGE = 'src/status/page'

/**
 * The status page: what a browser gets, by path, and what that is made of.
 *
 * @returns {Promise<{
 *   assets: Record<string, { type: string, text: string }>,
 *   metafile: import('esbuild').Metafile,
 * }>}
 */
export async function bundlePage() {
  const { outputFiles, metafile } = await esbuild.build({
    entryPoints: { page: `${PAGE}/main.tsx`, style: `${PAGE}/style.css` },
    outdir: 'dist',
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    format: 'esm',
    target: ['chrome120', 'firefox120', 'safari17'],
    // Licences are in dist/keyferry.licenses.txt.
    legalComments: 'none',
    tsconfig: `${PAGE}/tsconfig.json`,
    logLevel: 'warning',
  })
  /** @param {string} name */
  const made = (name) => outputFiles.find((file) => path.basename(file.path) === name)?.text ?? ''
  /** @param {string} name */
  const read = (name) => readFile(`${PAGE}/${name}`, 'utf8')
  const assets = {
    '/': { type: 'text/html; charset=utf-8', text: await read('index.html') },
    '/page.js': { type: 'text/javascript; charset=utf-8', text: made('page.js') },
    '/page.css': { type: 'text/css; charset=utf-8', text: made('style.css') },
    '/icon.svg': { type: 'image/svg+xml', text: await read('icon.svg') },
  }
  return { assets, metafile }
}

/**
 * The program carries the status page, too.
 *
 * @param {Awaited<ReturnType<typeof bundlePage>>} page
 * @returns {import('esbuild').Plugin}
 */
const inlinePage = ({ assets }) => ({
  name: 'inline-page',
  setup(build) {
    build.onLoad({ filter: /src\/status\/assets\.ts$/ }, () => ({
      contents: `export const ASSETS = ${JSON.stringify(assets)}`,
      loader: 'js',
    }))
  },
})

/** @type {import('esbuild').BuildOptions} */
const common = {
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  logLevel: 'warning',
}

/**
 * dist/keyferry.mjs, which needs nothing but Node.
 *
 * @param {boolean} write or only tell what it would be made of
 * @returns {Promise<import('esbuild').Metafile>} its outputs with those of the page in it
 */
export async function bundleProgram(write) {
  const page = await bundlePage()
  const { metafile } = await esbuild.build({
    ...common,
    entryPoints: { keyferry: 'src/main.ts' },
    metafile: true,
    write,
    minifyWhitespace: true,
    minifySyntax: true,
    // Licences are in dist/keyferry.licenses.txt.
    legalComments: 'none',
    plugins: [trimUndici, inlineCrd, inlinePage(page)],
    banner: {
      js:
        '#!/usr/bin/env node\n' +
        "import { createRequire as __createRequire } from 'node:module';" +
        'const require = __createRequire(import.meta.url);',
    },
  })
  return { ...metafile, outputs: { ...metafile.outputs, ...page.metafile.outputs } }
}

/** dist/plan.mjs and dist/connect.mjs, whose dependencies come with the package. */
export async function bundleLibrary() {
  await esbuild.build({
    ...common,
    entryPoints: { plan: 'src/library/plan.ts', connect: 'src/library/connect.ts' },
    // What both share, classes among it, exists once.
    chunkNames: 'shared-[hash]',
    splitting: true,
    packages: 'external',
  })
}
