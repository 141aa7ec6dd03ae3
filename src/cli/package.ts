/** Files of the package itself: package.json and weights/. */
import { readFileSync } from 'node:fs'

/**
 * URL of a file by its path from the package's root, which is the folder above src/ or dist/, wherever in them this
 * module is.
 */
export const packageFile = (path: string): URL => new URL(path, import.meta.url.replace(/(.*\/)(?:src|dist)\/.*/, '$1'))

/** The version in package.json. */
export const packageVersion = (): string =>
  (JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as { version: string }).version
