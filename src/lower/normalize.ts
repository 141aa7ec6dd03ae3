/** Normalizations along the last axis, by TFLite's builtin kernels. */
import { OP_L2_NORMALIZATION, OP_FLOAT_LOG_SOFTMAX, OP_LOG_SOFTMAX } from '../generated/layout.ts'
import { elements, type OpOf } from '../graph/graph.ts'
import { powerTable } from '../arithmetic/libm.ts'
import { type Context, Unsupported, type Q } from './context.ts'
import { rowwise, type Value } from './program.ts'
import { softmaxTable } from './reduce.ts'

/** Input and output of one type and shape, the output with the quantization that LiteRT demands. */
function operands(
  cx: Context,
  scale: number,
  zeroPoint: (q: Q) => number,
): { x: Value; xq: Q; yq: Q; depth: number; rows: number } {
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const { shape, dtype } = x.tensor
  const xq = cx.q(x.tensor)
  const yq = cx.q(out)
  if (dtype !== out.dtype) throw new Unsupported(`${cx.op.type} from ${dtype} to ${out.dtype}`)
  cx.expectShape(out, shape)
  if (yq.scale !== scale || yq.zeroPoint !== zeroPoint(yq)) {
    throw cx.fail('lower/quantization', 'output scale and zero point', out, {
      expected: `${scale}, ${zeroPoint(yq)}`,
      got: `${yq.scale}, ${yq.zeroPoint}`,
    })
  }
  const depth = shape.at(-1) ?? 1
  return { x, xq, yq, depth, rows: depth ? elements(shape) / depth : 0 }
}

export function lowerL2Normalization(cx: Context): void {
  if ((cx.op as OpOf<'L2_NORMALIZATION'>).attrs.activation !== 'NONE') {
    throw new Unsupported('L2_NORMALIZATION with a fused activation')
  }
  const { x, xq, depth, rows } = operands(cx, 1 / 128, (q) => q.shift)
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'L2NormalizationRecord',
    op: OP_L2_NORMALIZATION,
    kernel: 'l2-normalization',
    rows: rowwise(rows),
    reads: [x.buffer],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      depth,
      inputZeroPoint: xq.zero,
      before: xq.unsigned ? 7 : 0,
      after: xq.unsigned ? 0 : 7,
    }),
  })
}

/** float32 over the last axis, as TFLite's builtin kernel. */
function lowerFloatLogSoftmax(cx: Context): void {
  const { shape, dtype } = cx.input(0)
  const depth = shape[shape.length - 1] ?? 1
  cx.expectShape(cx.output(), shape)
  if (dtype !== 'float32') throw new Unsupported(`LOG_SOFTMAX of ${dtype} to float32`)
  const x = cx.plain(cx.value(0))
  const y = cx.result()
  const table = cx.buffers.constant('logarithms', powerTable())
  cx.push({
    record: 'FloatLogSoftmaxRecord',
    op: OP_FLOAT_LOG_SOFTMAX,
    kernel: 'log-softmax',
    rows: rowwise(elements(shape) / depth),
    reads: [x.buffer, table],
    writes: [y.buffer],
    fields: () => ({ input: x.address(), output: y.address(), depth, table: table.address }),
  })
}

export function lowerLogSoftmax(cx: Context): void {
  if (cx.output().dtype === 'float32') return lowerFloatLogSoftmax(cx)
  const { x, xq, yq, depth, rows } = operands(cx, 16 / 256, (q) => q.high)
  const table = softmaxTable(cx, xq.scale, 1)
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'LogSoftmaxRecord',
    op: OP_LOG_SOFTMAX,
    kernel: 'log-softmax',
    rows: rowwise(rows),
    reads: [x.buffer, table],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      depth,
      table: table.address,
      inScale: xq.scale,
      outScale: yq.scale,
      before: xq.shift,
      after: yq.zero,
    }),
  })
}
