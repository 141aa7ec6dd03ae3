/** Files of the package itself: package.json and weights/. */

/**
 * URL of a file by its path from the package's root, which is the folder above src/ or dist/, wherever in them this
 * module is.
 */
export const packageFile = (path: string): URL => new URL(path, import.meta.url.replace(/(.*\/)(?:src|dist)\/.*/, '$1'))
