/** What the host needs of a runtime to fill its memory: constants go there by the runtime's own packers. */

/** Packers that a runtime may export; assembly/pack.ts says what they do. */
export interface Packers {
  pack_gemm_4x8?(
    to: number,
    from: number,
    panels: number,
    k: number,
    segment: number,
    padded: number,
    zero: number,
    flip: number,
  ): void
  fold_gemm_4x8?(bias: number, weights: number, panels: number, pairs: number, skip: number, inputZero: number): void
  pack_depthwise3x3?(to: number, from: number, channels: number, zero: number, flip: number): void
  fold_rows?(bias: number, weights: number, rows: number, k: number, weightZero: number, inputZero: number): void
  narrow_bytes?(to: number, from: number, n: number, add: number): void
  flip_bytes?(at: number, bytes: number): void
  requantize_scales?(at: number, n: number, inputBits: number, outputBits: number): void
  pack_gemm_4x16c4?(to: number, from: number, rows: number, k: number, flip: number): void
  pack_gemm_3x8c8?(to: number, from: number, rows: number, k: number, flip: number): void
  pack_gemm_4x8c4?(to: number, from: number, rows: number, k: number, segment: number, flip: number): void
  pack_rows4?(to: number, from: number, rows: number, k: number, flip: number): void
  pack_winograd?(to: number, from: number, rows: number, channels: number, nr: number, zero: number, flip: number): void
  pack_polyphase?(
    to: number,
    from: number,
    rows: number,
    channels: number,
    nr: number,
    zero: number,
    flip: number,
  ): void
  pack_taps?(
    to: number,
    from: number,
    channels: number,
    vectors: number,
    bytes: number,
    table: number,
    flip: number,
  ): void
  pack_pairs?(
    to: number,
    from: number,
    channels: number,
    width: number,
    pairs: number,
    table: number,
    zero: number,
    flip: number,
  ): void
  fold_taps?(
    bias: number,
    weights: number,
    channels: number,
    width: number,
    taps: number,
    weightZero: number,
    flip: number,
    inputZero: number,
  ): void
}

/** A runtime whose memory is being filled. `staging`: memory that is free until then. */
export interface Loader {
  runtime: Packers
  memory: Pick<Uint8Array, 'set'>
  staging: number
  stagingBytes: number
}
