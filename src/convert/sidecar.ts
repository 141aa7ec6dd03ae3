/** Where a model keeps the rest of itself: weight shards, external tensors, label files, all named relative to it. */
import { ThimbleError } from '../base/errors.ts'

/** Gives the bytes of a file beside the model, or undefined when there is none. */
export type Sidecar = (name: string) => Promise<Uint8Array | undefined> | Uint8Array | undefined

/** A relative name that stays below the model's folder: no scheme, no absolute path, no `..`. */
export function safeName(name: string): string {
  const parts = name
    .replace(/\\/g, '/')
    .split('/')
    .filter((p) => p !== '' && p !== '.')
  if (
    parts.length === 0 ||
    name.startsWith('/') ||
    /^[a-z][a-z0-9+.-]*:/i.test(name) ||
    parts.includes('..') ||
    name.includes('\0')
  ) {
    throw new ThimbleError('format/sidecar', 'model refers to a file outside its folder', { got: JSON.stringify(name) })
  }
  return parts.join('/')
}

/** Reads a file that the model needs. Errors: `format/sidecar` when it is not there. */
export async function needSidecar(sidecar: Sidecar | undefined, name: string): Promise<Uint8Array> {
  const bytes = await sidecar?.(safeName(name))
  if (!bytes) {
    throw new ThimbleError('format/sidecar', 'model needs another file beside it', {
      got: JSON.stringify(name),
      hint: 'keep the files of the model together, or give the .zip that holds them',
    })
  }
  return bytes
}
