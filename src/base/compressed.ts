/**
 * Embedded binaries that are loaded on demand: base64 of a DEFLATE stream, a quarter less to download than of the
 * bytes.
 */
import { fromBase64 } from './base64.ts'

export interface Compressed {
  /** Length when inflated. */
  bytes: number
  deflated: string
}

interface Hosts {
  process?: {
    getBuiltinModule?(name: string): { inflateRawSync?(data: Uint8Array): Uint8Array<ArrayBuffer> } | undefined
  }
  DecompressionStream?: new (format: 'deflate-raw') => ReadableWritablePair<Uint8Array, Uint8Array>
}

/** By the host's own decoder where there is one, else by Thimble's. */
export async function decompress({ bytes, deflated }: Compressed): Promise<Uint8Array<ArrayBuffer>> {
  const { process, DecompressionStream: Decoder } = globalThis as unknown as Hosts
  const data = fromBase64(deflated)
  const zlib = process?.getBuiltinModule?.('node:zlib')
  if (zlib?.inflateRawSync) return new Uint8Array(zlib.inflateRawSync(data))
  if (Decoder) {
    try {
      const stream = new Blob([data]).stream().pipeThrough(new Decoder('deflate-raw'))
      return new Uint8Array(await new Response(stream).arrayBuffer())
    } catch {
      // Engines that have the class but not this format.
    }
  }
  const { inflate } = await import('./inflate.ts')
  return new Uint8Array(inflate(data, bytes))
}
