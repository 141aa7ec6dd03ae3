/**
 * onnxruntime's operator-oriented quantization (QuantFormat.QOperator, and dynamic quantization) spelled out: each
 * QLinear node as DequantizeLinear, the float op, QuantizeLinear, which the reader of QDQ models takes. Integer
 * products over inputs that are quantized at run time become the float op, on weights brought back to real numbers.
 * Source: onnxruntime's docs/ContribOperators.md, onnx/docs/Operators.md.
 */
import type { OnnxModel, OnnxNode, OnnxTensor } from './model.ts'
import { attribute, malformed } from './reader.ts'

/** Names of the constants that are a tensor's scale and zero point. */
interface GridNames {
  scale: string
  zero: string
}

/** Where the grids of a node's operands stand: one activation, then scale and zero point of the result. */
const UNARY: Readonly<Record<string, string>> = {
  QLinearGlobalAveragePool: 'GlobalAveragePool',
  QLinearAveragePool: 'AveragePool',
  QLinearSigmoid: 'Sigmoid',
  QLinearLeakyRelu: 'LeakyRelu',
  QLinearSoftmax: 'Softmax',
  QLinearReduceMean: 'ReduceMean',
}
const BINARY: Readonly<Record<string, string>> = { QLinearAdd: 'Add', QLinearMul: 'Mul', QLinearMatMul: 'MatMul' }

/** Ops on stored numbers that would do the same to real ones. */
const MOVING = new Set([
  'MaxPool',
  'Reshape',
  'Flatten',
  'Transpose',
  'Squeeze',
  'Unsqueeze',
  'Slice',
  'Split',
  'Resize',
  'Upsample',
  'Identity',
  'Dropout',
])

const INTEGERS: Readonly<Record<string, string>> = { ConvInteger: 'Conv', MatMulInteger: 'MatMul' }

class Speller {
  private readonly nodes: OnnxNode[] = []
  private readonly constants: Map<string, OnnxTensor>
  private readonly grids = new Map<string, GridNames>()
  private readonly model: OnnxModel

  constructor(model: OnnxModel) {
    this.model = model
    this.constants = new Map(model.constants)
  }

  run(): OnnxModel {
    for (const n of this.model.nodes) this.node(n)
    return { ...this.model, nodes: this.nodes, constants: this.constants }
  }

  private add(type: string, inputs: string[], outputs: string[], attributes: OnnxNode['attributes'] = new Map()): void {
    this.nodes.push({ type, domain: '', name: outputs[0]!, inputs, outputs, attributes })
  }

  /** The tensor `name` as real numbers, for a reader of its own. `axis`: of scales that are one a channel. */
  private real(n: OnnxNode, name: string | undefined, { scale, zero }: GridNames, axis = 0): string {
    if (!name || !scale) return malformed(n, 'list of inputs')
    const out = `${n.outputs[0]}/${name}/real`
    const axes = new Map([['axis', { i: axis, floats: [], ints: [], hasGraph: false }]])
    this.add('DequantizeLinear', zero ? [name, scale, zero] : [name, scale], [out], axes)
    return out
  }

  /** Where a float op writes what becomes `name` on this grid. */
  private stored(name: string, grid: GridNames): string {
    const from = `${name}/real`
    this.grids.set(name, grid)
    // The QuantizeLinear comes behind the op: see `quantize`.
    return from
  }

  private quantize(name: string, { scale, zero }: GridNames): void {
    this.add('QuantizeLinear', zero ? [`${name}/real`, scale, zero] : [`${name}/real`, scale], [name])
  }

  /** One float op between its dequantized inputs and its quantized output. */
  private between(n: OnnxNode, type: string, inputs: string[], grid: GridNames): void {
    const y = n.outputs[0]!
    this.add(type, inputs, [this.stored(y, grid)], n.attributes)
    this.quantize(y, grid)
  }

  private grid = (n: OnnxNode, at: number): GridNames => ({ scale: n.inputs[at] ?? '', zero: n.inputs[at + 1] ?? '' })

  private constantOf(n: OnnxNode, name: string | undefined): OnnxTensor {
    return (name === undefined ? undefined : this.constants.get(name)) ?? malformed(n, `constant "${name ?? ''}"`)
  }

  /** An int32 bias, whose grid is that of the products. */
  private bias(n: OnnxNode, name: string, { x, w, alpha = 1 }: { x: GridNames; w: GridNames; alpha?: number }): string {
    const [input, weights] = [this.constantOf(n, x.scale), this.constantOf(n, w.scale)]
    const scale = `${n.outputs[0]}/bias scale`
    const data = Float32Array.from(weights.data, (s) => Math.fround(alpha * input.data[0]! * s))
    this.constants.set(scale, { name: scale, dtype: 'float32', shape: data.length > 1 ? [data.length] : [], data })
    return this.real(n, name, { scale, zero: '' })
  }

  private node(n: OnnxNode): void {
    const y = n.outputs[0] ?? ''
    if (n.type === 'QLinearConv') this.conv(n)
    else if (n.type === 'QGemm') this.gemm(n)
    else if (n.type === 'QLinearConcat') {
      const parts = Array.from({ length: Math.floor((n.inputs.length - 2) / 3) }, (_, i) =>
        this.real(n, n.inputs[2 + 3 * i], this.grid(n, 3 + 3 * i)),
      )
      this.between(n, 'Concat', parts, this.grid(n, 0))
    } else if (Object.hasOwn(UNARY, n.type)) {
      if (attribute.int(n, 'channels_last', 0) !== 0) malformed(n, 'layout (channels last)')
      this.between(n, UNARY[n.type]!, [this.real(n, n.inputs[0], this.grid(n, 1))], this.grid(n, 3))
    } else if (Object.hasOwn(BINARY, n.type)) {
      const columns = n.type === 'QLinearMatMul' ? this.constants.get(n.inputs[3] ?? '')?.shape.length : undefined
      const a = this.real(n, n.inputs[0], this.grid(n, 1))
      const b = this.real(n, n.inputs[3], this.grid(n, 4), Math.max(0, (columns ?? 1) - 1))
      this.between(n, BINARY[n.type]!, [a, b], this.grid(n, 6))
    } else if (n.type === 'DynamicQuantizeLinear') this.dynamic(n)
    else if (Object.hasOwn(INTEGERS, n.type)) this.integers(n)
    else if (MOVING.has(n.type) && this.grids.has(n.inputs[0] ?? '')) this.moving(n)
    else {
      if (n.type === 'QuantizeLinear') this.grids.set(y, this.grid(n, 1))
      this.nodes.push(n)
    }
  }

  private conv(n: OnnxNode): void {
    const [x, w] = [this.grid(n, 1), this.grid(n, 4)]
    const inputs = [this.real(n, n.inputs[0], x), this.real(n, n.inputs[3], w)]
    if (n.inputs[8]) inputs.push(this.bias(n, n.inputs[8], { x, w }))
    this.between(n, 'Conv', inputs, this.grid(n, 6))
  }

  private gemm(n: OnnxNode): void {
    const [x, w] = [this.grid(n, 1), this.grid(n, 4)]
    const inputs = [this.real(n, n.inputs[0], x), this.real(n, n.inputs[3], w, 1 - attribute.int(n, 'transB', 0))]
    if (n.inputs[6]) inputs.push(this.bias(n, n.inputs[6], { x, w, alpha: attribute.float(n, 'alpha', 1) }))
    if (n.inputs[7]) this.between(n, 'Gemm', inputs, this.grid(n, 7))
    else this.add('Gemm', inputs, n.outputs, n.attributes)
  }

  private moving(n: OnnxNode): void {
    const grid = this.grids.get(n.inputs[0]!)!
    const inputs = [this.real(n, n.inputs[0], grid), ...n.inputs.slice(1)]
    const outputs = n.outputs.map((y) => (y ? this.stored(y, grid) : y))
    this.add(n.type, inputs, outputs, n.attributes)
    for (const y of n.outputs) if (y) this.quantize(y, grid)
  }

  /** What is quantized by its own range at run time stays real, of scale 1. */
  private dynamic(n: OnnxNode): void {
    this.add('Identity', [n.inputs[0] ?? ''], [n.outputs[0] ?? ''])
    const set = (name: string | undefined, value: number): void => {
      if (name) this.constants.set(name, { name, dtype: 'float32', shape: [], data: Float32Array.of(value) })
    }
    set(n.outputs[1], 1)
    set(n.outputs[2], 0)
  }

  private integers(n: OnnxNode): void {
    const stored = this.constantOf(n, n.inputs[1])
    const zero = n.inputs[3] ? this.constantOf(n, n.inputs[3]).data : Float32Array.of(0)
    const last = stored.shape.at(-1) ?? 1
    const inner = stored.data.length / (stored.shape[0] || 1)
    // ConvInteger has one zero point an output channel, MatMulInteger one a column.
    const at = (i: number): number =>
      zero.length === 1 ? 0 : n.type === 'ConvInteger' ? Math.floor(i / inner) : i % last
    const name = `${n.outputs[0]}/weights`
    const data = Float32Array.from(stored.data, (v, i) => v - zero[at(i)]!)
    this.constants.set(name, { name, dtype: 'float32', shape: stored.shape, data })
    this.add(INTEGERS[n.type]!, [n.inputs[0] ?? '', name], n.outputs, n.attributes)
  }
}

const SPELLED = new Set([
  ...Object.keys(UNARY),
  ...Object.keys(BINARY),
  ...Object.keys(INTEGERS),
  'QLinearConv',
  'QGemm',
  'QLinearConcat',
  'DynamicQuantizeLinear',
])

/** The model in QDQ form; the same one where nothing is to be spelled out. Errors: `format/onnx`. */
export const spelledOut = (model: OnnxModel): OnnxModel =>
  model.nodes.some((n) => SPELLED.has(n.type)) ? new Speller(model).run() : model
