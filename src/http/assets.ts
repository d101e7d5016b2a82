/** Files that ship with Daybook. The one place that knows whether they lie in a folder or inside the executable. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { getRawAsset, isSea } from 'node:sea'

/** How a person calls the command line of this Daybook. */
export const COMMAND = isSea() ? './daybook' : 'npm run -s daybook --'

/** @param path relative to the project's root, as in `openapi/logo.png` */
export const asset = (path: string): Buffer =>
  isSea() ? Buffer.from(getRawAsset(path)) : readFileSync(join(import.meta.dirname, '../..', path))
