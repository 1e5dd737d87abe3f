// Bundles the program into one file, dist/keyferry.mjs, that needs nothing but Node 24.

import * as esbuild from 'esbuild'
import { chmod } from 'node:fs/promises'

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

await esbuild.build({
  entryPoints: { keyferry: 'src/main.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  logLevel: 'warning',
  // Optional natives of pg and ws that are never installed here.
  external: ['pg-native', 'bufferutil', 'utf-8-validate'],
  plugins: [shakeKubernetesClient],
  banner: {
    js:
      '#!/usr/bin/env node\n' +
      "import { createRequire as __createRequire } from 'node:module';" +
      'const require = __createRequire(import.meta.url);',
  },
})
await chmod('dist/keyferry.mjs', 0o755)
