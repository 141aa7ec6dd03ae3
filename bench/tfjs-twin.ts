/**
 * TensorFlow.js twin of a quantized network: the same graph with its weights dequantized to float32, as a TF.js graph
 * model with the fused ops that TensorFlow.js's own converter emits.
 * One file: a 4-byte little-endian length, the model artifacts as JSON, the weights.
 */
import type { Activation, Graph, Op, Padding, Tensor } from '../src/graph/graph.ts'
import { elements } from '../src/graph/graph.ts'

interface Node {
  name: string
  op: string
  input: string[]
  attr: Record<string, unknown>
}
interface Spec {
  name: string
  shape: number[]
  dtype: 'float32' | 'int32'
}

const text = (s: string): object => ({ s: btoa(s) })
const ints = (...values: number[]): object => ({ list: { i: values.map(String) } })
const FLOAT = { type: 'DT_FLOAT' }
const FUSED: Record<Activation, string[]> = {
  NONE: ['BiasAdd'],
  RELU: ['BiasAdd', 'Relu'],
  RELU6: ['BiasAdd', 'Relu6'],
  RELU_N1_TO_1: [],
}

/** Real values of a constant: scale * (q - zeroPoint), per channel along the quantization's axis. */
export function dequantize(t: Tensor): Float32Array {
  const data = t.data!.slice().buffer
  const q = { int8: Int8Array, uint8: Uint8Array, int32: Int32Array, float32: Float32Array }[t.dtype as 'int8']
  if (!q) throw new Error(`constant of type ${t.dtype}`)
  const values = new q(data)
  if (!t.quantization) return Float32Array.from(values)
  const { scales, zeroPoints, axis } = t.quantization
  const inner = elements(t.shape.slice(axis + 1))
  return Float32Array.from(values, (v, i) => {
    const c = scales.length === 1 ? 0 : Math.floor(i / inner) % scales.length
    return scales[c]! * (v - zeroPoints[c]!)
  })
}

class Twin {
  readonly nodes: Node[] = []
  readonly specs: Spec[] = []
  readonly weights: (Float32Array | Int32Array)[] = []
  private readonly graph: Graph
  private readonly names = new Map<number, string>()

  constructor(graph: Graph) {
    this.graph = graph
    const input = graph.tensors[graph.inputs[0]!]!
    this.names.set(graph.inputs[0]!, 'input')
    this.nodes.push({
      name: 'input',
      op: 'Placeholder',
      input: [],
      attr: { dtype: FLOAT, shape: { shape: { dim: input.shape.map((d) => ({ size: String(d) })) } } },
    })
    for (const op of graph.ops) this.add(op)
  }

  get output(): string {
    return this.name(this.graph.outputs[0]!)
  }

  private name(tensor: number): string {
    const name = this.names.get(tensor)
    if (name === undefined) throw new Error(`tensor ${this.graph.tensors[tensor]?.name} is used before it is made`)
    return name
  }

  private constant(shape: number[], values: Float32Array | Int32Array): string {
    const name = `w${this.specs.length}`
    const dtype = values instanceof Int32Array ? 'int32' : 'float32'
    this.nodes.push({ name, op: 'Const', input: [], attr: { dtype: dtype === 'int32' ? { type: 'DT_INT32' } : FLOAT } })
    this.specs.push({ name, shape, dtype })
    this.weights.push(values)
    return name
  }

  private node(output: number, op: string, input: string[], attr: Record<string, unknown> = {}): void {
    const name = `n${this.nodes.length}`
    this.nodes.push({ name, op, input, attr: { T: FLOAT, ...attr } })
    this.names.set(output, name)
  }

  /**
   * Bias of a convolution; zeros when it has none. Its scale is input scale times filter scale whether or not the file
   * says so.
   */
  private bias(op: Op, channels: number): string {
    const index = op.inputs[2] ?? -1
    return this.constant([channels], index < 0 ? new Float32Array(channels) : dequantize(this.graph.tensors[index]!))
  }

  private fused(activation: Activation): Record<string, unknown> {
    if (FUSED[activation].length === 0) throw new Error(`activation ${activation}`)
    return {
      fused_ops: { list: { s: FUSED[activation].map((s) => btoa(s)) } },
      num_args: { i: '1' },
      epsilon: { f: 0 },
    }
  }

  private window(a: { padding: Padding; strideH: number; strideW: number }): Record<string, unknown> {
    return { padding: text(a.padding), strides: ints(1, a.strideH, a.strideW, 1), data_format: text('NHWC') }
  }

  private add(op: Op): void {
    const { tensors } = this.graph
    const output = op.outputs[0]!
    const x = op.inputs[0]!
    switch (op.type) {
      case 'QUANTIZE':
      case 'DEQUANTIZE':
        this.names.set(output, this.name(x))
        return
      case 'CONV_2D': {
        const [o, kh, kw, i] = tensors[op.inputs[1]!]!.shape as readonly [number, number, number, number]
        const values = transpose(dequantize(tensors[op.inputs[1]!]!), o, kh * kw * i)
        this.node(output, '_FusedConv2D', [this.name(x), this.constant([kh, kw, i, o], values), this.bias(op, o)], {
          ...this.window(op.attrs),
          ...this.fused(op.attrs.activation),
          dilations: ints(1, op.attrs.dilationH, op.attrs.dilationW, 1),
        })
        return
      }
      case 'DEPTHWISE_CONV_2D': {
        const [, kh, kw, c] = tensors[op.inputs[1]!]!.shape as readonly [number, number, number, number]
        const m = op.attrs.depthMultiplier
        this.node(
          output,
          'FusedDepthwiseConv2dNative',
          [this.name(x), this.constant([kh, kw, c / m, m], dequantize(tensors[op.inputs[1]!]!)), this.bias(op, c)],
          {
            ...this.window(op.attrs),
            ...this.fused(op.attrs.activation),
            dilations: ints(1, op.attrs.dilationH, op.attrs.dilationW, 1),
          },
        )
        return
      }
      case 'FULLY_CONNECTED': {
        const [o, k] = tensors[op.inputs[1]!]!.shape as readonly [number, number]
        const flat = this.reshape(this.name(x), [elements(tensors[x]!.shape) / k, k])
        this.node(
          output,
          '_FusedMatMul',
          [flat, this.constant([k, o], transpose(dequantize(tensors[op.inputs[1]!]!), o, k)), this.bias(op, o)],
          { ...this.fused(op.attrs.activation), transpose_a: { b: false }, transpose_b: { b: false } },
        )
        return
      }
      case 'ADD':
        this.node(output, 'AddV2', [this.name(x), this.name(op.inputs[1]!)])
        return
      case 'AVERAGE_POOL_2D':
        this.node(output, 'AvgPool', [this.name(x)], {
          ...this.window(op.attrs),
          ksize: ints(1, op.attrs.filterH, op.attrs.filterW, 1),
        })
        return
      case 'MEAN': {
        const axes = tensors[op.inputs[1]!]!
        this.node(
          output,
          'Mean',
          [this.name(x), this.constant([...axes.shape], new Int32Array(axes.data!.slice().buffer))],
          { keep_dims: { b: op.attrs.keepDims } },
        )
        return
      }
      case 'SOFTMAX':
        this.node(output, 'Softmax', [this.name(x)])
        return
      case 'RESHAPE':
      case 'SQUEEZE':
      case 'EXPAND_DIMS':
        this.names.set(output, this.reshape(this.name(x), [...tensors[output]!.shape]))
        return
      default:
        throw new Error(`${op.type} is not in the twin's list`)
    }
  }

  private reshape(input: string, shape: number[]): string {
    const name = `n${this.nodes.length + 1}`
    const to = this.constant([shape.length], Int32Array.from(shape))
    this.nodes.push({ name, op: 'Reshape', input: [input, to], attr: { T: FLOAT } })
    return name
  }
}

/** [rows, columns] to [columns, rows]. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length)
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c]!
  return out
}

/** The file that runners/tfjs-wasm.ts loads. Throws with the op's name when the graph holds one that the twin lacks. */
export function tfjsTwin(graph: Graph): Uint8Array {
  const twin = new Twin(graph)
  const port = (name: string, t: Tensor): object => ({
    [name]: { name: `${name}:0`, dtype: 'DT_FLOAT', tensorShape: { dim: t.shape.map((d) => ({ size: String(d) })) } },
  })
  const artifacts = {
    format: 'graph-model',
    modelTopology: { node: twin.nodes, library: {}, versions: { producer: 1 } },
    signature: {
      inputs: port('input', graph.tensors[graph.inputs[0]!]!),
      outputs: port(twin.output, graph.tensors[graph.outputs[0]!]!),
    },
    weightSpecs: twin.specs,
  }
  const json = new TextEncoder().encode(JSON.stringify(artifacts))
  const file = new Uint8Array(4 + json.length + twin.weights.reduce((sum, w) => sum + w.byteLength, 0))
  new DataView(file.buffer).setUint32(0, json.length, true)
  file.set(json, 4)
  let at = 4 + json.length
  for (const w of twin.weights) {
    file.set(new Uint8Array(w.buffer, w.byteOffset, w.byteLength), at)
    at += w.byteLength
  }
  return file
}
