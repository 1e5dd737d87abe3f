import type { Asset } from './server.ts'

/**
 * The files of the page, by path. The build replaces this module by one that holds them
 * (`.ci/bundle.mjs`): in the sources the page is not made yet.
 */
export const ASSETS: Readonly<Record<string, Asset>> = {}
