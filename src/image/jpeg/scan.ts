/**
 * Scans to samples: sequential ones block by block straight through the inverse DCT, progressive ones into stored
 * coefficients that are transformed at the end.
 * Source: ITU-T T.81, F.2 (sequential), G.2 (progressive), A.2 (order of blocks), E.2.4 (restarts).
 */
import { corrupt, truncated } from '../limits.ts'
import { BitReader, type HuffmanTable, longCode, LOOK, LOOK_MASK } from './entropy.ts'
import { type Component, type Frame, type Markers, type Scan, ZIGZAG } from './frame.ts'
import { type Idct, idctOfSize } from './idct.ts'

/** Far more than encoders write (about ten). */
const MAX_SCANS = 100

/** A component's decoded samples. `size`: samples across a block (8, or fewer when scaled). */
export interface Plane {
  component: Component
  size: number
  stride: number
  samples: Uint8Array
  /** Progressive, until they are transformed: [paddedHigh][paddedWide][64] in natural order. */
  coefficients?: Int16Array | undefined
  /** Progressive: the lowest bit that each coefficient has been given, -1 before its first scan. */
  progress: Int8Array
}

const blocksOf = (c: Component): number => c.paddedWide * c.paddedHigh

/** Bytes that the planes of a frame take. */
export const planeBytes = (frame: Frame, sizes: readonly number[]): number =>
  frame.components.reduce((sum, c, i) => sum + blocksOf(c) * sizes[i]! ** 2, 0)

/** Most bytes in use while scans are decoded: a progressive file's coefficients go as the planes come. */
export function scanBytes(frame: Frame, sizes: readonly number[]): number {
  const planes = frame.components.map((c, i) => blocksOf(c) * sizes[i]! ** 2)
  if (!frame.progressive) return planes.reduce((a, b) => a + b, 0)
  return frame.components.reduce((sum, c) => sum + blocksOf(c) * 128, 0) + Math.max(...planes)
}

/** Reads every scan of the file. */
export function decodeScans(markers: Markers, frame: Frame, sizes: readonly number[]): Plane[] {
  const planes = frame.components.map((component, i): Plane => {
    const blocks = blocksOf(component)
    return {
      component,
      size: sizes[i]!,
      stride: component.paddedWide * sizes[i]!,
      progress: new Int8Array(64).fill(-1),
      ...(frame.progressive
        ? { samples: new Uint8Array(0), coefficients: new Int16Array(blocks * 64) }
        : { samples: new Uint8Array(blocks * sizes[i]! ** 2) }),
    }
  })
  const seen = new Set<number>()
  let scans = 0
  for (let scan = markers.toScan(); scan; scan = markers.toScan()) {
    if (++scans > MAX_SCANS) throw corrupt('JPEG', 'too many scans', { expected: `at most ${MAX_SCANS}` })
    for (const { index } of scan.components) {
      // Every bit of every coefficient comes once: that bounds the work that a small file can ask for.
      if (frame.progressive) advance(planes[index]!.progress, scan)
      else if (seen.has(index)) throw corrupt('JPEG', 'a colour component comes twice')
      seen.add(index)
    }
    markers.pos = decodeScan(markers, frame, scan, planes)
    // A sequential file is complete once every component has been there; what may follow is not looked at.
    if (!frame.progressive && seen.size === planes.length) break
  }
  // Any scan of a progressive file can be the last one: only the end marker tells.
  if (frame.progressive && !markers.complete) {
    throw truncated('JPEG', 'further scans or the end marker', `the end of the file at byte ${markers.bytes.length}`)
  }
  if (seen.size < planes.length) {
    throw corrupt('JPEG', 'image data of a colour component is missing', { expected: planes.length, got: seen.size })
  }
  if (frame.progressive) for (const plane of planes) transform(plane, quantizerOf(markers, plane.component))
  return planes
}

/** Source: T.81, G.1.1.1.2 (successive approximation). */
function advance(progress: Int8Array, { start, end, high, low }: Scan): void {
  for (let k = start; k <= end; k++) {
    if (progress[k] !== (high === 0 ? -1 : high)) throw corrupt('JPEG', 'a progressive scan comes out of turn')
    progress[k] = low
  }
}

function quantizerOf(markers: Markers, component: Component): Uint16Array {
  const table = markers.quantizers[component.quantizer]
  if (!table) throw corrupt('JPEG', `quantization table ${component.quantizer} is missing`)
  return table
}

/** What decodes one block, for a component of a scan: `block` is its index in the plane. */
type BlockDecoder = { decode(block: number): void; reset(): void }

/** Decodes one scan; returns where its data ends. */
function decodeScan(markers: Markers, frame: Frame, scan: Scan, planes: Plane[]): number {
  const reader = new BitReader(markers.bytes, scan.dataStart)
  const decoders = scan.components.map((s): BlockDecoder => {
    const plane = planes[s.index]!
    const needDc = scan.start === 0 && scan.high === 0
    const needAc = scan.end > 0
    const dc = markers.dcTables[s.dc]
    const ac = markers.acTables[s.ac]
    if ((needDc && !dc) || (needAc && !ac)) throw corrupt('JPEG', 'a Huffman table is missing')
    return frame.progressive
      ? progressiveDecoder(reader, scan, plane, dc, ac)
      : sequentialDecoder(reader, plane, quantizerOf(markers, s.component), dc!, ac!)
  })
  const single = scan.components.length === 1 ? scan.components[0]!.component : undefined
  const wide = single ? single.blocksWide : frame.mcusWide
  const high = single ? single.blocksHigh : frame.mcusHigh
  let left = markers.restartInterval || Infinity
  let restarts = 0
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      if (left === 0) {
        reader.restart(restarts++ & 7)
        for (const d of decoders) d.reset()
        left = markers.restartInterval
      }
      left--
      if (single) decoders[0]!.decode(y * single.paddedWide + x)
      else {
        for (let i = 0; i < decoders.length; i++) {
          const { h, v, paddedWide } = scan.components[i]!.component
          for (let by = 0; by < v; by++) {
            for (let bx = 0; bx < h; bx++) decoders[i]!.decode((y * v + by) * paddedWide + x * h + bx)
          }
        }
      }
    }
    reader.check()
  }
  return reader.end
}

function sequentialDecoder(
  reader: BitReader,
  plane: Plane,
  quantizer: Uint16Array,
  dc: HuffmanTable,
  ac: HuffmanTable,
): BlockDecoder {
  const block = new Int32Array(64)
  const idct = idctOfSize(plane.size)
  const { samples, stride, size } = plane
  const { paddedWide } = plane.component
  const scaled = Int32Array.from(ZIGZAG, (natural) => quantizer[natural]!)
  let prediction = 0
  return {
    reset: () => {
      prediction = 0
    },
    decode(index) {
      const dcSize = reader.symbol(dc)
      if (dcSize > 15) throw corrupt('JPEG', 'a DC coefficient is too large')
      prediction = (prediction + reader.signed(dcSize)) | 0
      block[0] = Math.imul(prediction, scaled[0]!)
      const flat = readAc(reader, ac, scaled, block)
      const row = Math.floor(index / paddedWide)
      const at = row * size * stride + (index - row * paddedWide) * size
      if (flat) fillFlat(block, samples, at, stride, size)
      else idct(block, samples, at, stride)
    },
  }
}

/**
 * The AC coefficients of a block, dequantized; true when there are none. The reader's state is kept in locals
 * meanwhile.
 */
function readAc(reader: BitReader, ac: HuffmanTable, scaled: Int32Array, block: Int32Array): boolean {
  const { data } = reader
  const { look } = ac
  let { bits, count, pos } = reader
  let k = 1
  for (; k < 64; k++) {
    if (count <= 16) {
      bits = (bits << 16) | (data[pos]! << 8) | data[pos + 1]!
      pos = (pos + 2) | 0
      count = (count + 16) | 0
    }
    const entry = look[(bits >>> (count - LOOK)) & LOOK_MASK] || longCode(ac, bits, count)
    if (entry === 0) {
      reader.pos = pos
      reader.count = count
      reader.fail()
    }
    count = (count - (entry >> 8)) | 0
    const size = entry & 15
    if (size === 0) {
      if ((entry & 255) !== 0xf0) break
      k = (k + 15) | 0
      continue
    }
    k = (k + ((entry >> 4) & 15)) | 0
    if (k > 63) throw corrupt('JPEG', 'a block has more than 64 coefficients')
    if (count < size) {
      bits = (bits << 16) | (data[pos]! << 8) | data[pos + 1]!
      pos = (pos + 2) | 0
      count = (count + 16) | 0
    }
    count = (count - size) | 0
    const v = (bits >>> count) & ((1 << size) - 1)
    block[ZIGZAG[k]!] = Math.imul(v < 1 << (size - 1) ? v - (1 << size) + 1 : v, scaled[k]!)
  }
  reader.bits = bits
  reader.count = count
  reader.pos = pos
  return k === 1
}

/** A block of one value: what the inverse DCT makes of a lone DC coefficient. */
function fillFlat(block: Int32Array, samples: Uint8Array, at: number, stride: number, size: number): void {
  const v = Math.max(0, Math.min(255, ((block[0]! + 4) >> 3) + 128))
  block[0] = 0
  for (let y = 0; y < size; y++, at += stride) for (let x = 0; x < size; x++) samples[at + x] = v
}

function progressiveDecoder(
  reader: BitReader,
  scan: Scan,
  plane: Plane,
  dc: HuffmanTable | undefined,
  ac: HuffmanTable | undefined,
): BlockDecoder {
  const data = plane.coefficients!
  const { start, end, high, low } = scan
  let prediction = 0
  let endOfBand = 0
  const reset = (): void => {
    prediction = 0
    endOfBand = 0
  }
  if (start === 0) {
    return high === 0
      ? {
          reset,
          decode(block) {
            const size = reader.symbol(dc!)
            if (size > 15) throw corrupt('JPEG', 'a DC coefficient is too large')
            prediction = (prediction + reader.signed(size)) | 0
            data[block * 64] = prediction << low
          },
        }
      : {
          reset,
          decode(block) {
            if (reader.take(1)) data[block * 64]! |= 1 << low
          },
        }
  }
  if (high === 0) {
    return {
      reset,
      decode(block) {
        if (endOfBand > 0) endOfBand--
        else endOfBand = acFirst(reader, ac!, data, block * 64, start, end, low)
      },
    }
  }
  return {
    reset,
    decode(block) {
      endOfBand = acRefine(reader, ac!, data, block * 64, start, end, low, endOfBand)
    },
  }
}

/** First pass over a band of a block; returns how many further blocks have nothing in it. */
function acFirst(
  reader: BitReader,
  ac: HuffmanTable,
  data: Int16Array,
  base: number,
  start: number,
  end: number,
  low: number,
): number {
  for (let k = start; k <= end; k++) {
    const symbol = reader.symbol(ac)
    const run = symbol >> 4
    const size = symbol & 15
    if (size === 0) {
      if (run < 15) return (1 << run) - 1 + (run > 0 ? reader.take(run) : 0)
      k += 15
      continue
    }
    k += run
    if (k > end) throw corrupt('JPEG', 'a block has more coefficients than its scan')
    data[base + ZIGZAG[k]!] = reader.signed(size) << low
  }
  return 0
}

/**
 * One more bit for the band of a block; `endOfBand` blocks, this one among them, get no new coefficients. Returns what
 * is left of it.
 */
function acRefine(
  reader: BitReader,
  ac: HuffmanTable,
  data: Int16Array,
  base: number,
  start: number,
  end: number,
  low: number,
  endOfBand: number,
): number {
  const bit = 1 << low
  let k = start
  const refine = (at: number): void => {
    const v = data[at]!
    if (reader.take(1) && (v & bit) === 0) data[at] = v >= 0 ? v + bit : v - bit
  }
  if (endOfBand === 0) {
    for (; k <= end; k++) {
      const symbol = reader.symbol(ac)
      let run = symbol >> 4
      const size = symbol & 15
      let value = 0
      if (size === 0) {
        if (run < 15) {
          endOfBand = (1 << run) + (run > 0 ? reader.take(run) : 0)
          break
        }
      } else {
        if (size !== 1) throw corrupt('JPEG', 'a refinement is larger than one bit')
        value = reader.take(1) ? bit : -bit
      }
      // Passes `run` zero coefficients, refining the others on the way.
      for (; k <= end; k++) {
        const at = base + ZIGZAG[k]!
        if (data[at] !== 0) refine(at)
        else if (run-- === 0) break
      }
      if (value !== 0) {
        if (k > end) throw corrupt('JPEG', 'a block has more coefficients than its scan')
        data[base + ZIGZAG[k]!] = value
      }
    }
  }
  if (endOfBand === 0) return 0
  for (; k <= end; k++) {
    const at = base + ZIGZAG[k]!
    if (data[at] !== 0) refine(at)
  }
  return endOfBand - 1
}

/** Progressive: all stored coefficients to samples. */
function transform(plane: Plane, quantizer: Uint16Array): void {
  const {
    stride,
    size,
    component: { paddedWide, paddedHigh },
  } = plane
  const data = plane.coefficients!
  const samples = new Uint8Array(stride * paddedHigh * size)
  plane.samples = samples
  const block = new Int32Array(64)
  const idct: Idct = idctOfSize(size)
  for (let by = 0, base = 0; by < paddedHigh; by++) {
    for (let bx = 0; bx < paddedWide; bx++, base += 64) {
      for (let k = 0; k < 64; k++) block[k] = Math.imul(data[base + k]!, quantizer[k]!)
      idct(block, samples, by * size * stride + bx * size, stride)
    }
  }
  plane.coefficients = undefined
}
