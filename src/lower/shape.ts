/** Ops that move data: reshape, concat, split, pad, slice, transpose, pack, unpack, resize. */
import { OP_GATHER, OP_LUT, OP_RESIZE_BILINEAR } from '../generated/layout.ts'
import { dtypeBytes, elements, tensorBytes, type OpOf, type Tensor } from '../graph.ts'
import { clamp, f32, rha, rne } from '../numerics.ts'
import { strides } from './broadcast.ts'
import { type Context, Unsupported } from './context.ts'
import { concatTable } from './elementwise.ts'
import { loopsOf, moveBytes } from './move.ts'
import { rowwise, Value, type Buffer } from './program.ts'

export function lowerReshape(cx: Context): void {
  const x = cx.value(0)
  const out = cx.output()
  if (elements(out.shape) !== elements(x.tensor.shape) || out.dtype !== x.tensor.dtype) {
    throw cx.fail(
      'lower/shape',
      'output size or type differs from its input',
      out,
      `[${x.tensor.shape}]`,
      `[${out.shape}]`,
    )
  }
  cx.alias(0, x)
}

const product = (s: readonly number[], from: number, to: number): number => s.slice(from, to).reduce((a, b) => a * b, 1)

export function normalAxis(cx: Context, axis: number, rank: number): number {
  const a = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(a) || a < 0 || a >= Math.max(rank, 1)) {
    throw cx.fail('lower/attribute', 'axis is out of range', undefined, `-${rank}..${rank - 1}`, axis)
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
      throw cx.fail('lower/shape', `input ${i} does not fit`, t, `[${out.shape}] but for axis ${axis}`, `[${t.shape}]`)
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
  if (offset !== outBytes) throw cx.fail('lower/shape', 'inputs do not fill the output', out, outBytes, offset)
}

function differ(cx: Context, a: Tensor, b: Tensor): boolean {
  const x = cx.q(a)
  const y = cx.q(b)
  return x.scale !== y.scale || x.zeroPoint !== y.zeroPoint
}

export function lowerSplit(cx: Context): void {
  const op = cx.op as OpOf<'SPLIT'>
  const x = cx.plain(cx.value(1))
  const t = x.tensor
  const rank = t.shape.length
  const axis = normalAxis(cx, cx.integers(0, 'axis')[0] ?? 0, rank)
  const rows = product(t.shape, 0, axis)
  const width = dtypeBytes(t.dtype)
  const inBytes = product(t.shape, axis, rank) * width
  if (t.shape[axis]! % op.outputs.length) {
    throw cx.fail(
      'lower/shape',
      'axis does not divide into the outputs',
      t,
      `multiple of ${op.outputs.length}`,
      t.shape[axis],
    )
  }
  const bytes = inBytes / op.outputs.length
  op.outputs.forEach((_, i) => {
    const y = cx.result(i)
    y.alias = true
    if (y.tensor.dtype !== t.dtype) throw cx.fail('lower/dtype', `output ${i}`, y.tensor, t.dtype, y.tensor.dtype)
    cx.expectShape(
      y.tensor,
      t.shape.map((d, k) => (k === axis ? d / op.outputs.length : d)),
    )
    moveBytes(cx, {
      from: x,
      to: y,
      loops: [{ size: rows, from: inBytes, to: bytes }],
      bytes,
      inOffset: i * bytes,
      kernel: 'split',
    })
  })
}

export function lowerPad(cx: Context): void {
  const out = cx.output()
  const x = cx.value(0)
  const t = x.tensor
  const rank = t.shape.length
  const q = cx.q(out)
  const xq = cx.q(t)
  if (q.scale !== xq.scale || q.zeroPoint !== xq.zeroPoint || t.dtype !== out.dtype) {
    throw cx.fail('lower/quantization', 'PAD needs equal quantization of input and output', out)
  }
  const pads = cx.integers(1, 'paddings')
  if (
    pads.length !== rank * 2 ||
    pads.some((p) => p < 0) ||
    t.shape.some((v, i) => v + pads[2 * i]! + pads[2 * i + 1]! !== out.shape[i])
  ) {
    throw cx.fail('lower/shape', 'paddings do not match the shapes', out)
  }
  if (foldPad(cx, x, pads)) return
  cx.plain(x)
  const y = cx.result()
  y.alias = true
  cx.steps.push(
    ...cx.fillStep(y.buffer, () => ({
      rows: 1,
      output: y.address(),
      outRowStride: 0,
      bytes: tensorBytes(out),
      value: q.zero & 255,
    })),
  )
  const so = strides(out.shape, 1)
  moveBytes(cx, {
    from: x,
    to: y,
    loops: loopsOf(t.shape, strides(t.shape, 1), so),
    bytes: 1,
    outOffset: pads.reduce((a, p, i) => (i % 2 ? a : a + p * so[i / 2]!), 0),
    kernel: 'pad',
  })
}

/** A spatial PAD whose only reader is an unpadded convolution becomes that convolution's padding. */
function foldPad(cx: Context, x: Value, pads: number[]): boolean {
  if (x.tensor.shape.length !== 4 || x.pad || pads[0] || pads[1] || pads[6] || pads[7]) return false
  const index = cx.op.outputs[0]!
  if (cx.uses[index] !== 1) return false
  const reader = cx.graph.ops.find((op) => op.inputs[0] === index)
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
  const order = cx.integers(1, 'permutation')
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
  const rank = t.shape.length
  if (attrs.ellipsisMask || attrs.newAxisMask) throw new Unsupported('STRIDED_SLICE with ellipsis or new axes')
  const begin = cx.integers(1, 'begin')
  const end = cx.integers(2, 'end')
  const step = cx.integers(3, 'strides')
  if (begin.length !== rank || step.length !== rank || end.length !== rank) {
    throw new Unsupported('STRIDED_SLICE of fewer dimensions than its input has')
  }
  if (step.some((v) => v < 1)) throw new Unsupported('STRIDED_SLICE with negative strides')
  const si = strides(t.shape, width)
  let offset = 0
  const dims = t.shape.map((size, i) => {
    const norm = (v: number): number => clamp(v < 0 ? v + size : v, 0, size)
    const b = (attrs.beginMask >> i) & 1 ? 0 : norm(begin[i]!)
    const e = (attrs.shrinkAxisMask >> i) & 1 ? b + 1 : (attrs.endMask >> i) & 1 ? size : norm(end[i]!)
    offset += b * si[i]!
    return Math.max(0, Math.ceil((e - b) / step[i]!))
  })
  if (product(dims, 0, rank) !== elements(out.shape)) {
    throw cx.fail('lower/shape', 'slice does not match its output', out, `[${dims}]`, `[${out.shape}]`)
  }
  const y = cx.result()
  y.alias = true
  const from = si.map((s, i) => s * step[i]!)
  moveBytes(cx, {
    from: x,
    to: y,
    loops: loopsOf(dims, from, strides(dims, width)),
    bytes: width,
    inOffset: offset,
    kernel: 'strided-slice',
  })
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
    throw cx.fail('lower/shape', 'number of inputs', out, out.shape[axis], op.inputs.length)
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
    throw cx.fail('lower/shape', 'number of outputs', t, t.shape[axis], op.outputs.length)
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

/** Source coordinate tables of one axis. Source: XNNPACK's resize-bilinear set-up, f32 throughout. */
function bilinearTable(
  size: number,
  out: number,
  alignCorners: boolean,
  halfPixel: boolean,
  stride: number,
): Int32Array {
  const adjust = alignCorners && out !== 1 ? 1 : 0
  const scale = f32(f32(size - adjust) / f32(out - adjust))
  const table = new Int32Array(out * 3)
  for (let i = 0; i < out; i++) {
    let p: number
    if (alignCorners || !halfPixel) p = Math.min(f32(i * scale), size - 1)
    else p = Math.min(Math.max(f32(f32(i * scale) + f32(f32(0.5 * scale) - 0.5)), 0), size - 1)
    const at = Math.trunc(p)
    table.set([at * stride, Math.min(at + 1, size - 1) * stride, rne(f32(f32(p - at) * 2048))], i * 3)
  }
  return table
}

/** Source: TFLite's builtin nearest-neighbour resize. */
function nearestTable(
  size: number,
  out: number,
  alignCorners: boolean,
  halfPixel: boolean,
  stride: number,
): Int32Array {
  const table = new Int32Array(out)
  for (let i = 0; i < out; i++) {
    let at: number
    if (!alignCorners && !halfPixel) {
      at = Math.min(Math.floor((i * (Math.floor((size * 65536) / out) + 1)) / 65536), size - 1)
    } else {
      const scale = alignCorners && out > 1 ? f32(f32(size - 1) / f32(out - 1)) : f32(size / f32(out))
      const v = f32(f32(i + (halfPixel ? 0.5 : 0)) * scale)
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
  if (
    t.shape.length !== 4 ||
    out.shape.length !== 4 ||
    out.shape[1] !== oh ||
    out.shape[2] !== ow ||
    out.shape[0] !== x.n ||
    out.shape[3] !== x.c
  ) {
    throw cx.fail('lower/shape', 'output shape', out, `[${x.n},${oh},${ow},${x.c}]`, `[${out.shape}]`)
  }
  if (differ(cx, t, out) || t.dtype !== out.dtype) throw new Unsupported(`${op.type} that changes the quantization`)
  if (!bilinear && op.attrs.alignCorners && op.attrs.halfPixelCenters) {
    throw new Unsupported('RESIZE_NEAREST_NEIGHBOR with both alignCorners and halfPixelCenters')
  }
  const make = bilinear ? bilinearTable : nearestTable
  const rows = cx.buffers.constant(
    'resize rows',
    make(x.h, oh, op.attrs.alignCorners, op.attrs.halfPixelCenters, x.rowBytes),
  )
  const columns = cx.buffers.constant(
    'resize columns',
    make(x.w, ow, op.attrs.alignCorners, op.attrs.halfPixelCenters, x.c),
  )
  const y = cx.result()
  y.alias = true
  for (let n = 0; n < x.n; n++) {
    const common = (): Record<string, number> => ({
      input: x.address(n),
      output: y.address(n),
      outRowStride: y.rowStride,
      outW: ow,
      rowTable: rows.address,
      columnTable: columns.address,
    })
    const buffers: { reads: Buffer[]; writes: Buffer[] } = { reads: [x.buffer, rows, columns], writes: [y.buffer] }
    if (bilinear) {
      cx.push({
        record: 'ResizeBilinearRecord',
        op: OP_RESIZE_BILINEAR,
        kernel: 'resize-bilinear',
        rows: rowwise(oh),
        ...buffers,
        fields: () => ({ ...common(), channels: x.c }),
      })
    } else {
      cx.push({
        record: 'GatherRecord',
        op: OP_GATHER,
        kernel: 'resize-nearest',
        rows: rowwise(oh),
        ...buffers,
        fields: () => ({ ...common(), bytes: x.c }),
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
    throw cx.fail('lower/shape', 'number of multiples', out, shape.length, multiples.length)
  }
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, dtype, out.dtype)
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
