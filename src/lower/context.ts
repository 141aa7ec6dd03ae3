/** Shared state and checks of the lowering rules. */
import { ThimbleError, type ErrorDetail } from '../base/errors.ts'
import { elements, opLabel, tensorBytes, type Graph, type Op, type Tensor } from '../graph/graph.ts'
import type { QuantParams } from '../arithmetic/numerics.ts'
import { OP_COPY, OP_FILL } from '../generated/layout.ts'
import { Buffers, rowwise, Value, type Buffer, type Frame, type Rows, type Step } from './program.ts'
import type { Kernels, Variant } from '../graph/types.ts'

/**
 * Thrown by a rule for an op (or a form of it) that Thimble does not run; collected, so that all are reported at once.
 */
export class Unsupported extends Error {}

/** Kernel-domain quantization: uint8 is kept as q - 128. */
export interface Q extends QuantParams {
  unsigned: boolean
  /** Zero point of the int8 value that kernels see. */
  zero: number
  /** raw - shift = what kernels see: 128 for uint8. */
  shift: number
}

/** A float32 tensor that is a function of an 8-bit one; computed only where somebody needs its numbers. */
export interface Tabular {
  x: Value
  /** 256 of them, for each byte that kernels see, as unsigned. */
  values: Float32Array
  /** Computes the tensor. */
  emit(): Value
}

/** `table` has, for each byte of `of` as unsigned, the int8 that kernels see. */
export interface ByteFunction {
  of: Value
  table: Int8Array
}

/**
 * How 3x3 convolutions run that may take Winograd's form: `best` chooses, the others are for tests and measurements.
 * All give the same bytes.
 */
export type Convolution = 'best' | 'winograd' | 'direct'

export interface LowerOptions {
  variant: Variant
  kernels: Kernels
  /** Memory counts for more than time. */
  compact?: boolean
  convolution?: Convolution | undefined
}

/** What kernels are chosen for. */
export type Target = Pick<Context, 'variant' | 'kernels' | 'compact'>

export class Context {
  readonly graph: Graph
  readonly variant: Variant
  readonly kernels: Kernels
  /** Memory counts for more than time. */
  readonly compact: boolean
  readonly convolution: Convolution
  readonly buffers = new Buffers()
  readonly steps: Step[] = []
  readonly values = new Map<number, Value>()
  /** By tensor; these have no value as long as nobody asks for it. */
  readonly tabular = new Map<number, Tabular>()
  /** What values are a function of, by a table. */
  readonly functions = new Map<Value, ByteFunction>()
  /** Constants of requantization's end, by what they hold; see conv.ts. */
  readonly epilogues = new Map<string, Buffer>()
  /** How many op inputs and graph outputs name each tensor. */
  readonly uses: number[]
  /** The first op whose input 0 is a tensor. */
  readonly firstReader = new Map<number, Op>()
  readonly outputs: ReadonlySet<number>
  opIndex = 0

  /** Tensors that ops write, constants among them where they were computed ahead. */
  private readonly written: ReadonlySet<number>

  constructor(graph: Graph, { variant, kernels, compact, convolution }: LowerOptions) {
    this.graph = graph
    this.variant = variant
    this.kernels = kernels
    this.compact = compact ?? false
    this.convolution = convolution ?? 'best'
    this.written = new Set(graph.ops.flatMap((op) => op.outputs))
    this.uses = graph.tensors.map(() => 0)
    this.outputs = new Set(graph.outputs)
    for (const op of graph.ops) {
      const { inputs } = op
      for (let k = 0; k < inputs.length; k++) if (inputs[k]! >= 0) this.uses[inputs[k]!]!++
      if (inputs.length && !this.firstReader.has(inputs[0]!)) this.firstReader.set(inputs[0]!, op)
    }
    for (const i of graph.outputs) this.uses[i]!++
  }

  get simd(): boolean {
    return this.variant !== 'scalar'
  }
  get op(): Op {
    return this.graph.ops[this.opIndex]!
  }

  tensor(index: number | undefined, role: string): Tensor {
    const t = index === undefined || index < 0 ? undefined : this.graph.tensors[index]
    if (!t) throw this.fail('lower/missing-input', `${role} is missing`)
    return t
  }

  input(position: number, role = `input ${position}`): Tensor {
    return this.tensor(this.op.inputs[position], role)
  }
  output(position = 0): Tensor {
    return this.tensor(this.op.outputs[position], `output ${position}`)
  }
  hasInput(position: number): boolean {
    return (this.op.inputs[position] ?? -1) >= 0
  }

  /** The value of input `position`, which must be an activation or an 8-bit constant. */
  value(position: number): Value {
    const index = this.op.inputs[position] ?? -1
    const found = this.computed(index)
    if (found) return found
    const t = this.input(position)
    if (t.initial) return this.state(index)
    if (!t.data) throw this.fail('lower/missing-input', `input ${position} was never computed`, t)
    const data = t.dtype === 'uint8' ? t.data.map((q) => q ^ 0x80) : t.data
    const value = new Value(t, dimsOf(t), this.buffers.constant(t.name, data))
    value.alias = true
    this.values.set(index, value)
    return value
  }

  /** The value of tensor `index` where an op before gives one. */
  computed(index: number): Value | undefined {
    return this.values.get(index) ?? this.tabular.get(index)?.emit()
  }

  /** The value of state tensor `index`. */
  state(index: number): Value {
    const known = this.values.get(index)
    if (known) return known
    const t = this.graph.tensors[index]!
    const initial = t.dtype === 'uint8' ? t.initial!.map((q) => q ^ 0x80) : t.initial!
    const value = new Value(t, dimsOf(t), this.buffers.state(t.name, initial))
    value.alias = true
    this.values.set(index, value)
    return value
  }

  /** Creates the value of output `position`. */
  result(position = 0): Value {
    const t = this.output(position)
    const value = this.temporary(t)
    this.values.set(this.op.outputs[position]!, value)
    return value
  }

  /** A value that no tensor of the graph names. */
  temporary(t: Tensor, dims = dimsOf(t)): Value {
    const buffer = this.buffers.arena(t.name, () => value.bytes)
    const value = new Value(t, dims, buffer)
    return value
  }

  /** Output `position` is the same bytes as `from`. */
  alias(position: number, from: Value): Value {
    const t = this.output(position)
    if (tensorBytes(t) !== tensorBytes(from.tensor)) {
      throw this.fail('lower/shape', 'output size differs from its input', t, {
        expected: tensorBytes(from.tensor),
        got: tensorBytes(t),
      })
    }
    const source = this.plain(from)
    const value = new Value(t, dimsOf(t), source.buffer)
    value.alias = true
    value.producer = undefined
    source.alias = true
    this.values.set(this.op.outputs[position]!, value)
    return value
  }

  /** Whether an op of the graph writes a tensor, even if only constants go into it. */
  isComputed(index: number | undefined): boolean {
    return index !== undefined && this.written.has(index)
  }

  /** Constant int32 (or int64) contents of input `position`. */
  integers(position: number, role: string): number[] {
    const t = this.input(position, role)
    if (!t.data) throw new Unsupported(`${role} must be a constant`)
    const view = new DataView(t.data.buffer, t.data.byteOffset, t.data.byteLength)
    if (t.dtype === 'int32') return Array.from({ length: elements(t.shape) }, (_, i) => view.getInt32(i * 4, true))
    if (t.dtype === 'int64') {
      return Array.from({ length: elements(t.shape) }, (_, i) => Number(view.getBigInt64(i * 8, true)))
    }
    throw new Unsupported(`${role} must be int32, not ${t.dtype}`)
  }

  fail(
    code: `lower/${string}`,
    what: string,
    tensor?: Tensor,
    found?: Pick<ErrorDetail, 'expected' | 'got'>,
  ): ThimbleError {
    return new ThimbleError(code, what, { op: opLabel(this.op, this.opIndex), tensor: tensor?.name, ...found })
  }

  /** Per-tensor quantization of an 8-bit tensor; anything else is unsupported by name. */
  q(t: Tensor): Q {
    if (t.dtype !== 'int8' && t.dtype !== 'uint8') throw new Unsupported(`${t.dtype} tensor "${t.name}"`)
    const p = t.quantization
    if (!p || p.scales.length === 0) throw this.fail('lower/quantization', 'tensor has no quantization parameters', t)
    if (p.scales.length !== 1) throw new Unsupported(`per-channel activation "${t.name}"`)
    const scale = p.scales[0]!
    const zeroPoint = p.zeroPoints[0] ?? 0
    if (!(scale > 0) || !Number.isFinite(scale)) {
      throw this.fail('lower/quantization', 'scale must be a positive number', t, { expected: '> 0', got: scale })
    }
    const unsigned = t.dtype === 'uint8'
    const low = unsigned ? 0 : -128
    const high = unsigned ? 255 : 127
    if (zeroPoint < low || zeroPoint > high) {
      throw this.fail('lower/quantization', 'zero point is out of range', t, {
        expected: `${low}..${high}`,
        got: zeroPoint,
      })
    }
    const shift = unsigned ? 128 : 0
    return { scale, zeroPoint, low, high, unsigned, shift, zero: zeroPoint - shift }
  }

  /** The output must have exactly the shape that the op gives it: readers downstream rely on it. */
  expectShape(t: Tensor, expected: readonly number[]): void {
    const { shape } = t
    let same = shape.length === expected.length
    for (let i = 0; i < shape.length; i++) if (shape[i] !== expected[i]) same = false
    if (!same) {
      throw this.fail('lower/shape', 'output shape', t, {
        expected: `[${expected.join(', ')}]`,
        got: `[${shape.join(', ')}]`,
      })
    }
  }

  push(step: Omit<Step, 'opIndex'>): Step {
    const full: Step = Object.assign(step, { opIndex: this.opIndex })
    this.steps.push(full)
    if (full.stream) full.stream.to.producer = full
    return full
  }

  /** Memory for one kernel call. */
  scratch(name: string, bytes: number, useful = bytes): Buffer {
    return Object.assign(this.buffers.arena(name, bytes), { transient: true, useful })
  }

  /** A value without padding inside its rows, as kernels that read it whole need it. */
  plain(value: Value): Value {
    if (value.frame.left || value.frame.right) {
      throw this.fail('lower/internal', 'framed value read as a plain one', value.tensor)
    }
    if (value.pad) throw this.fail('lower/internal', 'folded padding read as a plain value', value.tensor)
    return value
  }

  /** Row copy step from `from` to `to` (same h, w, c), image by image; streams when there is one image. */
  copyRows(from: Value, to: Value, xor: number, kernel: string): void {
    for (let n = 0; n < from.n; n++) {
      const step = this.push({
        record: 'CopyRecord',
        op: OP_COPY,
        kernel,
        rows: rowwise(from.h),
        reads: [from.buffer],
        writes: [to.buffer],
        fields: () => ({
          input: from.address(n),
          inRowStride: from.rowStride,
          inRing: from.ringRows,
          output: to.address(n),
          outRowStride: to.rowStride,
          outRing: to.ringRows,
          bytes: from.rowBytes,
          xor,
        }),
      })
      if (from.n === 1) {
        step.stream = { from, to, order: 'element' }
        to.producer = step
      }
    }
  }

  /**
   * `value` with at least the given padding inside its rows: its own layout is changed when nobody else reads it and
   * its producer can write so; otherwise a row copy is inserted.
   */
  framed(value: Value, tensorIndex: number, frame: Frame): Value {
    if (!frame.left && !frame.right) return value
    const free = value.n === 1 && !value.alias && value.producer?.stream?.to === value && this.uses[tensorIndex] === 1
    if (free) {
      value.frame = frame
      return value
    }
    const copy = this.temporary({ ...value.tensor, name: `${value.tensor.name} (framed)` }, value)
    copy.frame = frame
    this.copyRows(value, copy, 0, 'frame')
    return copy
  }

  /** Steps that fill a framed value's padding. Fills run over the right padding of a row and the left of the next. */
  padFills(value: Value): Step[] {
    const { left, right, fill } = value.frame
    if (!left && !right) return []
    return Array.from({ length: value.n }, (_, n) =>
      this.fillStep(
        value.buffer,
        () => ({
          rows: value.n > 1 ? value.h : value.ringRows,
          output: value.address(n) + value.rowBytes,
          outRowStride: value.rowStride,
          bytes: (left + right) * value.c,
          value: fill & 255,
        }),
        left
          ? () => ({
              rows: 1,
              output: value.frameAddress(n),
              outRowStride: 0,
              bytes: left * value.c,
              value: fill & 255,
            })
          : undefined,
      ),
    ).flat()
  }

  fillStep(
    buffer: Buffer,
    ...fields: (
      (() => { rows: number; output: number; outRowStride: number; bytes: number; value: number }) | undefined
    )[]
  ): Step[] {
    return fields
      .filter((f) => f !== undefined)
      .map((f) => {
        const rows: Rows = {
          ...rowwise(1),
          get rows() {
            return f().rows
          },
        }
        return {
          record: 'FillRecord' as const,
          op: OP_FILL,
          kernel: 'fill',
          opIndex: this.opIndex,
          rows,
          reads: [],
          writes: [buffer],
          fields: () => {
            const { rows: _, ...rest } = f()
            return rest
          },
        }
      })
  }
}

/** Spatial dimensions of a rank-4 tensor, or one row of all bytes. */
function dimsOf(t: Tensor): { n: number; h: number; w: number; c: number } {
  if (t.shape.length === 4 && (t.dtype === 'int8' || t.dtype === 'uint8')) {
    return { n: t.shape[0]!, h: t.shape[1]!, w: t.shape[2]!, c: t.shape[3]! }
  }
  return { n: 1, h: 1, w: 1, c: tensorBytes(t) }
}

/** clamp limits minus the kernel domain's shift. */
export const shifted = ([low, high]: [number, number], q: Q): { actMin: number; actMax: number } => ({
  actMin: low - q.shift,
  actMax: high - q.shift,
})
