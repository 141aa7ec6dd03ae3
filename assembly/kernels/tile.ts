/**
 * A tile: the few output pixels that a GEMM microkernel computes at a time, four at most. The driver (conv.ts) writes
 * it, packers and microkernels read it. A ConvRecord's scratch begins with what packers need:
 *
 *   0  in[4]   u32  address of each pixel's patch row
 *   16 y[4]    i32  input row of each pixel's first window row
 *   32 x[4]    i32  byte offset of each pixel's window inside a row
 *
 * Then (TILE_BYTES) come as many slots as tiles are packed before they are multiplied, one in forms that read rows:
 *
 *   0  out[4]  u32  address of each pixel's first output channel; all the same: only the first pixel is there
 *   16 correction[4] i32  weight zero point times the sum of the patch: forms that multiply raw weights subtract it
 *   32 .. (SLOT_BYTES) the packed panel, or rows
 *
 * and room where narrow outputs are staged.
 */
import { ConvRecord, TILE_BYTES } from '../layout'
import { sumRow } from '../simd'

export const TILE_Y: usize = 16
export const TILE_X: usize = 32
export const SLOT_CORRECTION: usize = 16

/** Address of the patch row of pixel `i`. */
// @ts-ignore: decorator
@inline
export function tileIn(tile: usize, i: usize): usize {
  return load<u32>(tile + (i << 2))
}

/** Address of the output of pixel `i` of the first slot. */
// @ts-ignore: decorator
@inline
export function tileOut(tile: usize, i: usize): usize {
  return load<u32>(tile + (i << 2), TILE_BYTES)
}

/** What to subtract from every accumulator of pixel `i` of the first slot. */
// @ts-ignore: decorator
@inline
export function tileCorrection(tile: usize, i: usize): v128 {
  return v128.load_splat<i32>(tile + (i << 2), <usize>TILE_BYTES + SLOT_CORRECTION)
}

/** Computes the correction of pixel `i` of the first slot, whose patch of k int8 lies at `row`. */
export function correct(r: ConvRecord, i: usize, row: usize, k: i32): void {
  store<i32>(
    <usize>r.scratch + (i << 2),
    r.weightZeroPoint ? r.weightZeroPoint * sumRow(row, k) : 0,
    <usize>TILE_BYTES + SLOT_CORRECTION,
  )
}

/** Whether the tile in `slot` is one pixel. */
// @ts-ignore: decorator
@inline
export function isSingle(slot: usize): bool {
  return load<u32>(slot) == load<u32>(slot, 4)
}
