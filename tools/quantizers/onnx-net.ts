/** A float graph in terms of ONNX (NCHW), for peers.py to write down: padding as numbers, weights in one file. */
import { convShape } from '../../src/float/execute.ts'
import { axesOf } from '../../src/float/kernels.ts'
import { realValues } from '../../src/float/values.ts'
import type { Graph, Op, OpOf } from '../../src/graph/graph.ts'

export interface OnnxNet {
  json: object
  weights: Float32Array
}

/** The weights that nodes name, one after the other, and constants by the operand's name. */
class Weights {
  readonly at: Record<string, { shape: readonly number[]; offset: number }> = {}
  readonly constants: Record<string, string> = {}
  private readonly graph: Graph
  private readonly parts: Float32Array[] = []
  private length = 0

  constructor(graph: Graph) {
    this.graph = graph
  }

  add(t: number): string {
    const { shape } = this.graph.tensors[t]!
    const data = realValues(this.graph.tensors[t]!)
    this.at[t] = { shape, offset: this.length }
    this.parts.push(data)
    this.length += data.length
    return String(t)
  }

  /** An operand's name; those that are constant are declared. */
  operand(t: number): string {
    const { name, data } = this.graph.tensors[t]!
    if (data) this.constants[name] ??= this.add(t)
    return name
  }

  all(): Float32Array {
    const data = new Float32Array(this.length)
    this.parts.reduce((at, p) => {
      data.set(p, at)
      return at + p.length
    }, 0)
    return data
  }
}

/** A convolution takes over what a PAD before it adds: rows and columns of zeros around the image. */
function convNode(graph: Graph, op: OpOf<'CONV_2D' | 'DEPTHWISE_CONV_2D'>): { input: number; padding: object } {
  const s = convShape(graph, op)
  const before = graph.ops.find((o) => o.outputs[0] === op.inputs[0])
  const pad = before?.type === 'PAD' ? before : undefined
  const zeros = pad ? [...realValues(graph.tensors[pad.inputs[1]!]!)] : new Array<number>(8).fill(0)
  const { y, x } = axesOf(s)
  return {
    input: pad ? pad.inputs[0]! : op.inputs[0]!,
    padding: {
      pads: [y.before + zeros[2]!, x.before + zeros[4]!, y.after + zeros[3]!, x.after + zeros[5]!],
      strides: [s.strideH, s.strideW],
      dilations: [s.dilationH, s.dilationW],
    },
  }
}

/** An op as a node; none for what others take over. Errors: an Error for ops that have no form here. */
function nodesOf(graph: Graph, op: Op, weights: Weights): object[] {
  const name = (t: number): string => graph.tensors[t]!.name
  const output = name(op.outputs[0]!)
  const input = name(op.inputs[0]!)
  const layer = (): object => ({ filter: weights.add(op.inputs[1]!), bias: weights.add(op.inputs[2]!) })
  switch (op.type) {
    case 'PAD':
      return []
    case 'CONV_2D':
    case 'DEPTHWISE_CONV_2D': {
      const { input, padding } = convNode(graph, op)
      const { activation } = op.attrs
      return [{ op: op.type, inputs: [name(input)], output, ...layer(), activation, ...padding }]
    }
    case 'FULLY_CONNECTED':
      return [{ op: op.type, inputs: [input], output, ...layer(), activation: op.attrs.activation }]
    case 'ADD':
    case 'MUL': {
      const inputs = op.inputs.map((t) => weights.operand(t))
      return [{ op: op.type, inputs, output, activation: op.attrs.activation }]
    }
    case 'MEAN':
      return [{ op: op.type, inputs: [input], output, keepDims: op.attrs.keepDims }]
    case 'HARD_SWISH':
    case 'RELU6':
    case 'LOGISTIC':
      return [{ op: op.type, inputs: [input], output }]
    case 'RESHAPE':
      return [{ op: op.type, inputs: [input], output, shape: graph.tensors[op.outputs[0]!]!.shape }]
    default:
      throw new Error(`${op.type} is not compared`)
  }
}

/** Errors: an Error for ops that have no form here. */
export function onnxNet(graph: Graph): OnnxNet {
  const weights = new Weights(graph)
  const nodes = graph.ops.flatMap((op) => nodesOf(graph, op, weights))
  const [input, output] = [graph.tensors[graph.inputs[0]!]!, graph.tensors[graph.outputs[0]!]!]
  const json = {
    input: { name: input.name, shape: input.shape },
    output: output.name,
    nodes,
    constants: weights.constants,
    weights: weights.at,
  }
  return { json, weights: weights.all() }
}
