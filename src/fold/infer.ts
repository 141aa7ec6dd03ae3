/**
 * The shapes of every op's outputs from those of its inputs, as LiteRT computes them. What a file records for
 * activations is not believed: it may be empty, stale, or of another batch.
 */
import { reachOf, windowAlong, type AxisWindow } from '../graph/window.ts'
import { ThimbleError } from '../base/errors.ts'
import { elements, opLabel, type Op, type OpAttributes, type OpOf, type OpType, type Tensor } from '../graph/graph.ts'
import { detectionShapes } from '../graph/detection-op.ts'
import { axisOf, broadcastShapes, slicesOf } from './shapes.ts'

/** An op among tensors whose shapes are known, as far as they are. */
export class Site {
  readonly op: Op
  private readonly index: number
  private readonly tensors: readonly Tensor[]

  constructor(op: Op, index: number, tensors: readonly Tensor[]) {
    this.op = op
    this.index = index
    this.tensors = tensors
  }

  has(position: number): boolean {
    return (this.op.inputs[position] ?? -1) >= 0
  }
  input(position: number): Tensor {
    return this.tensors[this.op.inputs[position] ?? -1] ?? this.fail(`input ${position} is missing`)
  }
  output(position = 0): Tensor {
    return this.tensors[this.op.outputs[position]!]!
  }
  shape(position: number): readonly number[] {
    return this.input(position).shape
  }
  rank4(position: number): readonly [number, number, number, number] {
    const s = this.shape(position)
    if (s.length !== 4) this.fail(`input ${position} has not rank 4`, '[N,H,W,C]', `[${s}]`)
    return s as unknown as [number, number, number, number]
  }
  /** Contents of a constant int32 or int64 input; undefined for one that is computed from the model's inputs. */
  integers(position: number): number[] | undefined {
    const { data, dtype, shape } = this.input(position)
    if (!data) return undefined
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    const n = elements(shape)
    if (dtype === 'int32') return Array.from({ length: n }, (_, i) => view.getInt32(4 * i, true))
    if (dtype === 'int64') return Array.from({ length: n }, (_, i) => Number(view.getBigInt64(8 * i, true)))
    return this.fail(`input ${position} is not of an integer type`, 'int32 or int64', dtype)
  }
  axis(value: number, rank: number): number {
    return axisOf(value, rank) ?? this.fail('axis is out of range', `${-rank} to ${rank - 1}`, value)
  }
  fail(what: string, expected?: string | number, got?: string | number): never {
    throw new ThimbleError('lower/shape', what, { op: opLabel(this.op, this.index), expected, got })
  }
}

type Shape = readonly number[]
/** Shapes of the outputs; undefined where they depend on data that is no constant. */
export type Shapes = readonly (Shape | undefined)[]
type Rule<T extends OpType = never> = (s: Site, a: OpAttributes[T]) => Shapes

const same = (s: Site): Shapes => s.op.outputs.map(() => s.shape(0))

function broadcast(s: Site, ...positions: number[]): Shape[] {
  const all = positions.map((p) => s.shape(p))
  const out = all.reduce<number[] | undefined>((a, b) => a && broadcastShapes(a, b), [])
  return [out ?? s.fail('shapes do not broadcast', 'equal dimensions, or 1', all.map((a) => `[${a}]`).join(' with '))]
}
const binary = (s: Site): Shapes => broadcast(s, 0, 1)

function windows(s: Site, w: AxisWindow): number {
  const { out } = windowAlong(w)
  return out >= 1
    ? out
    : s.fail('the window is larger than the image', `at most ${w.size}`, reachOf(w.kernel, w.dilation))
}

type Conv = OpOf<'CONV_2D' | 'DEPTHWISE_CONV_2D'>['attrs']
const convolved = (s: Site, { padding, strideH, strideW, dilationH, dilationW }: Conv): [number, number] => {
  const [, h, w] = s.rank4(0)
  const [, kh, kw] = s.rank4(1)
  return [
    windows(s, { padding, size: h, stride: strideH, kernel: kh, dilation: dilationH }),
    windows(s, { padding, size: w, stride: strideW, kernel: kw, dilation: dilationW }),
  ]
}

const pool: Rule<'AVERAGE_POOL_2D' | 'MAX_POOL_2D' | 'L2_POOL_2D'> = (s, a) => {
  const [n, h, w, c] = s.rank4(0)
  const { padding, strideH, strideW, filterH, filterW } = a
  return [
    [
      n,
      windows(s, { padding, size: h, stride: strideH, kernel: filterH }),
      windows(s, { padding, size: w, stride: strideW, kernel: filterW }),
      c,
    ],
  ]
}

type Reducer = 'MEAN' | 'SUM' | 'REDUCE_MAX' | 'REDUCE_MIN' | 'REDUCE_PROD' | 'REDUCE_ANY' | 'REDUCE_ALL'
const reduce: Rule<Reducer> = (s, a) => {
  const shape = s.shape(0)
  const axes = s.integers(1)?.map((a) => s.axis(a, shape.length))
  if (!axes) return [undefined]
  return [a.keepDims ? shape.map((d, i) => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i))]
}

const argument = (s: Site): Shapes => {
  const axis = s.integers(1)
  const shape = s.shape(0)
  if (!axis) return [undefined]
  const at = s.axis(axis[0] ?? 0, shape.length)
  return [shape.filter((_, i) => i !== at)]
}

/** A list of dimensions of which one may be -1: what is left over. */
function reshaped(s: Site, wanted: readonly number[], total: number): number[] {
  const known = wanted.reduce((a, d) => (d === -1 ? a : a * d), 1)
  const open = wanted.filter((d) => d === -1).length
  const shape = wanted.map((d) => (d === -1 ? total / known : d))
  if (open > 1 || shape.some((d) => !Number.isInteger(d) || d < 0) || elements(shape) !== total) {
    s.fail('the new shape does not fit the input', `${total} elements`, `[${wanted}]`)
  }
  return shape
}

/** The shape that a scalar or empty list stands for in old files. */
const scalarShape = (wanted: readonly number[], total: number): readonly number[] =>
  wanted.length === 1 && wanted[0] === 0 && total === 1 ? [] : wanted

const sized = (s: Site): Shapes => {
  const [n, , , c] = s.rank4(0)
  const size = s.integers(1)
  if (!size) return [undefined]
  if (size.length !== 2 || size.some((d) => d < 1)) s.fail('size', 'two positive numbers', `[${size}]`)
  return [[n, size[0]!, size[1]!, c]]
}

function padded(s: Site): (Shape | undefined)[] {
  const shape = s.shape(0)
  const pads = s.integers(1)
  if (!pads) return [undefined]
  if (pads.length !== 2 * shape.length || pads.some((p) => p < 0)) {
    s.fail('paddings', `${2 * shape.length} numbers, not negative`, `[${pads}]`)
  }
  return [shape.map((d, i) => d + pads[2 * i]! + pads[2 * i + 1]!)]
}

/** A count of elements that a constant states. */
function positive(s: Site, list: readonly number[], what: string): readonly number[] {
  return list.some((d) => d < 0) ? s.fail(what, 'no negative number', `[${list}]`) : list
}

function blocks(s: Site): { block: number[]; edges: number[] } | undefined {
  const [block, edges] = [s.integers(1), s.integers(2)]
  if (!block || !edges) return undefined
  const rank = s.shape(0).length
  if (block.some((b) => b < 1) || edges.length !== 2 * block.length || block.length + 1 > rank) {
    s.fail('block and paddings', `blocks of at most ${rank - 1} dimensions`, `[${block}], [${edges}]`)
  }
  positive(s, edges, 'paddings')
  return { block, edges }
}

const INFERENCE: { readonly [T in OpType]: Rule<T> } = {
  CONV_2D: (s, a) => {
    const [n, , , c] = s.rank4(0)
    const [o, , , ci] = s.rank4(1)
    if (ci < 1 || c % ci !== 0 || o % (c / ci) !== 0) s.fail('channels do not match', `a multiple of ${ci}`, c)
    return [[n, ...convolved(s, a), o]]
  },
  DEPTHWISE_CONV_2D: (s, a) => {
    const [n, , , c] = s.rank4(0)
    const [, , , o] = s.rank4(1)
    if (c * a.depthMultiplier !== o) {
      s.fail('depthwise filter does not fit its input', `${c} channels times ${a.depthMultiplier}`, o)
    }
    return [[n, ...convolved(s, a), o]]
  },
  TRANSPOSE_CONV: (s) => [s.integers(0)],
  FULLY_CONNECTED: (s, a) => {
    const x = s.shape(0)
    const [units, depth] = s.shape(1)
    if (s.shape(1).length !== 2 || depth === undefined || depth < 1 || units === undefined) {
      return s.fail('filter has not rank 2', '[units, depth]', `[${s.shape(1)}]`)
    }
    if (a.keepNumDims) {
      if (x[x.length - 1] !== depth) s.fail('depth', depth, x[x.length - 1])
      return [[...x.slice(0, -1), units]]
    }
    const total = elements(x)
    if (total % depth !== 0) s.fail('input does not divide into rows of the filter', `a multiple of ${depth}`, total)
    return [[total / depth, units]]
  },
  BATCH_MATMUL: (s, attrs) => {
    const { adjX, adjY } = attrs
    const [a, b] = [s.shape(0), s.shape(1)]
    if (a.length < 2 || b.length < 2) s.fail('operands must have rank 2 at least', '[..., M, K]', `[${a}], [${b}]`)
    const last = (shape: Shape, swap: boolean): number[] =>
      swap ? [...shape.slice(-2)].reverse() : [...shape.slice(-2)]
    const [[m, k], [k2, n]] = [last(a, adjX), last(b, adjY)] as [[number, number], [number, number]]
    if (k !== k2) s.fail('inner dimensions', k, k2)
    const batch =
      broadcastShapes(a.slice(0, -2), b.slice(0, -2)) ?? s.fail('batches do not broadcast', `[${a}]`, `[${b}]`)
    return [[...batch, m, n]]
  },
  ADD: binary,
  SUB: binary,
  ADD_N: same,
  MUL: binary,
  DIV: binary,
  FLOOR_DIV: binary,
  FLOOR_MOD: binary,
  MAXIMUM: binary,
  MINIMUM: binary,
  SQUARED_DIFFERENCE: binary,
  POW: binary,
  EQUAL: binary,
  NOT_EQUAL: binary,
  LESS: binary,
  LESS_EQUAL: binary,
  GREATER: binary,
  GREATER_EQUAL: binary,
  LOGICAL_AND: binary,
  LOGICAL_OR: binary,
  SELECT: (s) => [s.shape(1)],
  SELECT_V2: (s) => broadcast(s, 0, 1, 2),
  AVERAGE_POOL_2D: pool,
  MAX_POOL_2D: pool,
  L2_POOL_2D: pool,
  MEAN: reduce,
  SUM: reduce,
  REDUCE_MAX: reduce,
  REDUCE_MIN: reduce,
  REDUCE_PROD: reduce,
  REDUCE_ANY: reduce,
  REDUCE_ALL: reduce,
  SOFTMAX: same,
  LOG_SOFTMAX: same,
  L2_NORMALIZATION: same,
  LOGISTIC: same,
  TANH: same,
  HARD_SWISH: same,
  ELU: same,
  GELU: same,
  EXP: same,
  LOG: same,
  ABS: same,
  NEG: same,
  SQUARE: same,
  SQRT: same,
  RSQRT: same,
  SIN: same,
  COS: same,
  FLOOR: same,
  CEIL: same,
  ROUND: same,
  SIGN: same,
  RELU: same,
  RELU6: same,
  RELU_N1_TO_1: same,
  RELU_0_TO_1: same,
  LEAKY_RELU: same,
  PRELU: binary,
  LOGICAL_NOT: same,
  ZEROS_LIKE: same,
  QUANTIZE: same,
  DEQUANTIZE: same,
  CAST: same,
  REVERSE_V2: same,
  REVERSE_SEQUENCE: same,
  CUMSUM: same,
  RESIZE_BILINEAR: sized,
  RESIZE_NEAREST_NEIGHBOR: sized,
  PAD: padded,
  PADV2: padded,
  MIRROR_PAD: padded,
  CONCATENATION: (s, a) => {
    const shape = [...s.shape(0)]
    const axis = s.axis(a.axis, shape.length)
    for (let i = 1; i < s.op.inputs.length; i++) {
      const other = s.shape(i)
      if (other.length !== shape.length || other.some((d, k) => k !== axis && d !== shape[k])) {
        s.fail(`input ${i} does not fit the others`, `[${shape}] but for axis ${axis}`, `[${other}]`)
      }
      shape[axis]! += other[axis]!
    }
    return [shape]
  },
  SPLIT: (s) => {
    const shape = s.shape(1)
    const axis = s.integers(0)
    if (!axis) return s.op.outputs.map(() => undefined)
    const at = s.axis(axis[0] ?? 0, shape.length)
    const n = s.op.outputs.length
    if (shape[at]! % n !== 0) s.fail('axis does not divide into the outputs', `a multiple of ${n}`, shape[at])
    return s.op.outputs.map(() => shape.map((d, i) => (i === at ? d / n : d)))
  },
  SPLIT_V: (s) => {
    const shape = s.shape(0)
    const [sizes, axis] = [s.integers(1), s.integers(2)]
    if (!sizes || !axis) return s.op.outputs.map(() => undefined)
    const at = s.axis(axis[0] ?? 0, shape.length)
    const rest = shape[at]! - sizes.reduce((a, d) => (d === -1 ? a : a + d), 0)
    const full = sizes.map((d) => (d === -1 ? rest : d))
    if (
      full.length !== s.op.outputs.length ||
      full.some((d) => d < 0) ||
      full.reduce((a, d) => a + d, 0) !== shape[at]
    ) {
      s.fail('sizes do not fill the axis', `${shape[at]} in ${s.op.outputs.length} parts`, `[${sizes}]`)
    }
    return full.map((size) => shape.map((d, i) => (i === at ? size : d)))
  },
  PACK: (s, a) => {
    const shape = s.shape(0)
    const axis = s.axis(a.axis, shape.length + 1)
    s.op.inputs.forEach((_, i) => {
      if (`${s.shape(i)}` !== `${shape}`) s.fail(`input ${i} does not fit the others`, `[${shape}]`, `[${s.shape(i)}]`)
    })
    return [[...shape.slice(0, axis), s.op.inputs.length, ...shape.slice(axis)]]
  },
  UNPACK: (s, a) => {
    const shape = s.shape(0)
    const axis = s.axis(a.axis, shape.length)
    if (shape[axis] !== s.op.outputs.length) s.fail('number of outputs', shape[axis], s.op.outputs.length)
    return s.op.outputs.map(() => shape.filter((_, i) => i !== axis))
  },
  ARG_MAX: argument,
  ARG_MIN: argument,
  TOPK_V2: (s) => {
    const shape = s.shape(0)
    const k = s.integers(1)?.[0]
    if (k === undefined) return [undefined, undefined]
    const n = shape[shape.length - 1] ?? 0
    if (k < 0 || k > n) s.fail('k', `at most ${n}`, k)
    const out = [...shape.slice(0, -1), k]
    return [out, out]
  },
  RESHAPE: (s, a) => {
    const total = elements(s.shape(0))
    if (s.has(1)) {
      const wanted = s.integers(1)
      return [wanted && reshaped(s, scalarShape(wanted, total), total)]
    }
    const { newShape } = a
    if (newShape) return [reshaped(s, scalarShape(newShape, total), total)]
    return [s.output().shape]
  },
  SQUEEZE: (s, a) => {
    const shape = s.shape(0)
    const { dims } = a
    if (!dims) {
      const recorded = s.output().shape
      return [elements(recorded) === elements(shape) ? recorded : shape.filter((d) => d !== 1)]
    }
    if (dims.length === 0) return [shape.filter((d) => d !== 1)]
    const gone = dims.map((d) => s.axis(d, shape.length))
    for (const d of gone) if (shape[d] !== 1) s.fail(`dimension ${d} is not of length 1`, 1, shape[d])
    return [shape.filter((_, i) => !gone.includes(i))]
  },
  EXPAND_DIMS: (s) => {
    const shape = s.shape(0)
    const axis = s.integers(1)
    if (!axis) return [undefined]
    const at = s.axis(axis[0] ?? 0, shape.length + 1)
    return [[...shape.slice(0, at), 1, ...shape.slice(at)]]
  },
  SHAPE: (s) => [[s.shape(0).length]],
  RANK: () => [[]],
  FILL: (s) => {
    const dims = s.integers(0)
    return [dims && positive(s, dims, 'dimensions')]
  },
  RANGE: (s) => [rangeOf(s)],
  TILE: (s) => {
    const shape = s.shape(0)
    const multiples = s.integers(1)
    if (!multiples) return [undefined]
    if (multiples.length !== shape.length) s.fail('number of multiples', shape.length, multiples.length)
    positive(s, multiples, 'multiples')
    return [shape.map((d, i) => d * multiples[i]!)]
  },
  BROADCAST_TO: (s) => {
    const wanted = s.integers(1)
    if (!wanted) return [undefined]
    const shape = s.shape(0)
    if (`${broadcastShapes(shape, wanted)}` !== `${wanted}` || wanted.length < shape.length) {
      s.fail('the input does not broadcast to the shape', `[${wanted}]`, `[${shape}]`)
    }
    return [wanted]
  },
  BROADCAST_ARGS: (s) => [[Math.max(s.shape(0)[0] ?? 0, s.shape(1)[0] ?? 0)]],
  SPACE_TO_BATCH_ND: (s) => {
    const found = blocks(s)
    if (!found) return [undefined]
    const { block, edges } = found
    const shape = s.shape(0)
    const out = shape.map((d, i) => {
      if (i === 0) return d * block.reduce((a, b) => a * b, 1)
      if (i > block.length) return d
      const size = d + edges[2 * i - 2]! + edges[2 * i - 1]!
      return size % block[i - 1]! === 0
        ? size / block[i - 1]!
        : s.fail('padded size', `a multiple of ${block[i - 1]}`, size)
    })
    return [out]
  },
  BATCH_TO_SPACE_ND: (s) => {
    const found = blocks(s)
    if (!found) return [undefined]
    const { block, edges } = found
    const shape = s.shape(0)
    const all = block.reduce((a, b) => a * b, 1)
    if (shape[0]! % all !== 0) s.fail('batch', `a multiple of ${all}`, shape[0])
    const out = shape.map((d, i) => {
      if (i === 0) return d / all
      if (i > block.length) return d
      return d * block[i - 1]! - edges[2 * i - 2]! - edges[2 * i - 1]!
    })
    if (out.some((d) => d < 0)) s.fail('crops are larger than the image', `at most [${shape}]`, `[${edges}]`)
    return [out]
  },
  SPACE_TO_DEPTH: (s, a) => {
    const [n, h, w, c] = s.rank4(0)
    const b = a.blockSize
    if (h % b !== 0 || w % b !== 0) s.fail('size', `a multiple of ${b}`, `${h}x${w}`)
    return [[n, h / b, w / b, c * b * b]]
  },
  DEPTH_TO_SPACE: (s, a) => {
    const [n, h, w, c] = s.rank4(0)
    const b = a.blockSize
    if (c % (b * b) !== 0) s.fail('channels', `a multiple of ${b * b}`, c)
    return [[n, h * b, w * b, c / (b * b)]]
  },
  TRANSPOSE: (s) => {
    const shape = s.shape(0)
    const order = s.integers(1)
    if (!order) return [undefined]
    const axes = order.map((a) => s.axis(a, shape.length))
    if (new Set(axes).size !== shape.length || axes.length !== shape.length) {
      s.fail('permutation', `all of 0 to ${shape.length - 1}`, `[${order}]`)
    }
    return [axes.map((a) => shape[a]!)]
  },
  SLICE: (s) => {
    const shape = s.shape(0)
    const [begin, size] = [s.integers(1), s.integers(2)]
    if (!begin || !size) return [undefined]
    const out = size.map((d, i) => (d === -1 ? shape[i]! - begin[i]! : d))
    if (
      begin.length !== shape.length ||
      out.length !== shape.length ||
      out.some((d, i) => begin[i]! < 0 || d < 0 || begin[i]! + d > shape[i]!)
    ) {
      s.fail('slice does not fit its input', `[${shape}]`, `[${size}] from [${begin}]`)
    }
    return [out]
  },
  STRIDED_SLICE: (s, a) => {
    const [begin, end, step] = [s.integers(1), s.integers(2), s.integers(3)]
    if (!begin || !end || !step) return [undefined]
    const slices = slicesOf(s.shape(0), { begin, end, step }, a)
    return [
      slices?.shape ?? s.fail('slice does not fit its input', `[${s.shape(0)}]`, `[${begin}] to [${end}] by [${step}]`),
    ]
  },
  GATHER: (s, a) => {
    const [shape, indices] = [s.shape(0), s.shape(1)]
    const axis = s.axis(a.axis, shape.length)
    const batch = s.axis(a.batchDims, indices.length + 1)
    if (batch > axis || shape.slice(0, batch).some((d, i) => d !== indices[i])) {
      s.fail('batch dimensions do not match', `[${shape.slice(0, batch)}]`, `[${indices.slice(0, batch)}]`)
    }
    return [[...shape.slice(0, axis), ...indices.slice(batch), ...shape.slice(axis + 1)]]
  },
  GATHER_ND: (s) => {
    const [shape, indices] = [s.shape(0), s.shape(1)]
    const depth = indices[indices.length - 1] ?? 0
    if (depth > shape.length) s.fail('last dimension of the indices', `at most ${shape.length}`, depth)
    return [[...indices.slice(0, -1), ...shape.slice(depth)]]
  },
  EMBEDDING_LOOKUP: (s) => [[...s.shape(0), ...s.shape(1).slice(1)]],
  ONE_HOT: (s, a) => {
    const shape = s.shape(0)
    const depth = s.integers(1)
    if (!depth) return [undefined]
    const at = a.axis === -1 ? shape.length : s.axis(a.axis, shape.length + 1)
    return [[...shape.slice(0, at), ...positive(s, depth.slice(0, 1), 'depth'), ...shape.slice(at)]]
  },
  SCATTER_ND: (s) => {
    const dims = s.integers(2)
    return [dims && positive(s, dims, 'dimensions')]
  },
  READ_VARIABLE: same,
  ASSIGN_VARIABLE: () => [],
  UNIDIRECTIONAL_SEQUENCE_LSTM: (s) => [[...s.shape(0).slice(0, -1), s.shape(8)[1] ?? s.fail('rank of input 8', 2)]],
  SVDF: (s, a) => [[s.shape(0)[0] ?? 1, Math.floor((s.shape(1)[0] ?? 0) / a.rank)]],
  DETECTION_POSTPROCESS: (s, a) => detectionShapes(a),
  UNSUPPORTED: (s) => s.op.outputs.map(() => undefined),
}

/** Elements of RANGE; undefined when its operands are no constants. */
function rangeOf(s: Site): Shape | undefined {
  if (s.input(0).dtype === 'float32') {
    const [start, limit, delta] = [0, 1, 2].map((p) => {
      const { data } = s.input(p)
      return data && new DataView(data.buffer, data.byteOffset, data.byteLength).getFloat32(0, true)
    })
    if (start === undefined || limit === undefined || delta === undefined) return undefined
    return [rangeCount(s, Math.abs((limit - start) / delta), (limit - start) * delta)]
  }
  const [start, limit, delta] = [0, 1, 2].map((p) => s.integers(p)?.[0])
  if (start === undefined || limit === undefined || delta === undefined) return undefined
  return [rangeCount(s, Math.abs((limit - start) / delta), (limit - start) * delta)]
}

function rangeCount(s: Site, count: number, sense: number): number {
  if (sense < 0 || !Number.isFinite(count)) s.fail('range', 'a step towards the limit', 'one that never reaches it')
  return Math.ceil(count)
}

/** The shapes of an op's outputs. Errors: `lower/shape`. */
export const inferShapes = (s: Site): Shapes => (INFERENCE[s.op.type] as (s: Site, a: object) => Shapes)(s, s.op.attrs)
