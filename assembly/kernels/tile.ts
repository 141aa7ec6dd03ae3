/**
 * A tile: the few output pixels that one call of a GEMM microkernel computes. The driver (conv.ts) writes it, packers
 * and microkernels read it. It lies at the start of a ConvRecord's scratch:
 *
 *   0  in[8]   u32  address of each pixel's patch row, for the packer
 *   32 out[8]  u32  address of each pixel's first output channel
 *   64 y[8]    i32  input row of each pixel's first window row
 *   96 x[8]    i32  byte offset of each pixel's window inside a row
 *   128 .. (TILE_BYTES) the packed panel, then room where narrow outputs are staged
 */
export const TILE_OUT: usize = 32
export const TILE_Y: usize = 64
export const TILE_X: usize = 96

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
