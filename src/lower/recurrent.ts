/**
 * UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF with int8 activations: multipliers and biases as LiteRT derives them.
 * Source: LiteRT's kernels/unidirectional_sequence_lstm.cc (PopulateQuantizedLstmParams8x8_16) and kernels/svdf.cc.
 */
import { OP_LSTM, OP_SVDF } from '../generated/layout.ts'
import { elements, type OpOf, type Tensor } from '../graph/graph.ts'
import { clamp, f32, quantizeMultiplier } from '../arithmetic/numerics.ts'
import { int32s } from '../base/words.ts'
import { type Context, Unsupported } from './context.ts'
import { rowwise, type Buffer, type Value } from './program.ts'

/** Input positions of the gates input, forget, cell, output. */
const INPUT_WEIGHTS = [1, 2, 3, 4] as const
const RECURRENT_WEIGHTS = [5, 6, 7, 8] as const
const PEEPHOLES = [9, 10, -1, 11] as const
const BIASES = [12, 13, 14, 15] as const
const PROJECTION = 16
const HIDDEN = 18
const CELL = 19

/** Scale of what goes into a gate's activation. */
const GATE_SCALE = 2 ** -12

/** A constant of this type and shape. */
function constant(cx: Context, position: number, dtype: string, shape: readonly number[]): Tensor {
  const t = cx.input(position)
  if (!t.data) throw new Unsupported(`input ${position} must be a constant`)
  if (t.dtype !== dtype) throw new Unsupported(`${t.dtype} tensor "${t.name}" (${dtype} is run)`)
  if (`${t.shape}` !== `${shape}`) {
    throw cx.fail('lower/shape', `input ${position}`, t, { expected: `[${shape}]`, got: `[${t.shape}]` })
  }
  return t
}

function scaleOf(cx: Context, t: Tensor): number {
  const scale = t.quantization?.scales[0]
  if (!(scale && scale > 0)) {
    throw cx.fail('lower/quantization', 'scale must be a positive number', t, { expected: '> 0', got: scale })
  }
  return scale
}

/** State of this type and size. */
function stateOf(cx: Context, position: number, dtype: string, count: number): Value {
  const t = cx.input(position, 'state')
  if (!t.initial) throw cx.fail('lower/missing-input', 'state must be a variable tensor', t)
  if (t.dtype !== dtype) throw new Unsupported(`${t.dtype} state "${t.name}" (${dtype} is run)`)
  if (elements(t.shape) !== count) {
    throw cx.fail('lower/shape', 'elements of the state', t, { expected: count, got: elements(t.shape) })
  }
  return cx.value(position)
}

/** bias - zero point * (sum of each row's weights), wrapping. */
function foldBias(weights: Tensor, bias: Tensor | undefined, zero: number): Int32Array {
  const rows = weights.shape[0]!
  const columns = weights.shape[1]!
  const bytes = new Int8Array(weights.data!.buffer, weights.data!.byteOffset, weights.data!.length)
  const out = bias ? int32s(bias.data!).slice() : new Int32Array(rows)
  for (let r = 0; r < rows; r++) {
    let sum = 0
    for (let c = 0; c < columns; c++) sum += bytes[r * columns + c]!
    out[r] = (out[r]! - Math.imul(zero, sum)) | 0
  }
  return out
}

const pair = ({ multiplier, shift }: { multiplier: number; shift: number }): [number, number] => [multiplier, shift]

interface Sizes {
  inputs: number
  cells: number
  outputs: number
}

/** The table of one gate (assembly/layout.ts, LstmRecord), and its weights. */
function gateTable(
  cx: Context,
  gate: number,
  { inputs, cells, outputs }: Sizes,
  peephole: boolean,
): { table: number[]; input: Tensor; recurrent: Tensor } {
  const input = constant(cx, INPUT_WEIGHTS[gate]!, 'int8', [cells, inputs])
  const recurrent = constant(cx, RECURRENT_WEIGHTS[gate]!, 'int8', [cells, outputs])
  const bias = constant(cx, BIASES[gate]!, 'int32', [cells])
  const x = cx.q(cx.input(0))
  const hidden = cx.q(cx.input(HIDDEN))
  const effective = (t: Tensor, scale: number): [number, number] =>
    pair(quantizeMultiplier(f32(f32(scaleOf(cx, t) * scale) / GATE_SCALE)))
  const table = [...effective(input, x.scale), ...effective(recurrent, hidden.scale)]
  let weights: number[] = []
  if (peephole && gate !== 2) {
    const t = constant(cx, PEEPHOLES[gate]!, 'int16', [cells])
    table.push(...pair(quantizeMultiplier(f32((2 ** cellScale(cx) * scaleOf(cx, t)) / GATE_SCALE))))
    const view = new DataView(t.data!.buffer, t.data!.byteOffset, t.data!.byteLength)
    weights = Array.from({ length: cells }, (_, c) => view.getInt16(c * 2, true))
  } else table.push(0, 0)
  const folded = [...foldBias(input, bias, x.zeroPoint), ...foldBias(recurrent, undefined, hidden.zeroPoint)]
  return { table: [...table, ...folded, ...weights], input, recurrent }
}

/** Base-2 logarithm of the cell state's scale, which must be a power of two. */
function cellScale(cx: Context): number {
  const t = cx.input(CELL)
  const log2 = f32(Math.log2(scaleOf(cx, t)))
  const rounded = Math.round(log2)
  if (Math.abs(log2 - rounded) >= 1e-3) {
    throw cx.fail('lower/quantization', 'scale of the cell state', t, {
      expected: 'a power of two',
      got: scaleOf(cx, t),
    })
  }
  // The reference leaves tanh out beyond.
  if (rounded < -15 || rounded > -9) throw new Unsupported(`a cell state of scale 2^${rounded} (2^-15 to 2^-9 are run)`)
  return rounded
}

function constantOf(cx: Context, t: Tensor): Buffer {
  return cx.buffers.constant(t.name, t.data!)
}

/** A clip in steps of the tensor's scale, up to `most`. 0: none. */
const clipOf = (cx: Context, clip: number, t: Tensor, most: number): number =>
  clip > 0 ? Math.trunc(clamp(f32(f32(clip) / scaleOf(cx, t)), -most - 1, most)) : 0

/** Sizes of the op, its shapes and types checked. */
function lstmSizes(cx: Context): Sizes & { batch: number; steps: number } {
  const { attrs } = cx.op as OpOf<'UNIDIRECTIONAL_SEQUENCE_LSTM'>
  const x = cx.input(0)
  const out = cx.output()
  for (const t of [x, out]) {
    if (t.dtype !== 'int8') {
      throw new Unsupported(`${t.dtype} tensor "${t.name}" (int8 is run: quantize the model fully)`)
    }
  }
  if ([20, 21, 22, 23].some((i) => cx.hasInput(i))) throw new Unsupported('layer norm')
  if (x.shape.length !== 3) throw cx.fail('lower/shape', 'rank of the input', x, { expected: 3, got: x.shape.length })
  const [d0, d1, inputs] = x.shape as [number, number, number]
  const batch = attrs.timeMajor ? d1 : d0
  const steps = attrs.timeMajor ? d0 : d1
  const cells = cx.input(INPUT_WEIGHTS[3]).shape[0] ?? 0
  const outputs = cx.input(RECURRENT_WEIGHTS[3]).shape[1] ?? 0
  if (!cx.hasInput(PROJECTION) && cells !== outputs) {
    throw cx.fail('lower/shape', 'outputs without a projection', out, {
      expected: `${cells} (as many as cells)`,
      got: outputs,
    })
  }
  cx.expectShape(out, [d0, d1, outputs])
  if (cx.hasInput(PEEPHOLES[3]) && outputs !== cells) throw new Unsupported('peepholes and a projection together')
  if (cx.op.inputs[HIDDEN] === cx.op.inputs[CELL]) {
    throw new Unsupported('one tensor for both hidden and cell state: LiteRT writes past its end, to no certain answer')
  }
  return { inputs, cells, outputs, batch, steps }
}

export function lowerLstm(cx: Context): void {
  const { attrs } = cx.op as OpOf<'UNIDIRECTIONAL_SEQUENCE_LSTM'>
  const out = cx.output()
  const { batch, steps, ...sizes } = lstmSizes(cx)
  const { inputs, cells, outputs } = sizes
  const projected = cx.hasInput(PROJECTION)
  const cifg = !cx.hasInput(INPUT_WEIGHTS[0])
  const peephole = cx.hasInput(PEEPHOLES[3])
  const hidden = stateOf(cx, HIDDEN, 'int8', batch * outputs)
  const cell = stateOf(cx, CELL, 'int16', batch * cells)
  const log2 = cellScale(cx)
  const gates = [0, 1, 2, 3].map((g) => (cifg && g === 0 ? undefined : gateTable(cx, g, sizes, peephole)))
  const gateWords = 6 + cells * (peephole ? 3 : 2)
  const table = new Int32Array(4 * gateWords)
  gates.forEach((g, i) => g && table.set(g.table, i * gateWords))
  const tables = cx.buffers.constant(`${out.name} gates`, table)
  const input = gates.map((g) => g && constantOf(cx, g.input))
  const recurrent = gates.map((g) => g && constantOf(cx, g.recurrent))
  const hq = cx.q(hidden.tensor)
  if (!(attrs.hiddenScale > 0)) {
    throw cx.fail('lower/quantization', 'the hidden state has no scale (intermediate 4)', out, {
      expected: '> 0',
      got: attrs.hiddenScale,
    })
  }
  const hiddenMultiplier = quantizeMultiplier(f32((2 ** -15 / attrs.hiddenScale) * 2 ** -15))
  const projection = projected ? projectionOf(cx, sizes, attrs.hiddenScale, attrs.hiddenZeroPoint) : undefined
  const cellClip = clipOf(cx, attrs.cellClip, cell.tensor, 32767)
  const projectionClip = clipOf(cx, attrs.projectionClip, out, 127)
  const xv = cx.plain(cx.value(0))
  const y = cx.result()
  y.alias = true
  const scratch = cx.scratch(`${out.name} scratch`, cells * 9)
  const weights = [...input, ...recurrent, projection?.weights, projection?.bias].filter((b) => b !== undefined)
  const along = attrs.timeMajor
  cx.push({
    record: 'LstmRecord',
    op: OP_LSTM,
    kernel: 'lstm',
    rows: rowwise(1),
    reads: [xv.buffer, hidden.buffer, cell.buffer, tables, ...weights],
    writes: [y.buffer, hidden.buffer, cell.buffer, scratch],
    macs: batch * steps * (cells * (cifg ? 3 : 4) * (inputs + outputs) + (projected ? cells * outputs : 0)),
    fields: () => ({
      input: xv.address(),
      output: y.address(),
      hidden: hidden.address(),
      cell: cell.address(),
      ...Object.fromEntries(input.map((b, i) => [`inputWeights${i}`, b?.address ?? 0])),
      ...Object.fromEntries(recurrent.map((b, i) => [`recurrentWeights${i}`, b?.address ?? 0])),
      gates: tables.address,
      gateBytes: gateWords * 4,
      steps,
      batch,
      ...sizes,
      inputStride: along ? batch * inputs : inputs,
      inputBatchStride: along ? inputs : steps * inputs,
      outputStride: along ? batch * outputs : outputs,
      outputBatchStride: along ? outputs : steps * outputs,
      cifg: cifg ? 1 : 0,
      peephole: peephole ? 1 : 0,
      updateShift: 30 + log2,
      cellBits: 15 + log2,
      cellClip,
      hiddenMultiplier: hiddenMultiplier.multiplier,
      hiddenShift: hiddenMultiplier.shift,
      hiddenZeroPoint: projected ? -attrs.hiddenZeroPoint : attrs.hiddenZeroPoint,
      projection: projection?.weights.address ?? 0,
      projectionBias: projection?.bias.address ?? 0,
      projectionMultiplier: projection?.multiplier ?? 0,
      projectionShift: projection?.shift ?? 0,
      projectionClip,
      outputZeroPoint: hq.zeroPoint,
      scratch: scratch.address,
    }),
  })
}

function projectionOf(
  cx: Context,
  { cells, outputs }: Sizes,
  hiddenScale: number,
  hiddenZero: number,
): { weights: Buffer; bias: Buffer; multiplier: number; shift: number } {
  const weights = constant(cx, PROJECTION, 'int8', [outputs, cells])
  const bias = cx.hasInput(PROJECTION + 1) ? constant(cx, PROJECTION + 1, 'int32', [outputs]) : undefined
  const scale = scaleOf(cx, cx.input(HIDDEN))
  return {
    weights: constantOf(cx, weights),
    // The kernel works on hidden values that have the zero point subtracted, where others add it.
    bias: cx.buffers.constant(`${weights.name} bias`, foldBias(weights, bias, -hiddenZero)),
    ...quantizeMultiplier(f32(f32(scaleOf(cx, weights) * f32(hiddenScale)) / scale)),
  }
}

export function lowerSvdf(cx: Context): void {
  const { attrs } = cx.op as OpOf<'SVDF'>
  const { rank } = attrs
  const x = cx.input(0)
  const out = cx.output()
  if (attrs.activation !== 'RELU') throw new Unsupported(`${attrs.activation} activation (RELU is run, as in LiteRT)`)
  if (x.dtype !== 'int8' || out.dtype !== 'int8') {
    throw new Unsupported(`${x.dtype} to ${out.dtype} (int8 is run: quantize the model fully)`)
  }
  const [batch, inputs] = x.shape as [number, number]
  const filters = cx.input(1).shape[0] ?? 0
  const depth = cx.input(2).shape[1] ?? 0
  if (x.shape.length !== 2 || filters < 1 || depth < 1 || filters % rank !== 0) {
    throw cx.fail('lower/shape', 'filters', cx.input(1), {
      expected: `a multiple of rank ${rank}, input [N, K]`,
      got: filters,
    })
  }
  const units = filters / rank
  cx.expectShape(out, [batch, units])
  const feature = constant(cx, 1, 'int8', [filters, inputs])
  const time = constant(cx, 2, 'int16', [filters, depth])
  const bias = cx.hasInput(3) ? constant(cx, 3, 'int32', [units]) : undefined
  const state = stateOf(cx, 4, 'int16', batch * filters * depth)
  const stateScale = scaleOf(cx, state.tensor)
  const q = cx.q(x)
  const oq = cx.q(out)
  const first = quantizeMultiplier(f32(f32(q.scale * scaleOf(cx, feature)) / stateScale))
  const second = quantizeMultiplier(f32(f32(stateScale * scaleOf(cx, time)) / oq.scale))
  const xv = cx.plain(cx.value(0))
  const y = cx.result()
  y.alias = true
  const features = constantOf(cx, feature)
  const times = constantOf(cx, time)
  const folded = cx.buffers.constant(`${out.name} feature bias`, foldBias(feature, undefined, q.zeroPoint))
  const biases = cx.buffers.constant(`${out.name} bias`, bias ? int32s(bias.data!) : new Int32Array(units))
  cx.push({
    record: 'SvdfRecord',
    op: OP_SVDF,
    kernel: 'svdf',
    rows: rowwise(1),
    reads: [xv.buffer, state.buffer, features, folded, times, biases],
    writes: [y.buffer, state.buffer],
    macs: batch * filters * (inputs + depth),
    fields: () => ({
      input: xv.address(),
      output: y.address(),
      state: state.address(),
      feature: features.address,
      featureBias: folded.address,
      time: times.address,
      bias: biases.address,
      batch,
      inputs,
      filters,
      rank,
      depth,
      stateMultiplier: first.multiplier,
      stateShift: first.shift,
      outputMultiplier: second.multiplier,
      outputShift: second.shift,
      outputZeroPoint: oq.zeroPoint,
    }),
  })
}
