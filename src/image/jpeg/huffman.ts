/**
 * Huffman codes of JPEG as lookup tables, and a scan's bytes made ready for them.
 * Source: ITU-T T.81, annexes C and F.
 */

/** Bits looked at in one step; longer codes take a second step. */
export const LOOK = 11
const LOOK_SIZE = 1 << LOOK

export interface HuffmanTable {
  /** By the next LOOK bits: symbol << 8 | code length; 0 where the code is longer. */
  symbols: Uint16Array
  /** For longer codes, by length: first code past this length's (left-aligned to 16 bits), and what to add to a code for its value's index. */
  limit: Int32Array
  offset: Int32Array
  values: Uint8Array
  /**
   * AC only. Run, size and value in one step, by the next LOOK bits: value << 16 | (run + 1) << 8 | bits used.
   * End of block has run + 1 = 64. 0 where code and value don't fit.
   */
  fused?: Int32Array
  /** AC only, built when first needed. Several coefficients passed over in one step: end of block << 16 | coefficients << 8 | bits used. */
  skip?: Int32Array
}

/** Undefined when the lengths are no prefix code. */
export function huffmanTable(counts: Uint8Array, values: Uint8Array, ac: boolean): HuffmanTable | undefined {
  const symbols = new Uint16Array(LOOK_SIZE)
  const limit = new Int32Array(18), offset = new Int32Array(17)
  let code = 0, index = 0
  for (let length = 1; length <= 16; length++) {
    offset[length] = index - code
    for (let i = 0; i < counts[length - 1]; i++, code++, index++) {
      if (length > LOOK) continue
      const shift = LOOK - length
      if (code >= 1 << length) return undefined
      symbols.fill(values[index] << 8 | length, code << shift, (code + 1) << shift)
    }
    if (code > 1 << length) return undefined
    limit[length] = code << (16 - length)
    code <<= 1
  }
  limit[17] = 0x7fffffff
  const table: HuffmanTable = { symbols, limit, offset, values: values.slice() }
  if (ac) table.fused = fuse(symbols)
  return table
}

function fuse(symbols: Uint16Array): Int32Array {
  const fused = new Int32Array(LOOK_SIZE)
  for (let i = 0; i < LOOK_SIZE; i++) {
    const length = symbols[i] & 255
    if (length === 0) continue
    const run = symbols[i] >> 12, size = symbols[i] >> 8 & 15
    if (size === 0) {
      // 15: sixteen zeros. Other runs of size 0 end the block (in sequential files there is only run 0).
      fused[i] = (run === 15 ? 16 : 64) << 8 | length
    } else if (length + size <= LOOK) {
      const bits = i >> (LOOK - length - size) & ((1 << size) - 1)
      const value = bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits
      fused[i] = value << 16 | (run + 1) << 8 | (length + size)
    }
  }
  return fused
}

/** The table that passes over coefficients whose values nobody wants. */
export function skipTable(table: HuffmanTable): Int32Array {
  if (table.skip) return table.skip
  const fused = table.fused!
  const skip = new Int32Array(LOOK_SIZE)
  for (let i = 0; i < LOOK_SIZE; i++) {
    let used = 0, count = 0, end = 0
    for (;;) {
      // The remaining bits, zeros behind them: an entry that needs more bits than remain does not count.
      const e = fused[i << used & (LOOK_SIZE - 1)]
      if (e === 0 || used + (e & 255) > LOOK) break
      const step = e >> 8 & 255
      used += e & 255
      if (step === 64) {
        end = 1
        break
      }
      count += step
      if (count > 63) break
    }
    skip[i] = end << 16 | count << 8 | used
  }
  table.skip = skip
  return skip
}

/** Entropy-coded bytes of one scan without stuffing, cut at its restart markers. */
export interface ScanData {
  /** Big-endian bits; at least 512 zero bytes follow the last segment. */
  view: DataView
  /** Bit positions of the segments' starts, and of the end of the last one. */
  starts: number[]
  /** Byte position in the file of the marker that ended the scan. */
  end: number
}

/** Zero bytes behind the data: more than the bits one block can take. */
const GUARD = 512

/** Position of the marker that ends the scan data at `at`. */
export function scanEnd(bytes: Uint8Array, at: number): number {
  for (;;) {
    at = bytes.indexOf(0xff, at)
    if (at < 0 || at + 1 >= bytes.length) return bytes.length
    const next = bytes[at + 1]
    if (next === 0xff) at++
    else if (next === 0 || (next >= 0xd0 && next <= 0xd7)) at += 2
    else return at
  }
}

export function readScanData(bytes: Uint8Array, at: number): ScanData {
  const end = scanEnd(bytes, at)
  const data = new Uint8Array(end - at + GUARD)
  data.set(bytes.subarray(at, end))
  const size = end - at
  const starts = [0]
  let from = 0, out = 0
  for (;;) {
    let stop = data.indexOf(0xff, from)
    if (stop < 0 || stop >= size) stop = size
    let next = stop + 1
    while (next < size && data[next] === 0xff) next++
    const stuffed = stop < size && data[next] === 0 && next < size
    const keep = stuffed ? stop + 1 : stop
    if (out !== from) data.copyWithin(out, from, keep)
    out += keep - from
    if (stop >= size) break
    if (!stuffed && next < size) starts.push(out * 8)
    from = next + 1
    if (from > size) break
  }
  data.fill(0, out)
  starts.push(out * 8)
  return { view: new DataView(data.buffer), starts, end }
}
