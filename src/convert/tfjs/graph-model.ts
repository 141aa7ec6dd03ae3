/**
 * TensorFlow GraphDefs as TensorFlow.js stores them (JSON nodes, weights apart) to a float graph. Inference ops of
 * image networks, NHWC.
 */
import { ThimbleError } from '../../base/errors.ts'
import { Refusals } from '../refusals.ts'
import { elements, type Graph, type OpOf, type Padding } from '../../graph/graph.ts'
import { isObject, type Json, type JsonObject } from '../keras/config.ts'
import type { KerasOptions } from '../keras/model.ts'
import { Net, type Nonlinearity } from '../net.ts'
import { transpose } from '../values.ts'
import { strided } from './slicing.ts'
import type { TfjsWeight } from './weights.ts'

interface Node {
  name: string
  op: string
  inputs: string[]
  attr: JsonObject
}
/** A tensor of the graph, or numbers known while reading (weights, shapes). */
type Value =
  | {
      tensor: number
      /** Between SpaceToBatchND and its convolution. */ dilation?: readonly [number, number]
      /** Between that convolution and BatchToSpaceND. */ dilated?: boolean
    }
  | { shape: readonly number[]; data: Float32Array }
const isTensor = (v: Value): v is Extract<Value, { tensor: number }> => 'tensor' in v

const bad = (what: string, where?: string): never => {
  throw new ThimbleError('format/tfjs', what, where === undefined ? {} : { tensor: where })
}
const fail = (n: Node, what: string): never => {
  throw new ThimbleError('lower/unsupported-op', `TensorFlow op ${n.op}${what ? ` with ${what}` : ''}`, {
    tensor: n.name,
  })
}

const MAX_NODES = 200000
/** Text as the JSON of a GraphDef has it: base64, or a list of character codes. */
const decoded = (s: Json): string => {
  if (Array.isArray(s)) return s.map((code) => String.fromCharCode(Number(code))).join('')
  try {
    return atob(String(s))
  } catch {
    return String(s)
  }
}
const isText = (s: Json | undefined): s is string | Json[] => typeof s === 'string' || Array.isArray(s)

/** Attribute readers: GraphDef JSON keeps integers as strings. */
const attr = {
  text: (n: Node, key: string, fallback = ''): string => {
    const a = n.attr[key]
    return isObject(a) && isText(a.s) ? decoded(a.s) : fallback
  },
  number: (n: Node, key: string, fallback: number): number => {
    const a = n.attr[key]
    return isObject(a) && a.f !== undefined ? Number(a.f) : isObject(a) && a.i !== undefined ? Number(a.i) : fallback
  },
  bool: (n: Node, key: string): boolean => {
    const a = n.attr[key]
    return isObject(a) && a.b === true
  },
  list: (n: Node, key: string): number[] => {
    const a = n.attr[key]
    return isObject(a) && isObject(a.list) && Array.isArray(a.list.i) ? a.list.i.map(Number) : []
  },
  texts: (n: Node, key: string): string[] => {
    const a = n.attr[key]
    return isObject(a) && isObject(a.list) && Array.isArray(a.list.s) ? a.list.s.map(decoded) : []
  },
}

function parseNode(json: Json): Node {
  if (!isObject(json) || typeof json.name !== 'string' || typeof json.op !== 'string') return bad('malformed node')
  const inputs = Array.isArray(json.input) ? json.input.map((i) => String(i)).filter((i) => !i.startsWith('^')) : []
  return { name: json.name, op: json.op, inputs, attr: isObject(json.attr) ? json.attr : {} }
}

/** `name:index` to its parts. */
const port = (input: string): { name: string; index: number } => {
  const m = /^(.*):(\d+)$/.exec(input)
  return m ? { name: m[1]!, index: Number(m[2]) } : { name: input, index: 0 }
}

const OPERATORS: Record<string, 'ADD' | 'SUB' | 'MUL' | 'DIV'> = {
  Add: 'ADD',
  AddV2: 'ADD',
  BiasAdd: 'ADD',
  Sub: 'SUB',
  Mul: 'MUL',
  RealDiv: 'DIV',
  Div: 'DIV',
}
const UNARY: Record<string, Nonlinearity> = {
  Relu: 'relu',
  Relu6: 'relu6',
  Sigmoid: 'sigmoid',
  Tanh: 'tanh',
  Softmax: 'softmax',
}
/** Ops of one tensor that have one of their own in TFLite, for 8 bits too. */
const MAPS: Record<string, 'ABS' | 'EXP' | 'SQRT' | 'RSQRT' | 'ELU'> = {
  Abs: 'ABS',
  Exp: 'EXP',
  Sqrt: 'SQRT',
  Rsqrt: 'RSQRT',
  Elu: 'ELU',
}
const REDUCTIONS: Record<string, 'MEAN' | 'SUM' | 'REDUCE_MAX' | 'REDUCE_MIN'> = {
  Mean: 'MEAN',
  Sum: 'SUM',
  Max: 'REDUCE_MAX',
  Min: 'REDUCE_MIN',
}
const IDENTITY = new Set(['Identity', 'StopGradient', 'Snapshot', 'PreventGradient', 'CheckNumerics', 'NoOp'])

/** Every op that `Reader` has a case for. */
const KNOWN = new Set([
  ...Object.keys(OPERATORS),
  ...Object.keys(UNARY),
  ...Object.keys(MAPS),
  ...Object.keys(REDUCTIONS),
  ...IDENTITY,
  ...'Const Placeholder PlaceholderV2 SpaceToBatchND BatchToSpaceND Cast Shape StridedSlice Pack ConcatV2 Prod'.split(
    ' ',
  ),
  ...'AddN Conv2D _FusedConv2D DepthwiseConv2dNative _FusedDepthwiseConv2dNative FusedDepthwiseConv2dNative'.split(' '),
  ...'MatMul _FusedMatMul BatchMatMulV2 FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 MaxPool AvgPool'.split(' '),
  ...'Split SplitV Square SquaredDifference Minimum Maximum Neg LeakyRelu Prelu Reshape Squeeze ExpandDims Pad PadV2 Transpose'.split(
    ' ',
  ),
  ...'ResizeBilinear ResizeNearestNeighbor Conv2DBackpropInput DepthToSpace'.split(' '),
])

/** Notes all ops that the outputs need and that have no equivalent. */
function refuseUnknown(nodes: ReadonlyMap<string, Node>, outputs: readonly string[], refusals: Refusals): void {
  const needed = new Set(outputs.map((o) => port(o).name))
  const unknown = new Set<string>()
  for (const name of needed) {
    const n = nodes.get(name)
    if (!n) continue
    if (!KNOWN.has(n.op)) unknown.add(n.op)
    for (const i of n.inputs) needed.add(port(i).name)
  }
  if (unknown.size === 0) return
  refusals.add(
    new ThimbleError('lower/unsupported-op', `TensorFlow op${unknown.size > 1 ? 's' : ''} ${[...unknown].join(', ')}`, {
      hint: 'leave them out of the exported model and compute them on its output',
    }),
  )
}

/** Arithmetic of numbers known while reading, one of each or one for all; undefined for other shapes. */
function numbers(
  type: 'ADD' | 'SUB' | 'MUL' | 'DIV',
  [a, b]: readonly { shape: readonly number[]; data: Float32Array }[],
): { shape: readonly number[]; data: Float32Array } | undefined {
  if (!a || !b || !(a.data.length === b.data.length || a.data.length === 1 || b.data.length === 1)) return undefined
  const longer = a.shape.length > b.shape.length || a.data.length > b.data.length ? a : b
  const data = Float32Array.from(longer.data, (_, i) => {
    const [x, y] = [a.data[a.data.length === 1 ? 0 : i]!, b.data[b.data.length === 1 ? 0 : i]!]
    return type === 'ADD' ? x + y : type === 'SUB' ? x - y : type === 'MUL' ? x * y : x / y
  })
  return { shape: longer.shape, data }
}

class Reader {
  readonly net = new Net()
  readonly refusals = new Refusals()
  /** Nodes without a value: refused ones, and all behind them. */
  private readonly missing = new Set<string>()
  private readonly nodes: Map<string, Node>
  private readonly values = new Map<string, Value[]>()
  private readonly weights: Map<string, TfjsWeight>
  private readonly options: KerasOptions

  constructor(nodes: Map<string, Node>, weights: readonly TfjsWeight[], options: KerasOptions) {
    this.nodes = nodes
    this.weights = new Map(weights.map((w) => [w.name, w]))
    this.options = options
  }

  placeholder(n: Node): void {
    const a = n.attr.shape
    const dims =
      isObject(a) && isObject(a.shape) && Array.isArray(a.shape.dim)
        ? a.shape.dim.map((d) => (isObject(d) ? Number(d.size ?? -1) : -1))
        : []
    if (dims.length === 0) bad('input has no shape', n.name)
    const shape = dims.map((d, i) => (i === 0 ? 1 : d > 0 ? d : (this.options.inputShape?.[i] ?? -1)))
    if (shape.some((d) => !(d >= 1 && d <= 1 << 20))) {
      throw new ThimbleError('format/shape', 'input has an open dimension', {
        tensor: n.name,
        got: `[${dims.join(', ')}]`,
        hint: 'give the input shape, e.g. --input-shape 1x224x224x3',
      })
    }
    this.values.set(n.name, [{ tensor: this.net.input(n.name, shape) }])
  }

  /** Value of `input`, working out what it needs first; no recursion. */
  value(input: string): Value {
    const stack = [port(input).name]
    const open = new Set<string>()
    while (stack.length) {
      const name = stack[stack.length - 1]!
      if (this.values.has(name)) {
        stack.pop()
        continue
      }
      const n = this.nodes.get(name) ?? bad('node is referred to but not defined', name)
      const missing = n.inputs.map((i) => port(i).name).filter((i) => !this.values.has(i))
      if (missing.length) {
        if (open.has(name)) bad('nodes form a cycle', name)
        open.add(name)
        for (const m of missing) stack.push(m)
        continue
      }
      const readable = KNOWN.has(n.op) && !n.inputs.some((i) => this.missing.has(port(i).name))
      const made = readable ? this.refusals.attempt(() => this.run(n)) : undefined
      if (!made) this.missing.add(name)
      this.values.set(name, made ?? [])
      stack.pop()
    }
    const { name, index } = port(input)
    if (this.missing.has(name)) return { tensor: -1 }
    return this.values.get(name)![index] ?? bad('output does not exist', input)
  }

  private input(n: Node, i: number): Value {
    const at = n.inputs[i] ?? bad(`${n.op} lacks an input`, n.name)
    const { name, index } = port(at)
    return this.values.get(name)?.[index] ?? bad('output does not exist', at)
  }

  private tensor(n: Node, i: number): number {
    const v = this.input(n, i)
    return isTensor(v) ? v.tensor : this.net.constant(n.inputs[i]!, v)
  }

  private known(n: Node, i: number): { shape: readonly number[]; data: Float32Array } {
    const v = this.input(n, i)
    return isTensor(v) ? fail(n, `an input that is not constant (${n.inputs[i]!})`) : v
  }

  private shapeOf(v: Value): readonly number[] {
    return isTensor(v) ? this.net.shape(v.tensor) : v.shape
  }

  private run(n: Node): Value[] {
    if (n.op === 'Const') {
      const w = this.weights.get(n.name) ?? bad('constant has no weight', n.name)
      return [{ shape: w.shape, data: w.data }]
    }
    if (n.op === 'SpaceToBatchND' || n.op === 'BatchToSpaceND') return [this.dilation(n)]
    if (IDENTITY.has(n.op) || n.op === 'Cast') return [this.input(n, 0)]
    const folded = this.constant(n)
    if (folded) return [folded]
    if (n.op === 'Split' || n.op === 'SplitV') return this.split(n)
    const x = n.inputs.length ? this.input(n, 0) : undefined
    const inside = x !== undefined && isTensor(x) && (x.dilation !== undefined || x.dilated === true)
    if (inside && x.dilation && !n.op.includes('Conv')) fail(n, 'a space-to-batch input')
    if (inside && x.dilated && !['BiasAdd', 'Add', 'AddV2', 'Relu', 'Relu6'].includes(n.op)) {
      fail(n, 'a space-to-batch input')
    }
    return [{ tensor: this.op(n), ...(inside ? { dilated: true } : {}) }]
  }

  /** Shape arithmetic, done while reading. */
  private constant(n: Node): Value | undefined {
    if (n.op === 'Shape') {
      const s = this.shapeOf(this.input(n, 0))
      return { shape: [s.length], data: Float32Array.from(s) }
    }
    const inputs = n.inputs.map((_, i) => this.input(n, i))
    if (inputs.some(isTensor)) return undefined
    const known = inputs as { shape: readonly number[]; data: Float32Array }[]
    if (n.op === 'StridedSlice' && known[0]!.shape.length === 1) {
      const length = known[0]!.data.length
      const at = (k: number): number => {
        const v = known[k]!.data[0] ?? 0
        return v < 0 ? v + length : v
      }
      const from = attr.number(n, 'begin_mask', 0) & 1 ? 0 : at(1)
      if (attr.number(n, 'shrink_axis_mask', 0) & 1) return { shape: [], data: known[0]!.data.slice(from, from + 1) }
      const data = known[0]!.data.slice(from, attr.number(n, 'end_mask', 0) & 1 ? length : at(2))
      return { shape: [data.length], data }
    }
    if (n.op === 'Pack' || n.op === 'ConcatV2') {
      const data = Float32Array.from((n.op === 'Pack' ? known : known.slice(0, -1)).flatMap((k) => [...k.data]))
      return { shape: [data.length], data }
    }
    if (Object.hasOwn(OPERATORS, n.op) && n.op !== 'BiasAdd') return numbers(OPERATORS[n.op]!, known)
    if (n.op === 'Prod') return { shape: [], data: Float32Array.of(known[0]!.data.reduce((a, b) => a * b, 1)) }
    if (n.op === 'Reshape') return { shape: [...known[1]!.data], data: known[0]!.data }
    return undefined
  }

  private padding(n: Node): Padding {
    const p = attr.text(n, 'padding')
    return p === 'SAME' || p === 'VALID' ? p : fail(n, `padding "${p}"`)
  }

  private op(n: Node): number {
    const net = this.net
    if (attr.text(n, 'data_format', 'NHWC') === 'NCHW') fail(n, 'data_format NCHW')
    if (Object.hasOwn(OPERATORS, n.op)) {
      return net.binary(n.name, OPERATORS[n.op]!, this.tensor(n, 0), this.tensor(n, 1))
    }
    if (Object.hasOwn(MAPS, n.op)) return net.map(n.name, { type: MAPS[n.op]! }, this.tensor(n, 0))
    if (Object.hasOwn(REDUCTIONS, n.op)) return this.reduction(n, REDUCTIONS[n.op]!)
    if (Object.hasOwn(UNARY, n.op)) return net.activation(n.name, this.tensor(n, 0), UNARY[n.op]!)
    if (n.op === 'AddN') {
      const terms = n.inputs.map((_, i) => this.tensor(n, i))
      return terms.reduce((sum, term, i) =>
        net.binary(i < terms.length - 1 ? `${n.name}/${i}` : n.name, 'ADD', sum, term),
      )
    }
    switch (n.op) {
      case 'Conv2D':
      case '_FusedConv2D':
      case 'DepthwiseConv2dNative':
      case '_FusedDepthwiseConv2dNative':
      case 'FusedDepthwiseConv2dNative':
        return this.convolution(n)
      case 'Conv2DBackpropInput':
        return this.transposed(n)
      case 'MatMul':
      case '_FusedMatMul':
      case 'BatchMatMulV2':
        return this.matMul(n)
      case 'FusedBatchNorm':
      case 'FusedBatchNormV2':
      case 'FusedBatchNormV3': {
        const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) => this.known(n, i).data) as [
          Float32Array,
          Float32Array,
          Float32Array,
          Float32Array,
        ]
        return net.batchNorm(n.name, this.tensor(n, 0), {
          gamma,
          beta,
          mean,
          variance,
          epsilon: attr.number(n, 'epsilon', 1e-4),
        })
      }
      case 'MaxPool':
      case 'AvgPool':
        return this.pool(n)
      case 'Minimum':
      case 'Maximum': {
        const at = isTensor(this.input(n, 0)) ? 0 : 1
        const bound = this.input(n, 1 - at)
        const c = isTensor(bound) ? undefined : bound.data
        if (!c || c.some((v) => v !== c[0])) {
          const type = n.op === 'Minimum' ? 'MINIMUM' : 'MAXIMUM'
          return net.pair(n.name, type, this.tensor(n, at), this.tensor(n, 1 - at))
        }
        return n.op === 'Minimum'
          ? net.clip(n.name, this.tensor(n, at), -Infinity, c[0]!)
          : net.clip(n.name, this.tensor(n, at), c[0]!, Infinity)
      }
      case 'Square': {
        const x = this.tensor(n, 0)
        return net.binary(n.name, 'MUL', x, x)
      }
      case 'SquaredDifference':
        return net.pair(n.name, 'SQUARED_DIFFERENCE', this.tensor(n, 0), this.tensor(n, 1))
      case 'Neg':
        return net.affine(n.name, this.tensor(n, 0), [-1], [0])
      case 'LeakyRelu':
        return net.leakyRelu(n.name, this.tensor(n, 0), attr.number(n, 'alpha', 0.2))
      case 'Prelu':
        return net.prelu(n.name, this.tensor(n, 0), this.known(n, 1).data)
      default:
        return this.shapeOp(n)
    }
  }

  private shapeOp(n: Node): number {
    const net = this.net
    switch (n.op) {
      case 'Reshape': {
        const x = this.tensor(n, 0)
        const want = [...this.known(n, 1).data]
        const rest = want.filter((d) => d !== -1).reduce((a, b) => a * b, 1)
        return net.reshape(
          n.name,
          x,
          want.map((d) => (d === -1 ? elements(net.shape(x)) / rest : d)),
        )
      }
      case 'Squeeze': {
        const x = this.tensor(n, 0)
        const s = net.shape(x)
        const dims = attr.list(n, 'squeeze_dims').map((d) => (d + s.length) % s.length)
        return net.reshape(
          n.name,
          x,
          s.filter((d, i) => (dims.length ? !dims.includes(i) : d !== 1)),
        )
      }
      case 'ExpandDims': {
        const x = this.tensor(n, 0)
        const s = [...net.shape(x)]
        const at = this.known(n, 1).data[0]!
        s.splice(at < 0 ? at + s.length + 1 : at, 0, 1)
        return net.reshape(n.name, x, s)
      }
      case 'Pad':
      case 'PadV2': {
        const x = this.tensor(n, 0)
        const p = [...this.known(n, 1).data]
        const shape = net.shape(x).map((d, i) => d + p[2 * i]! + p[2 * i + 1]!)
        if (n.op === 'PadV2' && this.known(n, 2).data[0] !== 0) return fail(n, 'a value other than 0')
        if (p.length !== 2 * shape.length || p.some((v) => !(v >= 0 && v <= 1 << 16))) {
          return fail(n, `paddings ${p.join(', ')}`)
        }
        const inputs = [x, net.int32(`${n.name}/paddings`, [shape.length, 2], p)]
        return net.op<OpOf<'PAD'>>({ type: 'PAD', inputs, attrs: {} }, n.name, shape)
      }
      case 'ConcatV2': {
        const axis = this.known(n, n.inputs.length - 1).data[0]!
        return net.concat(
          n.name,
          n.inputs.slice(0, -1).map((_, i) => this.tensor(n, i)),
          axis,
        )
      }
      case 'StridedSlice':
        return this.stridedSlice(n)
      case 'DepthToSpace':
        return this.depthToSpace(n)
      case 'Transpose':
        return net.transpose(n.name, this.tensor(n, 0), [...this.known(n, 1).data])
      case 'ResizeBilinear':
      case 'ResizeNearestNeighbor': {
        const [h, w] = this.known(n, 1).data as unknown as [number, number]
        const type = n.op === 'ResizeBilinear' ? 'RESIZE_BILINEAR' : 'RESIZE_NEAREST_NEIGHBOR'
        return net.resize(n.name, this.tensor(n, 0), type, {
          h,
          w,
          alignCorners: attr.bool(n, 'align_corners'),
          halfPixelCenters: attr.bool(n, 'half_pixel_centers'),
        })
      }
      default:
        return fail(n, '')
    }
  }

  private reduction(n: Node, type: 'MEAN' | 'SUM' | 'REDUCE_MAX' | 'REDUCE_MIN'): number {
    const x = this.tensor(n, 0)
    const rank = this.net.shape(x).length
    const axes = [...this.known(n, 1).data].map((a) => (a + rank) % rank)
    return this.net.reduce(n.name, x, { type, axes, keepDims: attr.bool(n, 'keep_dims') })
  }

  /** Parts of a tensor along an axis: `Split` into equal ones, `SplitV` into given ones, one of which may be -1. */
  private split(n: Node): Value[] {
    const [value, axisAt] = n.op === 'Split' ? [1, 0] : [0, 2]
    const x = this.tensor(n, value)
    const shape = this.net.shape(x)
    const given = this.known(n, axisAt).data[0]!
    const axis = given < 0 ? given + shape.length : given
    const length = shape[axis] ?? fail(n, `axis ${given}`)
    const parts = attr.number(n, 'num_split', 1)
    const asked = n.op === 'Split' ? new Array<number>(parts).fill(length / parts) : [...this.known(n, 1).data]
    const rest = length - asked.reduce((sum, size) => sum + Math.max(0, size), 0)
    const sizes = asked.map((size) => (size === -1 ? rest : size))
    const sum = sizes.reduce((a, b) => a + b, 0)
    if (sum !== length || sizes.some((size) => !(Number.isInteger(size) && size >= 1))) {
      return fail(n, `parts of ${asked.join(', ')}`)
    }
    let at = 0
    return sizes.map((size, i) => {
      const begin = shape.map((_, d) => (d === axis ? at : 0))
      at += size
      const extent = shape.map((d, k) => (k === axis ? size : d))
      return { tensor: this.net.slice(`${n.name}:${i}`, x, begin, extent) }
    })
  }

  private depthToSpace(n: Node): number {
    const x = this.tensor(n, 0)
    const [batch, h, w, c] = this.net.image(x, n.name)
    const blockSize = attr.number(n, 'block_size', 0)
    const channels = c / blockSize ** 2
    if (!(blockSize >= 1) || !Number.isInteger(channels)) return fail(n, `block_size ${blockSize}`)
    const shape = [batch, h * blockSize, w * blockSize, channels]
    return this.net.op<OpOf<'DEPTH_TO_SPACE'>>(
      { type: 'DEPTH_TO_SPACE', inputs: [x], attrs: { blockSize } },
      n.name,
      shape,
    )
  }

  private pool(n: Node): number {
    const [, kh, kw] = attr.list(n, 'ksize') as [number, number, number]
    const [, sh, sw] = attr.list(n, 'strides') as [number, number, number]
    return this.net.pool(n.name, this.tensor(n, 0), n.op === 'MaxPool' ? 'MAX_POOL_2D' : 'AVERAGE_POOL_2D', {
      kernel: [kh, kw],
      stride: [sh, sw],
      padding: this.padding(n),
    })
  }

  private stridedSlice(n: Node): number {
    const net = this.net
    const x = this.tensor(n, 0)
    const [begin, end, step] = ([1, 2, 3] as const).map((i) => [...this.known(n, i).data]) as [
      number[],
      number[],
      number[],
    ]
    const mask = (name: string): number => attr.number(n, `${name}_mask`, 0)
    const masks = {
      beginMask: mask('begin'),
      endMask: mask('end'),
      ellipsisMask: mask('ellipsis'),
      newAxisMask: mask('new_axis'),
      shrinkAxisMask: mask('shrink_axis'),
    }
    const part = strided(net.shape(x), { begin, end, step }, masks)
    if (!part) return fail(n, 'this range')
    const same = part.result.join() === part.extent.join()
    const name = same ? n.name : `${n.name}/slice`
    const rank = part.begin.length
    const inputs = (): number[] => [
      x,
      net.int32(`${n.name}/begin`, [rank], part.begin),
      net.int32(`${n.name}/end`, [rank], part.end),
      net.int32(`${n.name}/strides`, [rank], part.strides),
    ]
    const attrs = { beginMask: 0, endMask: 0, ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 }
    const y = part.strides.every((s) => s === 1)
      ? net.slice(name, x, part.begin, part.extent)
      : net.op<OpOf<'STRIDED_SLICE'>>({ type: 'STRIDED_SLICE', inputs: inputs(), attrs }, name, part.extent)
    return same ? y : net.reshape(n.name, y, part.result)
  }

  /** A transposed convolution; what it was made of gives the size of its result. */
  private transposed(n: Node): number {
    const net = this.net
    const size = [...this.known(n, 0).data]
    const w = this.known(n, 1)
    const [, sh, sw] = attr.list(n, 'strides') as [number, number, number]
    const y = net.transposeConv(n.name, this.tensor(n, 2), {
      filter: transpose(w.data, w.shape, [2, 0, 1, 3]),
      bias: undefined,
      stride: [sh, sw],
      padding: this.padding(n),
    })
    const [, h, wide] = net.image(y, n.name)
    return size[1] === h && size[2] === wide ? y : fail(n, `a result of ${size.slice(1, 3).join('x')}`)
  }

  private convolution(n: Node): number {
    const net = this.net
    const x = this.tensor(n, 0)
    const w = this.known(n, 1)
    const [, sh, sw] = attr.list(n, 'strides') as [number, number, number]
    const from = this.input(n, 0)
    const [dh, dw] = (isTensor(from) ? from.dilation : undefined) ?? [
      attr.list(n, 'dilations')[1] ?? 1,
      attr.list(n, 'dilations')[2] ?? 1,
    ]
    const fused = attr.texts(n, 'fused_ops')
    const bias = fused[0] === 'BiasAdd' ? this.known(n, 2).data : undefined
    if (n.op === '_FusedConv2D' && fused[0] === 'FusedBatchNorm') return fail(n, 'fused batch norm')
    const p = attr.text(n, 'padding')
    const explicit = attr.list(n, 'explicit_paddings')
    const padded =
      p === 'EXPLICIT' && explicit.length === 8
        ? net.pad(`${n.name}/pad`, x, [explicit[2]!, explicit[3]!, explicit[4]!, explicit[5]!])
        : x
    const o = {
      bias,
      stride: [sh, sw] as const,
      dilation: [dh, dw] as const,
      padding: p === 'EXPLICIT' ? ('VALID' as const) : this.padding(n),
    }
    const depthwise = n.op.toLowerCase().includes('depthwise')
    const y = depthwise
      ? net.depthwise(n.name, padded, {
          ...o,
          filter: { shape: [1, w.shape[0]!, w.shape[1]!, w.shape[2]! * w.shape[3]!], data: w.data },
        })
      : net.conv(n.name, padded, { ...o, filter: transpose(w.data, w.shape, [3, 0, 1, 2]) })
    return this.fusedActivation(n, y, fused)
  }

  /** SpaceToBatchND, convolution, BatchToSpaceND is how TensorFlow spells a dilated convolution. */
  private dilation(n: Node): Value {
    if (n.op === 'SpaceToBatchND') {
      const [x, block, p] = [this.tensor(n, 0), [...this.known(n, 1).data], [...this.known(n, 2).data]]
      if (block.length !== 2 || p.length !== 4) return fail(n, 'this shape')
      const padded = p.some((v) => v !== 0) ? this.net.pad(`${n.name}/pad`, x, [p[0]!, p[1]!, p[2]!, p[3]!]) : x
      return { tensor: padded, dilation: [block[0]!, block[1]!] }
    }
    const v = this.input(n, 0)
    const x = this.tensor(n, 0)
    const p = [...this.known(n, 2).data]
    const [b, h, w, c] = this.net.image(x, n.name)
    if (!isTensor(v) || !v.dilated || p.length !== 4 || p[0] || p[2]) {
      return fail(n, 'anything but a convolution before it')
    }
    return {
      tensor: p.some((e) => e !== 0) ? this.net.slice(n.name, x, [0, 0, 0, 0], [b, h - p[1]!, w - p[3]!, c]) : x,
    }
  }

  private fusedActivation(n: Node, y: number, fused: string[]): number {
    const f = fused[1]
    if (!f) return y
    if (Object.hasOwn(UNARY, f)) return this.net.activation(`${n.name}/activation`, y, UNARY[f]!)
    if (f === 'LeakyRelu') return this.net.leakyRelu(`${n.name}/activation`, y, attr.number(n, 'leakyrelu_alpha', 0.2))
    if (f === 'Prelu') return this.net.prelu(`${n.name}/activation`, y, this.known(n, n.inputs.length - 1).data)
    return fail(n, `fused ${f}`)
  }

  private matMul(n: Node): number {
    const x = this.tensor(n, 0)
    const w = this.known(n, 1)
    if (w.shape.length !== 2 || attr.bool(n, 'transpose_a')) return fail(n, 'this shape')
    const filter = attr.bool(n, 'transpose_b') ? w : transpose(w.data, w.shape, [1, 0])
    const fused = attr.texts(n, 'fused_ops')
    const y = this.net.fullyConnected(n.name, x, {
      filter,
      bias: fused[0] === 'BiasAdd' ? this.known(n, 2).data : undefined,
    })
    return this.fusedActivation(n, y, fused)
  }
}

/** Names of a signature's tensors, in the order the file lists them. */
function signatureNames(signature: JsonObject | undefined, side: 'inputs' | 'outputs'): string[] | undefined {
  const list = signature && isObject(signature[side]) ? Object.values(signature[side]) : []
  const names = list.flatMap((t) => (isObject(t) && typeof t.name === 'string' ? [t.name] : []))
  return names.length ? names : undefined
}

/**
 * Builds the graph of a GraphDef, unfolded. Without a signature, outputs are the nodes that nothing reads.
 * Errors: `format/tfjs`, `format/shape`, `lower/unsupported-op` naming a TensorFlow op.
 */
export function tfGraph(
  topology: JsonObject,
  weights: readonly TfjsWeight[],
  signature: JsonObject | undefined,
  options: KerasOptions,
): Graph {
  const list = topology.node as Json[]
  if (list.length > MAX_NODES) bad(`graph has ${list.length} nodes`)
  const nodes = new Map(list.map(parseNode).map((n) => [n.name, n]))
  const reader = new Reader(nodes, weights, options)
  for (const n of nodes.values()) if (n.op === 'Placeholder' || n.op === 'PlaceholderV2') reader.placeholder(n)
  const read = new Set([...nodes.values()].flatMap((n) => n.inputs.map((i) => port(i).name)))
  const outputs =
    signatureNames(signature, 'outputs') ??
    [...nodes.values()]
      .filter((n) => !read.has(n.name) && n.op !== 'Const' && n.op !== 'NoOp' && n.op !== 'Placeholder')
      .map((n) => n.name)
  refuseUnknown(nodes, outputs, reader.refusals)
  const ids = outputs.map((o) => {
    const v = reader.value(o)
    return isTensor(v) ? v.tensor : bad('output is constant', o)
  })
  reader.refusals.finish()
  return reader.net.finish(ids)
}
