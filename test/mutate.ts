/**
 * Seeded damage to model files and graphs, for the tests that say every damaged file ends in a Graph or a ThimbleError.
 */
import { readTflite } from '../src/formats/tflite.ts'
import type { DType, Graph, Op, Tensor } from '../src/graph/graph.ts'
import { rng } from './util.ts'

/** Seeded choices. */
export interface Dice {
  /** Uniform integer in [0, n). */
  int(n: number): number
  pick<T>(from: readonly T[]): T
}

export function dice(seed: number): Dice {
  const next = rng(seed)
  const int = (n: number): number => Math.floor(next() * n)
  return { int, pick: (from) => from[int(from.length)]! }
}

/** A model file and where its structure is: the byte ranges that hold no constant's data. */
export interface Target {
  name: string
  bytes: Uint8Array
  structure: [number, number][]
}

/** Finds the structure by reading the file: everything but the constants. */
export function target(name: string, bytes: Uint8Array): Target {
  const data = readTflite(bytes)
    .tensors.flatMap((t) =>
      t.data && t.data.length > 64 ? [[t.data.byteOffset - bytes.byteOffset, t.data.length] as const] : [],
    )
    .sort((a, b) => a[0] - b[0])
  const structure: [number, number][] = []
  let at = 0
  for (const [start, length] of data) {
    if (start > at) structure.push([at, start])
    at = Math.max(at, start + length)
  }
  if (at < bytes.length) structure.push([at, bytes.length])
  return { name, bytes, structure }
}

/** A position in the structure, mostly; now and then anywhere. */
function place({ bytes, structure }: Target, dice: Dice): number {
  if (dice.int(10) === 0) return dice.int(bytes.length)
  let k = dice.int(structure.reduce((sum, [a, b]) => sum + b - a, 0))
  for (const [a, b] of structure) {
    if (k < b - a) return a + k
    k -= b - a
  }
  return 0
}

const WORDS = [
  0, 1, 2, 3, 4, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc, 0x7f800000, 0x7fc00000,
]

/** One change of one of seven kinds. Returns what it did. */
function damage(t: Target, out: Uint8Array, dice: Dice): string {
  const at = place(t, dice)
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength)
  switch (dice.int(7)) {
    case 0:
      out[at]! ^= 1 << dice.int(8)
      return `bit ${at}`
    case 1:
      out[at] = dice.int(256)
      return `byte ${at}`
    case 2: {
      const n = Math.min(1 + dice.int(64), out.length - at)
      const from = dice.int(out.length - n + 1)
      out.copyWithin(at, from, from + n)
      return `splice ${n} bytes ${from} to ${at}`
    }
    case 3: {
      const w = at & ~3
      if (w + 4 <= out.length) view.setUint32(w, dice.pick(WORDS), true)
      return `word ${w}`
    }
    case 4: {
      const w = at & ~3
      if (w + 4 <= out.length) view.setUint32(w, view.getUint32(w, true) + dice.int(65) - 32, true)
      return `offset ${w}`
    }
    case 5: {
      const w = at & ~1
      if (w + 2 <= out.length) view.setUint16(w, dice.int(3) ? dice.int(64) : dice.int(65536), true)
      return `half ${w}`
    }
    default: {
      const n = Math.min(1 + dice.int(256), out.length - at)
      out.fill(dice.pick([0, 0xff, 0x7f]), at, at + n)
      return `fill ${n} at ${at}`
    }
  }
}

/** A damaged copy: truncated, extended, or changed in one to four places. */
export function mutateBytes(t: Target, dice: Dice): { bytes: Uint8Array; what: string } {
  const kind = dice.int(12)
  if (kind === 0) {
    const n = dice.int(t.bytes.length)
    return { bytes: t.bytes.slice(0, n), what: `cut to ${n}` }
  }
  if (kind === 1) {
    const at = place(t, dice)
    const n = 1 + dice.int(32)
    const bytes = new Uint8Array(t.bytes.length + n)
    bytes.set(t.bytes.subarray(0, at))
    bytes.set(t.bytes.subarray(at), at + n)
    return { bytes, what: `insert ${n} at ${at}` }
  }
  if (kind === 2) {
    const at = place(t, dice)
    const n = Math.min(1 + dice.int(32), t.bytes.length - at)
    const bytes = new Uint8Array(t.bytes.length - n)
    bytes.set(t.bytes.subarray(0, at))
    bytes.set(t.bytes.subarray(at + n), at)
    return { bytes, what: `delete ${n} at ${at}` }
  }
  const bytes = t.bytes.slice()
  const what = Array.from({ length: 1 + dice.int(4) }, () => damage(t, bytes, dice)).join(', ')
  return { bytes, what }
}

const DTYPES: readonly DType[] = ['int8', 'uint8', 'int16', 'int32', 'int64', 'float32', 'bool']
const NUMBERS = [-2147483648, -129, -2, -1, 0, 1, 2, 3, 4, 5, 7, 16, 255, 1000, 65535, 2147483647]

function mutateTensor(t: Tensor, dice: Dice): string {
  const other = dice.int(3)
  switch (dice.int(6)) {
    case 0: {
      const shape = [...t.shape]
      if (shape.length) shape[dice.int(shape.length)] = dice.pick([0, 1, 2, 3, 5, 8, 17, 64, 1000])
      t.shape = shape
      return `shape of ${t.name} to [${shape}]`
    }
    case 1:
      t.shape = other === 0 ? [1, ...t.shape] : other === 1 ? t.shape.slice(1) : [...t.shape].reverse()
      return `rank of ${t.name} to [${t.shape}]`
    case 2:
      t.dtype = dice.pick(DTYPES)
      return `type of ${t.name} to ${t.dtype}`
    case 3:
      if (t.data && t.data.length > 0) {
        const data = t.data.slice()
        const v = new DataView(data.buffer)
        const k = dice.int(data.length) & ~3
        if (k + 4 <= data.length) v.setInt32(k, dice.pick(NUMBERS), true)
        else data[k]! ^= 255
        t.data = data
      }
      return `data of ${t.name}`
    case 4:
      if (dice.int(3) === 0) delete t.quantization
      else if (t.quantization) {
        const s = t.quantization.scales.slice()
        s[dice.int(s.length)] = dice.pick([0, 1e-38, 1e-10, 0.003, 0.5, 300, 1e30, 3e38])
        t.quantization = { ...t.quantization, scales: s }
      }
      return `scale of ${t.name}`
    default:
      if (t.quantization) {
        const z = t.quantization.zeroPoints.slice()
        z[dice.int(z.length)] = dice.pick([-128, -1, 0, 1, 127, 128, 255])
        t.quantization = { ...t.quantization, zeroPoints: z }
      }
      return `zero point of ${t.name}`
  }
}

function mutateOp(op: Op, graph: Graph, dice: Dice): string {
  const attrs = op.attrs as Record<string, unknown>
  const names = Object.keys(attrs)
  if (names.length > 0 && dice.int(3) > 0) {
    const name = dice.pick(names)
    const old = attrs[name]
    const value =
      typeof old === 'boolean'
        ? !old
        : typeof old === 'number'
          ? dice.pick(NUMBERS)
          : name === 'padding'
            ? old === 'SAME'
              ? 'VALID'
              : 'SAME'
            : name === 'activation'
              ? dice.pick(['NONE', 'RELU', 'RELU6', 'RELU_N1_TO_1'])
              : old
    op.attrs = { ...attrs, [name]: value }
    return `${op.type}.${name} to ${String(value)}`
  }
  const operands = dice.int(4) === 0 ? [...op.outputs] : [...op.inputs]
  if (operands.length === 0) return 'nothing'
  const k = dice.int(operands.length)
  const tensor = dice.int(graph.tensors.length)
  if (dice.int(6) === 0) {
    op.inputs = op.inputs.length > 2 ? op.inputs.slice(0, -1) : [...op.inputs, tensor]
    return `${op.type} with ${op.inputs.length} inputs`
  }
  if (dice.int(4) === 0) {
    op.outputs = op.outputs.map((o, i) => (i === k ? tensor : o))
    return `${op.type} output ${k} to ${tensor}`
  }
  op.inputs = op.inputs.map((o, i) => (i === k ? tensor : o))
  return `${op.type} input ${k} to ${tensor}`
}

/** Ops that share their shape of attributes, so that a file may say one for the other. */
const ALIKE: readonly (readonly Op['type'][])[] = [
  ['ADD', 'SUB', 'MUL', 'DIV'],
  ['AVERAGE_POOL_2D', 'MAX_POOL_2D'],
  ['MEAN', 'SUM'],
  ['RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR'],
  ['CONV_2D', 'TRANSPOSE_CONV'],
  ['LOGISTIC', 'TANH', 'HARD_SWISH', 'RELU', 'RELU6', 'RELU_N1_TO_1', 'QUANTIZE', 'DEQUANTIZE', 'CAST', 'SQUEEZE'],
  ['PAD', 'EXPAND_DIMS', 'TRANSPOSE', 'RESHAPE'],
]

/**
 * A graph changed in one to three places, well-formed as a file but not as a model. Constants that are not changed are
 * shared.
 */
export function mutateGraph(source: Graph, dice: Dice): { graph: Graph; what: string } {
  const graph: Graph = {
    ...source,
    tensors: source.tensors.map((t) => ({ ...t })),
    ops: source.ops.map((op) => ({ ...op })),
    inputs: [...source.inputs],
    outputs: [...source.outputs],
  }
  const what = Array.from({ length: 1 + dice.int(3) }, () => {
    const kind = dice.int(8)
    if (kind < 4) return mutateTensor(dice.pick(graph.tensors), dice)
    const op = dice.pick(graph.ops)
    if (kind < 7) return mutateOp(op, graph, dice)
    const alike = ALIKE.find((types) => types.includes(op.type))
    if (!alike) {
      const list = dice.int(2) ? graph.inputs : graph.outputs
      list[dice.int(list.length)] = dice.int(graph.tensors.length)
      return 'graph input or output'
    }
    op.type = dice.pick(alike)
    return `becomes ${op.type}`
  })
  return { graph, what: what.join(', ') }
}
