/**
 * What a `.thimble` file holds. packed-frame.ts has the bytes around it. The header is one object, keys sorted, no
 * white space:
 *
 * ```
 * { "inputs": [tensor, …], "outputs": [tensor, …], "metadata": Metadata,
 *   "ops": [{ "attrs": {…}, "inputs": […], "outputs": […], "type": "CONV_2D" }, …],          as in graph.ts; -1: absent
 *   input "tensors": [{ "name", "shape", "dtype",
 *     "data": offset,                                          constants: row-major bytes, as many as shape and dtype
 *     say "initial": offset,                                   state: what it begins with, likewise
 *     "quantization": { "scale": 0.5, "zeroPoint": -3, "axis"? }                                      one scale
 *                  or { "scales": offset, "zeroPoints"?: offset, "count": n, "axis"? } }, …],         float32s, int32s;
 *                  all 0 when absent
 *   "programs"?: […] }                                         compiled for some kernel sets, see programs.ts
 * ```
 * Offsets count from the data's start. Equal constants are stored once. A scale in the JSON is the shortest decimal
 * that reads back as the same double, so float32 values survive exactly. Equal graphs give equal bytes.
 * A reader must refuse anything `checkGraph` refuses.
 */
import {
  dtypeBytes,
  elements,
  type DType,
  type Graph,
  type Metadata,
  type Op,
  type OpAttributes,
  type OpType,
  type Quantization,
  type Tensor,
} from '../graph.ts'
import { int32s } from '../words.ts'
import { ThimbleError } from '../errors.ts'
import { checkMetadata } from './check-metadata.ts'
import { headFits, stepsFit } from './check-program.ts'
import { checkGraph, checkShape, OP_SPECS } from './check.ts'
import { ALIGN, headerError, isObject, openFrame, type Frame } from './packed-frame.ts'
import { fromLeb128, PACKERS, type ProgramHead, type StoredProgram } from './programs.ts'

/** The attributes that an op of this type has, and no others. */
export function pick<T extends OpType>(attrs: object, type: T): OpAttributes[T] {
  return Object.fromEntries(
    Object.keys(OP_SPECS[type].attrs).map((name) => [name, (attrs as Record<string, unknown>)[name]]),
  ) as OpAttributes[T]
}

function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw headerError(where, 'a list', value)
  return value
}

function integers(value: unknown, where: string): number[] {
  const values = list(value, where)
  if (!values.every(Number.isInteger)) throw headerError(where, 'a list of integers', value)
  return values as number[]
}

function object(value: unknown, where: string): Record<string, unknown> {
  if (!isObject(value)) throw headerError(where, 'an object', value)
  return value
}

/** `[offset, offset + length)` of the data part, as a view. */
function slice(data: Uint8Array, offset: unknown, length: number, where: string): Uint8Array {
  if (
    !Number.isInteger(offset) ||
    (offset as number) < 0 ||
    (offset as number) % ALIGN !== 0 ||
    (offset as number) + length > data.length
  ) {
    throw headerError(`${where} offset`, `a multiple of ${ALIGN}, at most ${data.length - length}`, offset)
  }
  return data.subarray(offset as number, (offset as number) + length)
}

function unpackQuantization(value: unknown, data: Uint8Array, where: string): Quantization {
  const { scale, zeroPoint, scales, zeroPoints, count, axis = 0 } = object(value, where)
  if (!Number.isInteger(axis)) throw headerError(`${where} axis`, 'an integer', axis)
  if (scales === undefined) {
    if (typeof scale !== 'number' || !Number.isInteger(zeroPoint) || zeroPoint !== ((zeroPoint as number) | 0)) {
      throw headerError(where, 'a scale and a zero point', value)
    }
    return { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zeroPoint), axis: axis as number }
  }
  // The bytes must be there before anything of this size is allocated.
  if (!Number.isInteger(count) || (count as number) < 1) throw headerError(`${where} count`, 'at least 1', count)
  const words = (offset: unknown, name: string): Int32Array =>
    int32s(slice(data, offset, 4 * (count as number), `${where} ${name}`))
  return {
    scales: new Float32Array(words(scales, 'scales').buffer),
    zeroPoints: zeroPoints === undefined ? new Int32Array(count as number) : words(zeroPoints, 'zeroPoints'),
    axis: axis as number,
  }
}

const DTYPES: readonly string[] = [
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
  'string',
] satisfies DType[]

function unpackTensor(value: unknown, index: number, data: Uint8Array): Tensor {
  const where = `tensor ${index}`
  const { name, shape, dtype, quantization, data: offset, initial } = object(value, where)
  if (typeof name !== 'string') throw headerError(`${where} name`, 'a string', name)
  if (typeof dtype !== 'string' || !DTYPES.includes(dtype)) {
    throw headerError(`${where} dtype`, DTYPES.join(', '), dtype)
  }
  const tensor: Tensor = { name, shape: integers(shape, `${where} shape`), dtype: dtype as DType }
  checkShape(tensor)
  if (quantization !== undefined) tensor.quantization = unpackQuantization(quantization, data, `${where} quantization`)
  if (initial !== undefined) {
    tensor.initial = slice(data, initial, elements(tensor.shape) * dtypeBytes(tensor.dtype), `${where} initial state`)
  }
  if (offset !== undefined) {
    tensor.data = slice(data, offset, elements(tensor.shape) * dtypeBytes(tensor.dtype), `${where} data`)
  }
  return tensor
}

function unpackOp(value: unknown, index: number): Op {
  const where = `op ${index}`
  const { type, inputs, outputs, attrs } = object(value, where)
  if (typeof type !== 'string' || !Object.hasOwn(OP_SPECS, type) || type === 'UNSUPPORTED') {
    throw headerError(`${where} type`, 'an op of this version', type)
  }
  return {
    type,
    inputs: integers(inputs, `${where} inputs`),
    outputs: integers(outputs, `${where} outputs`),
    attrs: pick(object(attrs, `${where} attrs`), type as OpType),
  } as Op
}

/**
 * Reads a packed file. Constants are views of `bytes`: keep it unchanged while the graph lives.
 * Errors: `format/packed` for any truncation or changed byte; `format/version`; `format/packed-header`,
 * `format/metadata` and those of `checkGraph` for a file that something else wrote.
 */
export function readPacked(bytes: Uint8Array): Graph {
  const { header, data } = openFrame(bytes)
  const graph: Graph = {
    tensors: list(header.tensors, 'tensors').map((t, i) => unpackTensor(t, i, data)),
    ops: list(header.ops, 'ops').map(unpackOp),
    inputs: integers(header.inputs, 'inputs'),
    outputs: integers(header.outputs, 'outputs'),
    metadata: checkMetadata(header.metadata),
  }
  checkGraph(graph)
  return graph
}

/** What loading a file needs when it holds a program for the engine. */
export interface Ready {
  program: StoredProgram
  inputs: Tensor[]
  outputs: Tensor[]
  metadata: Metadata
}

/** Whether a file, checked or not, says that it holds a program for `target`. */
export const holdsProgram = ({ header }: Frame, target: string): boolean =>
  Array.isArray(header.programs) && header.programs.some((p) => isObject(p) && p.for === target)

/**
 * The program for `target` and what goes with it; undefined when there is none, or none that may be loaded. The frame's
 * file `isSealed`. What `tablesFit` says is to be asked when the program's steps have run.
 */
export function readProgram({ header, data }: Frame, target: string): Ready | undefined {
  const found = Array.isArray(header.programs)
    ? header.programs.find((p): p is Record<string, unknown> => isObject(p) && p.for === target)
    : undefined
  if (!found) return undefined
  const { steps, bytes, count, ...rest } = found
  const head = rest as unknown as ProgramHead
  try {
    const tensors = list(header.tensors, 'tensors')
    const ports = (indices: unknown, where: string): Tensor[] =>
      integers(indices, where).map((i) => unpackTensor(tensors[i], i, data))
    const inputs = ports(header.inputs, 'inputs')
    const outputs = ports(header.outputs, 'outputs')
    const metadata = checkMetadata(header.metadata)
    const isLength = (n: unknown, most: number): n is number =>
      Number.isInteger(n) && (n as number) >= 0 && (n as number) <= most
    // Every number takes a byte at least.
    if (!isLength(bytes, data.length) || !isLength(count, bytes)) return undefined
    if (!headFits(head, inputs.length, outputs.length)) return undefined
    const numbers = fromLeb128(slice(data, steps, bytes, 'steps'), count)
    if (!stepsFit(numbers, head, PACKERS, data.length)) return undefined
    const { memoryBytes, arenaAddress, arenaBytes, header: fields } = head
    return {
      program: { for: target, memoryBytes, arenaAddress, arenaBytes, header: fields, steps: numbers },
      inputs,
      outputs,
      metadata,
    }
  } catch (error) {
    // Reading the graph says what is wrong.
    if (error instanceof ThimbleError) return undefined
    throw error
  }
}
