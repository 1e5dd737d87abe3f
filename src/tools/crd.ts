import { readFileSync } from 'node:fs'

/** The CRD as it stands in `crds/`. A bundle carries its text, see `.ci/build.mjs`. */
export const CRD_TEXT: string = readFileSync(
  new URL('../../crds/onepassword.com_onepassworditems.yaml', import.meta.url),
  'utf8',
)
