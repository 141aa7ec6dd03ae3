/**
 * Packages that a command needs and Thimble does not bring: found beside Thimble, or in the project it is called in.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ThimbleError } from '../base/errors.ts'

/** Errors: `usage/dependency`. */
export async function peer<T>(name: string, what: string): Promise<T> {
  const found = (await imported(name)) ?? (await imported(inProject(name)))
  if (found) return found as T
  throw new ThimbleError('usage/dependency', `${what} needs the package ${name}, which is not installed`, {
    hint: `npm install ${name}`,
  })
}

function inProject(name: string): string | undefined {
  try {
    return pathToFileURL(createRequire(join(process.cwd(), 'package.json')).resolve(name)).href
  } catch {
    return undefined
  }
}

/** The module, or undefined where there is none; one that is there and fails to start says so itself. */
async function imported(specifier: string | undefined): Promise<unknown> {
  if (specifier === undefined) return undefined
  try {
    return await import(specifier)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}
