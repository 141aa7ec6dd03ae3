/** Embedded binaries. */

/** Decodes base64 text. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  // Younger engines have it built in.
  const { fromBase64: native } = Uint8Array as unknown as { fromBase64?(text: string): Uint8Array<ArrayBuffer> }
  if (native) return native.call(Uint8Array, text)
  const binary = atob(text)
  const out = new Uint8Array(binary.length)
  for (let i = 0; i < out.length; i++) out[i] = binary.charCodeAt(i)
  return out
}
