/**
 * Local rewrites: constants to float32, activations into the op before them, padding into convolutions, hard-swish from
 * its parts.
 */
import { type Activation, type Op, type OpOf } from '../../graph/graph.ts'
import { windowAlong, type Axis, type AxisWindow } from '../../graph/window.ts'
import { floatsOf } from '../values.ts'
import { isFloat, keepsShape, type Affine, type Work, type WorkOp } from './work.ts'

/**
 * DEQUANTIZE of a constant (float16 or int8 weights) becomes a float32 constant; 8-bit weights that a float op reads
 * directly (dynamic-range files) too.
 */
export function floatConstants(w: Work): void {
  const made = new Map<number, number>()
  const toFloat = (t: number): number => {
    const known = made.get(t)
    if (known !== undefined) return known
    const tensor = w.tensors[t]!
    const at = w.addConstant(tensor.name, tensor.shape, floatsOf(tensor))
    made.set(t, at)
    return at
  }
  for (const op of [...w.ops]) {
    if (
      (op.type === 'DEQUANTIZE' || (op.type === 'CAST' && w.tensors[op.outputs[0]!]!.dtype === 'float32')) &&
      w.isConstant(op.inputs[0]!)
    ) {
      w.bypass(op, toFloat(op.inputs[0]!))
    }
  }
  for (const op of w.ops) {
    if (op.type === 'QUANTIZE' || op.type === 'DEQUANTIZE' || w.tensors[op.outputs[0]!]!.dtype !== 'float32') continue
    // Where 8-bit values come in as well, constants are read as they are: a detector's anchors.
    if (op.inputs.some((t) => /^u?int8$/.test(w.tensors[t]?.dtype ?? '') && !w.isConstant(t))) continue
    op.inputs = op.inputs.map((t) => {
      const tensor = w.tensors[t]
      const stored =
        tensor?.data &&
        ((tensor.quantization && (tensor.dtype === 'int8' || tensor.dtype === 'uint8')) || tensor.dtype === 'float16')
      return stored ? toFloat(t) : t
    })
  }
}

const ACTIVATION: Partial<Record<WorkOp['type'], Activation>> = {
  RELU: 'RELU',
  RELU6: 'RELU6',
  RELU_N1_TO_1: 'RELU_N1_TO_1',
}
const FUSES = new Set<WorkOp['type']>([
  'CONV_2D',
  'DEPTHWISE_CONV_2D',
  'FULLY_CONNECTED',
  'TRANSPOSE_CONV',
  'ADD',
  'SUB',
  'MUL',
  'DIV',
  'AVERAGE_POOL_2D',
  'MAX_POOL_2D',
  'AFFINE',
])

/** A RELU, RELU6 or RELU_N1_TO_1 that alone reads its input joins the op that makes it. */
export function fuseActivations(w: Work): boolean {
  for (const op of w.ops) {
    const activation = ACTIVATION[op.type]
    if (!activation || !isFloat(w, op)) continue
    const x = op.inputs[0]!
    const from = w.producer(x)
    if (!from || !FUSES.has(from.type) || w.soleConsumer(x) !== op) continue
    if (from.type === 'AFFINE') {
      if (from.activation !== 'NONE') continue
      from.activation = activation
    } else {
      const attrs = (from as OpOf<'CONV_2D'>).attrs
      if (attrs.activation !== 'NONE') continue
      ;(from as OpOf<'CONV_2D'>).attrs = { ...attrs, activation }
    }
    from.outputs = [op.outputs[0]!]
    w.ops = w.ops.filter((o) => o !== op)
    w.index()
    return true
  }
  return false
}

/** Drops reshapes to the same shape, paddings by nothing, casts between equal types. */
export function dropIdentities(w: Work): boolean {
  for (const op of w.ops) {
    if (!isFloat(w, op)) continue
    const [x, y] = [op.inputs[0]!, op.outputs[0]!]
    const same = (): boolean => keepsShape(w, x, y) && w.tensors[x]!.dtype === w.tensors[y]!.dtype && !w.isConstant(x)
    if (['RESHAPE', 'SQUEEZE', 'EXPAND_DIMS', 'PAD', 'CAST', 'SLICE'].includes(op.type) && same()) {
      w.bypass(op, x)
      return true
    }
    if (
      (op.type === 'AVERAGE_POOL_2D' || op.type === 'MAX_POOL_2D') &&
      op.attrs.filterH * op.attrs.filterW * op.attrs.strideH * op.attrs.strideW === 1 &&
      op.attrs.activation === 'NONE' &&
      same()
    ) {
      w.bypass(op, x)
      return true
    }
    if (op.type === 'CONCATENATION' && op.inputs.length === 1 && op.attrs.activation === 'NONE' && same()) {
      w.bypass(op, x)
      return true
    }
    if (op.type === 'RESHAPE' && w.producer(x)?.type === 'RESHAPE') {
      op.inputs = [w.producer(x)!.inputs[0]!, ...op.inputs.slice(1)]
      w.index()
      return true
    }
  }
  return false
}

const isScalar = (v: Float64Array, value: number): boolean =>
  v.every((e) => Math.abs(e - value) <= 1e-6 * Math.max(1, Math.abs(value)))
const plusThree = (op: WorkOp | undefined): op is Affine =>
  op?.type === 'AFFINE' && op.activation === 'RELU6' && isScalar(op.scale, 1) && isScalar(op.offset, 3)
const sixth = (op: WorkOp | undefined): op is Affine =>
  op?.type === 'AFFINE' && op.activation === 'NONE' && isScalar(op.scale, 1 / 6) && isScalar(op.offset, 0)

/** x * relu6(x + 3) / 6, in either order of multiplications, becomes HARD_SWISH. */
export function hardSwish(w: Work): boolean {
  for (const op of w.ops) {
    if (op.type !== 'MUL' || op.attrs.activation !== 'NONE' || !isFloat(w, op)) continue
    for (const [x, gate] of [op.inputs, [...op.inputs].reverse()] as [number, number][]) {
      if (!keepsShape(w, x, op.outputs[0]!)) continue
      let inner = w.producer(gate)
      let scaledBefore = false
      if (sixth(inner) && w.soleConsumer(gate) === op) {
        scaledBefore = true
        inner = w.producer(inner.inputs[0]!)
      }
      if (!plusThree(inner) || w.consumers(inner.outputs[0]!).length !== 1 || w.outputs.includes(inner.outputs[0]!)) {
        continue
      }
      // (x / 6) * relu6(x + 3)
      const base = w.producer(x)
      const scaledX = !scaledBefore && sixth(base) && base.inputs[0] === inner.inputs[0] && w.soleConsumer(x) === op
      if (inner.inputs[0] !== x && !scaledX) continue
      const after = w.soleConsumer(op.outputs[0]!)
      if (!scaledBefore && !scaledX && !sixth(after)) continue
      const tail = scaledBefore || scaledX ? op : after!
      w.ops = w.ops.filter((o) => o !== tail || o === op)
      w.replace(op, { type: 'HARD_SWISH', inputs: [inner.inputs[0]!], outputs: [tail.outputs[0]!], attrs: {} })
      return true
    }
  }
  return false
}

const paddings = (w: Work, op: Op): number[] | undefined => {
  const t = w.tensors[op.inputs[1]!]
  return t?.data && t.dtype === 'int32' ? [...new Int32Array(t.data.slice().buffer)] : undefined
}

/** PAD before a VALID convolution becomes SAME where TFLite's SAME pads exactly as much. */
export function fusePadding(w: Work): boolean {
  for (const op of w.ops) {
    if ((op.type !== 'CONV_2D' && op.type !== 'DEPTHWISE_CONV_2D') || op.attrs.padding !== 'VALID' || !isFloat(w, op)) {
      continue
    }
    const pad = w.producer(op.inputs[0]!)
    if (pad?.type !== 'PAD' || w.soleConsumer(op.inputs[0]!) !== op) continue
    const p = paddings(w, pad)
    if (!p || p.length !== 8 || p[0] || p[1] || p[6] || p[7]) continue
    const [, h, wd] = w.shape(pad.inputs[0]!) as [number, number, number]
    const [, kh, kw] = w.shape(op.inputs[1]!) as [number, number, number]
    const [, oh, ow] = w.shape(op.outputs[0]!) as [number, number, number]
    const { strideH, strideW, dilationH, dilationW } = op.attrs
    const same = (window: Omit<AxisWindow, 'padding'>, wanted: Axis): boolean => {
      const { out, before, after } = windowAlong({ padding: 'SAME', ...window })
      return out === wanted.out && before === wanted.before && after === wanted.after
    }
    const [y, x] = [
      { size: h, kernel: kh, stride: strideH, dilation: dilationH },
      { size: wd, kernel: kw, stride: strideW, dilation: dilationW },
    ]
    if (!same(y, { out: oh, before: p[2]!, after: p[3]! }) || !same(x, { out: ow, before: p[4]!, after: p[5]! })) {
      continue
    }
    op.inputs = [pad.inputs[0]!, ...op.inputs.slice(1)]
    op.attrs = { ...op.attrs, padding: 'SAME' }
    w.ops = w.ops.filter((o) => o !== pad)
    w.index()
    return true
  }
  return false
}
