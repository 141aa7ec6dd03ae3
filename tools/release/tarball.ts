/** The files of a tar archive (ustar, as `npm pack` writes it) and where two archives begin to differ. */

export interface Entry {
  path: string
  bytes: Uint8Array
}

const BLOCK = 512

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).replace(/\0[^]*$/, '')

/** In the order of the archive. Headers of other kinds (pax) are entries like any other. */
export function entries(tar: Uint8Array): Entry[] {
  const found: Entry[] = []
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0;) {
    const header = tar.subarray(at, at + BLOCK)
    const size = parseInt(text(header.subarray(124, 136)).trim(), 8)
    if (!Number.isInteger(size)) throw new Error(`tar: no size at ${at}`)
    const name = text(header.subarray(0, 100))
    const prefix = text(header.subarray(345, 500))
    const start = at + BLOCK
    found.push({ path: prefix ? `${prefix}/${name}` : name, bytes: tar.subarray(start, start + size) })
    at = start + Math.ceil(size / BLOCK) * BLOCK
  }
  return found
}

/** What differs first, as a sentence; undefined where the archives hold the same bytes. */
export function difference(a: Uint8Array, b: Uint8Array): string | undefined {
  if (Buffer.compare(a, b) === 0) return undefined
  const [left, right] = [entries(a), entries(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [l, r] = [left[i], right[i]]
    if (!l || !r || l.path !== r.path) return `file ${i}: ${l?.path ?? 'nothing'} against ${r?.path ?? 'nothing'}`
    const at = l.bytes.findIndex((byte, j) => byte !== r.bytes[j])
    if (at >= 0) return `${l.path} differs at byte ${at}`
    if (l.bytes.length !== r.bytes.length) {
      return `${l.path} has ${l.bytes.length} bytes against ${r.bytes.length}`
    }
  }
  return 'the headers differ (modes, times), the contents are the same'
}
