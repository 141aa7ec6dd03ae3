/**
 * A graph with QUANTIZE and DEQUANTIZE around float ops becomes an 8-bit graph: every op between them runs on the grids
 * that the file states. Activations are int8 (uint8 grids shift by 128); only when a filter has a zero point of its own
 * do they stay uint8, TFLite's older scheme.
 */
import { ThimbleError } from '../../base/errors.ts'
import { type Graph, type Op, type Quantization, type Tensor } from '../../graph/graph.ts'
import { foldGraph } from '../fold.ts'
import { floatsOf } from '../values.ts'
import { quantizeConstant, quantizeFilter } from './grids.ts'
import type { Grid } from './values.ts'

/** Ops whose output is on the grid of their input. */
const SAME_GRID = new Set<Op['type']>([
  'MAX_POOL_2D',
  'AVERAGE_POOL_2D',
  'RESHAPE',
  'SQUEEZE',
  'EXPAND_DIMS',
  'TRANSPOSE',
  'PAD',
  'SLICE',
  'STRIDED_SLICE',
  'SPLIT',
  'RESIZE_BILINEAR',
  'RESIZE_NEAREST_NEIGHBOR',
  'CONCATENATION',
  'PACK',
  'UNPACK',
])
/** Positions of weights: [filter, bias]. */
const WEIGHTS: Partial<Record<Op['type'], readonly [number, number]>> = {
  CONV_2D: [1, 2],
  DEPTHWISE_CONV_2D: [1, 2],
  FULLY_CONNECTED: [1, 2],
  TRANSPOSE_CONV: [1, 3],
}

type Range = readonly [number, number]
const perTensor = (scale: number, zeroPoint: number): Quantization => ({
  scales: Float32Array.of(scale),
  zeroPoints: Int32Array.of(zeroPoint),
  axis: 0,
})
const sameGrid = (a: Quantization, b: Quantization): boolean =>
  a.scales[0] === b.scales[0] && a.zeroPoints[0] === b.zeroPoints[0]

class Fuse {
  private readonly tensors: Tensor[]
  private readonly ops: Op[] = []
  private readonly graph: Graph
  private readonly grids: ReadonlyMap<string, Grid>
  private readonly unsigned: boolean
  /** 8-bit tensor that stands for a float (or another 8-bit) tensor. */
  private readonly standsFor = new Map<number, number>()
  private readonly readers = new Map<number, Op[]>()

  constructor(graph: Graph, grids: ReadonlyMap<string, Grid>) {
    this.graph = graph
    this.grids = grids
    this.tensors = graph.tensors.map((t) => ({ ...t }))
    for (const op of graph.ops) {
      for (const t of new Set(op.inputs)) if (t >= 0) this.readers.set(t, [...(this.readers.get(t) ?? []), op])
    }
    this.unsigned = graph.ops.some((op) => {
      const grid = WEIGHTS[op.type] && grids.get(graph.tensors[op.inputs[WEIGHTS[op.type]![0]]!]!.name)
      return grid !== undefined && grid.zeroPoints.some((z) => z !== (grid.dtype === 'uint8' ? 128 : 0))
    })
    // Q nodes state int8 zero points; in the uint8 scheme they shift back.
    if (this.unsigned) {
      for (const t of this.tensors) {
        if (t.dtype === 'int8' && t.quantization) {
          t.dtype = 'uint8'
          t.quantization = { ...t.quantization, zeroPoints: t.quantization.zeroPoints.map((z) => z + 128) }
        }
      }
    }
  }

  private get dtype(): 'int8' | 'uint8' {
    return this.unsigned ? 'uint8' : 'int8'
  }
  /** The zero point that puts real 0 at the bottom of the range. */
  private get bottom(): number {
    return this.unsigned ? 0 : -128
  }

  private add(name: string, shape: readonly number[], q: Quantization): number {
    this.tensors.push({ name, shape, dtype: this.dtype, quantization: q })
    return this.tensors.length - 1
  }

  private eightBit(t: number): number | undefined {
    const at = this.standsFor.get(t) ?? t
    return this.tensors[at]!.dtype === this.dtype && this.tensors[at]!.quantization ? at : undefined
  }

  private grid(t: number): Quantization {
    return this.tensors[t]!.quantization!
  }

  private requantize(from: number, q: Quantization, name: string): number {
    if (sameGrid(this.grid(from), q)) return from
    const to = this.add(name, this.tensors[from]!.shape, q)
    this.ops.push({ type: 'QUANTIZE', inputs: [from], outputs: [to], attrs: {} })
    return to
  }

  run(): Graph {
    for (const op of this.graph.ops) {
      if (op.type === 'QUANTIZE') this.quantize(op)
      else if (op.type === 'DEQUANTIZE') {
        this.standsFor.set(op.outputs[0]!, this.eightBit(op.inputs[0]!) ?? op.inputs[0]!)
      } else this.op(op)
    }
    const inputs = this.graph.inputs.map((t) => this.standsFor.get(t) ?? t)
    const outputs = this.graph.outputs.map((t) => this.eightBit(t) ?? t)
    return { tensors: this.tensors, ops: this.ops, inputs, outputs, metadata: this.graph.metadata }
  }

  private quantize(op: Op): void {
    const [x, y] = [op.inputs[0]!, op.outputs[0]!]
    const known = this.eightBit(x)
    if (known !== undefined) this.standsFor.set(y, this.requantize(known, this.grid(y), this.tensors[y]!.name))
    // A float input of the graph that is quantized first: the graph takes the quantized one.
    else if (this.graph.inputs.includes(x) && this.readers.get(x)!.length === 1) {
      this.standsFor.set(x, y)
      this.tensors[y]!.name = this.tensors[x]!.name
    } else this.ops.push({ ...op, inputs: [this.floatOf(x)] })
  }

  /** A float tensor for an op that stays float. */
  private floatOf(t: number): number {
    const at = t < 0 || this.tensors[t]!.data ? undefined : this.standsFor.get(t)
    if (at === undefined || this.tensors[t]!.dtype !== 'float32') return t
    if (!this.ops.some((o) => o.outputs.includes(t))) {
      this.ops.push({ type: 'DEQUANTIZE', inputs: [at], outputs: [t], attrs: {} })
    }
    return t
  }

  /** The grid that the file states for a tensor: that of the QUANTIZE ops that read it. */
  private stated(t: number): Quantization | undefined {
    const q = (this.readers.get(t) ?? []).find((o) => o.type === 'QUANTIZE')
    return q && this.grid(q.outputs[0]!)
  }

  private op(op: Op): void {
    const activations = op.inputs.filter((t) => t >= 0 && !this.tensors[t]!.data)
    const eight = activations.map((t) => this.eightBit(t))
    const y = op.outputs[0]!
    if (this.tensors[y]!.dtype !== 'float32' && op.type !== 'ARG_MAX') {
      this.ops.push(op)
      return
    }
    if (eight.some((t) => t === undefined)) {
      this.keepFloat(op)
      return
    }
    const map = (t: number): number => (t < 0 || this.tensors[t]!.data ? t : this.eightBit(t)!)
    if (op.type === 'ARG_MAX') {
      this.ops.push({ ...op, inputs: op.inputs.map(map) })
      return
    }
    if (SAME_GRID.has(op.type)) {
      this.sameGrid(op, map)
      return
    }
    const stated = this.stated(y)
    const q = this.fixedGrid(op) ?? stated ?? this.derived(op)
    if (!q) {
      this.keepFloat(op)
      return
    }
    const out = this.add(this.tensors[y]!.name, this.tensors[y]!.shape, q)
    const inputs = this.constants(op, op.inputs.map(map))
    this.ops.push({ ...op, inputs, outputs: [out] })
    this.standsFor.set(y, stated ? this.requantize(out, stated, `${this.tensors[y]!.name}/requantized`) : out)
  }

  private keepFloat(op: Op): void {
    this.ops.push({ ...op, inputs: op.inputs.map((t) => this.floatOf(t)) })
  }

  private sameGrid(op: Op, map: (t: number) => number): void {
    const y = op.outputs[0]!
    const stated = this.stated(y)
    const main = op.type === 'SPLIT' ? 1 : 0
    const q =
      op.type === 'CONCATENATION' || op.type === 'PACK'
        ? (stated ?? this.widest(op.inputs.map(map)))
        : this.grid(map(op.inputs[main]!))
    const inputs =
      op.type === 'CONCATENATION' || op.type === 'PACK'
        ? op.inputs.map((t) => this.requantize(map(t), q, `${this.tensors[t]!.name}/requantized`))
        : op.inputs.map(map)
    const outputs = op.outputs.map((t) => this.add(this.tensors[t]!.name, this.tensors[t]!.shape, q))
    this.ops.push({ ...op, inputs, outputs })
    op.outputs.forEach((t, i) => {
      const want = this.stated(t)
      this.standsFor.set(
        t,
        want ? this.requantize(outputs[i]!, want, `${this.tensors[t]!.name}/requantized`) : outputs[i]!,
      )
    })
  }

  private widest(tensors: number[]): Quantization {
    return this.cover(tensors.map((t) => this.range(t)).reduce(([a, b], [c, d]) => [Math.min(a, c), Math.max(b, d)]))
  }

  /** Grids that TFLite prescribes for an output. */
  private fixedGrid(op: Op): Quantization | undefined {
    if (op.type === 'SOFTMAX' || op.type === 'LOGISTIC') return perTensor(1 / 256, this.bottom)
    return op.type === 'TANH' ? perTensor(1 / 128, this.bottom + 128) : undefined
  }

  private range(t: number): Range {
    const q = this.grid(t)
    const low = this.unsigned ? 0 : -128
    return [q.scales[0]! * (low - q.zeroPoints[0]!), q.scales[0]! * (low + 255 - q.zeroPoints[0]!)]
  }

  private cover([lo, hi]: Range): Quantization {
    const from = Math.min(0, lo)
    const to = Math.max(0, hi, from + 1e-6)
    const scale = Math.fround((to - from) / 255)
    return perTensor(scale, Math.max(0, Math.min(255, Math.round(-from / scale))) + this.bottom)
  }

  /** A grid for an op whose output the file leaves in float, where its range follows from its inputs. */
  private derived(op: Op): Quantization | undefined {
    const clamp = ([lo, hi]: Range): Range => {
      const a = 'activation' in op.attrs ? op.attrs.activation : op.type
      return a === 'RELU6'
        ? [Math.max(0, lo), Math.min(6, hi)]
        : a === 'RELU'
          ? [Math.max(0, lo), Math.max(0, hi)]
          : a === 'RELU_N1_TO_1'
            ? [Math.max(-1, lo), Math.min(1, hi)]
            : [lo, hi]
    }
    const input = (i: number): Range => {
      const t = this.graph.tensors[op.inputs[i]!]!
      if (!t.data) return this.range(this.eightBit(op.inputs[i]!)!)
      return floatsOf(t).reduce<Range>(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity])
    }
    switch (op.type) {
      case 'RELU':
      case 'RELU6':
      case 'RELU_N1_TO_1':
        return this.cover(clamp(input(0)))
      case 'LEAKY_RELU': {
        const [lo, hi] = input(0)
        return this.cover([lo * op.attrs.alpha, hi])
      }
      case 'HARD_SWISH':
        return this.cover([-0.375, Math.max(0, input(0)[1])])
      case 'MEAN':
        return this.cover(input(0))
      case 'ADD': {
        const [a, b] = [input(0), input(1)]
        return this.cover(clamp([a[0] + b[0], a[1] + b[1]]))
      }
      case 'SUB': {
        const [a, b] = [input(0), input(1)]
        return this.cover(clamp([a[0] - b[1], a[1] - b[0]]))
      }
      case 'MUL': {
        const [a, b] = [input(0), input(1)]
        const p = [a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]]
        return this.cover(clamp([Math.min(...p), Math.max(...p)]))
      }
      case 'DEPTHWISE_CONV_2D': {
        const filter = this.graph.tensors[op.inputs[1]!]!
        if (filter.shape[1] !== 1 || filter.shape[2] !== 1 || !filter.data) return undefined
        const [lo, hi] = input(0)
        const bias =
          op.inputs[2] !== undefined && op.inputs[2] >= 0 ? floatsOf(this.graph.tensors[op.inputs[2]]!) : undefined
        let [least, most] = [Infinity, -Infinity]
        floatsOf(filter).forEach((w, c) => {
          const ends = [w * lo + (bias?.[c] ?? 0), w * hi + (bias?.[c] ?? 0)] as const
          least = Math.min(least, ...ends)
          most = Math.max(most, ...ends)
        })
        return this.cover(clamp([least, most]))
      }
      default:
        return undefined
    }
  }

  /** Constants of an op on its 8-bit grids. */
  private constants(op: Op, inputs: number[]): number[] {
    const slots = WEIGHTS[op.type]
    if (!slots) {
      return inputs.map((t) => {
        const tensor = t >= 0 ? this.tensors[t]! : undefined
        if (!tensor?.data || tensor.dtype !== 'float32') return t
        this.tensors.push(quantizeConstant(tensor, this.grids.get(tensor.name), this.dtype))
        return this.tensors.length - 1
      })
    }
    const [f, b] = slots
    const x = inputs[op.type === 'TRANSPOSE_CONV' ? 2 : 0]!
    const filter = this.tensors[inputs[f]!]!
    if (!filter.data) {
      throw new ThimbleError('lower/unsupported-op', `${op.type} with a filter that is not constant`, {
        tensor: filter.name,
      })
    }
    const bias = (inputs[b] ?? -1) >= 0 ? this.tensors[inputs[b]!] : undefined
    const made = quantizeFilter(op, filter, bias, {
      inputScale: this.grid(x).scales[0]!,
      stated: this.grids.get(filter.name),
      unsigned: this.unsigned,
    })
    const out = [...inputs]
    this.tensors.push(made.filter)
    out[f] = this.tensors.length - 1
    this.tensors.push(made.bias)
    while (out.length <= b) out.push(-1)
    out[b] = this.tensors.length - 1
    return out
  }
}

/** Drops tensors that no op uses. */
function compacted(g: Graph): Graph {
  const needed = new Set<number>(g.outputs)
  const ops = [...g.ops]
    .reverse()
    .filter((op) => {
      if (!op.outputs.some((t) => needed.has(t))) return false
      for (const t of op.inputs) if (t >= 0) needed.add(t)
      for (const t of op.outputs) needed.add(t)
      return true
    })
    .reverse()
  for (const t of g.inputs) needed.add(t)
  const map = new Map<number, number>()
  g.tensors.forEach((_, i) => {
    if (needed.has(i)) map.set(i, map.size)
  })
  const names = new Set<string>()
  const tensors = g.tensors
    .filter((_, i) => needed.has(i))
    .map((t) => {
      let name = t.name
      for (let k = 1; names.has(name); k++) name = `${t.name}_${k}`
      names.add(name)
      return { ...t, name }
    })
  const at = (t: number): number => (t < 0 ? -1 : map.get(t)!)
  return {
    ...g,
    tensors,
    ops: ops.map((op) => ({ ...op, inputs: op.inputs.map(at), outputs: op.outputs.map(at) })),
    inputs: g.inputs.map(at),
    outputs: g.outputs.map(at),
  }
}

/**
 * Folds the float ops, then moves everything between QUANTIZE and DEQUANTIZE onto 8-bit grids.
 * Ops without a stated or derivable output grid stay float, behind a DEQUANTIZE.
 */
export function fuseQdq(graph: Graph, grids: ReadonlyMap<string, Grid>): Graph {
  return compacted(new Fuse(foldGraph(graph), grids).run())
}
