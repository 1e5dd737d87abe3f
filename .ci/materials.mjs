// What a bundle is made of: a bill of materials in CycloneDX, and the licences that come with it. Made
// of the bundler's own record and the lock file, so both name what is really there and nothing else.

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

/**
 * A package of which at least one file is in the bundle.
 *
 * @typedef {object} Material
 * @property {string} folder `node_modules/a/node_modules/b`
 * @property {string} name
 * @property {string} version
 * @property {string} license SPDX expression
 * @property {string} integrity of its archive: `sha512-` and base64
 * @property {readonly string[]} dependsOn folders of other materials
 */

const IN_PACKAGE = /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/

/**
 * @param {import('esbuild').Metafile} metafile
 * @returns {Promise<Material[]>} by folder
 */
export async function materialsOf(metafile) {
  const { packages } = JSON.parse(await readFile('package-lock.json', 'utf8'))
  const folders = Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs)
      .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
      // Where node_modules is a link, its files are named by where it leads.
      .flatMap(([file]) => IN_PACKAGE.exec(file.slice(file.indexOf('node_modules/')))?.[0] ?? []),
  )
  const present = [...new Set(folders)].toSorted()
  return present.map((folder) => {
    const locked = packages[folder]
    if (!locked?.integrity) throw new Error(`${folder} is in the bundle and not in the lock file`)
    const wanted = Object.keys(locked.dependencies ?? {})
    return {
      folder,
      name: folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: locked.version,
      license: locked.license,
      integrity: locked.integrity,
      dependsOn: wanted.flatMap((name) => nearest(present, folder, name) ?? []),
    }
  })
}

/**
 * Where Node finds a package from inside another.
 *
 * @param {readonly string[]} present
 * @param {string} from
 * @param {string} name
 * @returns {string | undefined}
 */
function nearest(present, from, name) {
  const steps = from.split('/node_modules/')
  const places = steps.map((_, n) => steps.slice(0, steps.length - n).join('/node_modules/'))
  const found = places.map((place) => `${place}/node_modules/${name}`)
  return [...found, `node_modules/${name}`].find((folder) => present.includes(folder))
}

/**
 * CycloneDX 1.5, as `npm sbom` writes it; without time and serial number, so that equal sources
 * give equal bills.
 *
 * @param {readonly Material[]} materials
 * @param {Buffer} program
 */
export async function billOf(materials, program) {
  const manifest = JSON.parse(await readFile('package.json', 'utf8'))
  const { name, version, description, license } = manifest
  const root = `${name}@${version}`
  // What the status page is made of is a tool for whoever installs: it comes bundled.
  const wanted = { ...manifest.dependencies, ...manifest.devDependencies }
  const direct = Object.keys(wanted).map((one) => `node_modules/${one}`)
  /** @param {readonly string[]} folders */
  const refsOf = (folders) =>
    materials
      .filter(({ folder }) => folders.includes(folder))
      .map(refOf)
      .toSorted()
  // The same version in two folders is one component.
  const components = new Map(materials.map((one) => [refOf(one), one]))
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      lifecycles: [{ phase: 'build' }],
      component: {
        'bom-ref': root,
        type: 'application',
        name,
        version,
        description,
        purl: `pkg:npm/${root}`,
        hashes: [{ alg: 'SHA-256', content: sha256(program) }],
        licenses: [{ license: { id: license } }],
      },
    },
    components: [...components].map(([ref, one]) => ({
      'bom-ref': ref,
      type: 'library',
      name: one.name,
      version: one.version,
      scope: 'required',
      purl: `pkg:npm/${one.name.replace('@', '%40')}@${one.version}`,
      hashes: [{ alg: 'SHA-512', content: hexOf(one.integrity) }],
      licenses: [
        /^[\w.-]+$/.test(one.license)
          ? { license: { id: one.license } }
          : { expression: one.license },
      ],
    })),
    dependencies: [
      { ref: root, dependsOn: refsOf(direct) },
      ...[...components].map(([ref, one]) => ({ ref, dependsOn: refsOf(one.dependsOn) })),
    ],
  }
}

/**
 * The text that most licences ask to go with every copy.
 *
 * @param {readonly Material[]} materials
 */
export async function licencesOf(materials) {
  const parts = await Promise.all(
    materials.map(async ({ folder, name, version, license }) => {
      const files = (await readdir(folder)).filter((file) => IS_LICENCE.test(file)).toSorted()
      const texts = await Promise.all(
        files.map((file) => readFile(path.join(folder, file), 'utf8')),
      )
      if (texts.length === 0) texts.push(await declarationOf(folder))
      const title = `${name} ${version} (${license})`
      return `${title}\n${'='.repeat(title.length)}\n\n${texts.map((text) => text.trim()).join('\n\n')}\n`
    }),
  )
  return `keyferry.mjs is made of Keyferry, under the licence in LICENSE, and of these.\n\n${parts.join('\n')}`
}

const IS_LICENCE = /^(?:licen[cs]e|notice|copying)/i

/**
 * Of a package without a file with its licence: what it says of itself.
 *
 * @param {string} folder
 */
async function declarationOf(folder) {
  const { license, author } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'))
  return `Licence: ${license}. Author: ${author?.name ?? author ?? 'not named'}.`
}

/** @param {Material} material */
const refOf = ({ name, version }) => `${name}@${version}`

/** @param {Buffer} bytes */
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

/** @param {string} integrity */
const hexOf = (integrity) =>
  Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex')
