/**
 * Sound models by chance, so that changes to them reach what lies behind the readers: graphs of 8 and 16 bits of many
 * ops, and ONNX files. What they compute does not matter.
 */
import type { DType, Graph, OpAttributes, OpType } from '../../src/graph/graph.ts'
import type { Dice } from '../../test/mutate.ts'
import { GraphBuilder } from '../../test/small-models.ts'
import { joined, varintBytes } from './mutators.ts'

type Shape = [number, number, number, number]
const ACTIVATIONS = ['NONE', 'RELU', 'RELU6', 'RELU_N1_TO_1'] as const

/** A layer's window and the size that it leaves. */
interface Window {
  how: { padding: 'SAME' | 'VALID'; strideH: number; strideW: number }
  k: number
  j: number
  oh: number
  ow: number
  activation: (typeof ACTIVATIONS)[number]
}

/** A graph that grows by layers: what the next one reads is tensor `x` of `shape`. */
class Growing {
  readonly d: Dice
  readonly b: GraphBuilder
  readonly dtype: DType
  readonly wide: boolean
  readonly filterType: DType
  readonly seen: [number, Shape][]
  shape: Shape
  x: number

  constructor(d: Dice) {
    this.d = d
    this.b = new GraphBuilder(d.int(2 ** 31))
    this.dtype = d.pick(['int8', 'int8', 'int8', 'uint8', 'int16'])
    this.wide = this.dtype === 'int16'
    this.filterType = this.dtype === 'uint8' ? 'uint8' : 'int8'
    this.shape = [1 + Number(d.int(9) === 0), 1 + d.int(14), 1 + d.int(14), 1 + d.int(20)]
    this.x = this.b.input(this.shape, this.dtype, 0.05, this.zero())
    this.seen = [[this.x, this.shape]]
  }

  zero(): number {
    return this.wide ? 0 : this.dtype === 'uint8' ? this.d.int(256) : this.d.int(256) - 128
  }

  tensor(shape: readonly number[], scale = 0.001 + this.d.int(1000) / 5000, z = this.zero()): number {
    return this.b.tensor(shape, this.dtype, scale, z)
  }

  /** A result with the quantization of `like`. */
  alike(shape: readonly number[], like = this.x): number {
    const { scales, zeroPoints } = this.b.graph.tensors[like]!.quantization!
    return this.b.tensor(shape, this.dtype, scales[0], zeroPoints[0])
  }

  /** What follows reads `x` from here on. */
  goOn(x: number, shape: Shape): void {
    this.x = x
    this.shape = shape
    this.seen.push([x, shape])
  }

  op<T extends OpType>(type: T, inputs: number[], [output, to]: [number, Shape], attrs: OpAttributes[T]): void {
    this.goOn(this.b.op(type, inputs, [output], attrs), to)
  }

  /** Filters and biases, with a scale for each channel of `axis` or one for all. */
  filters(shape: readonly number[], axis: number): [number, number] {
    const { b, d, filterType } = this
    const apart = filterType !== 'uint8' && d.int(3) !== 0
    const count = shape[axis]!
    const scales = apart ? count : 1
    const weights = b.weights(shape, scales === 1 ? undefined : axis, filterType)
    return [weights, this.wide ? this.longBias(count) : b.bias(count, scales)]
  }

  private longBias(count: number): number {
    const i = this.b.tensor([count], 'int64', 0.0005)
    const data = BigInt64Array.from({ length: count }, () => BigInt(this.d.int(2000) - 1000))
    this.b.graph.tensors[i]!.data = new Uint8Array(data.buffer)
    return i
  }

  window(): Window {
    const { d, shape } = this
    const activation = d.pick(ACTIVATIONS)
    const padding = d.pick(['SAME', 'VALID'] as const)
    const [k, j] = [1 + d.int(Math.min(5, shape[1])), 1 + d.int(Math.min(5, shape[2]))]
    const how = { padding, strideH: 1 + d.int(3), strideW: 1 + d.int(3) }
    const out = (n: number, size: number, stride: number): number =>
      padding === 'SAME' ? Math.ceil(n / stride) : Math.ceil((n - size + 1) / stride)
    return { how, k, j, oh: out(shape[1], k, how.strideH), ow: out(shape[2], j, how.strideW), activation }
  }
}

type Layer = (g: Growing, w: Window) => void

const conv: Layer = (g, { how, k, j, oh, ow, activation }) => {
  const [n, , , c] = g.shape
  const to = 1 + g.d.int(40)
  const inputs = [g.x, ...g.filters([to, k, j, c], 0)]
  const attrs = { ...how, dilationH: 1, dilationW: 1, activation }
  g.op('CONV_2D', inputs, [g.tensor([n, oh, ow, to]), [n, oh, ow, to]], attrs)
}

const depthwise: Layer = (g, { how, k, j, oh, ow, activation }) => {
  const [n, , , c] = g.shape
  const depthMultiplier = c < 9 ? 1 + g.d.int(2) : 1
  const to = c * depthMultiplier
  const inputs = [g.x, ...g.filters([1, k, j, to], 3)]
  const attrs = { ...how, dilationH: 1, dilationW: 1, activation, depthMultiplier }
  g.op('DEPTHWISE_CONV_2D', inputs, [g.tensor([n, oh, ow, to]), [n, oh, ow, to]], attrs)
}

const binary: Layer = (g, { activation }) => {
  const { d, shape } = g
  const same = g.seen.filter(([, s]) => s.join() === shape.join())
  const other = d.pick(same)[0]
  const z = g.zero()
  g.op(d.pick(['ADD', 'SUB', 'MUL'] as const), [other, g.x], [g.tensor(shape, 0.1, z), shape], { activation })
}

const pool: Layer = (g, { how, k, j, oh, ow, activation }) => {
  const [n, , , c] = g.shape
  const type = g.d.pick(['AVERAGE_POOL_2D', 'MAX_POOL_2D'] as const)
  const attrs = { ...how, filterH: k, filterW: j, activation }
  g.op(type, [g.x], [g.alike([n, oh, ow, c]), [n, oh, ow, c]], attrs)
}

const pad: Layer = (g) => {
  const [n, h, w, c] = g.shape
  const pads = Array.from({ length: 4 }, () => g.d.int(3))
  const to: Shape = [n, h + pads[0]! + pads[1]!, w + pads[2]! + pads[3]!, c]
  g.op('PAD', [g.x, g.b.ints([0, 0, ...pads, 0, 0], [4, 2])], [g.alike(to), to], {})
}

const slice: Layer = (g) => {
  const { b, d } = g
  const [n, h, w, c] = g.shape
  const from = [0, d.int(h), d.int(w), d.int(c)]
  const size = [n, 1 + d.int(h - from[1]!), 1 + d.int(w - from[2]!), 1 + d.int(c - from[3]!)] as Shape
  g.op('SLICE', [g.x, b.ints(from), b.ints(size)], [g.alike(size), size], {})
}

const reshape: Layer = (g) => {
  const [n, h, w, c] = g.shape
  const to = g.d.pick<Shape>([
    [n, 1, h * w, c],
    [n, w, h, c],
    [n, h, w * c, 1],
    [n, 1, 1, h * w * c],
  ])
  g.op('RESHAPE', [g.x, g.b.ints(to)], [g.alike(to), to], {})
}

/** Results whose quantization LiteRT fixes. */
const shares: Layer = (g) => {
  const { b, dtype, shape } = g
  const fixed = g.wide ? g.tensor(shape, 1 / 32768, 0) : b.tensor(shape, dtype, 1 / 256, dtype === 'uint8' ? 0 : -128)
  g.op(g.d.pick(['LOGISTIC', 'SOFTMAX'] as const), [g.x], [fixed, shape], { beta: 1 })
}

const resize: Layer = (g) => {
  const { d } = g
  const [n, , , c] = g.shape
  const size = [1 + d.int(20), 1 + d.int(20)] as const
  const attrs = { alignCorners: false, halfPixelCenters: d.int(2) === 1 }
  const type = d.pick(['RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR'] as const)
  g.op(type, [g.x, g.b.ints(size)], [g.alike([n, ...size, c]), [n, ...size, c]], attrs)
}

const mean: Layer = (g) => {
  const [n, , , c] = g.shape
  g.op('MEAN', [g.x, g.b.ints([1, 2])], [g.tensor([n, 1, 1, c]), [n, 1, 1, c]], { keepDims: true })
}

const concatenation: Layer = (g) => {
  const { x } = g
  const [n, h, w, c] = g.shape
  const free = g.dtype === 'uint8'
  const near = g.seen.filter(([t, s]) => t === x || (free && s[0] === n && s[1] === h && s[2] === w))
  const [other, s] = g.d.pick(near)
  const to: Shape = [n, h, w, c + s[3]]
  g.op('CONCATENATION', [x, other], [free ? g.tensor(to) : g.alike(to), to], { axis: 3, activation: 'NONE' })
}

const fullyConnected: Layer = (g, { activation }) => {
  const { b } = g
  const [n, h, w, c] = g.shape
  const to = 1 + g.d.int(30)
  const flat = h * w * c
  if (flat > 4000) return
  const z = g.tensor([n, to])
  const weights = b.weights([to, flat], undefined, g.filterType)
  const r = b.op('RESHAPE', [g.x, b.ints([n, flat])], [g.alike([n, flat])], {})
  const f = b.op('FULLY_CONNECTED', [r, weights, b.bias(to, 1)], [z], { activation, keepNumDims: false })
  const four = g.alike([n, 1, 1, to], f)
  g.goOn(b.op('RESHAPE', [f, b.ints([n, 1, 1, to])], [four], {}), [n, 1, 1, to])
}

/** What takes 16 bits too, then what takes 8 alone; those that stand twice come twice as often. */
const LAYERS_16 = [conv, conv, depthwise, binary, binary, pool, pad, slice, reshape, shares]
const LAYERS_8 = [...LAYERS_16, resize, mean, concatenation, fullyConnected]

/** One to eight layers over a picture. */
export function randomGraph(d: Dice): Graph {
  const g = new Growing(d)
  for (let layers = 1 + d.int(8); layers > 0; layers--) {
    const window = g.window()
    d.pick(g.wide ? LAYERS_16 : LAYERS_8)(g, window)
  }
  const more = d.int(3) === 0 && g.seen.length > 2 ? [d.pick(g.seen.slice(1))[0]] : []
  return g.b.done(...new Set([g.x, ...more]))
}

// ONNX ------------------------------------------------------------------------

const utf8 = new TextEncoder()
type Value = number | string | Uint8Array
const field = (number: number, value: Value): Uint8Array => {
  if (typeof value === 'number') return joined(varintBytes(BigInt(number << 3)), varintBytes(BigInt(value)))
  const bytes = typeof value === 'string' ? utf8.encode(value) : value
  return joined(varintBytes(BigInt((number << 3) | 2)), varintBytes(BigInt(bytes.length)), bytes)
}
const packedInts = (list: readonly number[]): Uint8Array => joined(...list.map((v) => varintBytes(BigInt(v))))

/** Attributes by kind: numbers are floats where they have a point in their name, lists are ints, texts are texts. */
type Attributes = Record<string, number | readonly number[] | string | { f: number }>
function attribute([name, value]: [string, Attributes[string]]): Uint8Array {
  const head = field(1, name)
  if (typeof value === 'number') return joined(head, field(3, value), field(20, 2))
  if (typeof value === 'string') return joined(head, field(4, value), field(20, 3))
  if ('f' in value) {
    const bytes = new Uint8Array(Float32Array.of(value.f).buffer)
    return joined(head, Uint8Array.of((2 << 3) | 5), bytes, field(20, 1))
  }
  return joined(head, ...value.map((v) => field(8, v)), field(20, 7))
}
const onnxNode = (type: string, inputs: string[], output: string, attributes: Attributes = {}): Uint8Array =>
  joined(
    ...inputs.map((i) => field(1, i)),
    field(2, output),
    field(4, type),
    ...Object.entries(attributes).map((a) => field(5, attribute(a))),
  )

const onnxTensor = (name: string, dims: readonly number[], type: 1 | 7, raw: Uint8Array): Uint8Array =>
  joined(field(1, packedInts(dims)), field(2, type), field(8, name), field(9, raw))

const valueInfo = (name: string, dims: readonly number[]): Uint8Array => {
  const shape = joined(...dims.map((v) => field(1, field(1, v))))
  return joined(field(1, name), field(2, field(1, joined(field(1, 1), field(2, shape)))))
}

/** A network of ONNX that grows by nodes: the next one reads `x`, of `c` channels, `h` rows and `w` columns. */
class GrowingOnnx {
  readonly d: Dice
  readonly first: readonly [number, number, number, number]
  private readonly nodes: Uint8Array[] = []
  private readonly constants: Uint8Array[] = []
  readonly seen: { name: string; c: number; h: number; w: number }[]
  c: number
  h: number
  w: number
  x = 'x'

  constructor(d: Dice) {
    this.d = d
    this.first = [1, 1 + d.int(6), 2 + d.int(9), 2 + d.int(9)]
    const [, c, h, w] = this.first
    this.c = c
    this.h = h
    this.w = w
    this.seen = [{ name: 'x', c, h, w }]
  }

  private constant(dims: readonly number[], type: 1 | 7, data: Float32Array | BigInt64Array): string {
    const name = `c${this.constants.length}`
    this.constants.push(onnxTensor(name, dims, type, new Uint8Array(data.buffer)))
    return name
  }

  floats(...dims: number[]): string {
    const length = dims.reduce((a, b) => a * b, 1)
    return this.constant(
      dims,
      1,
      Float32Array.from({ length }, () => this.d.int(200) / 100 - 1),
    )
  }

  longs(...values: number[]): string {
    return this.constant([values.length], 7, BigInt64Array.from(values, BigInt))
  }

  /** The picture's size from here on. */
  size(c: number, h: number, w: number): this {
    Object.assign(this, { c, h, w })
    return this
  }

  add(type: string, more: string[] = [], attributes: Attributes = {}): void {
    const name = `y${this.nodes.length}`
    this.nodes.push(onnxNode(type, [this.x, ...more], name, attributes))
    this.x = name
    this.seen.push({ name, c: this.c, h: this.h, w: this.w })
  }

  window(): OnnxWindow {
    const { d, h, w } = this
    const k = 1 + d.int(Math.min(3, h, w))
    const p = d.int(k)
    const stride = 1 + d.int(2)
    const after = (size: number): number => Math.floor((size + 2 * p - k) / stride) + 1
    const attributes = { kernel_shape: [k, k], pads: [p, p, p, p], strides: [stride, stride] }
    return { k, h: after(h), w: after(w), attributes }
  }

  file(): Uint8Array {
    const graph = joined(
      ...this.nodes.map((n) => field(1, n)),
      field(2, 'g'),
      ...this.constants.map((t) => field(5, t)),
      field(11, valueInfo('x', this.first)),
      field(12, valueInfo(this.x, [1, this.c, this.h, this.w])),
    )
    return joined(field(1, 8), field(7, graph), field(8, field(2, 13 + this.d.int(6))))
  }
}

/** A window of `k` by `k`, and the rows and columns that it leaves. */
interface OnnxWindow {
  k: number
  h: number
  w: number
  attributes: Attributes
}

type Node = (g: GrowingOnnx, window: OnnxWindow) => void

const onnxConv: Node = (g, { k, h, w, attributes }) => {
  const apart = g.d.int(3) === 0
  const to = apart ? g.c : 1 + g.d.int(12)
  const filter = g.floats(to, apart ? 1 : g.c, k, k)
  const bias = g.floats(to)
  g.size(to, h, w).add('Conv', [filter, bias], { ...attributes, group: apart ? to : 1, dilations: [1, 1] })
}

const onnxUnary: Node = (g) => g.add(g.d.pick(['Relu', 'Sigmoid', 'Tanh', 'HardSwish', 'Identity', 'Neg', 'Abs']))

const onnxPool: Node = (g, { h, w, attributes }) =>
  g.size(g.c, h, w).add(g.d.pick(['MaxPool', 'AveragePool']), [], attributes)

const onnxBinary: Node = (g) => {
  const { name } = g.d.pick(g.seen.filter(({ c, h, w }) => c === g.c && h === g.h && w === g.w))
  g.add(g.d.pick(['Add', 'Mul', 'Sub']), [name])
}

const onnxClip: Node = (g) => g.add('Clip', [g.floats(), g.floats()])

const onnxNormalization: Node = (g) => {
  const { c } = g
  g.add('BatchNormalization', [g.floats(c), g.floats(c), g.floats(c), g.floats(c)], { epsilon: { f: 0.001 } })
}

const onnxPad: Node = (g) => {
  const inputs = [g.longs(0, 0, 1, 0, 0, 0, 1, 1), g.floats()]
  g.size(g.c, g.h + 2, g.w + 1).add('Pad', inputs, { mode: g.d.pick(['constant', 'reflect', 'edge']) })
}

const onnxTranspose: Node = (g) => g.size(g.c, g.w, g.h).add('Transpose', [], { perm: [0, 1, 3, 2] })

const onnxConcat: Node = (g) => {
  const other = g.d.pick(g.seen.filter(({ h, w }) => h === g.h && w === g.w))
  g.size(g.c + other.c, g.h, g.w).add('Concat', [other.name], { axis: 1 })
}

const onnxMean: Node = (g) => g.size(g.c, 1, 1).add('GlobalAveragePool')

const onnxDense: Node = (g) => {
  const size = g.c * g.h * g.w
  if (size > 3000) return
  const to = 1 + g.d.int(12)
  g.add('Reshape', [g.longs(1, size)])
  g.add('Gemm', [g.floats(to, size), g.floats(to)], { transB: 1 })
  g.size(to, 1, 1).add('Reshape', [g.longs(1, to, 1, 1)])
}

const NODES = [
  onnxConv,
  onnxConv,
  onnxUnary,
  onnxPool,
  onnxBinary,
  onnxClip,
  onnxNormalization,
  onnxPad,
  onnxTranspose,
  onnxConcat,
  onnxMean,
  onnxDense,
]

/** One to eight nodes over a picture of floats, NCHW. */
export function randomOnnx(d: Dice): Uint8Array {
  const g = new GrowingOnnx(d)
  for (let n = 1 + d.int(8); n > 0; n--) {
    const window = g.window()
    d.pick(NODES)(g, window)
  }
  return g.file()
}
