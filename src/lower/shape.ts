/** Ops that move data: reshape, concat, split, pad, slice, transpose, pack, unpack, resize. */
import { OP_FLOAT_RESIZE, OP_GATHER, OP_LUT, OP_RESIZE_BILINEAR } from '../generated/layout.ts'
import { dtypeBytes, elements, tensorBytes, type OpOf, type Tensor } from '../graph.ts'
import { f32, rha, rne } from '../numerics.ts'
import { bitsOf } from '../libm.ts'
import { slicesOf } from '../fold/shapes.ts'
import { strides } from './broadcast.ts'
import { type Context, Unsupported } from './context.ts'
import { concatTable } from './elementwise.ts'
import { loopsOf, moveBytes, type Loop } from './move.ts'
import { rowwise, Value, type Buffer } from './program.ts'

export function lowerReshape(cx: Context): void {
  const x = cx.value(0)
  const out = cx.output()
  if (elements(out.shape) !== elements(x.tensor.shape) || out.dtype !== x.tensor.dtype) {
    throw cx.fail('lower/shape', 'output size or type differs from its input', out, {
      expected: `[${x.tensor.shape}]`,
      got: `[${out.shape}]`,
    })
  }
  cx.alias(0, x)
}

const product = (s: readonly number[], from: number, to: number): number => s.slice(from, to).reduce((a, b) => a * b, 1)

export function normalAxis(cx: Context, axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(a) || a < 0 || a >= Math.max(rank, 1)) {
    throw cx.fail('lower/attribute', 'axis is out of range', undefined, {
      expected: `-${rank}..${rank - 1}`,
      got: axis,
    })
  }
  return a
}

export function lowerConcatenation(cx: Context): void {
  const op = cx.op as OpOf<'CONCATENATION'>
  const out = cx.output()
  const rank = out.shape.length
  if (op.attrs.activation !== 'NONE') throw new Unsupported('CONCATENATION with a fused activation')
  const axis = normalAxis(cx, op.attrs.axis, rank)
  const rows = product(out.shape, 0, axis)
  const width = dtypeBytes(out.dtype)
  const outBytes = product(out.shape, axis, rank) * width
  const y = cx.result()
  y.alias = true
  let offset = 0
  op.inputs.forEach((_, i) => {
    const x = cx.plain(cx.value(i))
    const t = x.tensor
    if (t.shape.length !== rank || t.dtype !== out.dtype || t.shape.some((v, d) => d !== axis && v !== out.shape[d])) {
      throw cx.fail('lower/shape', `input ${i} does not fit`, t, {
        expected: `[${out.shape}] but for axis ${axis}`,
        got: `[${t.shape}]`,
      })
    }
    const bytes = product(t.shape, axis, rank) * width
    const at = offset
    offset += bytes
    const differs = (out.dtype === 'uint8' || out.dtype === 'int8') && differ(cx, t, out)
    if (!differs) {
      return moveBytes(cx, {
        from: x,
        to: y,
        loops: [{ size: rows, from: bytes, to: outBytes }],
        bytes,
        outOffset: at,
        kernel: 'concat',
      })
    }
    if (out.dtype === 'int8') {
      throw cx.fail('lower/quantization', 'int8 CONCATENATION needs equal quantization of all tensors', t)
    }
    const lut = cx.buffers.constant('concat table', concatTable(cx.q(t), cx.q(out)))
    cx.push({
      record: 'LutRecord',
      op: OP_LUT,
      kernel: 'concat-requantize',
      rows: rowwise(rows),
      reads: [x.buffer, lut],
      writes: [y.buffer],
      fields: () => ({
        input: x.address(),
        inRowStride: bytes,
        inRing: rows,
        output: y.address() + at,
        outRowStride: outBytes,
        outRing: rows,
        bytes,
        table: lut.address,
      }),
    })
  })
  if (offset !== outBytes) {
    throw cx.fail('lower/shape', 'inputs do not fill the output', out, { expected: outBytes, got: offset })
  }
}

function differ(cx: Context, a: Tensor, b: Tensor): boolean {
  const x = cx.q(a)
  const y = cx.q(b)
  return x.scale !== y.scale || x.zeroPoint !== y.zeroPoint
}

/** SPLIT and SPLIT_V: the outputs' own shapes say where the cuts are. */
export function lowerSplit(cx: Context): void {
  const op = cx.op as OpOf<'SPLIT' | 'SPLIT_V'>
  const [position, axisPosition] = op.type === 'SPLIT' ? [1, 0] : [0, 2]
  const x = cx.plain(cx.value(position))
  const t = x.tensor
  const axis = normalAxis(cx, cx.integers(axisPosition, 'axis')[0] ?? 0, t.shape.length)
  const inner = product(t.shape, axis + 1, t.shape.length) * dtypeBytes(t.dtype)
  const rows = product(t.shape, 0, axis)
  let first = 0
  op.outputs.forEach((_, i) => {
    const y = cx.result(i)
    y.alias = true
    if (y.tensor.dtype !== t.dtype) {
      throw cx.fail('lower/dtype', `output ${i}`, y.tensor, { expected: t.dtype, got: y.tensor.dtype })
    }
    const bytes = y.tensor.shape[axis]! * inner
    moveBytes(cx, {
      from: x,
      to: y,
      loops: [{ size: rows, from: t.shape[axis]! * inner, to: bytes }],
      bytes,
      inOffset: first,
      kernel: 'split',
    })
    first += bytes
  })
}

/** Fills a value with one element, given as kernels see it. */
function fillValue(cx: Context, y: Value, element: Uint8Array): void {
  const bytes = tensorBytes(y.tensor)
  if (element.every((v) => v === element[0])) {
    cx.steps.push(
      ...cx.fillStep(y.buffer, () => ({ rows: 1, output: y.address(), outRowStride: 0, bytes, value: element[0]! })),
    )
    return
  }
  const width = element.length
  const t: Tensor = { name: 'fill value', shape: [], dtype: y.tensor.dtype }
  const from = new Value(t, { n: 1, h: 1, w: 1, c: width }, cx.buffers.constant(t.name, element))
  moveBytes(cx, { from, to: y, loops: [{ size: bytes / width, from: 0, to: width }], bytes: width, kernel: 'fill' })
}

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

const isQuantized = (t: Tensor): boolean => t.dtype === 'int8' || t.dtype === 'uint8'

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

export function lowerTranspose(cx: Context): void {
  const x = cx.plain(cx.value(0))
  const t = x.tensor
  const out = cx.output()
  const width = dtypeBytes(t.dtype)
  const order = cx.integers(1, 'permutation').map((a) => (a < 0 ? a + t.shape.length : a))
  if (
    order.length !== t.shape.length ||
    [...order].sort((a, b) => a - b).some((v, i) => v !== i) ||
    order.some((v, i) => t.shape[v] !== out.shape[i])
  ) {
    throw cx.fail('lower/shape', 'permutation does not match the shapes', out)
  }
  const si = strides(t.shape, width)
  const y = cx.result()
  y.alias = true
  const from = order.map((i) => si[i]!)
  moveBytes(cx, {
    from: x,
    to: y,
    loops: loopsOf(out.shape, from, strides(out.shape, width)),
    bytes: width,
    kernel: 'transpose',
  })
}

export function lowerSlice(cx: Context): void {
  const x = cx.plain(cx.value(0))
  const t = x.tensor
  const out = cx.output()
  const width = dtypeBytes(t.dtype)
  const begin = cx.integers(1, 'begin')
  const size = cx.integers(2, 'size').map((v, i) => (v === -1 ? t.shape[i]! - begin[i]! : v))
  if (
    begin.length !== t.shape.length ||
    size.some((v, i) => v !== out.shape[i] || begin[i]! < 0 || begin[i]! + v > t.shape[i]!)
  ) {
    throw cx.fail('lower/shape', 'slice does not fit its input', out)
  }
  const si = strides(t.shape, width)
  const y = cx.result()
  y.alias = true
  moveBytes(cx, {
    from: x,
    to: y,
    loops: loopsOf(out.shape, si, strides(out.shape, width)),
    bytes: width,
    inOffset: begin.reduce((a, b, i) => a + b * si[i]!, 0),
    kernel: 'slice',
  })
}

export function lowerStridedSlice(cx: Context): void {
  const { attrs } = cx.op as OpOf<'STRIDED_SLICE'>
  const x = cx.plain(cx.value(0))
  const t = x.tensor
  const out = cx.output()
  const width = dtypeBytes(t.dtype)
  const [begin, end, step] = [cx.integers(1, 'begin'), cx.integers(2, 'end'), cx.integers(3, 'strides')]
  const slices = slicesOf(t.shape, { begin, end, step }, attrs)
  if (!slices || elements(slices.shape) !== elements(out.shape) || t.dtype !== out.dtype) {
    throw cx.fail('lower/shape', 'slice does not match its output', out, {
      expected: `[${slices?.shape}]`,
      got: `[${out.shape}]`,
    })
  }
  const si = strides(t.shape, width)
  const sizes = slices.spans.map((p) => p.size)
  const from = slices.spans.map((p, i) => p.step * si[i]!)
  const y = cx.result()
  y.alias = true
  moveBytes(cx, {
    from: x,
    to: y,
    loops: loopsOf(sizes, from, strides(sizes, width)),
    bytes: width,
    inOffset: slices.spans.reduce((a, p, i) => a + p.begin * si[i]!, 0),
    kernel: 'strided-slice',
  })
}

/** REVERSE_V2. */
export function lowerReverse(cx: Context): void {
  const x = cx.plain(cx.value(0))
  const { shape, dtype } = x.tensor
  const width = dtypeBytes(dtype)
  const axes = cx.integers(1, 'axes').map((a) => normalAxis(cx, a, shape.length))
  const si = strides(shape, width)
  const y = cx.result()
  y.alias = true
  moveBytes(cx, {
    from: x,
    to: y,
    loops: shape.map((size, i) => ({ size, from: axes.includes(i) ? -si[i]! : si[i]!, to: si[i]! })),
    bytes: width,
    inOffset: axes.reduce((a, i) => a + (shape[i]! - 1) * si[i]!, 0),
    kernel: 'reverse',
  })
}

/** BROADCAST_TO, and FILL with a value that is computed. */
export function lowerBroadcast(cx: Context): void {
  const x = cx.plain(cx.value(cx.op.type === 'FILL' ? 1 : 0))
  const out = cx.output()
  const { shape, dtype } = x.tensor
  const width = dtypeBytes(dtype)
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, { expected: dtype, got: out.dtype })
  const own = strides(shape, width)
  const first = out.shape.length - shape.length
  const from = out.shape.map((_, i) => (i < first || shape[i - first] === 1 ? 0 : own[i - first]!))
  const y = cx.result()
  y.alias = true
  moveBytes(cx, {
    from: x,
    to: y,
    loops: loopsOf(out.shape, from, strides(out.shape, width)),
    bytes: width,
    kernel: 'broadcast',
  })
}

/** SPACE_TO_DEPTH and DEPTH_TO_SPACE: an image of blocks against a pixel for each block. */
export function lowerBlocksToDepth(cx: Context): void {
  const op = cx.op as OpOf<'SPACE_TO_DEPTH' | 'DEPTH_TO_SPACE'>
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const { dtype } = x.tensor
  const b = op.attrs.blockSize
  const gathers = op.type === 'SPACE_TO_DEPTH'
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, { expected: dtype, got: out.dtype })
  // Of the side with the larger image.
  const [n, h, w, c] = (gathers ? x.tensor : out).shape as [number, number, number, number]
  const run = b * c * dtypeBytes(dtype)
  const y = cx.result()
  y.alias = true
  const blocks: { size: number; image: number; deep: number }[] = [
    { size: (n * h) / b, image: b * (w / b) * run, deep: (w / b) * b * run },
    { size: w / b, image: run, deep: b * run },
    { size: b, image: (w / b) * run, deep: run },
  ]
  moveBytes(cx, {
    from: x,
    to: y,
    loops: blocks.map(({ size, image, deep }) =>
      gathers ? { size, from: image, to: deep } : { size, from: deep, to: image },
    ),
    bytes: run,
    kernel: gathers ? 'space-to-depth' : 'depth-to-space',
  })
}

/** SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: one copy for each place inside a block. */
export function lowerBlocksToBatch(cx: Context): void {
  const toBatch = cx.op.type === 'SPACE_TO_BATCH_ND'
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const { dtype } = x.tensor
  const width = dtypeBytes(dtype)
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, { expected: dtype, got: out.dtype })
  const block = cx.integers(1, 'block')
  const edges = cx.integers(2, 'paddings')
  const y = cx.result()
  y.alias = true
  // The image that the blocks lie in, and the batch that has a small image for each place of a block.
  const [image, batch] = toBatch ? [x.tensor.shape, out.shape] : [out.shape, x.tensor.shape]
  const [imageSteps, batchSteps] = [strides(image, width), strides(batch, width)]
  if (toBatch && edges.some((e) => e > 0)) {
    fillValue(cx, y, isQuantized(out) ? Uint8Array.of(cx.q(out).zero & 255) : new Uint8Array(width))
  }
  const places = block.reduce((a, b) => a * b, 1)
  for (let place = 0; place < places; place++) {
    let rest = place
    const at = new Array<number>(block.length)
    for (let d = block.length - 1; d >= 0; d--) {
      at[d] = rest % block[d]!
      rest = Math.floor(rest / block[d]!)
    }
    let imageOffset = 0
    let batchOffset = place * image[0]! * batchSteps[0]!
    const loops: { size: number; image: number; batch: number }[] = [
      { size: image[0]!, image: imageSteps[0]!, batch: batchSteps[0]! },
    ]
    at.forEach((offset, d) => {
      // Small positions s whose place s * block + offset - edge lies inside the image.
      const edge = edges[2 * d]!
      const b = block[d]!
      const first = Math.max(0, Math.ceil((edge - offset) / b))
      const end = Math.min(batch[d + 1]!, Math.floor((image[d + 1]! - 1 + edge - offset) / b) + 1)
      imageOffset += (first * b + offset - edge) * imageSteps[d + 1]!
      batchOffset += first * batchSteps[d + 1]!
      loops.push({ size: Math.max(0, end - first), image: b * imageSteps[d + 1]!, batch: batchSteps[d + 1]! })
    })
    for (let d = block.length + 1; d < image.length; d++) {
      loops.push({ size: image[d]!, image: imageSteps[d]!, batch: batchSteps[d]! })
    }
    moveBytes(cx, {
      from: x,
      to: y,
      loops: loops.map((l) =>
        toBatch ? { size: l.size, from: l.image, to: l.batch } : { size: l.size, from: l.batch, to: l.image },
      ),
      bytes: width,
      inOffset: toBatch ? imageOffset : batchOffset,
      outOffset: toBatch ? batchOffset : imageOffset,
      kernel: toBatch ? 'space-to-batch' : 'batch-to-space',
    })
  }
}

export function lowerPack(cx: Context): void {
  const op = cx.op as OpOf<'PACK'>
  const out = cx.output()
  const axis = normalAxis(cx, op.attrs.axis, out.shape.length)
  const width = dtypeBytes(out.dtype)
  const rows = product(out.shape, 0, axis)
  const inner = product(out.shape, axis + 1, out.shape.length) * width
  const y = cx.result()
  y.alias = true
  if (op.inputs.length !== out.shape[axis]) {
    throw cx.fail('lower/shape', 'number of inputs', out, { expected: out.shape[axis], got: op.inputs.length })
  }
  op.inputs.forEach((_, i) => {
    const x = cx.plain(cx.value(i))
    if (tensorBytes(x.tensor) !== rows * inner) throw cx.fail('lower/shape', `input ${i}`, x.tensor)
    if ((out.dtype === 'int8' || out.dtype === 'uint8') && differ(cx, x.tensor, out)) {
      throw new Unsupported('PACK of differently quantized tensors')
    }
    moveBytes(cx, {
      from: x,
      to: y,
      loops: [{ size: rows, from: inner, to: inner * op.inputs.length }],
      bytes: inner,
      outOffset: i * inner,
      kernel: 'pack',
    })
  })
}

export function lowerUnpack(cx: Context): void {
  const op = cx.op as OpOf<'UNPACK'>
  const x = cx.plain(cx.value(0))
  const t = x.tensor
  const axis = normalAxis(cx, op.attrs.axis, t.shape.length)
  const width = dtypeBytes(t.dtype)
  const rows = product(t.shape, 0, axis)
  const inner = product(t.shape, axis + 1, t.shape.length) * width
  if (op.outputs.length !== t.shape[axis]) {
    throw cx.fail('lower/shape', 'number of outputs', t, { expected: t.shape[axis], got: op.outputs.length })
  }
  op.outputs.forEach((_, i) => {
    const y = cx.result(i)
    y.alias = true
    if (tensorBytes(y.tensor) !== rows * inner) throw cx.fail('lower/shape', `output ${i}`, y.tensor)
    moveBytes(cx, {
      from: x,
      to: y,
      loops: [{ size: rows, from: inner * op.outputs.length, to: inner }],
      bytes: inner,
      inOffset: i * inner,
      kernel: 'unpack',
    })
  })
}

/** An axis of `size` pixels, `stride` bytes apart, resized to `out`. */
export interface ResizedAxis {
  size: number
  out: number
  stride: number
}

/** Where a resize puts pixels: at most one of the two. */
export type PixelCentres = OpOf<'RESIZE_BILINEAR'>['attrs']

/** Where along an axis two pixels lie, in bytes, and the second's weight, which `weigh` makes a word of. */
function bilinearTable(weigh: (part: number) => number) {
  /** Source: XNNPACK's resize-bilinear set-up, f32 throughout. */
  return ({ size, out, stride }: ResizedAxis, { alignCorners, halfPixelCenters }: PixelCentres): Int32Array => {
    const adjust = alignCorners && out !== 1 ? 1 : 0
    const scale = f32(f32(size - adjust) / f32(out - adjust))
    const table = new Int32Array(out * 3)
    for (let i = 0; i < out; i++) {
      let p: number
      if (alignCorners || !halfPixelCenters) p = Math.min(f32(i * scale), size - 1)
      else p = Math.min(Math.max(f32(f32(i * scale) + f32(f32(0.5 * scale) - 0.5)), 0), size - 1)
      const at = Math.trunc(p)
      table.set([at * stride, Math.min(at + 1, size - 1) * stride, weigh(f32(p - at))], i * 3)
    }
    return table
  }
}

/** Weights in 11 bits, and as float32. */
const fixedTable = bilinearTable((part) => rne(f32(part * 2048)))
const floatTable = bilinearTable(bitsOf)

/** Source: TFLite's builtin nearest-neighbour resize. */
export function nearestTable(
  { size, out, stride }: ResizedAxis,
  { alignCorners, halfPixelCenters }: PixelCentres,
): Int32Array {
  const table = new Int32Array(out)
  for (let i = 0; i < out; i++) {
    let at: number
    if (!alignCorners && !halfPixelCenters) {
      at = Math.min(Math.floor((i * (Math.floor((size * 65536) / out) + 1)) / 65536), size - 1)
    } else {
      const scale = alignCorners && out > 1 ? f32(f32(size - 1) / f32(out - 1)) : f32(size / f32(out))
      const v = f32(f32(i + (halfPixelCenters ? 0.5 : 0)) * scale)
      at = Math.max(0, Math.min(alignCorners ? rha(v) : Math.floor(v), size - 1))
    }
    table[i] = at * stride
  }
  return table
}

export function lowerResize(cx: Context): void {
  const op = cx.op as OpOf<'RESIZE_BILINEAR' | 'RESIZE_NEAREST_NEIGHBOR'>
  const bilinear = op.type === 'RESIZE_BILINEAR'
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const t = x.tensor
  const [oh, ow] = cx.integers(1, 'size') as [number, number]
  if (t.shape.length !== 4) {
    throw cx.fail('lower/shape', 'input shape', t, { expected: '4 dimensions', got: `[${t.shape}]` })
  }
  const [images, height, width, channels] = t.shape as [number, number, number, number]
  cx.expectShape(out, [images, oh, ow, channels])
  const pixel = channels * dtypeBytes(t.dtype)
  const real = bilinear && t.dtype === 'float32'
  if (bilinear && !real && !isQuantized(t)) throw new Unsupported(`${op.type} of ${t.dtype}`)
  if (t.dtype !== out.dtype || (isQuantized(t) && differ(cx, t, out))) {
    throw new Unsupported(`${op.type} that changes the quantization`)
  }
  if (!bilinear && op.attrs.alignCorners && op.attrs.halfPixelCenters) {
    throw new Unsupported('RESIZE_NEAREST_NEIGHBOR with both alignCorners and halfPixelCenters')
  }
  const make = real ? floatTable : bilinear ? fixedTable : nearestTable
  const rows = cx.buffers.constant('resize rows', make({ size: height, out: oh, stride: width * pixel }, op.attrs))
  const columns = cx.buffers.constant('resize columns', make({ size: width, out: ow, stride: pixel }, op.attrs))
  const y = cx.result()
  y.alias = true
  for (let n = 0; n < images; n++) {
    const common = (): Record<string, number> => ({
      input: x.address() + n * height * width * pixel,
      output: y.address() + n * oh * ow * pixel,
      outRowStride: ow * pixel,
      outW: ow,
      rowTable: rows.address,
      columnTable: columns.address,
    })
    const buffers: { reads: Buffer[]; writes: Buffer[] } = { reads: [x.buffer, rows, columns], writes: [y.buffer] }
    if (bilinear) {
      cx.push({
        record: 'ResizeBilinearRecord',
        op: real ? OP_FLOAT_RESIZE : OP_RESIZE_BILINEAR,
        kernel: 'resize-bilinear',
        rows: rowwise(oh),
        ...buffers,
        fields: () => ({ ...common(), channels }),
      })
    } else {
      cx.push({
        record: 'GatherRecord',
        op: OP_GATHER,
        kernel: 'resize-nearest',
        rows: rowwise(oh),
        ...buffers,
        fields: () => ({ ...common(), bytes: pixel }),
      })
    }
  }
}

export function lowerTile(cx: Context): void {
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const { shape, dtype } = x.tensor
  const width = dtypeBytes(dtype)
  const multiples = cx.integers(1, 'multiples')
  if (multiples.length !== shape.length) {
    throw cx.fail('lower/shape', 'number of multiples', out, { expected: shape.length, got: multiples.length })
  }
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, { expected: dtype, got: out.dtype })
  cx.expectShape(
    out,
    shape.map((d, i) => d * multiples[i]!),
  )
  const [si, so] = [strides(shape, width), strides(out.shape, width)]
  const y = cx.result()
  y.alias = true
  moveBytes(cx, {
    from: x,
    to: y,
    loops: shape.flatMap((size, i) => [
      { size: multiples[i]!, from: 0, to: size * so[i]! },
      { size, from: si[i]!, to: so[i]! },
    ]),
    bytes: width,
    kernel: 'tile',
  })
}
