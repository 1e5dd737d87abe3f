// Bundles the program into one file, dist/keyferry.mjs, that needs nothing but Node 24, and the
// parts that other programs may import: keyferry/plan and keyferry/connect, with their types.

import * as esbuild from 'esbuild'
import { execFile } from 'node:child_process'
import { chmod, readFile, rm } from 'node:fs/promises'
import { promisify } from 'node:util'

/**
 * The Kubernetes client declares no side effects policy, so a bundler must keep all of its
 * generated API classes although only KubeConfig is used: 1.5 MB of source and 10 MB of memory.
 * Its modules only define things, so what is not imported may go.
 *
 * @type {import('esbuild').Plugin}
 */
const shakeKubernetesClient = {
  name: 'shake-kubernetes-client',
  setup(build) {
    build.onResolve({ filter: /^@kubernetes\/client-node$|gen\// }, async (args) => {
      if (args.pluginData === shakeKubernetesClient) return undefined
      if (args.path.startsWith('.') && !args.importer.includes('client-node')) return undefined
      const { kind, resolveDir, importer } = args
      const pluginData = shakeKubernetesClient
      const found = await build.resolve(args.path, { kind, resolveDir, importer, pluginData })
      return { ...found, sideEffects: false }
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
  plugins: [shakeKubernetesClient, inlineOpenapiSchema, inlineCrd],
  banner: {
    js:
      '#!/usr/bin/env node\n' +
      "import { createRequire as __createRequire } from 'node:module';" +
      'const require = __createRequire(import.meta.url);',
  },
})
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
