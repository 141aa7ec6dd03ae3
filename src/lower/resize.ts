/** Bilinear and nearest-neighbour resizes: tables of where each axis reads. */
import { OP_FLOAT_RESIZE, OP_GATHER, OP_RESIZE_BILINEAR } from '../generated/layout.ts'
import { dtypeBytes, type OpOf } from '../graph/graph.ts'
import { f32, rha, rne } from '../arithmetic/numerics.ts'
import { bitsOf } from '../arithmetic/libm.ts'
import { type Context, Unsupported } from './context.ts'
import { rowwise, type Buffer } from './program.ts'
import { differ, isQuantized } from './shape.ts'

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
