/** Padding, with a value or mirrored. */
import { dtypeBytes, elements, type OpOf } from '../graph/graph.ts'
import { strides } from './broadcast.ts'
import { type Context, Unsupported } from './context.ts'
import { fillValue, type Loop, loopsOf, moveBytes } from './move.ts'
import { Value } from './program.ts'
import { differ, isQuantized } from './shape.ts'

/** PAD and PADV2, whose value is a constant on the output's grid. */
export function lowerPad(cx: Context): void {
  const out = cx.output()
  const x = cx.value(0)
  const t = x.tensor
  const rank = t.shape.length
  const width = dtypeBytes(t.dtype)
  if (t.dtype !== out.dtype) throw cx.fail('lower/dtype', 'output type', out, { expected: t.dtype, got: out.dtype })
  const quantized = isQuantized(out)
  if (quantized && differ(cx, t, out)) {
    throw cx.fail('lower/quantization', `${cx.op.type} needs equal quantization of input and output`, out)
  }
  const pads = cx.integers(1, 'paddings')
  if (
    pads.length !== rank * 2 ||
    pads.some((p) => p < 0) ||
    t.shape.some((v, i) => v + pads[2 * i]! + pads[2 * i + 1]! !== out.shape[i])
  ) {
    throw cx.fail('lower/shape', 'paddings do not match the shapes', out)
  }
  const explicit = cx.op.type === 'PADV2'
  if (!explicit && quantized && foldPad(cx, x, pads)) return
  const element = explicit
    ? constantElement(cx, 2)
    : quantized
      ? Uint8Array.of(cx.q(out).zero & 255)
      : new Uint8Array(width)
  cx.plain(x)
  const y = cx.result()
  y.alias = true
  if (pads.some((p) => p > 0)) fillValue(cx, y, element)
  const so = strides(out.shape, width)
  moveBytes(cx, {
    from: x,
    to: y,
    loops: loopsOf(t.shape, strides(t.shape, width), so),
    bytes: width,
    outOffset: so.reduce((a, step, i) => a + pads[2 * i]! * step, 0),
    kernel: 'pad',
  })
}

/** The one element of constant input `position`, as kernels see it; of the output's type and, in 8 bits, its grid. */
function constantElement(cx: Context, position: number): Uint8Array {
  const t = cx.input(position)
  const out = cx.output()
  if (!t.data) throw new Unsupported(`a value that is computed`)
  if (t.dtype !== out.dtype || elements(t.shape) !== 1) {
    throw cx.fail('lower/dtype', `input ${position}`, t, {
      expected: `one ${out.dtype}`,
      got: `[${t.shape}] ${t.dtype}`,
    })
  }
  if (isQuantized(out) && t.quantization && differ(cx, t, out)) {
    throw new Unsupported(`${cx.op.type} with a value of another quantization`)
  }
  return t.dtype === 'uint8' ? t.data.map((v) => v ^ 0x80) : t.data
}

/**
 * Where the elements along one dimension of a mirrored image come from: runs of input positions, forwards or backwards.
 */
function mirrorRuns(
  size: number,
  before: number,
  after: number,
  border: number,
): { from: number; step: number; size: number }[] {
  return [
    { from: before - 1 + border, step: -1, size: before },
    { from: 0, step: 1, size },
    { from: size - 1 - border, step: -1, size: after },
  ].filter((run) => run.size > 0)
}

export function lowerMirrorPad(cx: Context): void {
  const op = cx.op as OpOf<'MIRROR_PAD'>
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const { shape, dtype } = x.tensor
  const width = dtypeBytes(dtype)
  const pads = cx.integers(1, 'paddings')
  const border = op.attrs.mode === 'REFLECT' ? 1 : 0
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, { expected: dtype, got: out.dtype })
  if (shape.some((d, i) => Math.max(pads[2 * i]!, pads[2 * i + 1]!) > d - border)) {
    throw cx.fail('lower/shape', 'paddings are larger than the image', out, {
      expected: `at most [${shape}]`,
      got: `[${pads}]`,
    })
  }
  const si = strides(shape, width)
  const so = strides(out.shape, width)
  const y = cx.result()
  y.alias = true
  const emit = (d: number, move: { loops: Loop[]; inOffset: number; outOffset: number }): void => {
    if (d === shape.length) {
      moveBytes(cx, { from: x, to: y, ...move, bytes: width, kernel: 'mirror-pad' })
      return
    }
    let at = 0
    for (const run of mirrorRuns(shape[d]!, pads[2 * d]!, pads[2 * d + 1]!, border)) {
      emit(d + 1, {
        loops: [...move.loops, { size: run.size, from: run.step * si[d]!, to: so[d]! }],
        inOffset: move.inOffset + run.from * si[d]!,
        outOffset: move.outOffset + at * so[d]!,
      })
      at += run.size
    }
  }
  emit(0, { loops: [], inOffset: 0, outOffset: 0 })
}

/** A spatial PAD whose only reader is an unpadded convolution becomes that convolution's padding. */
function foldPad(cx: Context, x: Value, pads: number[]): boolean {
  if (x.tensor.shape.length !== 4 || x.pad || pads[0] || pads[1] || pads[6] || pads[7]) return false
  const index = cx.op.outputs[0]!
  if (cx.uses[index] !== 1) return false
  const reader = cx.firstReader.get(index)
  if (
    !reader ||
    (reader.type !== 'CONV_2D' && reader.type !== 'DEPTHWISE_CONV_2D') ||
    reader.attrs.padding !== 'VALID'
  ) {
    return false
  }
  // The value itself when nobody else reads it (its layout stays free), else another view of it.
  let value = x
  if (cx.uses[cx.op.inputs[0]!] !== 1) {
    value = new Value(x.tensor, x, x.buffer)
    value.alias = true
    x.alias = true
  }
  value.pad = { top: pads[2]!, bottom: pads[3]!, left: pads[4]!, right: pads[5]! }
  cx.values.set(index, value)
  return true
}
