/**
 * Reading and writing files for commands: sizes are checked first, what goes wrong is one clear error, and results
 * appear whole or not at all.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ThimbleError } from '../base/errors.ts'
import { readLabels } from '../answers/label-file.ts'
import { note } from './report.ts'
import { text } from './args.ts'
import type { Args } from './command.ts'

/** Largest file read: 1 GiB. */
const MAX_FILE_BYTES = 1024 ** 3

const REASON: Record<string, string> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'no permission to read it',
  EPERM: 'no permission to read it',
  EISDIR: 'it is a folder',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'the link leads in a circle',
  ENXIO: 'not a readable file',
}

/** The system's error about a path as a ThimbleError: the call named it, so the call is at fault. */
export function fileError(error: unknown, path: string, doing: 'read' | 'written'): ThimbleError {
  const { code = '', message } = error as NodeJS.ErrnoException
  const reason = doing === 'written' && /^ENO(ENT|TDIR)$/.test(code) ? 'no such folder' : (REASON[code] ?? message)
  const where = path || 'a file without a name'
  return new ThimbleError(doing === 'read' ? 'usage/file' : 'usage/output', `${where} can't be ${doing}: ${reason}`, {
    cause: error,
  })
}

const tooLarge = (path: string, bytes: number | string): ThimbleError =>
  new ThimbleError('usage/file', `${path} is too large`, { expected: `at most ${MAX_FILE_BYTES} bytes`, got: bytes })

/** A whole file. Errors: `usage/file`. */
export function readFile(path: string): Uint8Array {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    throw fileError(error, path, 'read')
  }
  try {
    const stat = fstatSync(fd)
    if (stat.isDirectory()) throw new ThimbleError('usage/file', `${path} can't be read: it is a folder`)
    if (stat.size > MAX_FILE_BYTES) throw tooLarge(path, stat.size)
    // Pipes and the like say 0: read until they end.
    return stat.isFile() ? readSized(fd, stat.size) : readToEnd(fd, path)
  } catch (error) {
    throw error instanceof ThimbleError ? error : fileError(error, path, 'read')
  } finally {
    closeSync(fd)
  }
}

/** The bytes of --labels FILE, where it is given. Errors: `usage/file`. */
export function labelBytes(args: Args): Uint8Array | undefined {
  const path = text(args, 'labels')
  return path === undefined ? undefined : readFile(path)
}

/**
 * The class names of --labels FILE, where it is given; what was decided in reading them is said on stderr.
 * Errors: `usage/file`, `format/labels`.
 */
export function labelFile(args: Args): string[] | undefined {
  const bytes = labelBytes(args)
  if (!bytes) return undefined
  const { labels, notes } = readLabels(bytes)
  notes.forEach(note)
  return labels
}

function readSized(fd: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let have = 0
  while (have < size) {
    const n = readSync(fd, bytes, have, size - have, null)
    if (n === 0) break
    have += n
  }
  return bytes.subarray(0, have)
}

function readToEnd(fd: number, path: string): Uint8Array {
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    const chunk = Buffer.alloc(65536)
    const n = readSync(fd, chunk, 0, chunk.length, null)
    if (n === 0) return Buffer.concat(chunks)
    chunks.push(chunk.subarray(0, n))
    if ((total += n) > MAX_FILE_BYTES) throw tooLarge(path, `more than ${MAX_FILE_BYTES}`)
  }
}

/** Everything on stdin. Errors: `usage/file`. */
export async function readStdin(): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let total = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    if ((total += chunk.length) > MAX_FILE_BYTES) throw tooLarge('stdin', `more than ${MAX_FILE_BYTES}`)
  }
  return Buffer.concat(chunks)
}

/** Names that a folder's files must end in to be taken for images. */
const IMAGE_NAME = /\.(jpe?g|jpe|jfif|png|bmp|dib|ppm|pgm|pbm|pnm)$/i

/** Pictures that are not read. */
const OTHER_IMAGE_NAME = /\.(webp|hei[cf]|avif|gif|tiff?|jxl|jp2|j2k|svg|ico|psd|cr2|cr3|nef|arw|dng|raf|orf|rw2)$/i

/** What a path leads to by links; undefined where it leads nowhere. */
function leadsTo(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

export const isFolder = (path: string): boolean => leadsTo(path)?.isDirectory() ?? false

/**
 * The images of a folder and its subfolders by name, sorted, links followed; dot files and `node_modules` are left out.
 * Pictures of kinds that are not read go to `skipped`. Errors: `usage/file`.
 */
export function imagesIn(folder: string, skipped: string[] = []): string[] {
  const found: string[] = []
  const walk = (dir: string, within: readonly string[]): void => {
    let names
    try {
      const self = realpathSync(dir)
      // A link to a folder that it is in would never end.
      if (within.includes(self)) return
      within = [...within, self]
      names = readdirSync(dir)
    } catch (error) {
      throw fileError(error, dir, 'read')
    }
    for (const name of names.sort()) {
      if (name.startsWith('.') || name === 'node_modules') continue
      const path = join(dir, name)
      const stat = leadsTo(path)
      if (stat?.isDirectory()) walk(path, within)
      else if (OTHER_IMAGE_NAME.test(name)) skipped.push(path)
      else if (IMAGE_NAME.test(name) && stat?.isFile()) found.push(path)
    }
  }
  walk(folder, [])
  return found
}

/**
 * Writes several files so that either all of them appear, complete, or none: under temporary names beside their own
 * first, renamed when every one is written. Errors: `usage/output`.
 */
export function writeFiles(files: { path: string; bytes: Uint8Array | string }[]): void {
  const temporary = files.map(({ path }) => `${path}.${process.pid}.tmp`)
  try {
    files.forEach(({ path, bytes }, i) => {
      try {
        if (path === '') throw Object.assign(new Error(), { code: 'ENOENT' })
        if (isFolder(path)) throw Object.assign(new Error(), { code: 'EISDIR' })
        writeFileSync(temporary[i]!, bytes)
      } catch (error) {
        throw fileError(error, path, 'written')
      }
    })
    files.forEach(({ path }, i) => renameSync(temporary[i]!, path))
  } catch (error) {
    for (const path of temporary) rmSync(path, { force: true })
    throw error
  }
}
