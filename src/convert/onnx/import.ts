/**
 * ONNX models to the graph: constants are folded, layouts tracked, each node handed to its reader; QDQ models keep
 * their grids.
 */
import { ThimbleError } from '../../base/errors.ts'
import { Refusals } from '../refusals.ts'
import type { Graph, OpOf } from '../../graph/graph.ts'
import { roundEven } from '../../base/round.ts'
import type { Sidecar } from '../sidecar.ts'
import { foldNode } from './constants.ts'
import * as elementwise from './elementwise.ts'
import { parseOnnx, type OnnxModel, type OnnxNode, type OnnxValue } from './model.ts'
import { fuseQdq } from './qdq.ts'
import { blocksToImage, imageToBlocks } from './blocks.ts'
import { gather } from './gather.ts'
import { alongLine } from './line.ts'
import { recogniseGelu } from './gelu.ts'
import { spelledOut } from './qoperator.ts'
import { attribute, constant, constantInput, fail, malformed, type Handler, type Reader } from './reader.ts'
import * as shapes from './shape-ops.ts'
import { LayoutNet, NCHW, isIdentity, type Constant, type Grid, type Value } from './values.ts'
import * as windows from './windows.ts'

const HANDLERS: Record<string, Handler> = {
  Conv: alongLine(windows.conv),
  ConvTranspose: alongLine(windows.convTranspose),
  Gemm: windows.gemm,
  MatMul: windows.matMul,
  MaxPool: alongLine(windows.maxPool),
  AveragePool: alongLine(windows.averagePool),
  GlobalAveragePool: alongLine(windows.globalPool('average')),
  GlobalMaxPool: alongLine(windows.globalPool('max')),
  Relu: elementwise.activation('relu'),
  Sigmoid: elementwise.activation('sigmoid'),
  Tanh: elementwise.activation('tanh'),
  HardSwish: elementwise.activation('hard_swish'),
  Swish: elementwise.activation('swish'),
  HardSigmoid: elementwise.hardSigmoid,
  LeakyRelu: elementwise.leakyRelu,
  Neg: elementwise.negate,
  Min: elementwise.bound('min'),
  Max: elementwise.bound('max'),
  PRelu: elementwise.prelu,
  Clip: elementwise.clip,
  Softmax: elementwise.softmax,
  BatchNormalization: elementwise.batchNorm,
  Add: elementwise.binary('ADD'),
  Sub: elementwise.binary('SUB'),
  Mul: elementwise.binary('MUL'),
  Div: elementwise.binary('DIV'),
  Sum: elementwise.sum,
  Abs: elementwise.map('ABS'),
  Exp: elementwise.map('EXP'),
  Log: elementwise.map('LOG'),
  Sqrt: elementwise.map('SQRT'),
  Elu: elementwise.elu,
  Selu: elementwise.selu,
  Celu: elementwise.celu,
  Softplus: elementwise.softplus,
  Softsign: elementwise.softsign,
  Mish: elementwise.mish,
  Reciprocal: elementwise.reciprocal,
  GroupNormalization: elementwise.groupNorm,
  Sin: elementwise.map('SIN'),
  Cos: elementwise.map('COS'),
  Floor: elementwise.map('FLOOR'),
  Ceil: elementwise.map('CEIL'),
  Sign: elementwise.map('SIGN'),
  Gelu: elementwise.gelu,
  Pow: elementwise.power,
  LogSoftmax: elementwise.logSoftmax,
  LayerNormalization: elementwise.layerNorm,
  InstanceNormalization: elementwise.instanceNorm,
  DepthToSpace: blocksToImage,
  SpaceToDepth: imageToBlocks,
  Identity: elementwise.identity,
  Dropout: elementwise.identity,
  Cast: elementwise.cast,
  Transpose: shapes.transposeNode,
  Reshape: shapes.reshape,
  Flatten: shapes.flatten,
  Squeeze: shapes.squeeze,
  Unsqueeze: shapes.unsqueeze,
  Concat: shapes.concat,
  ReduceMean: shapes.reduce('MEAN'),
  ReduceSum: shapes.reduce('SUM'),
  ReduceMax: shapes.reduce('REDUCE_MAX'),
  ReduceMin: shapes.reduce('REDUCE_MIN'),
  Pad: shapes.pad,
  Slice: shapes.slice,
  Split: shapes.split,
  ArgMax: shapes.argMax,
  Gather: gather,
  Shape: shapes.shapeNode,
  Resize: shapes.resize,
  Upsample: shapes.resize,
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
}

const INTEGER = new Set(['int8', 'uint8', 'int32'])

/** Scales and zero points of a Q or DQ node. */
function gridOf(r: Reader, n: OnnxNode, rank: number): Grid {
  const scales = constantInput(r, n, 1).value
  const zero = n.inputs[2] ? constantInput(r, n, 2).value : undefined
  const dtype = zero?.dtype ?? (n.type === 'QuantizeLinear' ? 'uint8' : 'int8')
  if (!INTEGER.has(dtype)) return fail(n, `type ${dtype}`)
  const axis = attribute.int(n, 'axis', 1)
  if (zero && zero.data.length !== scales.data.length) return malformed(n, 'zero point')
  if (!Array.from(scales.data).every((s) => s > 0 && Number.isFinite(s))) return malformed(n, 'scale')
  return {
    scales: Float32Array.from(scales.data),
    zeroPoints: zero ? Int32Array.from(zero.data) : new Int32Array(scales.data.length),
    axis: axis < 0 ? axis + rank : axis,
    dtype: dtype as Grid['dtype'],
  }
}

/** int8 whatever the file uses: uint8 activations shift by 128. */
function quantizeLinear(r: Reader, n: OnnxNode): Value[] {
  const v = r.input(n, 0)
  if (v.kind === 'constant') return [quantizedConstant(r, n, v)]
  const x = v.kind === 'flat' ? v.of : r.net.settled(n.name, v)
  const grid = gridOf(r, n, r.net.onnxShape(v).length)
  if (grid.scales.length !== 1 || grid.dtype === 'int32') return fail(n, 'a grid per channel of an activation')
  const shift = grid.dtype === 'uint8' ? 128 : 0
  const id = r.net.op<OpOf<'QUANTIZE'>>(
    { type: 'QUANTIZE', inputs: [x.id], attrs: {} },
    n.name,
    r.net.shape(x.id),
    'int8',
  )
  r.net.tensors[id]!.quantization = {
    scales: grid.scales,
    zeroPoints: Int32Array.of(grid.zeroPoints[0]! - shift),
    axis: 0,
  }
  return [v.kind === 'flat' ? { kind: 'flat', of: { ...x, id } } : { ...x, id }]
}

/** Weights that the file keeps in float and quantizes in the graph. */
function quantizedConstant(r: Reader, n: OnnxNode, v: Constant): Constant {
  const shape = v.value.shape
  const grid = gridOf(r, n, shape.length)
  if (grid.scales.length > 1 && grid.scales.length !== shape[grid.axis]) return malformed(n, 'scale')
  const [low, high] =
    grid.dtype === 'int8' ? [-128, 127] : grid.dtype === 'uint8' ? [0, 255] : [-(2 ** 31), 2 ** 31 - 1]
  const inner = shape.slice(grid.axis + 1).reduce((a, b) => a * b, 1)
  const data = new Float64Array(v.value.data.length)
  for (let i = 0; i < data.length; i++) {
    const c = grid.scales.length === 1 ? 0 : Math.floor(i / inner) % grid.scales.length
    data[i] = Math.max(low, Math.min(high, roundEven(v.value.data[i]! / grid.scales[c]!) + grid.zeroPoints[c]!))
  }
  return constant(v.value.name, { dtype: grid.dtype, shape, data })
}

function dequantizeLinear(r: Reader, n: OnnxNode): Value[] {
  const v = r.input(n, 0)
  if (v.kind !== 'constant') {
    const x = v.kind === 'flat' ? v.of : v
    if (r.net.tensors[x.id]!.dtype !== 'int8') return fail(n, 'an input that no QuantizeLinear makes')
    const id = r.net.op<OpOf<'DEQUANTIZE'>>(
      { type: 'DEQUANTIZE', inputs: [x.id], attrs: {} },
      n.name,
      r.net.shape(x.id),
    )
    return [v.kind === 'flat' ? { kind: 'flat', of: { ...x, id } } : { ...x, id }]
  }
  const dtype = v.value.dtype
  if (!INTEGER.has(dtype)) return fail(n, `constants of type ${dtype}`)
  const shape = v.value.shape
  const grid = { ...gridOf(r, n, shape.length), dtype: dtype as Grid['dtype'] }
  if (grid.scales.length === 1) grid.axis = 0
  else if (grid.scales.length !== shape[grid.axis]) return malformed(n, 'scale')
  const inner = shape.slice(grid.axis + 1).reduce((a, b) => a * b, 1)
  const c = (i: number): number => (grid.scales.length === 1 ? 0 : Math.floor(i / inner) % grid.scales.length)
  const stored = v.value.data
  const data = new Float32Array(stored.length)
  for (let i = 0; i < data.length; i++) data[i] = grid.scales[c(i)]! * (stored[i]! - grid.zeroPoints[c(i)]!)
  return [{ kind: 'constant', value: { name: v.value.name, dtype: 'float32', shape, data }, grid }]
}

/** Whether what first happens to an input is a window over an image (NCHW), following ops that keep the layout. */
function isImage(model: OnnxModel, name: string): boolean {
  const WINDOWS = new Set([
    'Conv',
    'ConvTranspose',
    'MaxPool',
    'AveragePool',
    'GlobalAveragePool',
    'GlobalMaxPool',
    'BatchNormalization',
    'Resize',
    'Upsample',
    'PRelu',
  ])
  const readers = new Map<string, OnnxNode[]>()
  for (const n of model.nodes) for (const i of n.inputs) readers.set(i, [...(readers.get(i) ?? []), n])
  const queue = [name]
  const seen = new Set(queue)
  while (queue.length) {
    for (const n of readers.get(queue.shift()!) ?? []) {
      if (WINDOWS.has(n.type)) return true
      if (['Transpose', 'Reshape', 'Flatten', 'Gemm', 'MatMul'].includes(n.type)) continue
      for (const o of n.outputs) {
        if (!seen.has(o)) {
          seen.add(o)
          queue.push(o)
        }
      }
    }
  }
  return false
}

class Import implements Reader {
  readonly net = new LayoutNet()
  readonly opset: number
  private readonly model: OnnxModel
  private readonly values = new Map<string, Value>()

  constructor(model: OnnxModel) {
    this.model = model
    this.opset = model.opset
    for (const [name, t] of model.constants) this.values.set(name, { kind: 'constant', value: t })
  }

  optional(n: OnnxNode, i: number): Value | undefined {
    return n.inputs[i] ? this.input(n, i) : undefined
  }

  input(n: OnnxNode, i: number): Value {
    const name = n.inputs[i]
    const v = name ? this.values.get(name) : undefined
    if (!v) {
      throw new ThimbleError(
        'format/onnx',
        name ? `${n.type} reads "${name}", which nothing makes` : `${n.type} lacks input ${i}`,
        { tensor: n.name },
      )
    }
    return v
  }

  /** Graph inputs: images are stored NHWC. */
  private declare(v: OnnxValue, given: readonly number[] | undefined): void {
    if (!v.shape) throw new ThimbleError('format/shape', 'input has no shape', { tensor: v.name })
    if (v.dtype && v.dtype !== 'float32' && v.dtype !== 'float16' && v.dtype !== 'float64' && v.dtype !== 'uint8') {
      throw new ThimbleError('lower/unsupported-op', `ONNX input of type ${v.dtype}`, { tensor: v.name })
    }
    const shape = v.shape.map((d, i) => (d > 0 ? d : given?.length === v.shape!.length ? given[i]! : i === 0 ? 1 : -1))
    if (shape.some((d) => !(d >= 1 && d <= 1 << 20))) {
      throw new ThimbleError('format/shape', 'input has an open dimension', {
        tensor: v.name,
        got: `[${v.shape.join(', ')}]`,
        hint: 'give the input shape, e.g. --input-shape 1x3x224x224',
      })
    }
    const permutation = shape.length === 4 && isImage(this.model, v.name) ? NCHW : shape.map((_, i) => i)
    const stored = new Array<number>(shape.length)
    permutation.forEach((p, i) => {
      stored[p] = shape[i]!
    })
    this.values.set(v.name, { kind: 'tensor', id: this.net.input(v.name, stored), permutation })
  }

  private node(n: OnnxNode): void {
    if (
      n.domain &&
      n.domain !== 'ai.onnx' &&
      !(n.domain === 'com.microsoft' && /^(De)?[qQ]uantizeLinear$/.test(n.type))
    ) {
      fail(n, `domain "${n.domain}"`)
    }
    if (n.type === 'Constant') {
      const a = (key: string): OnnxNode['attributes'] extends Map<string, infer A> ? A | undefined : never =>
        n.attributes.get(key)
      const list = a('value_floats')?.floats ?? a('value_ints')?.ints
      const t =
        a('value')?.t ??
        (list
          ? { dtype: 'float32' as const, shape: [list.length], data: Float64Array.from(list) }
          : {
              dtype: 'float32' as const,
              shape: [],
              data: Float64Array.of(a('value_float')?.f ?? a('value_int')?.i ?? malformed(n, 'value')),
            })
      this.values.set(n.outputs[0]!, constant(n.outputs[0]!, t))
      return
    }
    const inputs = n.inputs.map((name) => (name ? this.values.get(name) : undefined))
    if (
      n.inputs.length > 0 &&
      n.type !== 'Shape' &&
      inputs.every((v, i) => v?.kind === 'constant' || n.inputs[i] === '')
    ) {
      const folded = foldNode(
        n,
        inputs.map((v) => (v?.kind === 'constant' ? v.value : undefined)),
      )
      if (folded) {
        this.values.set(n.outputs[0]!, constant(n.outputs[0]!, folded))
        return
      }
      if (n.type === 'Transpose') {
        this.transposeConstant(n)
        return
      }
    }
    const handler = Object.hasOwn(HANDLERS, n.type) ? HANDLERS[n.type]! : fail(n, '')
    handler(this, n).forEach((v, i) => {
      if (n.outputs[i]) this.values.set(n.outputs[i], v)
    })
  }

  /** Weights behind a transpose keep their grid. */
  private transposeConstant(n: OnnxNode): void {
    const v = constantInput(this, n, 0)
    const rank = v.value.shape.length
    const given = n.attributes.get('perm')?.ints ?? []
    const perm = given.length ? given : v.value.shape.map((_, i) => rank - 1 - i)
    if (perm.length !== rank || new Set(perm).size !== rank || perm.some((p) => p < 0 || p >= rank)) {
      malformed(n, 'perm')
    }
    const shape = perm.map((p) => v.value.shape[p]!)
    const moved = this.net.transposed(v.value.data, v.value.shape, perm)
    this.values.set(n.outputs[0]!, {
      kind: 'constant',
      value: { ...v.value, shape, data: moved },
      ...(v.grid ? { grid: { ...v.grid, axis: v.grid.scales.length > 1 ? perm.indexOf(v.grid.axis) : 0 } } : {}),
    })
  }

  /** Reads all nodes but those behind a refused one. Errors: `lower/unsupported-op` naming all that is refused. */
  private nodes(): void {
    const { nodes } = this.model
    const isUnknown = (n: OnnxNode): boolean =>
      n.type !== 'Constant' && !Object.hasOwn(HANDLERS, n.type) && !FOLDED_ONLY.has(n.type)
    const unknown = new Set(nodes.filter(isUnknown).map((n) => n.type))
    const refusals = new Refusals()
    if (unknown.size) {
      refusals.add(
        new ThimbleError('lower/unsupported-op', `ONNX ops ${[...unknown].join(', ')}`, {
          hint: 'leave them out of the exported model and compute them on its output',
        }),
      )
    }
    const missing = new Set<string>()
    nodes.forEach((n, i) => {
      const named = n.name ? n : { ...n, name: n.outputs[0] || `node${i}` }
      const readable = !isUnknown(n) && !n.inputs.some((name) => missing.has(name))
      const read =
        readable &&
        refusals.attempt(() => {
          this.node(named)
          return true
        })
      if (!read) for (const name of n.outputs) missing.add(name)
    })
    refusals.finish()
  }

  run(inputShape: readonly number[] | undefined): Graph {
    for (const v of this.model.inputs) this.declare(v, inputShape)
    this.nodes()
    const outputs = this.model.outputs.map((o) => {
      const v = this.values.get(o.name)
      if (!v || v.kind === 'constant') {
        throw new ThimbleError('format/onnx', 'output is never computed', { tensor: o.name })
      }
      // Images stay NHWC, as every image of the graph; anything else gets ONNX's order.
      const image = v.kind === 'tensor' && v.permutation.length === 4 && !isIdentity(v.permutation)
      return image ? this.net.nhwc(`${o.name}/nhwc`, v) : this.net.plain(o.name, v)
    })
    return this.net.finish(outputs, { name: this.model.name || undefined })
  }
}

/** Ops that only make sense on known shapes. */
const FOLDED_ONLY = new Set(['ConstantOfShape', 'Floor', 'Ceil', 'Sqrt', 'Pow'])

export interface OnnxOptions {
  /** Stands in for open dimensions, in the file's own order (NCHW). */
  inputShape?: readonly number[] | undefined
}

/**
 * Reads an ONNX model (opset 7 and later). Float models, and those whose activations are quantized at run time, come
 * back unfolded, in float32; QDQ and QOperator models come back as int8 graphs with the scales and zero points of the
 * file.
 * Errors: `format/protobuf`, `format/onnx`, `format/shape`, `format/sidecar`, `lower/unsupported-op` naming ONNX ops.
 */
export async function readOnnx(bytes: Uint8Array, sidecar?: Sidecar, options: OnnxOptions = {}): Promise<Graph> {
  const model = recogniseGelu(spelledOut(await parseOnnx(bytes, sidecar)))
  if (model.opset < 7) {
    throw new ThimbleError('format/onnx', 'opset is too old', { expected: '7 or later', got: model.opset })
  }
  const reader = new Import(model)
  const graph = reader.run(options.inputShape)
  return graph.ops.some((op) => op.type === 'QUANTIZE') ? fuseQdq(graph, reader.net.grids) : graph
}
