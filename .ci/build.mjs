// Bundles the program into one file, dist/keyferry.mjs, that needs nothing but Node 24, and the
// parts that other programs may import: keyferry/plan and keyferry/connect, with their types.
// Beside the program stand its bill of materials and the licences of all that is in it.

import { execFile } from 'node:child_process'
import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { bundleLibrary, bundleProgram } from './bundle.mjs'
import { billOf, licencesOf, materialsOf } from './materials.mjs'

const PROGRAM = 'dist/keyferry.mjs'

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

await rm('dist', { recursive: true, force: true })
const materials = await materialsOf(await bundleProgram(true))
await escape(PROGRAM)
await chmod(PROGRAM, 0o755)
const bill = await billOf(materials, await readFile(PROGRAM))
await writeFile('dist/keyferry.cdx.json', `${JSON.stringify(bill, null, 2)}\n`)
await writeFile('dist/keyferry.licenses.txt', await licencesOf(materials))

await bundleLibrary()
const tsc = 'node_modules/typescript/bin/tsc'
await promisify(execFile)(process.execPath, [tsc, '-p', 'tsconfig.types.json'])
