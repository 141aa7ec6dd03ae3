/**
 * Nodes whose inputs are all known are worked out while reading: shape arithmetic of exporters, and weights behind a
 * transpose.
 */
import { elements } from '../../graph/graph.ts'
import type { OnnxNode, OnnxTensor } from './model.ts'
import { malformed } from './reader.ts'

type Numbers = Pick<OnnxTensor, 'shape' | 'data' | 'dtype'>
const like = (t: Numbers, shape: number[], data: ArrayLike<number>): Numbers => ({
  dtype: t.dtype,
  shape,
  data: t.data instanceof Float64Array ? Float64Array.from(data) : Float32Array.from(data),
})

const MAX_FOLDED = 1 << 28

function strides(shape: readonly number[], rank: number): number[] {
  const out = new Array<number>(rank).fill(0)
  let step = 1
  for (let d = shape.length - 1; d >= 0; d--) {
    out[d + rank - shape.length] = shape[d] === 1 ? 0 : step
    step *= shape[d]!
  }
  return out
}

function binary(a: Numbers, b: Numbers, f: (x: number, y: number) => number): Numbers | undefined {
  const rank = Math.max(a.shape.length, b.shape.length)
  const shape = Array.from({ length: rank }, (_, i) =>
    Math.max(a.shape[i - rank + a.shape.length] ?? 1, b.shape[i - rank + b.shape.length] ?? 1),
  )
  if (elements(shape) > MAX_FOLDED) return undefined
  const [sa, sb] = [strides(a.shape, rank), strides(b.shape, rank)]
  const data = new Float64Array(elements(shape))
  for (let i = 0; i < data.length; i++) {
    let rest = i
    let ia = 0
    let ib = 0
    for (let d = rank - 1; d >= 0; d--) {
      const k = rest % shape[d]!
      rest = (rest - k) / shape[d]!
      ia += k * sa[d]!
      ib += k * sb[d]!
    }
    data[i] = f(a.data[ia]!, b.data[ib]!)
  }
  return like(a, shape, data)
}

/** Axes given as an attribute (old opsets) or as an input. */
const axesOf = (n: OnnxNode, inputs: readonly (Numbers | undefined)[]): number[] =>
  n.attributes.get('axes')?.ints ?? (inputs[1] ? [...inputs[1].data] : [])

const ARITHMETIC: Record<string, (x: number, y: number) => number> = {
  Add: (x, y) => x + y,
  Sub: (x, y) => x - y,
  Mul: (x, y) => x * y,
  Pow: (x, y) => x ** y,
  Max: Math.max,
  Min: Math.min,
}

interface Walk {
  length: number
  first: number
  step: number
}

/** The elements that nested walks visit, outermost first. */
function pick(x: Numbers, walks: readonly Walk[]): Numbers {
  const shape = walks.map((w) => w.length)
  const data = new Float64Array(elements(shape))
  for (let i = 0; i < data.length; i++) {
    let rest = i
    let at = 0
    for (let d = walks.length - 1; d >= 0; d--) {
      const { length, first, step } = walks[d]!
      at += (first + (rest % length)) * step
      rest = Math.floor(rest / length)
    }
    data[i] = x.data[at]!
  }
  return like(x, shape, data)
}

function slice(n: OnnxNode, inputs: Inputs, x: Numbers): Numbers | undefined {
  const list = (name: string, at: number): number[] | undefined =>
    n.attributes.get(name)?.ints ?? (inputs[at] && [...inputs[at].data])
  const [starts, ends] = [list('starts', 1), list('ends', 2)]
  if (!starts || !ends || starts.length !== ends.length) return undefined
  const axes = list('axes', 3) ?? starts.map((_, i) => i)
  const steps = list('steps', 4) ?? starts.map(() => 1)
  const stride = strides(x.shape, x.shape.length)
  const walks = x.shape.map((length, d): Walk => ({ length, first: 0, step: stride[d]! }))
  for (const [i, axis] of axes.entries()) {
    const d = axis < 0 ? axis + x.shape.length : axis
    const size = x.shape[d]
    const step = steps[i]!
    if (size === undefined || !Number.isInteger(step) || step === 0) return undefined
    // Source: the ONNX specification of Slice (clamping of starts and ends, also backwards).
    const clamp = (v: number): number => {
      const w = v < 0 ? v + size : v
      return step > 0 ? Math.min(Math.max(w, 0), size) : Math.min(Math.max(w, -1), size - 1)
    }
    const [from, to] = [clamp(starts[i]!), clamp(ends[i]!)]
    walks[d] = { length: Math.max(0, Math.ceil((to - from) / step)), first: from / step, step: stride[d]! * step }
  }
  return elements(walks.map((w) => w.length)) <= MAX_FOLDED ? pick(x, walks) : undefined
}

function clip(n: OnnxNode, inputs: Inputs, x: Numbers): Numbers {
  const low = n.attributes.get('min')?.f ?? inputs[1]?.data[0] ?? -Infinity
  const high = n.attributes.get('max')?.f ?? inputs[2]?.data[0] ?? Infinity
  return like(
    x,
    [...x.shape],
    x.data.map((v) => Math.min(high, Math.max(low, v))),
  )
}

function castTo(x: Numbers, to: number | undefined): Numbers {
  const integer = to === 6 || to === 7
  return {
    dtype: to === 7 ? 'int64' : to === 6 ? 'int32' : 'float32',
    shape: [...x.shape],
    data: integer ? Float64Array.from(x.data, Math.trunc) : Float32Array.from(x.data),
  }
}

/** ONNX Reshape: 0 copies a dimension, -1 takes the rest. */
export function resolveShape(from: readonly number[], want: readonly number[], allowZero = false): number[] {
  const shape = want.map((d, i) => (d === 0 && !allowZero ? (from[i] ?? 1) : d))
  const known = shape.filter((d) => d !== -1).reduce((a, b) => a * b, 1)
  return shape.map((d) => (d === -1 ? elements(from) / known : d))
}

type Inputs = readonly (Numbers | undefined)[]
type Fold = (n: OnnxNode, inputs: Inputs, x: Numbers) => Numbers | undefined

const each =
  (f: (v: number) => number): Fold =>
  (_, __, x) =>
    like(x, x.shape, x.data.map(f))

function divide(_: OnnxNode, inputs: Inputs, x: Numbers): Numbers | undefined {
  const integers = x.dtype === 'int64' || x.dtype === 'int32'
  return inputs[1] && binary(x, inputs[1], integers ? (a, b) => Math.trunc(a / b) : (a, b) => a / b)
}

function unsqueeze(n: OnnxNode, inputs: Inputs, x: Numbers): Numbers {
  const axes = axesOf(n, inputs)
  const rank = x.shape.length + axes.length
  const shape = [...x.shape]
  for (const a of axes.map((v) => (v < 0 ? v + rank : v)).sort((p, q) => p - q)) shape.splice(a, 0, 1)
  return like(x, shape, x.data)
}

function squeeze(n: OnnxNode, inputs: Inputs, x: Numbers): Numbers {
  const axes = axesOf(n, inputs).map((v) => (v < 0 ? v + x.shape.length : v))
  const shape = x.shape.filter((d, i) => (axes.length ? !axes.includes(i) : d !== 1))
  return like(x, shape, x.data)
}

function reshape(n: OnnxNode, inputs: Inputs, x: Numbers): Numbers | undefined {
  const allowZero = n.attributes.get('allowzero')?.i === 1
  return inputs[1] && like(x, resolveShape(x.shape, [...inputs[1].data], allowZero), x.data)
}

/** Of vectors and scalars. */
function concat(_: OnnxNode, inputs: Inputs, x: Numbers): Numbers | undefined {
  if (!inputs.every((i) => i && i.shape.length <= 1)) return undefined
  const values = inputs.flatMap((i) => [...i!.data])
  return like(x, [values.length], values)
}

/** From a vector. */
function gather(_: OnnxNode, inputs: Inputs, x: Numbers): Numbers | undefined {
  const at = inputs[1]
  if (!at || x.shape.length !== 1) return undefined
  const values = Array.from(at.data, (i) => x.data[i < 0 ? i + x.data.length : i] ?? NaN)
  return like(x, [...at.shape], values)
}

/** Larger ones are weights, which the readers of convolutions rearrange themselves. */
const MAX_TRANSPOSED = 1 << 16

function transpose(n: OnnxNode, _: Inputs, x: Numbers): Numbers | undefined {
  const rank = x.shape.length
  const perm = n.attributes.get('perm')?.ints ?? x.shape.map((_, i) => rank - 1 - i)
  const permutes = perm.length === rank && new Set(perm).size === rank && perm.every((d) => x.shape[d] !== undefined)
  if (!permutes || elements(x.shape) > MAX_TRANSPOSED) return undefined
  const step = strides(x.shape, rank)
  return pick(
    x,
    perm.map((d) => ({ length: x.shape[d]!, first: 0, step: step[d]! })),
  )
}

function constantOfShape(n: OnnxNode, _: Inputs, x: Numbers): Numbers | undefined {
  const shape = [...x.data]
  if (!(elements(shape) <= MAX_FOLDED)) return undefined
  const value = n.attributes.get('value')?.t
  const data = new Float32Array(elements(shape)).fill(value?.data[0] ?? 0)
  return { dtype: value?.dtype ?? 'float32', shape, data }
}

const FOLDS: Readonly<Record<string, Fold>> = {
  Div: divide,
  Identity: (_, __, x) => x,
  Cast: (n, _, x) => castTo(x, n.attributes.get('to')?.i),
  Floor: each(Math.floor),
  Ceil: each(Math.ceil),
  Sqrt: each(Math.sqrt),
  Neg: each((v) => -v),
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Reshape: reshape,
  Concat: concat,
  Gather: gather,
  Slice: slice,
  Clip: clip,
  Transpose: transpose,
  ConstantOfShape: constantOfShape,
}

function folded(n: OnnxNode, inputs: Inputs): Numbers | undefined {
  const x = inputs[0]
  if (!x) return undefined
  const f = Object.hasOwn(ARITHMETIC, n.type) ? ARITHMETIC[n.type] : undefined
  if (f && inputs[1] && inputs.length === 2) return binary(x, inputs[1], f)
  return Object.hasOwn(FOLDS, n.type) ? FOLDS[n.type]!(n, inputs, x) : undefined
}

/**
 * Result of the node, or undefined when it is not one of those that are folded.
 * Errors: `format/onnx` for a shape that its values do not fill.
 */
export function foldNode(n: OnnxNode, inputs: Inputs): Numbers | undefined {
  const value = folded(n, inputs)
  const fills = !value || (value.shape.every((d) => d >= 0) && elements(value.shape) === value.data.length)
  return fills ? value : malformed(n, 'shape')
}
