/** A float graph in terms of ONNX (NCHW), for peers.py to write down: padding as numbers, weights in one file. */
import { convShape } from '../../src/float/execute.ts'
import { axesOf } from '../../src/float/kernels.ts'
import { realValues } from '../../src/float/values.ts'
import type { Graph, Op } from '../../src/graph.ts'

export interface OnnxNet {
  json: object
  weights: Float32Array
}

/** Errors: an Error for ops that have no form here. */
export function onnxNet(graph: Graph): OnnxNet {
  const name = (t: number): string => graph.tensors[t]!.name
  const parts: Float32Array[] = []
  const weights: Record<string, { shape: readonly number[]; offset: number }> = {}
  let offset = 0
  const weight = (t: number): string => {
    const data = realValues(graph.tensors[t]!)
    weights[t] = { shape: graph.tensors[t]!.shape, offset }
    parts.push(data)
    offset += data.length
    return String(t)
  }
  const constants: Record<string, string> = {}
  /** An operand's name; those that are constant are declared. */
  const operand = (t: number): string => {
    if (graph.tensors[t]!.data) constants[name(t)] ??= weight(t)
    return name(t)
  }
  const nodes = graph.ops.flatMap((op): object[] => {
    const output = name(op.outputs[0]!)
    switch (op.type) {
      // A convolution pads by itself.
      case 'PAD':
        return []
      case 'CONV_2D':
      case 'DEPTHWISE_CONV_2D': {
        const s = convShape(graph, op)
        const before = graph.ops.find((o) => o.outputs[0] === op.inputs[0])
        const zeros =
          before?.type === 'PAD' ? [...realValues(graph.tensors[before.inputs[1]!]!)] : [0, 0, 0, 0, 0, 0, 0, 0]
        const { y, x } = axesOf(s)
        return [
          {
            op: op.type,
            inputs: [name(before?.type === 'PAD' ? before.inputs[0]! : op.inputs[0]!)],
            output,
            filter: weight(op.inputs[1]!),
            bias: weight(op.inputs[2]!),
            activation: op.attrs.activation,
            pads: [y.before + zeros[2]!, x.before + zeros[4]!, y.after + zeros[3]!, x.after + zeros[5]!],
            strides: [s.strideH, s.strideW],
            dilations: [s.dilationH, s.dilationW],
          },
        ]
      }
      case 'FULLY_CONNECTED':
        return [
          {
            op: op.type,
            inputs: [name(op.inputs[0]!)],
            output,
            filter: weight(op.inputs[1]!),
            bias: weight(op.inputs[2]!),
            activation: op.attrs.activation,
          },
        ]
      case 'ADD':
      case 'MUL':
        return [{ op: op.type, inputs: op.inputs.map(operand), output, activation: op.attrs.activation }]
      case 'MEAN':
        return [{ op: op.type, inputs: [name(op.inputs[0]!)], output, keepDims: op.attrs.keepDims }]
      case 'HARD_SWISH':
      case 'RELU6':
      case 'LOGISTIC':
        return [{ op: op.type, inputs: [name(op.inputs[0]!)], output }]
      case 'RESHAPE':
        return [{ op: op.type, inputs: [name(op.inputs[0]!)], output, shape: graph.tensors[op.outputs[0]!]!.shape }]
      default:
        throw new Error(`${(op as Op).type} is not compared`)
    }
  })
  const data = new Float32Array(offset)
  parts.reduce((at, p) => {
    data.set(p, at)
    return at + p.length
  }, 0)
  return {
    json: {
      input: { name: name(graph.inputs[0]!), shape: graph.tensors[graph.inputs[0]!]!.shape },
      output: name(graph.outputs[0]!),
      nodes,
      constants,
      weights,
    },
    weights: data,
  }
}
