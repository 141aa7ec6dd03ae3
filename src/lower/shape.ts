/** Ops that move data: reshape, concat, split, slice, transpose, reverse, broadcast, blocks, pack, unpack, tile. */
import { OP_LUT } from '../generated/layout.ts'
import { dtypeBytes, elements, tensorBytes, type OpOf, type Tensor } from '../graph/graph.ts'
import { slicesOf } from '../fold/shapes.ts'
import { strides } from './broadcast.ts'
import { type Context, Unsupported } from './context.ts'
import { concatTable } from './elementwise.ts'
import { fillValue, loopsOf, moveBytes } from './move.ts'
import { rowwise } from './program.ts'

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

export const isQuantized = (t: Tensor): boolean => t.dtype === 'int8' || t.dtype === 'uint8'

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
    const differs = isQuantized(out) && differ(cx, t, out)
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

export function differ(cx: Context, a: Tensor, b: Tensor): boolean {
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

/** REVERSE_SEQUENCE by constant lengths: of each index of the batch axis the first ones turn, others stay. */
export function lowerReverseSequence(cx: Context): void {
  const { attrs } = cx.op as OpOf<'REVERSE_SEQUENCE'>
  const x = cx.plain(cx.value(0))
  const { shape, dtype } = x.tensor
  if (dtype === 'int8') throw new Unsupported('on int8 tensors LiteRT does not run it either')
  const width = dtypeBytes(dtype)
  const axis = normalAxis(cx, attrs.axis, shape.length)
  const batchAxis = normalAxis(cx, attrs.batchAxis, shape.length)
  const lengths = cx.integers(1, 'lengths')
  const [batch, most] = [shape[batchAxis]!, shape[axis]!]
  if (axis === batchAxis) {
    throw cx.fail('lower/attribute', 'the batch axis is the one to reverse', x.tensor, {
      expected: 'two axes',
      got: axis,
    })
  }
  if (lengths.length !== batch || lengths.some((n) => n < 0 || n > most)) {
    throw cx.fail('lower/constant', 'lengths do not fit', cx.input(1), {
      expected: `${batch} numbers from 0 to ${most}`,
      got: `[${lengths}]`,
    })
  }
  const out = cx.output()
  cx.expectShape(out, shape)
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, { expected: dtype, got: out.dtype })
  const step = strides(shape, width)
  const along = step[axis]!
  const y = cx.result()
  y.alias = true
  /** `count` elements along the axis, read from `from` on by steps of `by` bytes, written from `to` on. */
  const part = (first: number, many: number, run: { count: number; from: number; to: number; by: number }): void => {
    const sizes = shape.map((d, i) => (i === axis ? run.count : i === batchAxis ? many : d))
    moveBytes(cx, {
      from: x,
      to: y,
      loops: sizes.map((size, i) => ({ size, from: i === axis ? run.by : step[i]!, to: step[i]! })),
      bytes: width,
      inOffset: first * step[batchAxis]! + run.from * along,
      outOffset: first * step[batchAxis]! + run.to * along,
      kernel: 'reverse-sequence',
    })
  }
  for (let first = 0; first < batch;) {
    const n = lengths[first]!
    let end = first + 1
    while (end < batch && lengths[end] === n) end++
    part(first, end - first, { count: n, from: n - 1, to: 0, by: -along })
    part(first, end - first, { count: most - n, from: n, to: n, by: along })
    first = end
  }
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
    if (isQuantized(out) && differ(cx, x.tensor, out)) {
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
