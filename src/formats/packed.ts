/**
 * Thimble's own model file, `.thimble`: one self-describing buffer that can be mapped and used in place.
 *
 * ```
 * byte  0  magic     8 bytes   "THIMBLE" and 0x1A
 *       8  version   uint32    1
 *      12  checksum  uint32    CRC-32 of every byte from 16 to the end
 *      16  size      uint32    of the whole file, in bytes
 *      20  header    uint32    bytes of JSON
 *      24  data      uint32    where the data begins: 32 + header, rounded up to 16
 *      28  reserved  uint32    0
 *      32  header    JSON, UTF-8, then spaces up to the data
 *    data  constants and tables, each starting at a multiple of 16, the gaps and the end filled with zeros to 16
 * ```
 * All numbers are little-endian; the file is a multiple of 16 bytes, at most 4 GB.
 *
 * The header is one object, keys sorted, no white space:
 * ```
 * { "inputs": [tensor, …], "outputs": [tensor, …], "metadata": Metadata,
 *   "ops": [{ "attrs": {…}, "inputs": […], "outputs": […], "type": "CONV_2D" }, …],          as in graph.ts; -1: absent input
 *   "tensors": [{ "name", "shape", "dtype",
 *     "data": offset,                                          constants: row-major bytes, as many as shape and dtype say
 *     "quantization": { "scale": 0.5, "zeroPoint": -3, "axis"? }                                      one scale
 *                  or { "scales": offset, "zeroPoints"?: offset, "count": n, "axis"? } }, …] }        float32s, int32s; all 0 when absent
 * ```
 * An optional "plans": [{ "for": ["simd x86", …], "offsets": […], "units": […] }, …] holds what the planner found, see plan/stored.ts;
 * a plan that does not fit is passed over.
 *
 * Offsets count from the data's start. Equal constants are stored once. A scale in the JSON is the shortest decimal
 * that reads back as the same double, so float32 values survive exactly. Equal graphs give equal bytes.
 * A reader must refuse another version, a wrong size, a wrong checksum, and anything `checkGraph` refuses: the checksum
 * finds damage, it does not make a file trustworthy.
 */
import { ThimbleError } from '../errors.ts'
import { dtypeBytes, elements, type DType, type Graph, type Op, type OpAttributes, type OpType, type Quantization, type Tensor } from '../graph.ts'
import type { StoredPlan } from '../plan/stored.ts'
import { int32s } from '../words.ts'
import { checkMetadata } from './check-metadata.ts'
import { checkGraph, checkShape, OP_SPECS, opLabel } from './check.ts'
import { crc32 } from '../scan.ts'

export const PACKED_MAGIC: readonly number[] = [0x54, 0x48, 0x49, 0x4d, 0x42, 0x4c, 0x45, 0x1a]
export const PACKED_VERSION = 1
const START = 32
const ALIGN = 16
const MAX_BYTES = 2 ** 32 - ALIGN

const align = (n: number): number => Math.ceil(n / ALIGN) * ALIGN
const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

/** The data part while it grows: where each piece goes, equal pieces once. */
class DataWriter {
  readonly pieces: { at: number; bytes: Uint8Array }[] = []
  length = 0
  private readonly byHash = new Map<number, number[]>()

  add(bytes: Uint8Array): number {
    const hash = crc32(bytes)
    const known = this.byHash.get(hash) ?? []
    for (const i of known) {
      const other = this.pieces[i].bytes
      if (other.length === bytes.length && other.every((b, k) => b === bytes[k])) return this.pieces[i].at
    }
    const at = this.length
    this.byHash.set(hash, [...known, this.pieces.push({ at, bytes }) - 1])
    this.length = align(at + bytes.length)
    return at
  }
}

/** Little-endian bytes of float32 or int32 values. */
function wordBytes(values: Float32Array | Int32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length))
  values.forEach((v, i) => values instanceof Float32Array ? view.setFloat32(4 * i, v, true) : view.setInt32(4 * i, v, true))
  return new Uint8Array(view.buffer)
}

function packQuantization({ scales, zeroPoints, axis }: Quantization, data: DataWriter): Record<string, unknown> {
  const along = axis === 0 ? {} : { axis }
  if (scales.length === 1) return { scale: scales[0], zeroPoint: zeroPoints[0], ...along }
  const zeros = zeroPoints.every(z => z === 0) ? {} : { zeroPoints: data.add(wordBytes(zeroPoints)) }
  return { scales: data.add(wordBytes(scales)), ...zeros, count: scales.length, ...along }
}

function packTensor({ name, shape, dtype, quantization, data }: Tensor, writer: DataWriter): Record<string, unknown> {
  return {
    name, shape: [...shape], dtype,
    ...(quantization ? { quantization: packQuantization(quantization, writer) } : {}),
    ...(data ? { data: writer.add(data) } : {})
  }
}

/** JSON with sorted keys, so that equal graphs give equal text. */
const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) => isObject(v) ? Object.fromEntries(Object.keys(v).sort().map(k => [k, v[k]])) : v)

/**
 * The packed file of a graph: the same bytes for the same graph, on every machine.
 * Errors: those of `checkGraph`; `format/unsupported-op` when the graph holds ops that Thimble has no form for (all of
 * them are named); `format/too-large` above 4 GB.
 */
export function writePacked(graph: Graph): Uint8Array {
  const unsupported = graph.ops.flatMap((op, i) => op.type === 'UNSUPPORTED' ? [opLabel(op, i)] : [])
  if (unsupported.length > 0) throw new ThimbleError('format/unsupported-op', `ops that can't be stored: ${unsupported.join(', ')}`)
  checkGraph(graph)
  const data = new DataWriter()
  const json = new TextEncoder().encode(canonicalJson({
    tensors: graph.tensors.map(t => packTensor(t, data)),
    ops: graph.ops.map(op => ({ type: op.type, inputs: [...op.inputs], outputs: [...op.outputs], attrs: pick(op.attrs, op.type) })),
    inputs: graph.inputs, outputs: graph.outputs, metadata: checkMetadata(graph.metadata), plans: graph.plans?.length ? graph.plans : undefined
  }))
  const dataStart = align(START + json.length)
  const size = dataStart + data.length
  if (size > MAX_BYTES) throw new ThimbleError('format/too-large', 'packed file', { expected: `at most ${MAX_BYTES} bytes`, got: size })
  const out = new Uint8Array(size)
  const view = new DataView(out.buffer)
  out.set(PACKED_MAGIC)
  view.setUint32(8, PACKED_VERSION, true)
  view.setUint32(16, size, true)
  view.setUint32(20, json.length, true)
  view.setUint32(24, dataStart, true)
  out.fill(0x20, START, dataStart)
  out.set(json, START)
  for (const { at, bytes } of data.pieces) out.set(bytes, dataStart + at)
  view.setUint32(12, crc32(out.subarray(16)), true)
  return out
}

/** The attributes that an op of this type has, and no others. */
function pick<T extends OpType>(attrs: object, type: T): OpAttributes[T] {
  return Object.fromEntries(Object.keys(OP_SPECS[type].attrs).map(name => [name, (attrs as Record<string, unknown>)[name]])) as OpAttributes[T]
}

const headerError = (what: string, expected: string, got: unknown): ThimbleError =>
  new ThimbleError('format/packed-header', what, { expected, got: JSON.stringify(got)?.slice(0, 80) ?? 'nothing', hint: 'the file was written by something else than Thimble' })

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
  if (!Number.isInteger(offset) || (offset as number) < 0 || (offset as number) % ALIGN !== 0 || (offset as number) + length > data.length) {
    throw headerError(`${where} offset`, `a multiple of ${ALIGN}, at most ${data.length - length}`, offset)
  }
  return data.subarray(offset as number, offset as number + length)
}

function unpackQuantization(value: unknown, data: Uint8Array, where: string): Quantization {
  const { scale, zeroPoint, scales, zeroPoints, count, axis = 0 } = object(value, where)
  if (!Number.isInteger(axis)) throw headerError(`${where} axis`, 'an integer', axis)
  if (scales === undefined) {
    if (typeof scale !== 'number' || !Number.isInteger(zeroPoint) || zeroPoint !== ((zeroPoint as number) | 0)) throw headerError(where, 'a scale and a zero point', value)
    return { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zeroPoint as number), axis: axis as number }
  }
  // The bytes must be there before anything of this size is allocated.
  if (!Number.isInteger(count) || (count as number) < 1) throw headerError(`${where} count`, 'at least 1', count)
  const words = (offset: unknown, name: string): Int32Array => int32s(slice(data, offset, 4 * (count as number), `${where} ${name}`))
  return {
    scales: new Float32Array(words(scales, 'scales').buffer),
    zeroPoints: zeroPoints === undefined ? new Int32Array(count as number) : words(zeroPoints, 'zeroPoints'),
    axis: axis as number
  }
}

const DTYPES: readonly string[] = ['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'float16', 'float32', 'float64', 'bool', 'string'] satisfies DType[]

function unpackTensor(value: unknown, index: number, data: Uint8Array): Tensor {
  const where = `tensor ${index}`
  const { name, shape, dtype, quantization, data: offset } = object(value, where)
  if (typeof name !== 'string') throw headerError(`${where} name`, 'a string', name)
  if (typeof dtype !== 'string' || !DTYPES.includes(dtype)) throw headerError(`${where} dtype`, DTYPES.join(', '), dtype)
  const tensor: Tensor = { name, shape: integers(shape, `${where} shape`), dtype: dtype as DType }
  checkShape(tensor)
  if (quantization !== undefined) tensor.quantization = unpackQuantization(quantization, data, `${where} quantization`)
  if (offset !== undefined) tensor.data = slice(data, offset, elements(tensor.shape) * dtypeBytes(tensor.dtype), `${where} data`)
  return tensor
}

function unpackOp(value: unknown, index: number): Op {
  const where = `op ${index}`
  const { type, inputs, outputs, attrs } = object(value, where)
  if (typeof type !== 'string' || !Object.hasOwn(OP_SPECS, type) || type === 'UNSUPPORTED') throw headerError(`${where} type`, 'an op of this version', type)
  return { type, inputs: integers(inputs, `${where} inputs`), outputs: integers(outputs, `${where} outputs`), attrs: pick(object(attrs, `${where} attrs`), type as OpType) } as Op
}

/** Only the kinds of values; whether the plan fits the graph is seen when it is used. */
function unpackPlan(value: unknown, index: number): StoredPlan {
  const where = `plan ${index}`, plan = object(value, where)
  const counts = (key: string): number[] => {
    const values = integers(plan[key], `${where} ${key}`)
    if (values.some(v => v < 0)) throw headerError(`${where} ${key}`, 'integers, not negative', values)
    return values
  }
  const targets = list(plan.for, `${where} for`)
  if (!targets.every(t => typeof t === 'string')) throw headerError(`${where} for`, 'a list of strings', targets)
  return { for: targets as string[], units: counts('units'), offsets: counts('offsets') }
}

/** The JSON and the data of a file whose frame (magic, version, size, checksum) holds. */
function openFrame(bytes: Uint8Array): { header: Record<string, unknown>; data: Uint8Array } {
  const damaged = (what: string, expected: string | number, got: string | number): ThimbleError =>
    new ThimbleError('format/packed', what, { expected, got, hint: 'the file is truncated or damaged: copy or download it again' })
  if (bytes.length < START) throw damaged('packed file too short', `at least ${START} bytes`, bytes.length)
  if (!PACKED_MAGIC.every((b, i) => bytes[i] === b)) throw damaged('packed file without its first eight bytes', 'THIMBLE', String.fromCharCode(...bytes.subarray(0, 8)))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint32(8, true)
  if (version !== PACKED_VERSION) throw new ThimbleError('format/version', 'packed file of another version', { expected: PACKED_VERSION, got: version, hint: 'write it again with this version of Thimble' })
  if (view.getUint32(16, true) !== bytes.length) throw damaged('packed file of a wrong size', view.getUint32(16, true), bytes.length)
  const checksum = crc32(bytes.subarray(16))
  if (view.getUint32(12, true) !== checksum) throw damaged('packed file with a wrong checksum', view.getUint32(12, true).toString(16), checksum.toString(16))
  const headerBytes = view.getUint32(20, true), dataStart = view.getUint32(24, true)
  if (dataStart !== align(START + headerBytes) || dataStart > bytes.length) throw headerError('header size', 'inside the file', [headerBytes, dataStart])
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(START, START + headerBytes)))
  } catch (error) {
    throw headerError(`header (${error instanceof Error ? error.message : String(error)})`, 'JSON in UTF-8', undefined)
  }
  return { header: object(header, 'header'), data: bytes.subarray(dataStart) }
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
    metadata: checkMetadata(header.metadata)
  }
  if (header.plans !== undefined) graph.plans = list(header.plans, 'plans').map(unpackPlan)
  checkGraph(graph)
  return graph
}
