/** Other names for what a wasm module exports; everything else stays as it is, byte for byte. */

/** An unsigned LEB128 number and where it ends. */
function number(bytes: Uint8Array, at: number): [value: number, end: number] {
  let value = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!
    value += (byte & 127) * 2 ** shift
    if (byte < 128) return [value, at]
  }
}

function leb(value: number): number[] {
  const out: number[] = []
  for (; value > 127; value = Math.floor(value / 128)) out.push((value & 127) | 128)
  return [...out, value]
}

const EXPORTS = 7

/** The export section's contents with other names. */
function renamed(section: Uint8Array, name: (old: string) => string): Uint8Array {
  const [count, first] = number(section, 0)
  const parts: Uint8Array[] = [Uint8Array.from(leb(count))]
  let at = first
  for (let i = 0; i < count; i++) {
    const [length, from] = number(section, at)
    const text = new TextEncoder().encode(name(new TextDecoder().decode(section.subarray(from, from + length))))
    // The kind, a byte, and the index.
    const [, end] = number(section, from + length + 1)
    parts.push(Uint8Array.from(leb(text.length)), text, section.subarray(from + length, end))
    at = end
  }
  return Buffer.concat(parts)
}

export function renameExports(wasm: Uint8Array, name: (old: string) => string): Uint8Array {
  const parts: Uint8Array[] = [wasm.subarray(0, 8)]
  for (let at = 8; at < wasm.length;) {
    const [bytes, from] = number(wasm, at + 1)
    const section = wasm.subarray(from, from + bytes)
    if (wasm[at] === EXPORTS) {
      const contents = renamed(section, name)
      parts.push(Uint8Array.of(EXPORTS, ...leb(contents.length)), contents)
    } else parts.push(wasm.subarray(at, from + bytes))
    at = from + bytes
  }
  return Buffer.concat(parts)
}
