#!/usr/bin/env node
// Runs a command of this project from a bare clone: finds or fetches the Node named in
// .node-version, installs the locked dependencies when they are missing or outdated, then hands
// over. Plain JavaScript without dependencies, so that it starts on Node 18 and later.
//
//   node .ci/bootstrap.mjs node test/run.ts unit
//   node .ci/bootstrap.mjs oxlint --type-aware

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { step } from './progress.mjs'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const cache = path.join(
  process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache'),
  'keyferry',
)

/** A failure that needs no stack: one sentence with the remedy. */
class Refusal extends Error {}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} [options]
 * @returns {Promise<string>} standard output
 */
function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let out = ''
    let err = ''
    child.stdout?.on('data', (chunk) => (out += chunk))
    child.stderr?.on('data', (chunk) => (err += chunk))
    child.on('error', (error) => reject(new Refusal(`cannot start ${command}: ${error.message}`)))
    child.on('close', (code) => {
      if (code === 0) return resolve(out)
      const tail = (err || out).trim().split('\n').slice(-15).join('\n')
      reject(new Refusal(`${command} ${args.join(' ')} ended with ${code}:\n${tail}`))
    })
  })
}

/** @returns {Promise<string>} the folder that holds a `node` new enough for this project */
async function findNode() {
  const version = (await readFile(path.join(root, '.node-version'), 'utf8')).trim()
  const wanted = Number(version.split('.')[0])
  if (Number(process.versions.node.split('.')[0]) >= wanted) return path.dirname(process.execPath)

  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${platform}-${process.arch}`
  const target = path.join(cache, `${name}-${version}`)
  const bin = path.join(target, 'node_modules', name, 'bin')
  if (existsSync(bin)) return bin

  await step(`fetching Node ${version} (this one is ${process.versions.node})`, async () => {
    await mkdir(cache, { recursive: true })
    const draft = await mkdtemp(path.join(cache, 'node-'))
    await writeFile(path.join(draft, 'package.json'), '{}')
    await run(
      'npm',
      ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${version}`],
      { cwd: draft },
    ).catch((error) => {
      throw new Refusal(
        `Keyferry needs Node ${wanted} or later and could not fetch ${name}@${version}: ` +
          `install Node ${wanted} from nodejs.org and run the command again.\n${error.message}`,
      )
    })
    // Two clones may do this at once: whoever renames first wins, the other draft is dropped.
    await rename(draft, target).catch(() => rm(draft, { recursive: true, force: true }))
  })
  return bin
}

/** @param {NodeJS.ProcessEnv} env */
async function installDependencies(env) {
  const lock = await readFile(path.join(root, 'package-lock.json'))
  const digest = createHash('sha256').update(lock).digest('hex')
  const stamp = path.join(root, 'node_modules', '.keyferry-lock')
  const installed = await readFile(stamp, 'utf8').catch(() => '')
  if (installed === digest) return
  await step('installing dependencies (npm ci)', () => run('npm', ['ci'], { cwd: root, env }))
  await writeFile(stamp, digest)
}

/** @param {string[]} argv */
async function main(argv) {
  const [command, ...args] = argv
  if (!command) throw new Refusal('usage: node .ci/bootstrap.mjs COMMAND [ARGUMENT…]')
  const node = await findNode()
  const bins = path.join(root, 'node_modules', '.bin')
  const PATH = [node, bins, process.env['PATH']].join(path.delimiter)
  const env = { ...process.env, PATH }
  await installDependencies(env)

  const child = spawn(command, args, { cwd: root, env, stdio: 'inherit' })
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => child.kill(signal))
  }
  child.on('error', (error) => fail(new Refusal(`cannot start ${command}: ${error.message}`)))
  child.on('exit', (code, signal) => {
    if (signal) process.kill(process.pid, signal)
    process.exitCode = code ?? 1
  })
}

/** @param {unknown} error */
function fail(error) {
  console.error(error instanceof Refusal ? `keyferry: ${error.message}` : error)
  process.exitCode = 1
}

main(process.argv.slice(2)).catch(fail)
