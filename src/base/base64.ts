/** Embedded binaries. */

interface Decoders {
  Buffer?: { from(text: string, encoding: 'base64'): Uint8Array<ArrayBuffer> }
  Uint8Array: { fromBase64?(text: string): Uint8Array<ArrayBuffer> }
}

/**
 * Decodes base64 text, by the engine's own decoder where there is one: the loop takes milliseconds before it is
 * optimized.
 */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const { Buffer: node, Uint8Array: type } = globalThis as unknown as Decoders
  if (type.fromBase64) return type.fromBase64(text)
  if (node) return new Uint8Array(node.from(text, 'base64'))
  const binary = atob(text)
  const out = new Uint8Array(binary.length)
  for (let i = 0; i < out.length; i++) out[i] = binary.charCodeAt(i)
  return out
}
