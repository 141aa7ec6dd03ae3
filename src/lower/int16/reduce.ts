/** Pools, reductions over axes and resizing of int16. */
import {
  OP_GATHER,
  OP_POOL16,
  OP_REDUCE16,
  OP_RESIZE16,
  REDUCE16_MAXIMUM,
  REDUCE16_MEAN,
  REDUCE16_MINIMUM,
  REDUCE16_PRODUCT,
  REDUCE16_SUM,
} from '../../generated/layout.ts'
import { elements, type OpOf, type OpType } from '../../graph/graph.ts'
import { activationBoundsBuiltin, f32, quantizeMultiplier } from '../../arithmetic/numerics.ts'
import { type Context, Unsupported } from '../context.ts'
import { rowwise, type Buffer } from '../program.ts'
import { loopFields, reduceLoops } from '../reduce.ts'
import { nearestTable, type PixelCentres, type ResizedAxis } from '../resize.ts'
import { windowAlong } from '../../graph/window.ts'
import { checkWindow } from '../window.ts'
import { params16, scale16, wideMultiplier } from './common.ts'

export function lowerPool16(cx: Context): void {
  const op = cx.op as OpOf<'AVERAGE_POOL_2D' | 'MAX_POOL_2D'>
  const a = op.attrs
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const { shape } = x.tensor
  if (shape.length !== 4) throw cx.fail('lower/shape', 'input must have rank 4', x.tensor)
  const [batch, inH, inW, channels] = shape as [number, number, number, number]
  const scale = scale16(cx, out)
  if (scale !== scale16(cx, x.tensor)) throw new Unsupported(`${op.type} that changes the quantization`)
  checkWindow(cx, { ...a, dilationH: 1, dilationW: 1 }, { kh: a.filterH, kw: a.filterW })
  const rows = windowAlong({ padding: a.padding, size: inH, kernel: a.filterH, stride: a.strideH })
  const columns = windowAlong({ padding: a.padding, size: inW, kernel: a.filterW, stride: a.strideW })
  if (rows.out < 1 || columns.out < 1) throw cx.fail('lower/shape', 'the window is larger than the image', x.tensor)
  cx.expectShape(out, [batch, rows.out, columns.out, channels])
  const [actMin, actMax] = activationBoundsBuiltin(a.activation, params16(scale))
  const average = op.type === 'AVERAGE_POOL_2D'
  const y = cx.result()
  y.alias = true
  for (let n = 0; n < batch; n++) {
    cx.push({
      record: 'Pool16Record',
      op: OP_POOL16,
      kernel: average ? 'average-pool-int16' : 'max-pool-int16',
      rows: { rows: rows.out, strideH: a.strideH, padTop: rows.before, windowH: a.filterH, inRows: inH },
      reads: [x.buffer],
      writes: [y.buffer],
      fields: () => ({
        input: x.address() + n * 2 * inH * inW * channels,
        output: y.address() + n * 2 * rows.out * columns.out * channels,
        inW,
        outW: columns.out,
        channels,
        filterH: a.filterH,
        filterW: a.filterW,
        strideW: a.strideW,
        padLeft: columns.before,
        average: Number(average),
        actMin,
        actMax,
      }),
    })
  }
}

const KINDS: Partial<Record<OpType, number>> = {
  MEAN: REDUCE16_MEAN,
  SUM: REDUCE16_SUM,
  REDUCE_MAX: REDUCE16_MAXIMUM,
  REDUCE_MIN: REDUCE16_MINIMUM,
  REDUCE_PROD: REDUCE16_PRODUCT,
}

/** The factor of a mean of `n` elements. Source: TFLite QuantizedMeanOrSum. */
function meanMultiplier(scale: number, n: number): { multiplier: number; shift: number } {
  const { multiplier, shift } = quantizeMultiplier(scale)
  const bits = Math.min(31 - Math.clz32(n), 32, 31 + shift)
  return { multiplier: Number((BigInt(multiplier) << BigInt(bits)) / BigInt(n)) | 0, shift: shift - bits }
}

export function lowerReduce16(cx: Context): void {
  const { type } = cx.op
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  let kind = KINDS[type]!
  const xs = scale16(cx, x.tensor)
  const ys = scale16(cx, out)
  const loops = reduceLoops(cx, x.tensor.shape, 2)
  if ((kind === REDUCE16_MAXIMUM || kind === REDUCE16_MINIMUM) && xs !== ys) {
    throw cx.fail('lower/quantization', `${type} needs equal quantization of input and output`, out, {
      expected: xs,
      got: ys,
    })
  }
  // A product over nothing but dimensions of 1 is the stored value.
  if (kind === REDUCE16_PRODUCT && loops.count === 1) kind = REDUCE16_MAXIMUM
  const m =
    kind === REDUCE16_PRODUCT
      ? wideMultiplier(xs / ys ** (1 / loops.count))
      : kind === REDUCE16_MEAN
        ? meanMultiplier(xs / ys, loops.count)
        : quantizeMultiplier(xs / ys)
  const y = cx.result()
  y.alias = true
  const part = (2 * elements(out.shape)) / loops.bases.length
  loops.bases.forEach((base, i) =>
    cx.push({
      record: 'Reduce16Record',
      op: OP_REDUCE16,
      kernel: `${type.toLowerCase().replace('_', '-')}-int16`,
      rows: rowwise(1),
      reads: [x.buffer],
      writes: [y.buffer],
      fields: () => ({
        kind,
        input: x.address() + base,
        output: y.address() + i * part,
        ...loopFields(loops),
        multiplier: m.multiplier,
        shift: m.shift,
        scale: f32(xs / ys),
      }),
    }),
  )
}

/** Coordinates of one axis for weights of 10 bits. Source: TFLite reference ResizeBilinearInteger. */
function bilinearTable(
  { size, out, stride }: ResizedAxis,
  { alignCorners, halfPixelCenters }: PixelCentres,
): Int32Array {
  const scale =
    alignCorners && out > 1
      ? Math.trunc(((size - 1) * 1024 + Math.trunc((out - 1) / 2)) / (out - 1))
      : Math.trunc((size * 1024 + Math.trunc(out / 2)) / out)
  const table = new Int32Array(out * 3)
  for (let i = 0; i < out; i++) {
    const at = halfPixelCenters ? i * scale + (scale >> 1) - 512 : i * scale
    const low = Math.min(Math.max(Math.trunc(at / 1024), 0), size - 1)
    const high = Math.min(Math.max(Math.trunc((at + 1023) / 1024), 0), size - 1)
    table.set([low * stride, high * stride, at - 1024 * low], 3 * i)
  }
  return table
}

export function lowerResize16(cx: Context): void {
  const op = cx.op as OpOf<'RESIZE_BILINEAR' | 'RESIZE_NEAREST_NEIGHBOR'>
  const bilinear = op.type === 'RESIZE_BILINEAR'
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const { shape } = x.tensor
  const [oh, ow] = cx.integers(1, 'size') as [number, number]
  if (shape.length !== 4) throw cx.fail('lower/shape', 'input must have rank 4', x.tensor)
  const [batch, inH, inW, channels] = shape as [number, number, number, number]
  cx.expectShape(out, [batch, oh, ow, channels])
  if (out.dtype !== 'int16') throw cx.fail('lower/dtype', 'output type', out, { expected: 'int16', got: out.dtype })
  const { alignCorners, halfPixelCenters } = op.attrs
  if (alignCorners && halfPixelCenters) throw new Unsupported(`${op.type} with both alignCorners and halfPixelCenters`)
  const make = bilinear ? bilinearTable : nearestTable
  const pixel = 2 * channels
  const rows = cx.buffers.constant('resize rows', make({ size: inH, out: oh, stride: inW * pixel }, op.attrs))
  const columns = cx.buffers.constant('resize columns', make({ size: inW, out: ow, stride: pixel }, op.attrs))
  const y = cx.result()
  y.alias = true
  for (let n = 0; n < batch; n++) {
    const common = (): Record<string, number> => ({
      input: x.address() + n * inH * inW * pixel,
      output: y.address() + n * oh * ow * pixel,
      outW: ow,
      rowTable: rows.address,
      columnTable: columns.address,
    })
    const buffers: { reads: Buffer[]; writes: Buffer[] } = { reads: [x.buffer, rows, columns], writes: [y.buffer] }
    cx.push(
      bilinear
        ? {
            record: 'Resize16Record',
            op: OP_RESIZE16,
            kernel: 'resize-bilinear-int16',
            rows: rowwise(oh),
            ...buffers,
            fields: () => ({ ...common(), channels }),
          }
        : {
            record: 'GatherRecord',
            op: OP_GATHER,
            kernel: 'resize-nearest',
            rows: rowwise(oh),
            ...buffers,
            fields: () => ({ ...common(), outRowStride: ow * pixel, bytes: pixel }),
          },
    )
  }
}
