/** Random well-formed graphs for fast-check: every op, attributes of every kind in range, in an order that can run. */
import fc from 'fast-check'
import { OP_SPECS } from '../src/formats/check.ts'
import {
  dtypeBytes,
  elements,
  type DType,
  type Graph,
  type Metadata,
  type Op,
  type OpType,
  type Tensor,
} from '../src/graph/graph.ts'
import { dice, type Dice } from './mutate.ts'

const DTYPES: readonly DType[] = [
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'float16',
  'float32',
  'float64',
  'bool',
]
/** Ops that writeTflite has no form for, or whose shapes decide what is read back. */
const NOT_IN_TFLITE: readonly OpType[] = [
  'UNSUPPORTED',
  'DETECTION_POSTPROCESS',
  'DEPTHWISE_CONV_2D',
  'SUM',
  'READ_VARIABLE',
  'ASSIGN_VARIABLE',
  'UNIDIRECTIONAL_SEQUENCE_LSTM',
  'SVDF',
]

function randomScale(d: Dice): number {
  const bits = new Float32Array(1)
  // Any positive float32: a random exponent and fraction.
  new Uint32Array(bits.buffer)[0] = (1 + d.int(0x7f7fffff)) >>> 0
  return bits[0]!
}

function randomTensor(d: Dice, index: number, constant: boolean): Tensor {
  const shape = Array.from({ length: 1 + d.int(4) }, () => 1 + d.int(4))
  const dtype = d.pick(DTYPES)
  const t: Tensor = { name: d.pick(['', 'x', 'weights é 漢 😀', 'a"b\\c']) + index, shape, dtype }
  if (d.int(3) > 0) {
    const axis = d.int(shape.length)
    const n = d.int(2) ? shape[axis]! : 1
    const range = dtype === 'uint8' ? [0, 256] : dtype === 'int8' ? [-128, 256] : [0, 1]
    t.quantization = {
      scales: Float32Array.from({ length: n }, () => randomScale(d)),
      zeroPoints: Int32Array.from({ length: n }, () => range[0]! + d.int(range[1]!)),
      axis,
    }
  }
  if (constant) t.data = Uint8Array.from({ length: elements(shape) * dtypeBytes(dtype) }, () => d.int(256))
  return t
}

function attribute(kind: string, d: Dice, rank: number, operands: number): unknown {
  switch (kind) {
    case 'padding':
      return d.pick(['SAME', 'VALID'])
    case 'activation':
      return d.pick(['NONE', 'RELU', 'RELU_N1_TO_1', 'RELU6'])
    case 'count':
      return 1 + d.int(65535)
    case 'limit':
      return operands
    case 'limit or 0':
      return d.int(2)
    case 'axis':
      return d.int(rank)
    case 'int':
      return d.int(2 ** 32) - 2 ** 31
    case 'real':
      return randomScale(d) * (d.int(2) ? 1 : -1)
    case 'bool':
      return d.int(2) === 1
    case 'mark':
      // Only 16-bit and older files have any; how those are written is tested with them.
      return undefined
    case 'mirror mode':
      return d.pick(['REFLECT', 'SYMMETRIC'])
    case 'dimensions':
      return Array.from({ length: d.int(4) }, () => d.int(5))
    case 'index type':
      return d.pick(['int32', 'int64'])
    default:
      return 'name'
  }
}

function stateTensor(d: Dice, index: number): Tensor {
  const { data, ...tensor } = randomTensor(d, index, true)
  return { ...tensor, initial: data! }
}

/** Adds an op over tensors that are `ready`; `state`: some of its inputs may be state tensors. */
function randomOp(d: Dice, type: OpType, graph: Graph, { ready, state }: { ready: number[]; state: boolean }): void {
  const spec = OP_SPECS[type]
  const count = ([min, max]: readonly [number, number]): number => min + d.int(Math.min(max, min + 3) - min + 1)
  const inputs = Array.from({ length: count(spec.inputs) }, (_, i) => {
    if ([spec.optional].flat().includes(i) && d.int(2)) return -1
    if (state && !d.int(6)) return graph.tensors.push(stateTensor(d, graph.tensors.length)) - 1
    if (d.int(3)) return d.pick(ready)
    return graph.tensors.push(randomTensor(d, graph.tensors.length, true)) - 1
  })
  const outputs = Array.from(
    { length: count(spec.outputs) },
    () => graph.tensors.push(randomTensor(d, graph.tensors.length, false)) - 1,
  )
  const rank = graph.tensors[type === 'UNPACK' ? inputs[0]! : (outputs[0] ?? inputs[0]!)]!.shape.length
  const operands = type === 'PACK' ? inputs.length : outputs.length
  const attrs = Object.fromEntries(
    Object.entries(spec.attrs).map(([name, kind]) => [name, attribute(kind, d, rank, operands)]),
  )
  // A shape among the inputs is what counts: files then have it nowhere else.
  if (type === 'RESHAPE' && (inputs[1] ?? -1) >= 0) delete attrs.newShape
  graph.ops.push({ type, inputs, outputs, attrs } as unknown as Op)
  ready.push(...outputs)
}

const METADATA: fc.Arbitrary<Metadata> = fc.record(
  {
    name: fc.string({ unit: 'binary' }),
    description: fc.string(),
    license: fc.string(),
    source: fc.string(),
    author: fc.string(),
    version: fc.string(),
    labels: fc.array(fc.string({ unit: 'grapheme' })),
    preprocess: fc.record(
      {
        fit: fc.constantFrom('stretch' as const, 'crop' as const, 'fit' as const),
        shorterSide: fc.integer({ min: 1, max: 2000 }),
        method: fc.constantFrom('bilinear' as const, 'nearest' as const),
        channels: fc.constantFrom('rgb' as const, 'bgr' as const, 'gray' as const),
        mean: fc.tuple(fc.integer(), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true, min: 0.1 })),
        std: fc.tuple(fc.double({ min: 0.1, max: 300, noNaN: true })),
      },
      { requiredKeys: ['fit', 'method', 'channels', 'mean', 'std'] },
    ),
    task: fc.constantFrom('classification' as const, 'detection' as const, 'features' as const),
    extra: fc.record({ z: fc.nat(), a: fc.array(fc.boolean()), nested: fc.record({ b: fc.string(), a: fc.nat() }) }),
  },
  { requiredKeys: [] },
)

/** Graphs of 1 to 8 ops. `tflite`: only what `writeTflite` writes and `readTflite` gives back unchanged. */
export const arbitraryGraph = ({ tflite = false } = {}): fc.Arbitrary<Graph> =>
  fc.tuple(fc.nat(0xffffffff), METADATA).map(([seed, metadata]) => {
    const d = dice(seed)
    const types = (Object.keys(OP_SPECS) as OpType[]).filter(
      (t) => t !== 'UNSUPPORTED' && !(tflite && NOT_IN_TFLITE.includes(t)),
    )
    const graph: Graph = {
      tensors: [randomTensor(d, 0, false), randomTensor(d, 1, false)],
      ops: [],
      inputs: [1, 0],
      outputs: [],
      metadata: tflite ? {} : metadata,
    }
    const ready = [0, 1]
    for (let n = 1 + d.int(8); n > 0; n--) randomOp(d, d.pick(types), graph, { ready, state: !tflite })
    graph.outputs.push(ready[ready.length - 1]!, d.pick(ready))
    return graph
  })
