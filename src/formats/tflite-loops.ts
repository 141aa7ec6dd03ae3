/**
 * Control flow of a `.tflite` written out: a WHILE whose number of steps the file decides becomes its body so many
 * times, an IF its branch or, where the input decides, both and a selection, a STABLEHLO_COMPOSITE its decomposition.
 * Source: LiteRT's kernels/{while,if,stablehlo_composite}.cc.
 */
import { elements, type DType, type Quantization, type Tensor } from '../graph/graph.ts'
import { opName, type RawOp } from './tflite-ops.ts'
import type { RawSubgraph, Read } from './tflite-variables.ts'

/** Ops that all loops of a file together may become. */
const MAX_WRITTEN = 20_000
const MAX_DEPTH = 16
/** BuiltinOperator_SELECT_V2. */
const SELECT_V2 = 123

/** What must not run where LiteRT would not: state, and what may end with an error. */
const ONCE = /^(VAR_HANDLE|CALL_ONCE|READ_VARIABLE|ASSIGN_VARIABLE|GATHER|GATHER_ND|SCATTER_ND|EMBEDDING_LOOKUP)$/

/** Why control flow stays: the name of the op with this reason is the error. */
class Refusal extends Error {}

type Scalar = (a: number, b: number) => number
const SCALARS: Readonly<Record<string, Scalar>> = {
  LESS: (a, b) => Number(a < b),
  LESS_EQUAL: (a, b) => Number(a <= b),
  GREATER: (a, b) => Number(a > b),
  GREATER_EQUAL: (a, b) => Number(a >= b),
  EQUAL: (a, b) => Number(a === b),
  NOT_EQUAL: (a, b) => Number(a !== b),
  LOGICAL_AND: (a, b) => Number(a !== 0 && b !== 0),
  LOGICAL_OR: (a, b) => Number(a !== 0 || b !== 0),
  LOGICAL_NOT: (a) => Number(a === 0),
  ADD: (a, b) => (a + b) | 0,
  SUB: (a, b) => (a - b) | 0,
  MUL: Math.imul,
  MINIMUM: Math.min,
  MAXIMUM: Math.max,
  RESHAPE: (a) => a,
  SQUEEZE: (a) => a,
  EXPAND_DIMS: (a) => a,
}
/** Of those, the ones whose second operand is no number. */
const OF_ONE = new Set(['LOGICAL_NOT', 'RESHAPE', 'SQUEEZE', 'EXPAND_DIMS'])
const COUNTS: readonly DType[] = ['int32', 'bool']

/** The number that a constant of one element is; undefined for all else. */
function numberOf({ tensor, opaque }: Read): number | undefined {
  const { data, dtype, shape } = tensor
  if (opaque !== undefined || !data || !COUNTS.includes(dtype) || shape.length > 1) return undefined
  if (shape.some((d) => d !== 1) || data.length !== (dtype === 'bool' ? 1 : 4)) return undefined
  return dtype === 'bool' ? data[0] : new DataView(data.buffer, data.byteOffset, 4).getInt32(0, true)
}

const sameGrid = (a: Quantization | undefined, b: Quantization | undefined): boolean =>
  `${a?.scales ?? ''}` === `${b?.scales ?? ''}` && `${a?.zeroPoints ?? ''}` === `${b?.zeroPoints ?? ''}`

const oneElement = ({ shape }: Tensor): boolean => elements(shape) === 1

class Writer {
  readonly out: RawOp[] = []
  /** Tensors of control-flow ops that are other tensors now. */
  readonly alias = new Map<number, number>()
  private readonly numbers = new Map<number, number>()
  private readonly constants = new Map<number, Map<number, number>>()
  private readonly subgraphs = new Map<number, RawSubgraph | undefined>()
  private readonly reads: Read[]
  private readonly limit: number
  private readonly open: (index: number) => RawSubgraph | undefined

  constructor({ reads, raws }: RawSubgraph, open: (index: number) => RawSubgraph | undefined) {
    this.reads = reads
    this.limit = raws.length + MAX_WRITTEN
    this.open = open
    reads.forEach((_, i) => this.learn(i))
  }

  write(raws: readonly RawOp[], depth = 0): void {
    for (const given of raws) {
      const raw = { ...given, inputs: given.inputs.map((i) => this.alias.get(i) ?? i) }
      const steps = this.out.length
      try {
        if (!this.control(raw, depth)) this.plain(raw)
      } catch (error) {
        if (!(error instanceof Refusal) || depth > 0) throw error
        this.out.length = steps
        this.out.push({ ...raw, refused: error.message })
      }
    }
  }

  private plain(raw: RawOp): void {
    if (this.out.length >= this.limit) throw new Refusal(`loops that become more than ${MAX_WRITTEN} ops`)
    this.out.push(raw)
    const name = opName(raw)
    const fn = Object.hasOwn(SCALARS, name) ? SCALARS[name] : undefined
    const to = raw.outputs[0] ?? -1
    if (!fn || !COUNTS.includes(this.reads[to]?.tensor.dtype ?? 'string')) return
    const operands = raw.inputs.slice(0, OF_ONE.has(name) ? 1 : 2).map((i) => this.numbers.get(i))
    const activated = /^(ADD|SUB|MUL)$/.test(name) && (raw.options?.int8(0) ?? 0) !== 0
    if (activated || operands.length === 0 || operands.includes(undefined)) return
    this.numbers.set(to, fn(operands[0]!, operands[1] ?? 0))
  }

  private learn(index: number): void {
    const value = numberOf(this.reads[index]!)
    if (value !== undefined) this.numbers.set(index, value)
  }

  private subgraph(index: number | undefined): { index: number; at: RawSubgraph } {
    const at = index !== undefined && index > 0 ? (this.subgraphs.get(index) ?? this.open(index)) : undefined
    if (!at) throw new Refusal('a subgraph that the file does not have')
    this.subgraphs.set(index!, at)
    return { index: index!, at }
  }

  /** Whether an op was control flow; it is written out then. */
  private control(raw: RawOp, depth: number): boolean {
    const name = opName(raw)
    if (name !== 'WHILE' && name !== 'IF' && name !== 'STABLEHLO_COMPOSITE') return false
    if (depth > MAX_DEPTH) throw new Refusal('control flow nested too deeply')
    if (name === 'WHILE') this.loop(raw, depth)
    else if (name === 'IF') this.branch(raw, depth)
    else {
      const from = this.out.length
      this.settle(raw.outputs, this.call(raw.options2?.int32(1), raw.inputs, depth), from)
    }
    return true
  }

  /** Writes a subgraph's ops; gives the tensors that are its results. `pure`: it may run where LiteRT would not. */
  private call(index: number | undefined, inputs: readonly number[], depth: number, pure = false): number[] {
    const { index: number, at } = this.subgraph(index)
    const { inputs: bound = [], outputs = [] } = at
    if (bound.length !== inputs.length) throw new Refusal('a subgraph of other inputs')
    if (pure) {
      const found = at.raws.find((r) => ONCE.test(opName(r)))
      if (found) throw new Refusal(`${opName(found)} in a branch`)
    }
    const known = this.constants.get(number) ?? new Map<number, number>()
    this.constants.set(number, known)
    const places = new Map(bound.map((t, i) => [t, inputs[i]!]))
    const place = (t: number): number => {
      if (t < 0) return t
      const found = places.get(t) ?? known.get(t)
      if (found !== undefined) return found
      const read = at.reads[t]
      if (!read) throw new Refusal('a tensor that its subgraph does not have')
      const shared = read.ready
      this.reads.push(shared ? read : { ...read, tensor: { ...read.tensor } })
      const made = this.reads.length - 1
      ;(shared ? known : places).set(t, made)
      if (shared) this.learn(made)
      return made
    }
    this.write(
      at.raws.map((r) => ({
        ...r,
        inputs: r.inputs.map(place),
        outputs: r.outputs.map(place),
        ...(r.intermediates ? { intermediates: r.intermediates.map(place) } : {}),
      })),
      depth + 1,
    )
    return outputs.map((t) => {
      const made = place(t)
      return this.alias.get(made) ?? made
    })
  }

  private loop(raw: RawOp, depth: number): void {
    const from = this.out.length
    let values = [...raw.inputs]
    for (;;) {
      const before = this.out.length
      const [condition] = this.call(raw.options?.int32(0), values, depth)
      const goes = this.numbers.get(condition ?? -1)
      // Nothing reads what decided.
      this.out.length = before
      if (goes === undefined) throw new Refusal('a number of steps that the input decides')
      if (!goes) break
      const next = this.call(raw.options?.int32(1), values, depth)
      if (next.length !== values.length) throw new Refusal('a body of other outputs')
      // The condition is of numbers alone.
      if (next.every((t, i) => this.numbers.get(t) === this.numbers.get(values[i]!))) throw new Refusal('no end')
      values = next
    }
    this.settle(raw.outputs, values, from)
  }

  private branch(raw: RawOp, depth: number): void {
    const [condition = -1, ...inputs] = raw.inputs
    const from = this.out.length
    const taken = this.numbers.get(condition)
    if (taken !== undefined) {
      this.settle(raw.outputs, this.call(raw.options?.int32(taken ? 0 : 1), inputs, depth), from)
      return
    }
    const t = this.reads[condition]?.tensor
    if (!t || t.dtype !== 'bool' || !oneElement(t)) throw new Refusal('a condition of several values')
    const [yes, no] = [0, 1].map((slot) => this.call(raw.options?.int32(slot), inputs, depth, true))
    raw.outputs.forEach((to, i) => {
      const [a, b] = [yes![i] ?? -1, no![i] ?? -1]
      for (const side of [a, b]) this.checkResult(to, side)
      const select = { code: SELECT_V2, customCode: undefined, optionsType: 0, options: undefined }
      this.plain({ ...select, customOptions: undefined, inputs: [condition, a, b], outputs: [to] })
    })
  }

  private checkResult(to: number, from: number): void {
    const [a, b] = [this.reads[to], this.reads[from]]
    if (!a || !b || a.tensor.dtype !== b.tensor.dtype || !sameGrid(a.tensor.quantization, b.tensor.quantization)) {
      throw new Refusal('results of another type than its subgraph has')
    }
  }

  /** The results of ops written since `from` become `outputs`: by writing there, or by being read instead. */
  private settle(outputs: readonly number[], values: readonly number[], from: number): void {
    const ops = this.out.slice(from)
    const written = new Set(ops.flatMap((r) => [...r.outputs]))
    const renamed = new Map<number, number>()
    outputs.forEach((to, i) => {
      const value = values[i] ?? -1
      this.checkResult(to, value)
      const known = this.numbers.get(value)
      if (known !== undefined) this.numbers.set(to, known)
      if (written.has(value) && !renamed.has(value)) renamed.set(value, to)
      else this.alias.set(to, renamed.get(value) ?? value)
    })
    const place = (t: number): number => renamed.get(t) ?? t
    ops.forEach((r, i) => {
      this.out[from + i] = { ...r, inputs: r.inputs.map(place), outputs: r.outputs.map(place) }
    })
  }
}

/**
 * The ops of the first subgraph with control flow written out, and its outputs; `reads` gets the tensors of the other
 * subgraphs. What can't be written out stays, with the reason.
 */
export function resolveControlFlow(
  main: RawSubgraph & { outputs: readonly number[] },
  subgraph: (index: number) => RawSubgraph | undefined,
): { raws: readonly RawOp[]; outputs: number[] } {
  const { raws, outputs } = main
  if (!raws.some((raw) => /^(WHILE|IF|STABLEHLO_COMPOSITE)$/.test(opName(raw)))) {
    return { raws, outputs: [...outputs] }
  }
  const writer = new Writer(main, subgraph)
  writer.write(raws)
  return { raws: writer.out, outputs: outputs.map((t) => writer.alias.get(t) ?? t) }
}
