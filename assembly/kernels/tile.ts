/**
 * A tile: the few output pixels that one call of a GEMM microkernel computes. The driver (conv.ts) writes it, packers
 * and microkernels read it. It lies at the start of a ConvRecord's scratch:
 *
 *   0  in[8]   u32  address of each pixel's patch row
 *   32 out[8]  u32  address of each pixel's first output channel
 *   64 y[8]    i32  input row of each pixel's first window row
 *   96 x[8]    i32  byte offset of each pixel's window inside a row
 *   128 correction[8] i32  weight zero point times the sum of the patch: forms that multiply raw weights subtract it
 *   160 .. (TILE_BYTES) the packed panel, then room where narrow outputs are staged
 */
import { ConvRecord } from '../layout'
import { sumRow } from '../simd'

export const TILE_OUT: usize = 32
export const TILE_Y: usize = 64
export const TILE_X: usize = 96
export const TILE_CORRECTION: usize = 128

/** Address of the patch row of pixel `i`. */
// @ts-ignore: decorator
@inline
export function tileIn(tile: usize, i: usize): usize {
  return load<u32>(tile + (i << 2))
}

/** Address of the output of pixel `i`. */
// @ts-ignore: decorator
@inline
export function tileOut(tile: usize, i: usize): usize {
  return load<u32>(tile + (i << 2), TILE_OUT)
}

/** What to subtract from every accumulator of pixel `i`. */
// @ts-ignore: decorator
@inline
export function tileCorrection(tile: usize, i: usize): v128 {
  return v128.load_splat<i32>(tile + (i << 2), TILE_CORRECTION)
}

/** Computes the correction of the pixel whose patch of k int8 lies at `row`. */
export function correct(r: ConvRecord, i: usize, row: usize, k: i32): void {
  store<i32>(<usize>r.scratch + (i << 2), r.weightZeroPoint ? r.weightZeroPoint * sumRow(row, k) : 0, TILE_CORRECTION)
}
