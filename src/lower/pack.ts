/**
 * Weights in kernel order. Pure functions on typed arrays.
 *
 *   GEMM 4x8       [panel of 8 channels][K/2][8 channels][2] i16        K: segments, each padded with zeros
 *   (paddedSegment) GEMM 4x16      [panel of 16 channels][K/2][16 channels][2] i16      likewise
 *   GEMM 4x8-w8    the same in i8, the zero point left in and as padding
 *   GEMM 3x8c8     [panel of 8 channels][K/8][64] i8                    K padded to 8 with zeros; packRows3x8c8 draws
 *   the 64 GEMM 4x16c4    [panel of 16 channels][K/4][16 channels][4] i8       K padded to 4 with zeros
 *   Winograd       [panel of 8 or 16 channels][36 positions][C/2][channels][2] i16, transformed (packWinograd)
 *   polyphase      [panel of 8 or 16 channels][25 positions][C/2][channels][2] i16, combined (packPolyphase)
 *   scalar         [panel of 4 channels][K][4 channels] i8         raw
 *   fully connected [panel of 4 channels][K/16][4 channels][16] i8      K padded to 16 with zeros
 *   depthwise      [block of 8 channels][taps/2][8 channels][2] i16     taps padded to even with a zero tap
 *   depthwise 3x3  [block of 8 channels][14 vectors] i16, each vector four channels x two taps:
 *
 *       bytes      taps (ky,kx)          used for
 *       0,  16     (0,0) (1,0)           rows 0 and 1, column 0: channels 0-3, 4-7
 *       32, 48     (0,1) (1,1)
 *       64, 80     (0,2) (1,2)
 *       96, 112    (2,0) (2,1)           row 2, columns paired
 *       128, 144   (2,2)  0
 *       160, 176    0    (2,0)           the same for the right-hand output of a stride-1 pair
 *       192, 208   (2,1) (2,2)
 *
 *   depthwise 3x3 wide  [block of 16 channels][28 vectors] i16: the same pairs, of channels 0 2 .. 14, then 1 3 .. 15
 *   each
 *
 *   depthwise 5x5  stride 1: [block of 4 channels][16 vectors] i16, each four channels x two taps:
 *
 *       bytes      taps (ky,kx)
 *       0 .. 64    (0,kx) (1,kx)         kx = 0 .. 4
 *       80 .. 144  (2,kx) (3,kx)
 *       160        (4,4)  0              row 4, columns paired, for outputs that began ever further right
 *       176 .. 224 (4,kx) (4,kx+1)       kx = 3 .. 0
 *       240         0    (4,0)
 *
 *                  stride 2: [block of 8 channels][26 vectors], the same for channels 0-3 and 4-7 in turn, of row 4
 *                  only (4,4) 0, (4,2) (4,3) and (4,0) (4,1)
 *
 * When channels > 8 are no multiple of 8 the last panel starts at channels - 8 and repeats some of them.
 */
import { align } from '../base/words.ts'

/** Weights of `k` elements a channel, in segments of `segment` that lie side by side in the input. */
export interface Segments {
  k: number
  segment: number
}

/** The same of `channels` output channels: [channels][k]. */
export interface GemmShape extends Segments {
  channels: number
}

/** First channel of each panel of `width`. */
export function panelStarts(channels: number, width: number): number[] {
  const starts = []
  for (let c = 0; c < channels; c += width) starts.push(channels < width ? 0 : Math.min(c, channels - width))
  return starts
}

/** A per-channel array in panel order, zero-padded when there is less than one panel. */
export function panelOrder<T extends Int32Array | Float32Array>(v: T, width: number): T {
  const panels = Math.ceil(v.length / width)
  if (panels * width === v.length) return v
  const out = new (v.constructor as new (n: number) => T)(panels * width)
  out.set(v)
  if (panels > 1) out.set(v.subarray(v.length - width), (panels - 1) * width)
  return out
}

/**
 * Elements that a segment of k takes in GEMM 4x8 order: even, and at least 4, since the microkernel has a first and a
 * next step.
 */
export const paddedSegment = (segment: number): number => Math.max(4, segment + (segment & 1))

/** weights [channels][k] int8 row-major, minus `zero`, to GEMM order with panels of `nr` channels. */
export function packGemm(weights: Int8Array, zero: number, { channels, k, segment }: GemmShape, nr = 8): Int16Array {
  const starts = panelStarts(channels, nr)
  const padded = paddedSegment(segment)
  const kPadded = (k / segment) * padded
  const out = new Int16Array(starts.length * kPadded * nr)
  for (let p = 0; p < starts.length; p++) {
    const base = p * kPadded * nr
    const start = starts[p]!
    const width = Math.min(nr, channels - start)
    for (let c = 0; c < width; c++) {
      let from = (start + c) * k
      let to = base + c * 2
      for (let s = 0; s < k; s += segment) {
        for (let i = 0; i < segment; i++) out[to + (i >> 1) * 2 * nr + (i & 1)] = weights[from + i]! - zero
        from += segment
        to += padded * nr
      }
    }
  }
  return out
}

/** Pairs of input channels in Winograd order: at least two, since the microkernel has a first and a next step. */
export const winogradPairs = (channels: number): number => Math.max(2, (channels + 1) >> 1)

/** The same of polyphase.ts, which writes four at a time. */
export const polyphasePairs = (channels: number): number => Math.max(4, (channels + 1) >> 1)

/** Columns or rows of a 3x3 filter in the terms of G' (assembly/kernels/winograd.ts): six of three. */
const winogradTerms = (a: number, b: number, c: number): number[] => [
  6 * a,
  2 * (a + b + c),
  2 * (a - b + c),
  a + 2 * b + 4 * c,
  a - 2 * b + 4 * c,
  6 * c,
]

/**
 * weights [channels][3][3][inputs] int8, minus `zero`, to G' g G't in order [panel of `nr` channels][36 positions]
 * [pair of inputs][nr][2].
 */
export const packWinograd = (weights: Int8Array, zero: number, shape: FilterChannels, nr: number): Int16Array =>
  packPositions(weights, zero, { ...shape, nr, pairs: winogradPairs, terms: winogradTerms, order: WINOGRAD_ORDER })

/** Columns or rows of a 3x3 filter that two outputs with stride 2 need of five inputs. */
const polyphaseTerms = (a: number, b: number, c: number): number[] => [a, b, a + c, b, c]

/** Where the position of each of five rows and columns is: those together that belong to the same outputs. */
const POLYPHASE_ORDER = [0, 1, 4, 6, 7, 2, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 21, 22, 17, 18, 20, 23, 24]
const WINOGRAD_ORDER = Array.from({ length: 36 }, (_, i) => i)

/** The same for assembly/kernels/polyphase.ts: [panel][25 positions][pair of inputs][nr][2]. */
export const packPolyphase = (weights: Int8Array, zero: number, shape: FilterChannels, nr: number): Int16Array =>
  packPositions(weights, zero, { ...shape, nr, pairs: polyphasePairs, terms: polyphaseTerms, order: POLYPHASE_ORDER })

interface FilterChannels {
  channels: number
  inputs: number
}

interface Positions extends FilterChannels {
  nr: number
  pairs(channels: number): number
  /** Terms of three elements of a filter along one axis. */
  terms(a: number, b: number, c: number): number[]
  /** Where each position is, row by row. */
  order: readonly number[]
}

function packPositions(
  weights: Int8Array,
  zero: number,
  { channels, inputs, nr, pairs, terms, order }: Positions,
): Int16Array {
  const starts = panelStarts(channels, nr)
  const position = pairs(inputs) * nr * 2
  const out = new Int16Array(starts.length * order.length * position)
  starts.forEach((start, p) => {
    for (let c = 0; c < Math.min(nr, channels - start); c++) {
      for (let i = 0; i < inputs; i++) {
        const tap = (t: number): number => weights[((start + c) * 9 + t) * inputs + i]! - zero
        const columns = [0, 1, 2].map((x) => terms(tap(x), tap(x + 3), tap(x + 6)))
        const to = p * order.length * position + (i >> 1) * nr * 2 + c * 2 + (i & 1)
        const rows = columns[0]!.map((_, y) => terms(columns[0]![y]!, columns[1]![y]!, columns[2]![y]!))
        rows.flat().forEach((v, at) => {
          out[to + order[at]! * position] = v
        })
      }
    }
  })
  return out
}

/**
 * weights [channels][k] int8 to order [channels / 4][k / 16][4][16]; of fewer than four channels the last one again.
 */
export function packRows4(weights: Int8Array, channels: number, k: number): Int8Array {
  const starts = panelStarts(channels, 4)
  const rowBytes = align(k, 16)
  const out = new Int8Array(starts.length * rowBytes * 4)
  starts.forEach((start, p) => {
    for (let c = 0; c < 4; c++) {
      const row = Math.min(start + c, channels - 1) * k
      for (let i = 0; i < k; i += 16) {
        out.set(weights.subarray(row + i, row + Math.min(k, i + 16)), p * rowBytes * 4 + i * 4 + c * 16)
      }
    }
  })
  return out
}

/** weights [channels][k] int8 to order [channels / 8][k / 4][8][4], k in segments that are padded to four. */
export function packRows4x8c4(weights: Int8Array, channels: number, k: number, segment: number): Int8Array {
  const starts = panelStarts(channels, 8)
  const padded = Math.ceil(segment / 4) * 4
  const panelBytes = (k / segment) * padded * 8
  const out = new Int8Array(starts.length * panelBytes)
  starts.forEach((start, p) => {
    for (let c = 0; c < Math.min(8, channels - start); c++) {
      for (let i = 0; i < k; i++) {
        const at = Math.floor(i / segment) * padded + (i % segment)
        out[p * panelBytes + (at >> 2) * 32 + c * 4 + (at & 3)] = weights[(start + c) * k + i]!
      }
    }
  })
  return out
}

/** weights [channels][k] int8 to order [channels / 16][k / 4][16][4]. */
export function packRows4x16c4(weights: Int8Array, channels: number, k: number): Int8Array {
  const starts = panelStarts(channels, 16)
  const rowBytes = Math.ceil(k / 4) * 4
  const out = new Int8Array(starts.length * rowBytes * 16)
  starts.forEach((start, p) => {
    for (let c = 0; c < Math.min(16, channels - start); c++) {
      const from = (start + c) * k
      const to = p * rowBytes * 16 + c * 4
      for (let i = 0; i < k; i++) out[to + (i >> 2) * 64 + (i & 3)] = weights[from + i]!
    }
  })
  return out
}

/**
 * weights [channels][k] int8 to order 3x8c8: per eight channels and eight k, four vectors of four channels x four k.
 * The first two hold channels 0-3, k 0-3 and k 4-7; in each, bytes 0-7 are summed apart from bytes 8-15, two
 * neighbouring bytes to a lane, so that lane j of the low sum is channel j over half of the k, and of the high sum
 * channel j ^ 1:
 *
 *     k     0 1   2 3   0 1   2 3 | 0 1   2 3   0 1   2 3
 *     of    n0    n1    n2    n3  | n1    n0    n3    n2
 */
export function packRows3x8c8(weights: Int8Array, channels: number, k: number): Int8Array {
  const starts = panelStarts(channels, 8)
  const rowBytes = Math.ceil(k / 8) * 8
  const out = new Int8Array(starts.length * rowBytes * 8)
  starts.forEach((start, p) => {
    for (let c = 0; c < Math.min(8, channels - start); c++) {
      const from = (start + c) * k
      for (let i = 0; i < k; i++) {
        const group = p * rowBytes * 8 + (i >> 3) * 64 + (c >> 2) * 32 + ((i >> 2) & 1) * 16
        // k 0, 1 of a four lie in even lanes, k 2, 3 in odd ones.
        const lane = c & 3
        const half = ((i >> 1) & 1) === (lane & 1) ? lane : 4 + (lane ^ 1)
        out[group + half * 2 + (i & 1)] = weights[from + i]!
      }
    }
  })
  return out
}

/** weights [taps][channels] int8, minus `zero`, to depthwise order. */
export function packDepthwise(weights: Int8Array, zero: number, channels: number, taps: number): Int16Array {
  const starts = panelStarts(channels, 8)
  const pairs = (taps + 1) >> 1
  const out = new Int16Array(starts.length * pairs * 16)
  for (let p = 0; p < starts.length; p++) {
    for (let t = 0; t < taps; t++) {
      for (let c = 0; c < Math.min(8, channels); c++) {
        out[(p * pairs + (t >> 1)) * 16 + c * 2 + (t & 1)] = weights[t * channels + starts[p]! + c]! - zero
      }
    }
  }
  return out
}

const PAIRS_3X3: [number, number][] = [
  [0, 3],
  [1, 4],
  [2, 5],
  [6, 7],
  [8, -1],
  [-1, 6],
  [7, 8],
]
/** Rows 0 and 1, then 2 and 3, of each column; row 4 by columns as each stride needs them. */
const PAIRS_5X5: [number, number][] = [0, 1, 2, 3, 4, 10, 11, 12, 13, 14].map((tap) => [tap, tap + 5])
/** For 5x5 with stride 1, in panels of four, and with stride 2, in panels of eight. */
export const PAIRS_5X5_S1: [number, number][] = [
  ...PAIRS_5X5,
  [24, -1],
  [23, 24],
  [22, 23],
  [21, 22],
  [20, 21],
  [-1, 20],
]
export const PAIRS_5X5_S2: [number, number][] = [...PAIRS_5X5, [24, -1], [22, 23], [20, 21]]

/** Panels of `width` channels, each of vectors of two taps a channel. */
export interface PairPanels {
  pairs: readonly (readonly [number, number])[]
  width: number
}

/** weights [taps][channels] int8, minus `zero`, to [block of `width` channels][pair][width][2] i16; tap -1: zero. */
export function packPairs(
  weights: Int8Array,
  zero: number,
  channels: number,
  { pairs, width }: PairPanels,
): Int16Array {
  const starts = panelStarts(channels, width)
  const out = new Int16Array(starts.length * pairs.length * width * 2)
  let at = 0
  for (const start of starts) {
    for (const [a, b] of pairs) {
      for (let c = start; c < start + width; c++) {
        if (a >= 0) out[at] = weights[a * channels + c]! - zero
        if (b >= 0) out[at + 1] = weights[b * channels + c]! - zero
        at += 2
      }
    }
  }
  return out
}

/** weights [9][channels] int8, minus `zero`, to depthwise 3x3 order; channels >= 8. */
export const packDepthwise3x3 = (weights: Int8Array, zero: number, channels: number): Int16Array =>
  packPairs(weights, zero, channels, { pairs: PAIRS_3X3, width: 8 })

/** Position p of a block of sixteen in wide order: even channels before odd ones. */
const wideChannel = (p: number): number => (p < 8 ? 2 * p : 2 * p - 15)

/** A per-channel array in wide order; at least sixteen channels. */
export function wideOrder<T extends Int32Array | Float32Array>(v: T): T {
  const natural = panelOrder(v, 16)
  const out = natural.slice() as T
  for (let i = 0; i < out.length; i++) out[i] = natural[(i & ~15) + wideChannel(i & 15)]!
  return out
}

/** weights [9][channels] int8, minus `zero`, to depthwise 3x3 wide order. */
export function packDepthwise3x3Wide(weights: Int8Array, zero: number, channels: number): Int16Array {
  const starts = panelStarts(channels, 16)
  const out = new Int16Array(starts.length * 224)
  starts.forEach((start, b) =>
    PAIRS_3X3.forEach((pair, v) =>
      pair.forEach((tap, t) => {
        for (let p = 0; tap >= 0 && p < 16; p++) {
          out[b * 224 + v * 32 + p * 2 + t] = weights[tap * channels + start + wideChannel(p)]! - zero
        }
      }),
    ),
  )
  return out
}

/** weights [channels][k] to [panel of 4 channels][k][4 channels], raw. */
export function packScalar4(weights: Int8Array, channels: number, k: number): Int8Array {
  const starts = panelStarts(channels, 4)
  const out = new Int8Array(starts.length * k * 4)
  let to = 0
  for (const start of starts) {
    const rows = Math.min(4, channels - start)
    for (let i = 0; i < k; i++, to += 4) {
      for (let row = 0; row < rows; row++) out[to + row] = weights[(start + row) * k + i]!
    }
  }
  return out
}

/** weights [taps][channels] int8, minus `zero`, to [channels][taps]. */
export function packTaps(weights: Int8Array, zero: number, channels: number): Int16Array {
  const taps = weights.length / channels
  const out = new Int16Array(weights.length)
  for (let c = 0; c < channels; c++) {
    for (let tap = 0; tap < taps; tap++) out[c * taps + tap] = weights[tap * channels + c]! - zero
  }
  return out
}
