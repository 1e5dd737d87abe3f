/**
 * From the paths on a command line to texts.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { KeyferryError } from '../../errors.ts'
import type { Source } from './parse.ts'

/** What was read, and which folders hold templates that only Helm can read. */
export interface Sources {
  readonly sources: readonly Source[]
  readonly skipped: readonly string[]
}

const SUFFIXES = ['.yaml', '.yml', '.json']
/** Folders without manifests, which may be very large. */
const IGNORED = new Set(['node_modules', '.git'])

/**
 * The texts of files, of all YAML and JSON files in folders, and of standard input (`-`).
 *
 * @throws KeyferryError INPUT_INVALID for a path that cannot be read
 */
export async function readSources(
  paths: readonly string[],
  stdin: NodeJS.ReadableStream,
): Promise<Sources> {
  const sources: Source[] = []
  const skipped: string[] = []
  for (const one of paths) {
    if (one === '-') sources.push({ name: '-', text: await text(stdin) })
    else await readPath(one, { sources, skipped })
  }
  return { sources, skipped }
}

async function readPath(
  name: string,
  found: { readonly sources: Source[]; readonly skipped: string[] },
): Promise<void> {
  try {
    const isFolder = (await stat(name)).isDirectory()
    const files = isFolder ? await walk(name, found.skipped) : [name]
    for (const file of files) {
      found.sources.push({ name: file, text: await readFile(file, 'utf8') })
    }
  } catch (cause) {
    throw new KeyferryError('INPUT_INVALID', {
      message: `${name} cannot be read (${(cause as { code?: string }).code ?? 'unknown'})`,
      remedy: 'Name files, folders, or - for standard input.',
      retry: 'on-change',
      cause,
    })
  }
}

/** Files in a folder and those below it, in the order of their names. */
async function walk(folder: string, skipped: string[]): Promise<string[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  )
  const isChart = entries.some(({ name }) => name === 'Chart.yaml')
  const files: string[] = []
  for (const entry of entries) {
    const name = path.join(folder, entry.name)
    if (entry.isDirectory()) {
      if (isChart && entry.name === 'templates') skipped.push(name)
      else if (!IGNORED.has(entry.name)) files.push(...(await walk(name, skipped)))
    } else if (entry.isFile() && SUFFIXES.includes(path.extname(entry.name).toLowerCase())) {
      files.push(name)
    }
  }
  return files
}
