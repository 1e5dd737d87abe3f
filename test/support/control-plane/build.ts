/** Builds the control plane if it is not there yet, so that its time shows apart from the tests'. */
import { findAssets } from './assets.ts'

await findAssets()
