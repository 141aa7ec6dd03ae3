/** Bytes of files and of linear memory: little-endian typed arrays, alignment. */

/** The first multiple of `to` that is not below `n`. */
export const align = (n: number, to: number): number => Math.ceil(n / to) * to

export const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/** int32s as a copy, whatever their position in the file. The buffer holds nothing else. */
export function int32s(bytes: Uint8Array): Int32Array<ArrayBuffer> {
  const out = new Int32Array(bytes.length >> 2)
  const copy = new Uint8Array(out.buffer)
  copy.set(bytes.subarray(0, copy.length))
  if (!LITTLE_ENDIAN) {
    for (let i = 0, view = new DataView(out.buffer); i < out.length; i++) out[i] = view.getInt32(i * 4, true)
  }
  return out
}

/** The same to read from only: a view where position and byte order allow it. */
export const int32View = (bytes: Uint8Array): Int32Array =>
  LITTLE_ENDIAN && bytes.byteOffset % 4 === 0
    ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
    : int32s(bytes)

/** Little-endian bytes of float32 or int32 values; a view of them where the machine stores them so. */
export function wordBytes(values: Float32Array | Int32Array): Uint8Array {
  if (LITTLE_ENDIAN) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const view = new DataView(new ArrayBuffer(4 * values.length))
  values.forEach((v, i) =>
    values instanceof Float32Array ? view.setFloat32(4 * i, v, true) : view.setInt32(4 * i, v, true),
  )
  return new Uint8Array(view.buffer)
}

/** Little-endian bytes of values of any width; a view of them where the machine stores them so. */
export function littleEndian(values: ArrayBufferView): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const size = (values as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
  if (LITTLE_ENDIAN || size === 1) return bytes
  const out = bytes.slice()
  for (let at = 0; at < out.length; at += size) out.subarray(at, at + size).reverse()
  return out
}

/** Reverses the bytes of each element in place: between the machine's byte order and the other one. */
export function reverseWords(values: ArrayBufferView & { readonly BYTES_PER_ELEMENT: number }): void {
  const size = values.BYTES_PER_ELEMENT
  if (size === 1) return
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse()
}
