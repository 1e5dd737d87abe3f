// Bundles the program into one file, dist/keyferry.mjs, that needs nothing but Node 24, and the
// parts that other programs may import: keyferry/plan and keyferry/connect, with their types.

import * as esbuild from 'esbuild'
import { execFile } from 'node:child_process'
import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

/**
 * Index modules of libraries that load all they have, and what the program needs of them: the rest
 * would be a megabyte of source and 20 MB of memory. A member that is missing here fails the build.
 *
 * @type {Readonly<Record<string, string>>}
 */
const TRIMMED = {
  '@kubernetes/client-node/dist/index.js': "export { KubeConfig } from './config.js'",
  '@kubernetes/client-node/dist/gen/index.js':
    "export { createConfiguration } from './configuration.js'; export * from './servers.js'",
  'undici/index.js': `
    import api from './lib/api/index.js'
    import Dispatcher from './lib/dispatcher/dispatcher.js'
    // As the whole index does it.
    Object.assign(Dispatcher.prototype, api)
    export { default as Agent } from './lib/dispatcher/agent.js'
    export { default as ProxyAgent } from './lib/dispatcher/proxy-agent.js'
    // For the Kubernetes client's own requests, which the program does not use.
    export const fetch = globalThis.fetch`,
}

/** @type {import('esbuild').Plugin} */
const trimIndexes = {
  name: 'trim-indexes',
  setup(build) {
    const filter = /\/node_modules\/(@kubernetes\/client-node\/dist\/(gen\/)?|undici\/)index\.js$/
    build.onLoad({ filter }, ({ path: file }) => {
      const contents = TRIMMED[file.slice(file.lastIndexOf('node_modules/') + 13)]
      return { contents, resolveDir: path.dirname(file), loader: 'js' }
    })
  },
}

/**
 * The validator of OpenAPI documents reads its JSON schemas from files beside itself, which a
 * bundle does not have: the one that is needed becomes part of the bundle.
 *
 * @type {import('esbuild').Plugin}
 */
const inlineOpenapiSchema = {
  name: 'inline-openapi-schema',
  setup(build) {
    build.onLoad({ filter: /openapi-schema-validator\/index\.js$/ }, async (args) => {
      const source = await readFile(args.path, 'utf8')
      const reader = 'JSON.parse(readFileSync(localFile(file), "utf-8"))'
      if (!source.includes(reader)) throw new Error(`${args.path} reads its schemas another way`)
      const table =
        "import v30 from './schemas/v3.0/schema.json';" +
        "const bundled = { './schemas/v3.0/schema.json': v30 };"
      return { contents: table + source.replace(reader, 'bundled[file]'), loader: 'js' }
    })
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

/**
 * Makes a file one of ASCII alone, of which V8 keeps half as many bytes. What esbuild leaves of
 * other characters stands in regular expressions.
 *
 * @param {string} file
 */
async function escape(file) {
  const text = await readFile(file, 'utf8')
  const code = (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  await writeFile(file, text.replaceAll(/[^\0-\x7f]/g, code))
}

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

await rm('dist', { recursive: true, force: true })
await esbuild.build({
  ...common,
  entryPoints: { keyferry: 'src/main.ts' },
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  // The CustomResourceDefinition is part of the program.
  loader: { '.yaml': 'text' },
  // Optional natives of pg and ws that are never installed here.
  external: ['pg-native', 'bufferutil', 'utf-8-validate'],
  plugins: [trimIndexes, inlineOpenapiSchema, inlineCrd],
  banner: {
    js:
      '#!/usr/bin/env node\n' +
      "import { createRequire as __createRequire } from 'node:module';" +
      'const require = __createRequire(import.meta.url);',
  },
})
await escape('dist/keyferry.mjs')
await chmod('dist/keyferry.mjs', 0o755)

// Their own dependencies come with the package; what both share, classes among it, exists once.
await esbuild.build({
  ...common,
  entryPoints: { plan: 'src/library/plan.ts', connect: 'src/library/connect.ts' },
  chunkNames: 'shared-[hash]',
  splitting: true,
  packages: 'external',
})
const tsc = 'node_modules/typescript/bin/tsc'
await promisify(execFile)(process.execPath, [tsc, '-p', 'tsconfig.types.json'])
