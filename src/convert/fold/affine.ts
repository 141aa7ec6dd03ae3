/**
 * Batch norm and its relatives: recognised as per-channel affine maps, merged, and folded into a convolution before or
 * after.
 */
import { elements } from '../../graph/graph.ts'
import { windowAlong, type AxisWindow } from '../../graph/window.ts'
import { asLinear, channelVector, keepsShape, slots, type Affine, type Linear, type Work, type WorkOp } from './work.ts'

/** MUL, DIV, ADD or SUB of an activation with a per-channel constant, as an affine map. */
export function recogniseAffine(w: Work): boolean {
  let changed = false
  for (const op of [...w.ops]) {
    if (op.type !== 'MUL' && op.type !== 'DIV' && op.type !== 'ADD' && op.type !== 'SUB') continue
    const [a, b] = op.inputs as [number, number]
    const right = w.isConstant(b)
    if (right === w.isConstant(a)) continue
    const [x, k] = right ? [a, b] : [b, a]
    const y = op.outputs[0]!
    if (!keepsShape(w, x, y) || w.tensors[y]!.dtype !== 'float32') continue
    const channels = w.channels(y)
    const value = channelVector(w, k, channels)
    if (!value || (op.type === 'DIV' && (!right || value.some((v) => v === 0)))) continue
    const scale = new Float64Array(channels).fill(1)
    const offset = new Float64Array(channels)
    for (let c = 0; c < channels; c++) {
      if (op.type === 'MUL') scale[c] = value[c]!
      else if (op.type === 'DIV') scale[c] = 1 / value[c]!
      else if (op.type === 'ADD') offset[c] = value[c]!
      else if (right) offset[c] = -value[c]!
      else {
        scale[c] = -1
        offset[c] = value[c]!
      }
    }
    w.replace(op, { type: 'AFFINE', inputs: [x], outputs: [y], scale, offset, activation: op.attrs.activation })
    changed = true
  }
  return changed
}

const isAffine = (op: WorkOp | undefined): op is Affine => op?.type === 'AFFINE'
const noOffset = (a: Affine): boolean => a.offset.every((v) => v === 0)
const uniform = (a: Affine): boolean =>
  a.scale.every((v) => v === a.scale[0]) && a.offset.every((v) => v === a.offset[0])

/** Two affine maps in a row become one; an identity disappears. */
export function mergeAffine(w: Work): boolean {
  for (const op of w.ops) {
    if (!isAffine(op)) continue
    if (op.activation === 'NONE' && op.scale.every((v) => v === 1) && noOffset(op)) {
      w.bypass(op, op.inputs[0]!)
      return true
    }
    const next = w.soleConsumer(op.outputs[0]!)
    if (op.activation !== 'NONE' || !isAffine(next)) continue
    next.offset = next.offset.map((v, c) => v + op.offset[c]! * next.scale[c]!)
    next.scale = next.scale.map((v, c) => v * op.scale[c]!)
    w.bypass(op, op.inputs[0]!)
    return true
  }
  return false
}

/** Output channel of each filter element. */
function outputChannel(op: Linear, shape: readonly number[]): (i: number) => number {
  if (op.type === 'DEPTHWISE_CONV_2D') {
    const c = shape[3]!
    return (i) => i % c
  }
  const each = elements(shape) / shape[0]!
  return (i) => Math.floor(i / each)
}

/** Input channel (index into the last axis of x) of each filter element. */
function inputChannel(w: Work, op: Linear, shape: readonly number[]): (i: number) => number {
  const channels = w.channels(op.inputs[slots(op).x]!)
  if (op.type === 'DEPTHWISE_CONV_2D') {
    const c = shape[3]!
    return (i) => Math.floor((i % c) / op.attrs.depthMultiplier)
  }
  const last = shape[shape.length - 1]!
  if (op.type !== 'CONV_2D' || last === channels) return (i) => i % last
  const each = elements(shape) / shape[0]!
  const perGroup = shape[0]! / (channels / last)
  return (i) => Math.floor(Math.floor(i / each) / perGroup) * last + (i % last)
}

const filterChannels = (op: Linear, shape: readonly number[]): number =>
  op.type === 'DEPTHWISE_CONV_2D' ? shape[3]! : shape[0]!

function setWeights(w: Work, op: Linear, filter: Float32Array, bias: Float32Array): void {
  const s = slots(op)
  const inputs = [...op.inputs]
  const old = w.tensors[inputs[s.filter]!]!
  const oldBias = w.tensors[inputs[s.bias] ?? -1]
  inputs[s.filter] = w.addConstant(old.name, old.shape, filter)
  inputs[s.bias] = w.addConstant(oldBias?.name ?? `${old.name}/bias`, [bias.length], bias)
  op.inputs = inputs
}

/** conv -> affine: scales the output channels. */
export function foldIntoProducer(w: Work): boolean {
  for (const op of w.ops) {
    if (!isAffine(op)) continue
    const from = asLinear(w.producer(op.inputs[0]!))
    if (!from || from.attrs.activation !== 'NONE' || w.soleConsumer(op.inputs[0]!) !== op) continue
    const s = slots(from)
    const filter = w.floats(from.inputs[s.filter]!)
    if (!filter) continue
    const shape = w.shape(from.inputs[s.filter]!)
    const channels = filterChannels(from, shape)
    const oldBias = (from.inputs[s.bias] ?? -1) < 0 ? new Float32Array(channels) : w.floats(from.inputs[s.bias]!)
    if (!oldBias || channels !== op.scale.length) continue
    const channel = outputChannel(from, shape)
    setWeights(
      w,
      from,
      filter.map((v, i) => v * op.scale[channel(i)]!),
      oldBias.map((v, c) => v * op.scale[c]! + op.offset[c]!),
    )
    from.attrs = { ...from.attrs, activation: op.activation }
    from.outputs = [op.outputs[0]!]
    w.ops = w.ops.filter((o) => o !== op)
    w.index()
    return true
  }
  return false
}

/** True when no window of the op reaches outside its input. */
function padsNothing(w: Work, op: Linear): boolean {
  if (op.type === 'FULLY_CONNECTED') return true
  if (op.type === 'TRANSPOSE_CONV') return false
  if (op.attrs.padding === 'VALID') return true
  const [, kh, kw] = w.shape(op.inputs[1]!) as [number, number, number]
  const [, h, wd] = w.shape(op.inputs[0]!) as [number, number, number]
  const { strideH, strideW, dilationH, dilationW } = op.attrs
  const padded = (window: Omit<AxisWindow, 'padding'>): boolean => {
    const { before, after } = windowAlong({ padding: 'SAME', ...window })
    return before + after > 0
  }
  return (
    !padded({ size: h, kernel: kh, stride: strideH, dilation: dilationH }) &&
    !padded({ size: wd, kernel: kw, stride: strideW, dilation: dilationW })
  )
}

/**
 * affine -> conv: scales the input channels, and moves the offset to the bias where no padding intervenes. All readers
 * must take it.
 */
export function foldIntoConsumers(w: Work): boolean {
  for (const op of w.ops) {
    if (!isAffine(op) || op.activation !== 'NONE' || w.outputs.includes(op.outputs[0]!)) continue
    const y = op.outputs[0]!
    const readers = w.consumers(y).map(asLinear)
    const fits = (to: Linear | undefined): boolean => {
      if (!to) return false
      const s = slots(to)
      if (to.inputs[s.x] !== y || to.inputs.filter((t) => t === y).length !== 1 || !w.floats(to.inputs[s.filter]!)) {
        return false
      }
      if (to.type === 'FULLY_CONNECTED' && w.shape(to.inputs[s.filter]!)[1] !== op.scale.length) return false
      if ((to.inputs[s.bias] ?? -1) >= 0 && !w.floats(to.inputs[s.bias]!)) return false
      return noOffset(op) || padsNothing(w, to)
    }
    if (readers.length === 0 || !readers.every(fits)) continue
    for (const to of readers as Linear[]) absorb(w, op, to)
    w.bypass(op, op.inputs[0]!)
    return true
  }
  return false
}

function absorb(w: Work, op: Affine, to: Linear): void {
  const s = slots(to)
  const filter = w.floats(to.inputs[s.filter]!)!
  const shape = w.shape(to.inputs[s.filter]!)
  const channels = filterChannels(to, shape)
  const bias = Float64Array.from(
    (to.inputs[s.bias] ?? -1) < 0 ? new Float32Array(channels) : w.floats(to.inputs[s.bias]!)!,
  )
  const input = inputChannel(w, to, shape)
  const output = outputChannel(to, shape)
  const scaled = filter.map((v, i) => v * op.scale[input(i)]!)
  filter.forEach((v, i) => {
    bias[output(i)]! += v * op.offset[input(i)]!
  })
  setWeights(w, to, scaled, Float32Array.from(bias))
}

/** Values of the affine as seen on the other side of an op that keeps, splits or merges the last axis. */
function across(a: Affine, channels: number): Affine | undefined {
  if (a.scale.length === channels) return a
  if (uniform(a)) {
    return {
      ...a,
      scale: new Float64Array(channels).fill(a.scale[0]!),
      offset: new Float64Array(channels).fill(a.offset[0]!),
    }
  }
  // Flattening [.., C] to [.., k*C] repeats the channels.
  if (channels % a.scale.length === 0 && channels > a.scale.length) return { ...a, scale: a.scale, offset: a.offset }
  return undefined
}

const repeat = (v: Float64Array, n: number): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => v[i % v.length]!)

/** Whether `op(affine(x)) = affine(op(x))`, reading x from input 0. */
function commutes(w: Work, op: WorkOp, a: Affine): boolean {
  switch (op.type) {
    case 'RESHAPE':
    case 'SQUEEZE':
    case 'EXPAND_DIMS':
    case 'RESIZE_BILINEAR':
    case 'RESIZE_NEAREST_NEIGHBOR':
      return true
    case 'AVERAGE_POOL_2D':
      return op.attrs.activation === 'NONE'
    case 'MAX_POOL_2D':
      return op.attrs.activation === 'NONE' && a.scale.every((v) => v > 0)
    case 'PAD':
      return noOffset(a)
    case 'RELU':
      return noOffset(a) && a.scale.every((v) => v > 0)
    case 'MEAN': {
      const rank = w.shape(op.inputs[0]!).length
      const axes = w.tensors[op.inputs[1]!]?.data
      return axes !== undefined && ![...new Int32Array(axes.slice().buffer)].some((d) => (d + rank) % rank === rank - 1)
    }
    default:
      return false
  }
}

/** Reaches a convolution after: affine -> op becomes op -> affine, where a linear op follows further down. */
export function moveDown(w: Work): boolean {
  for (const op of w.ops) {
    if (!isAffine(op) || op.activation !== 'NONE') continue
    const y = op.outputs[0]!
    const next = w.soleConsumer(y)
    if (!next || isAffine(next) || w.outputs.includes(next.outputs[0]!)) continue
    const scaleOnly =
      next.type === 'MUL' && next.attrs.activation === 'NONE' && next.inputs[0] !== next.inputs[1] && noOffset(op)
    if (!(next.inputs[0] === y && commutes(w, next, op)) && !scaleOnly) continue
    if (!leadsToLinear(w, next.outputs[0]!)) continue
    const z = next.outputs[0]!
    const moved = across(op, w.channels(z))
    if (!moved) continue
    const middle = w.addActivation(`${w.tensors[z]!.name}/before_scale`, w.shape(z))
    next.inputs = next.inputs.map((t) => (t === y ? op.inputs[0]! : t))
    next.outputs = [middle]
    const n = w.channels(z)
    const after: Affine = {
      type: 'AFFINE',
      inputs: [middle],
      outputs: [z],
      scale: repeat(moved.scale, n),
      offset: repeat(moved.offset, n),
      activation: 'NONE',
    }
    w.ops = w.ops.filter((o) => o !== op)
    w.replace(next, next, after)
    return true
  }
  return false
}

function leadsToLinear(w: Work, t: number, depth = 0): boolean {
  const readers = w.consumers(t)
  if (readers.length === 0 || w.outputs.includes(t) || depth > 8) return false
  return readers.every(
    (r) =>
      asLinear(r) !== undefined ||
      (['RESHAPE', 'SQUEEZE', 'EXPAND_DIMS', 'AFFINE', 'MEAN', 'AVERAGE_POOL_2D', 'PAD'].includes(r.type) &&
        leadsToLinear(w, r.outputs[0]!, depth + 1)),
  )
}

/** Reaches a convolution before: conv -> op -> affine becomes conv -> affine -> op. */
export function moveUp(w: Work): boolean {
  for (const op of w.ops) {
    if (!isAffine(op)) continue
    const before = w.producer(op.inputs[0]!)
    if (!before || isAffine(before) || w.soleConsumer(op.inputs[0]!) !== op || !commutes(w, before, op)) continue
    if (
      op.activation !== 'NONE' &&
      !['RESHAPE', 'SQUEEZE', 'EXPAND_DIMS', 'RESIZE_NEAREST_NEIGHBOR'].includes(before.type)
    ) {
      continue
    }
    const x = before.inputs[0]!
    const source = asLinear(w.producer(x))
    const n = w.channels(x)
    if (
      !source ||
      !w.floats(source.inputs[slots(source).filter]!) ||
      source.attrs.activation !== 'NONE' ||
      w.soleConsumer(x) !== before ||
      (n !== op.scale.length && !uniform(op))
    ) {
      continue
    }
    const scaled = w.addActivation(`${w.tensors[x]!.name}/scaled`, w.shape(x))
    const moved: Affine = {
      ...op,
      inputs: [x],
      outputs: [scaled],
      scale: repeat(op.scale, n),
      offset: repeat(op.offset, n),
    }
    before.inputs = [scaled, ...before.inputs.slice(1)]
    before.outputs = [op.outputs[0]!]
    w.ops = w.ops.filter((o) => o !== op)
    w.replace(before, moved, before)
    return true
  }
  return false
}

/** What nothing could absorb: a 1x1 depthwise convolution on images, MUL and ADD elsewhere. */
export function spellOut(w: Work): void {
  for (const op of [...w.ops]) {
    if (!isAffine(op)) continue
    const [x, y] = [op.inputs[0]!, op.outputs[0]!]
    const name = w.tensors[y]!.name
    const channels = op.scale.length
    const scale = Float32Array.from(op.scale)
    const offset = Float32Array.from(op.offset)
    if (w.shape(y).length === 4) {
      const inputs = [
        x,
        w.addConstant(`${name}/scale`, [1, 1, 1, channels], scale),
        w.addConstant(`${name}/offset`, [channels], offset),
      ]
      w.replace(op, {
        type: 'DEPTHWISE_CONV_2D',
        inputs,
        outputs: [y],
        attrs: {
          padding: 'VALID',
          strideH: 1,
          strideW: 1,
          dilationH: 1,
          dilationW: 1,
          depthMultiplier: 1,
          activation: op.activation,
        },
      })
      continue
    }
    const plain = (v: Float32Array): number =>
      w.addConstant(
        `${name}/constant`,
        v.every((e) => e === v[0]) ? [1] : [channels],
        v.every((e) => e === v[0]) ? v.slice(0, 1) : v,
      )
    const scaled = op.scale.every((v) => v === 1)
    const shifted = noOffset(op)
    if (shifted) {
      w.replace(op, { type: 'MUL', inputs: [x, plain(scale)], outputs: [y], attrs: { activation: op.activation } })
      continue
    }
    if (scaled) {
      w.replace(op, { type: 'ADD', inputs: [x, plain(offset)], outputs: [y], attrs: { activation: op.activation } })
      continue
    }
    const middle = w.addActivation(`${name}/scaled`, w.shape(y))
    w.replace(
      op,
      { type: 'MUL', inputs: [x, plain(scale)], outputs: [middle], attrs: { activation: 'NONE' } },
      { type: 'ADD', inputs: [middle, plain(offset)], outputs: [y], attrs: { activation: op.activation } },
    )
  }
}
