/** A float graph brought into the quantizer's form, and its plain constants on grids. */
import { ThimbleError } from '../base/errors.ts'
import { elements, type Graph, type Op, type Quantization, type Tensor } from '../graph/graph.ts'
import { littleEndian } from '../base/words.ts'
import { isLayer, operandsOf } from './channel-groups.ts'
import { PASS_THROUGH, REAL } from './ranges.ts'
import { type Scheme, storedBytes } from './scheme.ts'

/**
 * Constants that an op without weights reads as activations: on the output's grid where the op only moves data, else on
 * one of their own.
 */
export function quantizeConstants(
  constant: (t: number) => Float32Array,
  op: Op,
  { tensors, grids }: { tensors: Tensor[]; grids: Map<number, Quantization> },
  scheme: Scheme,
): void {
  for (const t of op.inputs) {
    if (t < 0 || tensors[t]!.dtype !== 'float32' || !tensors[t]!.data) continue
    const data = constant(t)
    const own = (): Quantization =>
      scheme.affine(
        data.reduce((a, b) => Math.min(a, b), 0),
        data.reduce((a, b) => Math.max(a, b), 0),
      )
    const quantization = PASS_THROUGH.has(op.type) ? grids.get(op.outputs[0]!)! : own()
    tensors[t] = {
      ...tensors[t]!,
      dtype: scheme.dtype,
      quantization,
      data: storedBytes(data, quantization, scheme),
    }
  }
}

/** The grid that TFLite prescribes for a tensor, also for what only moves it; undefined for none. */
function prescribed(scheme: Scheme, producer: ReadonlyMap<number, Op>, t: number): Quantization | undefined {
  for (let op = producer.get(t); op; op = producer.get(op.inputs[op.type === 'SPLIT' ? 1 : 0]!)) {
    const q = scheme.fixedOutput(op)
    if (q) return q
    if (!PASS_THROUGH.has(op.type) || op.inputs.length > 4 || MIXING.has(op.type)) return undefined
  }
  return undefined
}

/** Ops whose inputs all share the output's grid. */
const MIXING = new Set<Op['type']>(['CONCATENATION', 'PACK', 'MAXIMUM', 'MINIMUM', 'SELECT_V2'])

/**
 * A QUANTIZE before each input of a mixing op that has a prescribed grid which the others have not: scores beside boxes
 * would force theirs on them.
 */
function withOwnGrids(graph: Graph, scheme: Scheme): Graph {
  const producer = new Map(graph.ops.flatMap((op) => op.outputs.map((t) => [t, op] as const)))
  const tensors = [...graph.tensors]
  const ops = graph.ops.flatMap((op): Op[] => {
    if (!MIXING.has(op.type)) return [op]
    const grids = op.inputs.map((t) => prescribed(scheme, producer, t))
    const same = (a?: Quantization, b?: Quantization): boolean =>
      a?.scales[0] === b?.scales[0] && a?.zeroPoints[0] === b?.zeroPoints[0]
    if (grids.every((q) => same(q, grids[0]))) return [op]
    const added: Op[] = []
    const inputs = op.inputs.map((t, i) => {
      if (!grids[i]) return t
      const { name, shape, dtype } = tensors[t]!
      tensors.push({ name: `${name}/requantized`, shape, dtype })
      added.push({ type: 'QUANTIZE', inputs: [t], outputs: [tensors.length - 1], attrs: {} })
      return tensors.length - 1
    })
    return [...added, { ...op, inputs }]
  })
  return { ...graph, tensors, ops }
}

/**
 * x * relu6(x + 3) / 6 in the place of HARD_SWISH, which LiteRT has no kernel of 16 bits for; as exact in 16 bits as
 * the one op would be.
 */
function withoutHardSwish(graph: Graph): Graph {
  const tensors = [...graph.tensors]
  const constant = (name: string, value: number): number =>
    tensors.push({ name, shape: [], dtype: 'float32', data: littleEndian(Float32Array.of(value)) }) - 1
  const ops = graph.ops.flatMap((op): Op[] => {
    if (op.type !== 'HARD_SWISH') return [op]
    const [x, y] = [op.inputs[0]!, op.outputs[0]!]
    const { name, shape } = tensors[y]!
    const between = (part: string): number => tensors.push({ name: `${name}/${part}`, shape, dtype: 'float32' }) - 1
    const [gate, product] = [between('gate'), between('product')]
    const plain = { activation: 'NONE' } as const
    return [
      {
        type: 'ADD',
        inputs: [x, constant(`${name}/three`, 3)],
        outputs: [gate],
        attrs: { activation: 'RELU6' },
      },
      { type: 'MUL', inputs: [x, gate], outputs: [product], attrs: plain },
      { type: 'MUL', inputs: [product, constant(`${name}/sixth`, 1 / 6)], outputs: [y], attrs: plain },
    ]
  })
  return { ...graph, tensors, ops }
}

/**
 * a * (1 / b) in the place of a / b. LiteRT brings the numerator to 31 bits before it divides, and where that shifts by
 * more than 31 bits (a stored numerator of a few steps, an output whose steps are large beside the quotient's) the
 * answer is any number. A numerator of 1 is stored as the largest step and never gets there.
 */
function withReciprocals(graph: Graph): Graph {
  const tensors = [...graph.tensors]
  const ops = graph.ops.flatMap((op): Op[] => {
    const [a, b, y] = [op.inputs[0]!, op.inputs[1]!, op.outputs[0]!]
    if (op.type !== 'DIV' || !isFloat(graph, y) || isOneNumber(tensors[a]!)) return [op]
    const name = `${tensors[y]!.name}/reciprocal`
    const one = tensors.push({ name: `${name}/one`, shape: [1], dtype: 'float32', data: littleEndian(ONE) }) - 1
    const reciprocal = tensors.push({ name, shape: tensors[b]!.shape, dtype: 'float32' }) - 1
    return [
      { type: 'DIV', inputs: [one, b], outputs: [reciprocal], attrs: { activation: 'NONE' } },
      { type: 'MUL', inputs: [a, reciprocal], outputs: [y], attrs: op.attrs },
    ]
  })
  return { ...graph, tensors, ops }
}

const ONE = Float32Array.of(1)

/** A constant of one number: on its own grid that number is the largest step. */
const isOneNumber = ({ data, shape }: Tensor): boolean => data !== undefined && elements(shape) === 1

/** A graph in the quantizer's terms: every weighted op has constants of its own, and a bias. */
export function prepare(given: Graph, scheme: Scheme): Graph {
  const graph = withRealFunctions(withReciprocals(scheme.dtype === 'int16' ? withoutHardSwish(given) : given))
  const tensors = [...graph.tensors]
  const used = new Set<number>()
  const own = (t: number): number => {
    if (!used.has(t)) {
      used.add(t)
      return t
    }
    tensors.push({ ...tensors[t]!, name: `${tensors[t]!.name}_${tensors.length}` })
    return tensors.length - 1
  }
  const ops = graph.ops.map((op): Op => {
    if (!isLayer(op)) return op
    const at = operandsOf(op)
    const [f, b] = [op.inputs[at.filter]!, op.inputs[at.bias]]
    const filter = tensors[f]!
    if (!filter.data) {
      throw new ThimbleError('lower/quantization', `${op.type} with weights that are not constant`, {
        tensor: filter.name,
      })
    }
    const channels = op.type === 'DEPTHWISE_CONV_2D' ? filter.shape.at(-1)! : filter.shape[0]!
    const using = (bias: number): Op => {
      const inputs = [...op.inputs]
      inputs[at.filter] = own(f)
      inputs[at.bias] = bias
      return { ...op, inputs }
    }
    if (b !== undefined && b >= 0) return using(own(b))
    tensors.push({
      name: `${filter.name}/bias`,
      shape: [channels],
      dtype: 'float32',
      data: new Uint8Array(4 * channels),
    })
    return using(tensors.length - 1)
  })
  return withOwnGrids({ ...graph, tensors, ops }, scheme)
}

/** A DEQUANTIZE before and a QUANTIZE behind each op of `REAL`. */
function withRealFunctions(graph: Graph): Graph {
  const tensors = [...graph.tensors]
  const like = (t: number, part: string): number => {
    const { name, shape, dtype } = tensors[t]!
    return tensors.push({ name: `${name}/${part}`, shape, dtype }) - 1
  }
  const ops = graph.ops.flatMap((op): Op[] => {
    const [x, y] = [op.inputs[0]!, op.outputs[0]!]
    if (!REAL.has(op.type) || !isFloat(graph, y)) return [op]
    const [from, to] = [like(y, 'argument'), like(y, 'function')]
    return [
      { type: 'DEQUANTIZE', inputs: [x], outputs: [from], attrs: {} },
      { ...op, inputs: [from], outputs: [to] },
      { type: 'QUANTIZE', inputs: [to], outputs: [y], attrs: {} },
    ]
  })
  return { ...graph, tensors, ops }
}

/** What stays as it is: indices, and everything that is not float. */
export const isFloat = (graph: Graph, t: number): boolean => graph.tensors[t]!.dtype === 'float32'
