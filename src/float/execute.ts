/**
 * Float reference executor: runs a Graph op by op in float32. It is what a quantized model is compared with, and what
 * calibration observes. A graph with 8-bit tensors runs too, as simulated quantization: constants are dequantized and
 * every quantized activation is moved to its grid after the op (roundings may differ from the runtime's in ties).
 */
import { ThimbleError } from '../base/errors.ts'
import { hasSimd } from '../kernels/kernels.ts'
import { elements, type Graph, type Op, type Tensor } from '../graph/graph.ts'
import * as plain from './kernels.ts'
import { pool2d, transposeConv2d, type ConvShape } from './kernels.ts'
import { isSimpleOp, runSimpleOp } from './ops.ts'
import * as simd from './wasm.ts'
import { activate, bounds, realValues, snap, type Values } from './values.ts'

export interface FloatModel {
  readonly graph: Graph
  /**
   * One inference; one array of real values per graph input. `observe` sees inputs and every op's output, before they
   * are reused.
   */
  run(inputs: readonly Float32Array[], observe?: (tensor: number, data: Float32Array) => void): Float32Array[]
  /** Runs one op on given values: its outputs, snapped to their grids. */
  runOp(op: Op, values: Values): Float32Array[]
  /** Real values of a constant. */
  constant(tensor: number): Float32Array
}

/** Geometry of a convolution or pooling op. */
export function convShape(graph: Graph, op: Op): ConvShape {
  const x = graph.tensors[op.inputs[op.type === 'TRANSPOSE_CONV' ? 2 : 0]!]!.shape
  const o = graph.tensors[op.outputs[0]!]!.shape
  const attrs = op.attrs as Partial<ConvShape> & { filterH?: number; filterW?: number }
  const filter = op.type.includes('CONV') ? graph.tensors[op.inputs[1]!]!.shape : [0, attrs.filterH!, attrs.filterW!]
  return {
    batch: x[0]!,
    inH: x[1]!,
    inW: x[2]!,
    inC: x[3]!,
    outH: o[1]!,
    outW: o[2]!,
    outC: o[3]!,
    kh: filter[1]!,
    kw: filter[2]!,
    strideH: attrs.strideH!,
    strideW: attrs.strideW!,
    dilationH: attrs.dilationH ?? 1,
    dilationW: attrs.dilationW ?? 1,
    padding: attrs.padding!,
  }
}

const WINDOWS = new Set<Op['type']>([
  'CONV_2D',
  'DEPTHWISE_CONV_2D',
  'TRANSPOSE_CONV',
  'AVERAGE_POOL_2D',
  'MAX_POOL_2D',
])

/** Names of the ops that the executor does not know, each once. */
export const floatBlockers = (graph: Graph): string[] => [
  ...new Set(
    graph.ops
      .filter((op) => !WINDOWS.has(op.type) && !isSimpleOp(op))
      .map((op) => (op.type === 'UNSUPPORTED' ? op.attrs.name : op.type)),
  ),
]

/**
 * Prepares a graph.
 * Errors: `lower/unsupported-op` naming all ops that the executor does not know; `format/tensor` for constants without
 * data.
 */
export function floatModel(graph: Graph): FloatModel {
  const unknown = floatBlockers(graph)
  if (unknown.length) {
    throw new ThimbleError('lower/unsupported-op', `the float executor does not run ${unknown.join(', ')}`)
  }
  const constants = new Map<number, Float32Array>()
  const constant = (i: number): Float32Array => {
    let data = constants.get(i)
    if (!data) constants.set(i, (data = realValues(graph.tensors[i]!)))
    return data
  }
  const lastUse = new Map<number, number>()
  graph.ops.forEach((op, i) => op.inputs.forEach((t) => lastUse.set(t, i)))
  graph.outputs.forEach((t) => lastUse.set(t, Infinity))

  const runOp = (op: Op, values: Values): Float32Array[] => {
    const outputs = compute(graph, op, values)
    outputs.forEach((data, i) => toGrid(data, graph.tensors[op.outputs[i]!]!))
    return outputs
  }
  const run: FloatModel['run'] = (inputs, observe) => {
    const live = new Map<number, Float32Array>()
    graph.inputs.forEach((t, i) => {
      const data = inputs[i]
      if (!data || data.length !== elements(graph.tensors[t]!.shape)) {
        throw new ThimbleError('usage/input', 'input has the wrong size', {
          tensor: graph.tensors[t]!.name,
          expected: elements(graph.tensors[t]!.shape),
          got: data?.length ?? 0,
        })
      }
      const copy = data.slice()
      toGrid(copy, graph.tensors[t]!)
      live.set(t, copy)
      observe?.(t, copy)
    })
    const values: Values = (t) => live.get(t) ?? constant(t)
    graph.ops.forEach((op, i) => {
      runOp(op, values).forEach((data, k) => {
        live.set(op.outputs[k]!, data)
        observe?.(op.outputs[k]!, data)
      })
      for (const t of op.inputs) if (lastUse.get(t) === i) live.delete(t)
    })
    return graph.outputs.map((t) => values(t))
  }
  return { graph, run, runOp, constant }
}

function toGrid(data: Float32Array, t: Tensor): void {
  if (t.quantization && (t.dtype === 'int8' || t.dtype === 'uint8' || t.dtype === 'int16')) {
    snap(data, t.quantization, t.dtype)
  }
}

/** One op in real numbers, without the outputs' grids. */
function compute(graph: Graph, op: Op, values: Values): Float32Array[] {
  const x = (i: number): Float32Array => values(op.inputs[i]!)
  const optional = (i: number): Float32Array | undefined =>
    op.inputs[i] === undefined || op.inputs[i] < 0 ? undefined : x(i)
  const out = new Float32Array(elements(graph.tensors[op.outputs[0]!]!.shape))
  switch (op.type) {
    case 'CONV_2D': {
      const s = convShape(graph, op)
      const oneGroup = x(1).length === s.outC * s.kh * s.kw * s.inC
      if (oneGroup && hasSimd()) {
        simd.conv2d({ x: x(0), filter: x(1), bias: optional(2) }, out, s, bounds(op.attrs.activation))
        return [out]
      }
      plain.conv2d({ x: x(0), filter: x(1), bias: optional(2) }, out, s)
      break
    }
    case 'DEPTHWISE_CONV_2D': {
      const s = convShape(graph, op)
      if (s.inC === s.outC && hasSimd()) {
        simd.depthwiseConv2d({ x: x(0), filter: x(1), bias: optional(2) }, out, s, bounds(op.attrs.activation))
        return [out]
      }
      plain.depthwiseConv2d({ x: x(0), filter: x(1), bias: optional(2) }, out, s)
      break
    }
    case 'TRANSPOSE_CONV':
      transposeConv2d({ x: x(2), filter: x(1), bias: optional(3) }, out, convShape(graph, op))
      break
    case 'AVERAGE_POOL_2D':
      pool2d(x(0), out, convShape(graph, op), 'average')
      break
    case 'MAX_POOL_2D':
      pool2d(x(0), out, convShape(graph, op), 'max')
      break
    default:
      return runSimpleOp(graph, op, values)
  }
  activate(out, op.attrs.activation)
  return [out]
}
