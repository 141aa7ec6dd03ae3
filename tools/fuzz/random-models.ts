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

/** One to eight layers over a picture. */
export function randomGraph(d: Dice): Graph {
  const b = new GraphBuilder(d.int(2 ** 31))
  const dtype: DType = d.pick(['int8', 'int8', 'int8', 'uint8', 'int16'])
  const zero = (): number => (dtype === 'int16' ? 0 : dtype === 'uint8' ? d.int(256) : d.int(256) - 128)
  const tensor = (shape: readonly number[], scale = 0.001 + d.int(1000) / 5000, z = zero()): number =>
    b.tensor(shape, dtype, scale, z)
  let shape: Shape = [1 + Number(d.int(9) === 0), 1 + d.int(14), 1 + d.int(14), 1 + d.int(20)]
  let x = b.input(shape, dtype, 0.05, zero())
  const seen: [number, Shape][] = [[x, shape]]
  const quantizationOf = (t: number): [number, number] => {
    const { scales, zeroPoints } = b.graph.tensors[t]!.quantization!
    return [scales[0]!, zeroPoints[0]!]
  }
  /** A result with its operand's quantization. */
  const alike = (s: readonly number[]): number => b.tensor(s, dtype, ...quantizationOf(x))
  const op = <T extends OpType>(
    type: T,
    inputs: number[],
    [output, to]: [number, Shape],
    attrs: OpAttributes[T],
  ): void => {
    x = b.op(type, inputs, [output], attrs)
    shape = to
    seen.push([x, shape])
  }
  const wide = dtype === 'int16'
  const filterType: DType = dtype === 'uint8' ? 'uint8' : 'int8'
  const axis = (n: number): number | undefined => (filterType === 'uint8' || d.int(3) === 0 ? undefined : n)
  const longBias = (count: number): number => {
    const i = b.tensor([count], 'int64', 0.0005)
    const data = BigInt64Array.from({ length: count }, () => BigInt(d.int(2000) - 1000))
    b.graph.tensors[i]!.data = new Uint8Array(data.buffer)
    return i
  }
  const window = (): { padding: 'SAME' | 'VALID'; strideH: number; strideW: number; k: number; j: number } => {
    const padding = d.pick(['SAME', 'VALID'] as const)
    const [k, j] = [1 + d.int(Math.min(5, shape[1])), 1 + d.int(Math.min(5, shape[2]))]
    return { padding, strideH: 1 + d.int(3), strideW: 1 + d.int(3), k, j }
  }
  const out = (n: number, k: number, stride: number, padding: string): number =>
    padding === 'SAME' ? Math.ceil(n / stride) : Math.ceil((n - k + 1) / stride)
  for (let layers = 1 + d.int(8); layers > 0; layers--) {
    const [n, h, w, c] = shape
    const activation = d.pick(ACTIVATIONS)
    const { k, j, ...how } = window()
    const [oh, ow] = [out(h, k, how.strideH, how.padding), out(w, j, how.strideW, how.padding)]
    switch (d.int(wide ? 10 : 14)) {
      case 0:
      case 1: {
        const to = 1 + d.int(40)
        const scales = axis(0) === undefined ? 1 : to
        const inputs = [x, b.weights([to, k, j, c], scales === 1 ? undefined : 0, filterType)]
        inputs.push(wide ? longBias(to) : b.bias(to, scales))
        const attrs = { ...how, dilationH: 1, dilationW: 1, activation }
        op('CONV_2D', inputs, [tensor([n, oh, ow, to]), [n, oh, ow, to]], attrs)
        break
      }
      case 2: {
        const depthMultiplier = c < 9 ? 1 + d.int(2) : 1
        const to = c * depthMultiplier
        const scales = axis(3) === undefined ? 1 : to
        const inputs = [x, b.weights([1, k, j, to], scales === 1 ? undefined : 3, filterType)]
        inputs.push(wide ? longBias(to) : b.bias(to, scales))
        const attrs = { ...how, dilationH: 1, dilationW: 1, activation, depthMultiplier }
        op('DEPTHWISE_CONV_2D', inputs, [tensor([n, oh, ow, to]), [n, oh, ow, to]], attrs)
        break
      }
      case 3:
      case 4: {
        const same = seen.filter(([, s]) => s.join() === shape.join())
        const other = d.pick(same)[0]
        const z = wide ? 0 : zero()
        op(d.pick(['ADD', 'SUB', 'MUL'] as const), [other, x], [tensor(shape, 0.1, z), shape], { activation })
        break
      }
      case 5: {
        const type = d.pick(['AVERAGE_POOL_2D', 'MAX_POOL_2D'] as const)
        const attrs = { ...how, filterH: k, filterW: j, activation }
        op(type, [x], [alike([n, oh, ow, c]), [n, oh, ow, c]], attrs)
        break
      }
      case 6: {
        const pads = Array.from({ length: 4 }, () => d.int(3))
        const to: Shape = [n, h + pads[0]! + pads[1]!, w + pads[2]! + pads[3]!, c]
        op('PAD', [x, b.ints([0, 0, ...pads, 0, 0], [4, 2])], [alike(to), to], {})
        break
      }
      case 7: {
        const from = [0, d.int(h), d.int(w), d.int(c)]
        const size = [n, 1 + d.int(h - from[1]!), 1 + d.int(w - from[2]!), 1 + d.int(c - from[3]!)] as Shape
        op('SLICE', [x, b.ints(from), b.ints(size)], [alike(size), size], {})
        break
      }
      case 8: {
        const to = d.pick<Shape>([
          [n, 1, h * w, c],
          [n, w, h, c],
          [n, h, w * c, 1],
          [n, 1, 1, h * w * c],
        ])
        op('RESHAPE', [x, b.ints(to)], [alike(to), to], {})
        break
      }
      case 9: {
        const fixed = wide ? tensor(shape, 1 / 32768, 0) : b.tensor(shape, dtype, 1 / 256, dtype === 'uint8' ? 0 : -128)
        op(d.pick(['LOGISTIC', 'SOFTMAX'] as const), [x], [fixed, shape], { beta: 1 })
        break
      }
      case 10: {
        const size = [1 + d.int(20), 1 + d.int(20)] as const
        const attrs = { alignCorners: false, halfPixelCenters: d.int(2) === 1 }
        const type = d.pick(['RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR'] as const)
        op(type, [x, b.ints(size)], [alike([n, ...size, c]), [n, ...size, c]], attrs)
        break
      }
      case 11:
        op('MEAN', [x, b.ints([1, 2])], [tensor([n, 1, 1, c]), [n, 1, 1, c]], { keepDims: true })
        break
      case 12: {
        const near = seen.filter(([t, s]) => t === x || (dtype === 'uint8' && s[0] === n && s[1] === h && s[2] === w))
        const [other, s] = d.pick(near)
        const to: Shape = [n, h, w, c + s[3]]
        op('CONCATENATION', [x, other], [dtype === 'uint8' ? tensor(to) : alike(to), to], {
          axis: 3,
          activation: 'NONE',
        })
        break
      }
      default: {
        const to = 1 + d.int(30)
        const flat = h * w * c
        if (flat > 4000) break
        const z = tensor([n, to])
        const weights = b.weights([to, flat], undefined, filterType)
        const r = b.op('RESHAPE', [x, b.ints([n, flat])], [alike([n, flat])], {})
        const f = b.op('FULLY_CONNECTED', [r, weights, b.bias(to, 1)], [z], { activation, keepNumDims: false })
        const four = b.tensor([n, 1, 1, to], dtype, ...quantizationOf(f))
        x = b.op('RESHAPE', [f, b.ints([n, 1, 1, to])], [four], {})
        shape = [n, 1, 1, to]
        seen.push([x, shape])
      }
    }
  }
  const more = d.int(3) === 0 && seen.length > 2 ? [d.pick(seen.slice(1))[0]] : []
  return b.done(...new Set([x, ...more]))
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

/** One to eight nodes over a picture of floats, NCHW. */
export function randomOnnx(d: Dice): Uint8Array {
  const nodes: Uint8Array[] = []
  const constants: Uint8Array[] = []
  let count = 0
  const floats = (...dims: number[]): string => {
    const name = `c${count++}`
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => d.int(200) / 100 - 1)
    constants.push(onnxTensor(name, dims, 1, new Uint8Array(data.buffer)))
    return name
  }
  const longs = (...values: number[]): string => {
    const name = `c${count++}`
    const data = BigInt64Array.from(values, BigInt)
    constants.push(onnxTensor(name, [values.length], 7, new Uint8Array(data.buffer)))
    return name
  }
  const first = [1, 1 + d.int(6), 2 + d.int(9), 2 + d.int(9)] as [number, number, number, number]
  let [c, h, w] = first.slice(1) as [number, number, number]
  let x = 'x'
  const seen: [string, string][] = [['x', [c, h, w].join()]]
  const add = (type: string, more: string[] = [], attributes: Attributes = {}): void => {
    const y = `y${nodes.length}`
    nodes.push(onnxNode(type, [x, ...more], y, attributes))
    x = y
    seen.push([x, [c, h, w].join()])
  }
  for (let n = 1 + d.int(8); n > 0; n--) {
    const k = 1 + d.int(Math.min(3, h, w))
    const pad = d.int(k)
    const stride = 1 + d.int(2)
    const after = (size: number): number => Math.floor((size + 2 * pad - k) / stride) + 1
    const window = { kernel_shape: [k, k], pads: [pad, pad, pad, pad], strides: [stride, stride] }
    switch (d.int(12)) {
      case 0:
      case 1: {
        const depthwise = d.int(3) === 0
        const to = depthwise ? c : 1 + d.int(12)
        const filter = floats(to, depthwise ? 1 : c, k, k)
        const bias = floats(to)
        ;[c, h, w] = [to, after(h), after(w)]
        add('Conv', [filter, bias], { ...window, group: depthwise ? to : 1, dilations: [1, 1] })
        break
      }
      case 2:
        add(d.pick(['Relu', 'Sigmoid', 'Tanh', 'HardSwish', 'Identity', 'Neg', 'Abs']))
        break
      case 3:
        ;[h, w] = [after(h), after(w)]
        add(d.pick(['MaxPool', 'AveragePool']), [], window)
        break
      case 4: {
        const [other] = d.pick(seen.filter(([, s]) => s === [c, h, w].join()))
        add(d.pick(['Add', 'Mul', 'Sub']), [other])
        break
      }
      case 5:
        add('Clip', [floats(), floats()])
        break
      case 6:
        add('BatchNormalization', [floats(c), floats(c), floats(c), floats(c)], { epsilon: { f: 0.001 } })
        break
      case 7:
        ;[h, w] = [h + 2, w + 1]
        add('Pad', [longs(0, 0, 1, 0, 0, 0, 1, 1), floats()], { mode: d.pick(['constant', 'reflect', 'edge']) })
        break
      case 8:
        add('Transpose', [], { perm: [0, 1, 3, 2] })
        ;[h, w] = [w, h]
        seen.at(-1)![1] = [c, h, w].join()
        break
      case 9: {
        const [other, s] = d.pick(seen.filter(([, t]) => t.split(',').slice(1).join() === [h, w].join()))
        c += Number(s.split(',')[0])
        add('Concat', [other], { axis: 1 })
        break
      }
      case 10:
        ;[h, w] = [1, 1]
        add('GlobalAveragePool')
        break
      default: {
        const size = c * h * w
        if (size > 3000) break
        const to = 1 + d.int(12)
        add('Reshape', [longs(1, size)])
        add('Gemm', [floats(to, size), floats(to)], { transB: 1 })
        ;[c, h, w] = [to, 1, 1]
        add('Reshape', [longs(1, to, 1, 1)])
      }
    }
  }
  const graph = joined(
    ...nodes.map((n) => field(1, n)),
    field(2, 'g'),
    ...constants.map((t) => field(5, t)),
    field(11, valueInfo('x', first)),
    field(12, valueInfo(x, [1, c, h, w])),
  )
  return joined(field(1, 8), field(7, graph), field(8, field(2, 13 + d.int(6))))
}
