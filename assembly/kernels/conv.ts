/**
 * Convolution of any kernel, stride, dilation and group as GEMM over patches: the patches of a few output pixels (a
 * tile) are packed to a panel, a microkernel multiplies the panel with all weights. `form` picks packer and microkernel
 * (gemm-*.ts; the host's table of forms is src/lower/gemm.ts, which also packs the weights).
 *
 * Shapes: input frame [inRows, W, C] NHWC i8; output [rows, outW, outC] i8. Bias and scale are in panel order, NR a
 * panel; when outC > NR is no multiple of NR the last panel covers channels outC-NR..outC-1 again.
 * Requires: |acc * scale| <= 2^22. Reads past end: 0..15 bytes of input. Writes: exactly the output rows.
 * Source: numerics as XNNPACK's qs8-qc8w fp32 GEMM; tile study in the repository's ARCHITECTURE.md.
 */
import { ConvRecord, SLOT_BYTES, TILE_BYTES } from '../layout'
import { copyWords, rowByAll } from '../scalar'
import { HAS_DOT } from '../dot'
import { FAST } from '../fast'
import { gemm3x8c8 } from './gemm-3x8c8'
import { gemm4x16 } from './gemm-4x16'
import { gemm4x16c4 } from './gemm-4x16c4'
import { gemm4x8, gemm4x8Shuffle, gemm4x8w8, gemm4x8w8Shuffle, pack4 } from './gemm-4x8'
import { gemm4x8c4, packBytes4 } from './gemm-4x8c4'
import { gemmLanes, packLanes } from './gemm-lanes'
import { correct, tileIn, TILE_X, TILE_Y } from './tile'

/** Address of input row `iy`, or the zero row outside the image. */
// @ts-ignore: decorator
@inline
function rowAt(r: ConvRecord, iy: i32): usize {
  if (<u32>iy >= <u32>r.inRows) return r.zeroRow
  const slot = iy < r.inRing ? iy : iy % r.inRing
  return r.input + slot * r.inRowStride
}

// @ts-ignore: decorator
@inline
function outputRow(r: ConvRecord, y: i32): usize {
  const slot = y < r.outRing ? y : y % r.outRing
  return r.output + slot * r.outRowStride
}

/** Packs a run of `bytes` bytes of four pixels, as the form has it. */
// @ts-ignore: decorator
@inline
function packFour(r: ConvRecord, panel: usize, p0: usize, p1: usize, p2: usize, p3: usize, bytes: usize): void {
  if (HAS_DOT) {
    if (r.form == 13) {
      packBytes4(panel, p0, p1, p2, p3, bytes)
      return
    }
  }
  pack4(panel, p0, p1, p2, p3, bytes)
}

/** Multiplies the first `count` slots of forms that pack panels. */
function multiply(r: ConvRecord, count: i32): void {
  switch (r.form) {
    case 11:
      gemm4x8w8(r, count)
      break
    case 12:
      gemm4x8Shuffle(r, count)
      break
    case 13:
      gemm4x8c4(r, count)
      break
    case 14:
      gemm4x8w8Shuffle(r, count)
      break
    default:
      if (FAST) {
        if (r.form == 10) {
          gemm4x16(r, count)
          return
        }
      }
      gemm4x8(r, count)
  }
}

/**
 * Forms that read rows: `tiles` tiles of pixels side by side, input at `from`, output at `to`; no tiles: the one in
 * scratch.
 */
function multiplyRows(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (r.form == 8) gemm3x8c8(r, from, to, tiles)
  else gemm4x16c4(r, from, to, tiles)
}

/**
 * For forms that read rows of int8: points the tile's rows at the input where a patch is contiguous, else gathers them
 * one after another, `rowBytes` each. With a weight zero point also computes each row's correction.
 */
function gatherRows(r: ConvRecord, tile: usize, mr: usize, row: bool): void {
  const segments = r.segments
  const bytes: usize = r.segmentBytes
  const rowBytes: usize = r.rowBytes
  const direct = r.kh == 1 && segments == 1
  for (let i: usize = 0; i < mr; i++) {
    const t = tile + (i << 2)
    const pixel = row ? tile : t
    const y = load<i32>(pixel, TILE_Y)
    let x = load<i32>(pixel, TILE_X)
    if (row) x += <i32>i * r.xStep
    let at = rowAt(r, y) + x
    if (!direct) {
      at = tile + TILE_BYTES + SLOT_BYTES + i * rowBytes
      let to = at
      for (let ky = 0; ky < r.kh; ky++) {
        let from = rowAt(r, y + ky * r.dilationH) + x
        for (let s = 0; s < segments; s++) {
          // Whole vectors: what is written too much is overwritten by the next segment or row, or lies behind the
          // panel.
          for (let b: usize = 0; b < bytes; b += 16) v128.store(to + b, v128.load(from + b))
          to += bytes
          from += r.segmentStep
        }
      }
    }
    store<u32>(t, at)
    correct(r, i, at, r.kh * segments * <i32>bytes)
  }
}

/** Packs the patches of the tile's pixels to `panel`, or gathers rows; `row`: they lie side by side in one row. */
function packPatches(r: ConvRecord, tile: usize, panel: usize, mr: usize, row: bool): void {
  if (r.rowBytes) {
    gatherRows(r, tile, mr, row)
    return
  }
  const segments = r.segments
  const bytes: usize = r.segmentBytes
  const segmentStep: usize = r.segmentStep
  const advance: usize = r.segmentPanelBytes
  const end = tile + (mr << 2)
  for (let ky = 0; ky < r.kh; ky++) {
    const dy = ky * r.dilationH
    if (row) {
      let p = rowAt(r, load<i32>(tile, TILE_Y) + dy) + load<i32>(tile, TILE_X)
      for (let t = tile; t < end; t += 4, p += r.xStep) store<u32>(t, p)
    } else {
      for (let t = tile; t < end; t += 4) store<u32>(t, rowAt(r, load<i32>(t, TILE_Y) + dy) + load<i32>(t, TILE_X))
    }
    let at: usize = 0
    for (let s = 0; s < segments; s++) {
      packFour(r, panel, tileIn(tile, 0) + at, tileIn(tile, 1) + at, tileIn(tile, 2) + at, tileIn(tile, 3) + at, bytes)
      panel += advance
      at += segmentStep
    }
  }
}

/** Whether output rows [y0, y1) and the input rows they read are each one run of pixels. */
// @ts-ignore: decorator
@inline
function isFlat(r: ConvRecord, y1: i32): bool {
  return (
    r.windowH == 1 &&
    r.strideH == 1 &&
    r.padTop == 0 &&
    r.segments == 1 &&
    y1 <= r.inRing &&
    y1 <= r.outRing &&
    r.inRowStride == r.outW * r.xStep &&
    r.outRowStride == r.outW * r.outPixelStride
  )
}

/** Copies a tile's results of fewer than NR channels from where the microkernel put them. */
function unstage(r: ConvRecord, stage: usize, y: i32, x: i32, outW: i32, y1: i32): void {
  const outC = r.outC
  for (let i = 0; i < r.mr && y < y1; i++) {
    memory.copy(outputRow(r, y) + x * r.outPixelStride, stage, outC)
    stage += r.nr
    if (++x >= outW) {
      x = 0
      y++
    }
  }
}

/** Scalar: pixel by pixel, weights [N/4][K][4] i8; patches that lie apart are gathered to scratch. */
function convScalar(r: ConvRecord, y0: i32, y1: i32): void {
  const outW = r.outW
  const xStep = r.xStep
  const step = r.outPixelStride
  const segments = r.segments
  const bytes = r.segmentBytes
  const direct = r.kh == 1 && segments == 1
  const patch: usize = r.scratch
  const k = r.panelBytes
  const outC = r.outC
  const weights: usize = r.weights
  const bias: usize = r.bias
  const scale: usize = r.scale
  const weightZero = r.weightZeroPoint
  const zero = r.outputZeroPoint
  const low = r.actMin
  const high = r.actMax
  for (let y = y0; y < y1; y++) {
    const top = y * r.strideH - r.padTop
    let from = rowAt(r, top)
    let to = outputRow(r, y)
    for (let x = 0; x < outW; x++) {
      if (!direct) {
        let gathered = patch
        for (let ky = 0; ky < r.kh; ky++) {
          let part = rowAt(r, top + ky * r.dilationH) + x * xStep
          for (let s = 0; s < segments; s++) {
            copyWords(gathered, part, bytes)
            gathered += bytes
            part += r.segmentStep
          }
        }
      }
      rowByAll(direct ? from : patch, k, outC, weights, bias, scale, weightZero, to, zero, low, high)
      from += xStep
      to += step
    }
  }
}

/** Scalar, form 15: three neighbouring pixels at a time, packed to lanes in scratch. */
function convLanes(r: ConvRecord, y0: i32, y1: i32): void {
  const xStep: usize = r.xStep
  const step: usize = r.outPixelStride
  const segments = r.segments
  const bytes = r.segmentBytes
  let outW = r.outW
  if (isFlat(r, y1)) {
    outW *= y1 - y0
    y1 = y0 + 1
  }
  for (let y = y0; y < y1; y++) {
    const top = y * r.strideH - r.padTop
    let to = outputRow(r, y)
    let at: usize = 0
    for (let left = outW; left > 0; left -= 3, at += 3 * xStep, to += 3 * step) {
      // Lanes without a pixel: the last one again.
      const second = left > 1 ? xStep : 0
      const third = left > 2 ? second + xStep : second
      let lanes: usize = r.scratch
      for (let ky = 0; ky < r.kh; ky++) {
        let from = rowAt(r, top + ky * r.dilationH) + at
        for (let s = 0; s < segments; s++) {
          lanes = packLanes(lanes, from, from + second, from + third, bytes)
          from += r.segmentStep
        }
      }
      for (let i = r.panelBytes; i & 3; i++, lanes += 8) store<i64>(lanes, 0)
      gemmLanes(r, to, min(left, 3))
    }
  }
}

export function conv(record: usize, y0: i32, y1: i32): void {
  const r = changetype<ConvRecord>(record)
  if (!ASC_FEATURE_SIMD || r.scalar) {
    if (!ASC_FEATURE_SIMD && r.form == 15) convLanes(r, y0, y1)
    else convScalar(r, y0, y1)
    return
  }
  const outC = r.outC
  const mr: usize = r.mr
  const nr: usize = r.nr
  const step: usize = r.outPixelStride
  const xStep: usize = r.xStep
  const tile: usize = r.scratch
  const slots = tile + TILE_BYTES
  const slotBytes = SLOT_BYTES + r.panelBytes
  const narrow = <usize>outC < nr
  const stage = slots + slotBytes
  const rows = r.rowBytes != 0
  const batch = r.batch
  const bytes: usize = r.segmentBytes
  let outW = r.outW
  if (isFlat(r, y1)) {
    outW *= y1 - y0
    y1 = y0 + 1
  }
  const pointwise = r.windowH == 1 && r.segments == 1 && !narrow
  let y = y0
  let x = 0
  let slot = slots
  let count = 0
  while (y < y1) {
    const row = x + <i32>mr <= outW
    // One pixel that is left goes with the last batch: its weights are near then.
    if (count >= batch && (batch == 1 || y < y1 - 1 || x < outW - 1)) {
      multiply(r, count)
      slot = slots
      count = 0
    }
    if (pointwise && row) {
      let from = rowAt(r, y * r.strideH - r.padTop) + <usize>x * xStep
      let to = outputRow(r, y) + <usize>x * step
      let tiles = (outW - x) / <i32>mr
      x += tiles * <i32>mr
      if (rows) multiplyRows(r, from, to, tiles)
      else {
        while (true) {
          store<u32>(slot, to)
          store<u32>(slot, to + step, 4)
          store<u32>(slot, to + 2 * step, 8)
          store<u32>(slot, to + 3 * step, 12)
          packFour(r, slot + SLOT_BYTES, from, from + xStep, from + 2 * xStep, from + 3 * xStep, bytes)
          slot += slotBytes
          count++
          if (--tiles == 0) break
          if (count >= batch) {
            multiply(r, count)
            slot = slots
            count = 0
          }
          from += 4 * xStep
          to += 4 * step
        }
      }
    } else {
      // Perhaps over the end of the row; past the last pixel, the last one again.
      let py = y
      let px = x
      for (let i: usize = 0; i < mr; i++) {
        const t = tile + (i << 2)
        store<i32>(t, py * r.strideH - r.padTop, TILE_Y)
        store<i32>(t, px * r.xStep, TILE_X)
        store<u32>(slot + (i << 2), narrow ? stage + i * nr : outputRow(r, py) + <usize>px * step)
        if (px + 1 < outW) px++
        else if (py + 1 < y1) {
          py++
          px = 0
        }
      }
      packPatches(r, tile, slot + SLOT_BYTES, mr, row)
      if (rows) multiplyRows(r, 0, 0, 0)
      else {
        slot += slotBytes
        count++
      }
      if (narrow) {
        if (!rows) {
          multiply(r, count)
          slot = slots
          count = 0
        }
        unstage(r, stage, y, x, outW, y1)
      }
      x += <i32>mr
    }
    while (x >= outW) {
      x -= outW
      y++
    }
  }
  if (count) multiply(r, count)
}
