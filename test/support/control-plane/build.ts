/**
 * Builds the control plane, and with the argument `node` a node, if it is not there yet, so that
 * its time shows apart from the tests'.
 */
import { findAssets, findNodeAssets } from './assets.ts'

if (process.argv[2] === 'node') await findNodeAssets()
else await findAssets()
