import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { run } from './run.ts'
import { cacheDir, tell } from './skip.ts'

const SOURCES = path.join(
  path.dirname(path.dirname(fileURLToPath(import.meta.url))),
  'contract',
  'clients',
)

/** Versions of the tools and clients that the tests fetch. */
const VERSIONS = {
  javascript: '@1password/connect@1.4.2',
  python: 'onepasswordconnectsdk==2.1.0',
  go: 'connect-sdk-go@1.5.3',
  schemathesis: 'schemathesis==4.32.5',
} as const

/**
 * A directory with a tool in it, fetched once: it is made under another name and renamed when
 * it is complete, so that an interrupted fetch leaves nothing that looks complete.
 */
export async function once(
  version: string,
  fetch: (dir: string) => Promise<unknown>,
): Promise<string> {
  const base = await cacheDir('tools')
  const target = path.join(base, version.replaceAll(/[^A-Za-z0-9.]+/g, '-').replace(/^-/, ''))
  if (existsSync(target)) return target
  tell(`fetching ${version}`)
  const draft = await mkdtemp(path.join(base, 'draft-'))
  try {
    await fetch(draft)
    await rename(draft, target).catch((error: NodeJS.ErrnoException) => {
      if (!existsSync(target)) throw error
    })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
  return target
}

/** The folder whose node_modules hold the JavaScript client. */
export function javascriptClient(): Promise<string> {
  return once(VERSIONS.javascript, async (dir) => {
    await writeFile(path.join(dir, 'package.json'), '{"private":true}')
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save']
    await run('npm', ['install', ...flags, VERSIONS.javascript], { cwd: dir })
  })
}

/** A Python interpreter that finds the Python client. */
export async function pythonClient(): Promise<string> {
  return python(await once(VERSIONS.python, (dir) => pip(dir, VERSIONS.python)))
}

/** The Schemathesis program, as a Python module's interpreter. */
export async function schemathesis(): Promise<string> {
  return python(await once(VERSIONS.schemathesis, (dir) => pip(dir, VERSIONS.schemathesis)))
}

/** The life of an item in Go, built. */
export async function goClient(): Promise<string> {
  const dir = await once(VERSIONS.go, async (draft) => {
    const source = path.join(SOURCES, 'go')
    for (const file of ['main.go', 'go.mod', 'go.sum']) {
      await copyFile(path.join(source, file), path.join(draft, file))
    }
    await run('go', ['build', '-o', 'life', '.'], { cwd: draft, env: goEnv() })
  })
  return path.join(dir, 'life')
}

/** Libraries go to a plain directory: a virtual environment could not be renamed. */
async function pip(dir: string, requirement: string): Promise<void> {
  const target = path.join(dir, 'lib')
  await mkdir(target)
  const flags = ['--quiet', '--disable-pip-version-check', '--no-warn-script-location']
  const env = path.join(dir, 'pip')
  // A Python without pip of its own, as Debian's, gets one this way.
  await run('python3', ['-m', 'venv', env])
  const install = ['-m', 'pip', 'install', ...flags, '--target', target, requirement]
  await run(path.join(env, 'bin', 'python'), install)
  await rm(env, { recursive: true })
  const wrapper = `#!/bin/sh\nPYTHONPATH="$(dirname "$0")/lib" exec python3 "$@"\n`
  await writeFile(path.join(dir, 'python'), wrapper, { mode: 0o755 })
}

const python = (dir: string): string => path.join(dir, 'python')

/** The module's own toolchain line must not fetch another Go. */
export const goEnv = (): NodeJS.ProcessEnv => ({
  ...process.env,
  GOTOOLCHAIN: 'local',
  CGO_ENABLED: '0',
})
