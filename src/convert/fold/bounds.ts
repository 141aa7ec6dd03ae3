/**
 * Ops that the float executor and the quantizer have no kernel for, in terms of those that they have: bounds, PReLU,
 * dilation spelled with batches.
 */
import { windowAlong } from '../../graph/window.ts'
import { isFloat, type Affine, type Work, type WorkOp } from './work.ts'

const isOneOf = (op: WorkOp | undefined, ...types: WorkOp['type'][]): op is WorkOp =>
  op !== undefined && types.includes(op.type)

/** A constant that holds one number. */
function scalar(w: Work, t: number): number | undefined {
  const v = t >= 0 ? w.floats(t) : undefined
  return v && v.length > 0 && v.every((e) => e === v[0]) ? v[0] : undefined
}

/** scale * x + offset, the scale for all channels or of each. */
interface Line {
  scale: number | ArrayLike<number>
  offset: number
}

function affine(w: Work, from: number, to: number, { scale, offset }: Line): Affine {
  const c = w.channels(to)
  const at = typeof scale === 'number' ? (): number => scale : (i: number): number => scale[i]!
  return {
    type: 'AFFINE',
    inputs: [from],
    outputs: [to],
    scale: Float64Array.from({ length: c }, (_, i) => at(i)),
    offset: new Float64Array(c).fill(offset),
    activation: 'NONE',
  }
}

/** min(max(x, lo), hi) as relu or relu6 between two affine maps. */
function clipOps(w: Work, x: number, y: number, [lo, hi]: readonly [number, number]): WorkOp[] {
  const name = w.tensors[y]!.name
  const temporary = (what: string): number => w.addActivation(`${name}/${what}`, w.shape(y))
  const [a, b] = [temporary('in'), temporary('bounded')]
  if (hi === Infinity) {
    return [
      affine(w, x, a, { scale: 1, offset: -lo }),
      { type: 'RELU', inputs: [a], outputs: [b], attrs: {} },
      affine(w, b, y, { scale: 1, offset: lo }),
    ]
  }
  if (lo === -Infinity) {
    return [
      affine(w, x, a, { scale: -1, offset: hi }),
      { type: 'RELU', inputs: [a], outputs: [b], attrs: {} },
      affine(w, b, y, { scale: -1, offset: hi }),
    ]
  }
  const k = 6 / (hi - lo)
  return [
    affine(w, x, a, { scale: k, offset: -lo * k }),
    { type: 'RELU6', inputs: [a], outputs: [b], attrs: {} },
    affine(w, b, y, { scale: 1 / k, offset: lo }),
  ]
}

/** Operand and bound of a MINIMUM or MAXIMUM with a constant. */
function boundOf(w: Work, op: WorkOp): { x: number; bound: number } | undefined {
  for (const [x, k] of [op.inputs, [...op.inputs].reverse()] as [number, number][]) {
    const bound = scalar(w, k)
    if (bound !== undefined && !w.isConstant(x)) return { x, bound }
  }
  return undefined
}

export function bounds(w: Work): boolean {
  for (const op of w.ops) {
    if (!isFloat(w, op)) continue
    const y = op.outputs[0]!
    if (op.type === 'RELU_0_TO_1') {
      w.replace(op, ...clipOps(w, op.inputs[0]!, y, [0, 1]))
      return true
    }
    if (op.type !== 'MINIMUM' && op.type !== 'MAXIMUM') continue
    const outer = boundOf(w, op)
    if (!outer) continue
    const inner = w.producer(outer.x)
    const other = op.type === 'MINIMUM' ? 'MAXIMUM' : 'MINIMUM'
    const within = isOneOf(inner, other) && w.soleConsumer(outer.x) === op ? boundOf(w, inner) : undefined
    // One op of a pair that is still to come waits for it.
    const next = w.soleConsumer(y)
    if (!within && isOneOf(next, other) && boundOf(w, next)) continue
    const [lo, hi] =
      op.type === 'MINIMUM' ? [within?.bound ?? -Infinity, outer.bound] : [outer.bound, within?.bound ?? Infinity]
    if (!(hi > lo)) continue
    if (within) w.ops = w.ops.filter((o) => o !== inner)
    w.replace(op, ...clipOps(w, within?.x ?? outer.x, y, [lo, hi]))
    return true
  }
  return false
}

/** PRELU with a slope per channel: relu(x) - slope * relu(-x). */
export function prelu(w: Work): boolean {
  for (const op of w.ops) {
    if (op.type !== 'PRELU' || !isFloat(w, op)) continue
    const [x, k, y] = [op.inputs[0]!, op.inputs[1]!, op.outputs[0]!]
    const slope = w.floats(k)
    if (!slope || (slope.length !== 1 && (slope.length !== w.channels(x) || w.shape(k).at(-1) !== slope.length))) {
      continue
    }
    const temporary = (what: string): number => w.addActivation(`${w.tensors[y]!.name}/${what}`, w.shape(y))
    const [positive, negated, negative, scaled] = [
      temporary('positive'),
      temporary('negated'),
      temporary('negative'),
      temporary('slope'),
    ]
    w.replace(
      op,
      { type: 'RELU', inputs: [x], outputs: [positive], attrs: {} },
      affine(w, x, negated, { scale: -1, offset: 0 }),
      { type: 'RELU', inputs: [negated], outputs: [negative], attrs: {} },
      affine(w, negative, scaled, {
        scale: Array.from({ length: w.channels(y) }, (_, i) => -slope[slope.length === 1 ? 0 : i]!),
        offset: 0,
      }),
      { type: 'ADD', inputs: [positive, scaled], outputs: [y], attrs: { activation: 'NONE' } },
    )
    return true
  }
  return false
}

const ints = (w: Work, t: number): number[] | undefined => {
  const tensor = w.tensors[t]
  return tensor?.data && tensor.dtype === 'int32' ? [...new Int32Array(tensor.data.slice().buffer)] : undefined
}

/** SPACE_TO_BATCH_ND, a VALID convolution and BATCH_TO_SPACE_ND are one dilated convolution. */
export function dilation(w: Work): boolean {
  for (const op of w.ops) {
    if ((op.type !== 'CONV_2D' && op.type !== 'DEPTHWISE_CONV_2D') || !isFloat(w, op)) continue
    const before = w.producer(op.inputs[0]!)
    const after = w.soleConsumer(op.outputs[0]!)
    if (
      !isOneOf(before, 'SPACE_TO_BATCH_ND') ||
      !isOneOf(after, 'BATCH_TO_SPACE_ND') ||
      w.soleConsumer(op.inputs[0]!) !== op
    ) {
      continue
    }
    const [block, paddings, back] = [ints(w, before.inputs[1]!), ints(w, before.inputs[2]!), ints(w, after.inputs[1]!)]
    if (
      block?.length !== 2 ||
      paddings?.length !== 4 ||
      !back ||
      back.some((b, i) => b !== block[i]) ||
      op.attrs.strideH * op.attrs.strideW !== 1 ||
      op.attrs.padding !== 'VALID'
    ) {
      continue
    }
    const [x, y] = [before.inputs[0]!, after.outputs[0]!]
    const [, h, wd] = w.shape(x) as [number, number, number]
    const [, oh, ow] = w.shape(y) as [number, number, number]
    const [, kh, kw] = w.shape(op.inputs[1]!) as [number, number, number]
    const same =
      oh === h &&
      ow === wd &&
      windowAlong({ padding: 'SAME', size: h, kernel: kh, dilation: block[0]! }).before === paddings[0] &&
      windowAlong({ padding: 'SAME', size: wd, kernel: kw, dilation: block[1]! }).before === paddings[2]
    const valid =
      oh === h - (kh - 1) * block[0]! && ow === wd - (kw - 1) * block[1]! && paddings[0] === 0 && paddings[2] === 0
    if (!same && !valid) continue
    op.inputs = [x, ...op.inputs.slice(1)]
    op.outputs = [y]
    op.attrs = {
      ...op.attrs,
      padding: same ? 'SAME' : 'VALID',
      dilationH: block[0]!,
      dilationW: block[1]!,
    }
    w.ops = w.ops.filter((o) => o !== before && o !== after)
    w.index()
    return true
  }
  return false
}
