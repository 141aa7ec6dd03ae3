/**
 * Recurrent layers whose state outlives the call: LSTM with int8 activations and int16 cell state, and SVDF.
 * Source: LiteRT's kernels/lstm_eval.cc (EvalInteger8x8_16) and internal/reference/svdf.h (EvalIntegerSVDF).
 */
import { LstmRecord, SvdfRecord } from '../layout'
import { clamp } from '../requantize'
import { dot } from '../scalar'
import { clamp16, logistic16, roundingShift, tanh16 } from './fixed-point'

/** Σ a[i] * b[i] over k int8; wraps. */
function dotBytes(a: usize, b: usize, k: i32): i32 {
  if (!ASC_FEATURE_SIMD) return dot(a, b, k)
  let sum = i32x4.splat(0)
  const end = a + (k & ~15)
  while (a < end) {
    const x = v128.load(a)
    const y = v128.load(b)
    sum = i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_s(x), i16x8.extend_low_i8x16_s(y)))
    sum = i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.extend_high_i8x16_s(x), i16x8.extend_high_i8x16_s(y)))
    a += 16
    b += 16
  }
  let acc =
    i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)
  for (let i = 0; i < (k & 15); i++) acc += load<i8>(a + i) * load<i8>(b + i)
  return acc
}

/** x times the multiplier and shift at `at`; a left shift wraps, as in the reference's scalar code. */
// @ts-ignore: decorator
@inline
function scaled(x: i32, at: usize): i32 {
  const shift = load<i32>(at, 4)
  const left = shift > 0 ? shift : 0
  const t = i32((i64(x << left) * i64(load<i32>(at)) + (1 << 30)) >> 31)
  return shift < 0 ? roundingShift(t, -shift) : t
}

/** Gates: input, forget, cell, output. Their numbers lie in the table as multipliers and shifts, then biases. */
const INPUT = 0
const FORGET = 1
const CELL = 2
const OUTPUT = 3

/** One gate of one batch element into int16s at `to`. `cell`: the state that a peephole sees. */
function gate(record: usize, g: i32, x: usize, hidden: usize, cell: usize, to: usize): void {
  const r = changetype<LstmRecord>(record)
  const cells = r.cells
  const table: usize = r.gates + g * r.gateBytes
  const inputs = r.inputs
  const outputs = r.outputs
  let weights: usize = load<u32>(record + (g << 2), offsetof<LstmRecord>('inputWeights0'))
  let recurrent: usize = load<u32>(record + (g << 2), offsetof<LstmRecord>('recurrentWeights0'))
  const peepholes = r.peephole && g != CELL ? outputs : 0
  for (let c = 0; c < cells; c++) {
    const at: usize = table + 24 + (c << 2)
    let v = clamp16(scaled(load<i32>(at) + dotBytes(x, weights, inputs), table))
    v = clamp16(v + scaled(load<i32>(at + (cells << 2)) + dotBytes(hidden, recurrent, outputs), table + 8))
    if (c < peepholes) {
      v = clamp16(v + scaled(load<i32>(at + (cells << 3)) * load<i16>(cell + (c << 1)), table + 16))
    }
    store<i16>(to + (c << 1), g == CELL ? tanh16(v, 3) : logistic16(v))
    weights += inputs
    recurrent += outputs
  }
}

/** Cell state after one time step. */
function updateCell(r: LstmRecord, cell: usize, gates: usize): void {
  const cells = r.cells
  const clip = r.cellClip
  for (let c = 0; c < cells; c++) {
    const at: usize = gates + (c << 1)
    const forget: i32 = load<i16>(at + ((cells * FORGET) << 1))
    const input: i32 = r.cifg ? 32767 - forget : load<i16>(at)
    const update: i32 = load<i16>(at + ((cells * CELL) << 1))
    let v = clamp16(
      <i32>(<i16>roundingShift(forget * load<i16>(cell + (c << 1)), 15)) +
        <i32>(<i16>roundingShift(input * update, r.updateShift)),
    )
    if (clip > 0) v = clamp(v, -clip, clip)
    store<i16>(cell + (c << 1), v)
  }
}

/** One time step of one batch element. */
function lstmStep(record: usize, x: usize, hidden: usize, cell: usize): void {
  const r = changetype<LstmRecord>(record)
  const cells = r.cells
  const gates: usize = r.scratch
  const bytes = cells << 1
  if (!r.cifg) gate(record, INPUT, x, hidden, cell, gates)
  gate(record, FORGET, x, hidden, cell, gates + bytes * FORGET)
  gate(record, CELL, x, hidden, cell, gates + bytes * CELL)
  updateCell(r, cell, gates)
  const output: usize = gates + bytes * OUTPUT
  gate(record, OUTPUT, x, hidden, cell, output)
  const projection: usize = r.projection
  const to: usize = projection ? gates + bytes * 4 : hidden
  const scale = record + offsetof<LstmRecord>('hiddenMultiplier')
  for (let c = 0; c < cells; c++) {
    const v = load<i16>(output + (c << 1)) * tanh16(load<i16>(cell + (c << 1)), r.cellBits)
    store<i8>(to + c, clamp(scaled(v, scale) + r.hiddenZeroPoint, -128, 127))
  }
  if (!projection) return
  const clip = r.projectionClip
  for (let o = 0; o < r.outputs; o++) {
    const acc = load<i32>(r.projectionBias + (o << 2)) + dotBytes(to, projection + o * cells, cells)
    let v = clamp(scaled(acc, record + offsetof<LstmRecord>('projectionMultiplier')) + r.outputZeroPoint, -128, 127)
    if (clip > 0) v = clamp(v, -clip, clip)
    store<i8>(hidden + o, v)
  }
}

export function lstm(record: usize): void {
  const r = changetype<LstmRecord>(record)
  const outputs = r.outputs
  for (let b = 0; b < r.batch; b++) {
    let x: usize = r.input + b * r.inputBatchStride
    let y: usize = r.output + b * r.outputBatchStride
    const hidden: usize = r.hidden + b * outputs
    const cell: usize = r.cell + ((b * r.cells) << 1)
    for (let t = 0; t < r.steps; t++) {
      lstmStep(record, x, hidden, cell)
      memory.copy(y, hidden, outputs)
      x += r.inputStride
      y += r.outputStride
    }
  }
}

/** Σ a[i] * b[i] over k int16; wraps. */
function dotWords(a: usize, b: usize, k: i32): i32 {
  let acc = 0
  for (let end: usize = a + (k << 1); a < end; a += 2) {
    acc += load<i16>(a) * load<i16>(b)
    b += 2
  }
  return acc
}

export function svdf(record: usize): void {
  const r = changetype<SvdfRecord>(record)
  const depth = r.depth
  const filters = r.filters
  const inputs = r.inputs
  const rank = r.rank
  const units = filters / rank
  const rows = r.batch * filters
  let state: usize = r.state
  // Every filter's row moves by one; what runs over from the next row is overwritten below.
  memory.copy(state, state + 2, (rows * depth - 1) << 1)
  for (let row = 0; row < rows; row++) {
    const f = row % filters
    const x: usize = r.input + (row / filters) * inputs
    const acc = load<i32>(r.featureBias + (f << 2)) + dotBytes(x, r.feature + f * inputs, inputs)
    const at: usize = state + ((row * depth + depth - 1) << 1)
    store<i16>(at, clamp16(scaled(acc, record + offsetof<SvdfRecord>('stateMultiplier'))))
  }
  let to: usize = r.output
  for (let unit = 0; unit < r.batch * units; unit++) {
    const u = unit % units
    let acc = load<i32>(r.bias + (u << 2))
    let time: usize = r.time + ((u * rank * depth) << 1)
    for (let k = 0; k < rank; k++) {
      acc += dotWords(time, state, depth)
      time += depth << 1
      state += depth << 1
    }
    const v = scaled(acc, record + offsetof<SvdfRecord>('outputMultiplier'))
    store<i8>(to++, clamp(v + r.outputZeroPoint, -128, 127))
  }
}
