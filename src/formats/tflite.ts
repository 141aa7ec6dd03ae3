/**
 * `.tflite` to Graph. Everything a file can get wrong by itself is checked here: offsets, counts, shapes, the length of
 * every constant, quantization, operand indices, and that ops come in an order in which they can run. What Thimble
 * can't run becomes an UNSUPPORTED op, so that `lower` can list them all at once.
 * Not done here: whether an op's shapes and types fit each other, which is `lower`'s.
 * Source: tensorflow/lite/schema/schema.fbs (slots and defaults), core/interpreter_builder.cc (what it demands of a file).
 */
import { ThimbleError } from '../errors.ts'
import type { DType, Graph, Metadata, Op, Quantization, Tensor } from '../graph.ts'
import { dtypeBytes } from '../graph.ts'
import { FlatBuffer, type Table } from './flatbuffer.ts'
import { readMetadata } from './metadata.ts'
import { TYPE_NAMES } from './tflite-names.ts'
import { opName, readOp, type RawOp } from './tflite-ops.ts'

export const MAX_TENSORS = 65536
export const MAX_OPS = 65536
export const MAX_OPERANDS = 1024
export const MAX_RANK = 32
/** Most elements and most bytes of one tensor: what a signed 32-bit index reaches. */
export const MAX_TENSOR_BYTES = 2 ** 31 - 1

const DTYPES: Record<string, DType> = {
  FLOAT32: 'float32', FLOAT16: 'float16', FLOAT64: 'float64', INT8: 'int8', UINT8: 'uint8', INT16: 'int16', UINT16: 'uint16',
  INT32: 'int32', UINT32: 'uint32', INT64: 'int64', UINT64: 'uint64', BOOL: 'bool'
}

/** A tensor with what the graph has no room for. */
interface Read {
  tensor: Tensor
  /** Why ops on it can't run, e.g. `INT4 tensors`; undefined for an ordinary tensor. */
  opaque: string | undefined
  /** Has a value before the first op: a constant or a variable. */
  ready: boolean
  constant: boolean
}

/** The bytes of every buffer, inside the FlatBuffer or behind it (files over 2 GB); undefined for an empty one. */
function readBuffers(model: Table, bytes: Uint8Array): (Uint8Array | undefined)[] {
  return model.tables(4, 'buffers', 4 * MAX_TENSORS).map(buffer => {
    const offset = buffer.uint64(1), size = buffer.uint64(2)
    if (offset > 1) {
      buffer.file.need(offset, size, buffer.path)
      return size > 0 ? bytes.subarray(offset, offset + size) : undefined
    }
    const data = buffer.bytes(0, 'data')
    return data && data.length > 0 ? data : undefined
  })
}

/** Shape of a tensor; a dynamic dimension is already a number here (its signature's -1 is not read). Errors: `format/shape`. */
function readShape(table: Table, name: string, width: number): number[] {
  const shape = table.int32s(0, 'shape', MAX_RANK) ?? []
  let bytes = width
  for (const dim of shape) {
    if (dim < 0) throw new ThimbleError('format/shape', 'negative dimension', { tensor: name, expected: 'at least 0', got: `[${shape}]` })
    bytes *= dim
    if (bytes > MAX_TENSOR_BYTES) throw new ThimbleError('format/shape', 'tensor too large', { tensor: name, expected: `at most ${MAX_TENSOR_BYTES} bytes`, got: `[${shape}]` })
  }
  return shape
}

const ZERO_POINT_RANGE: Partial<Record<DType, readonly [number, number]>> = { int8: [-128, 127], uint8: [0, 255], int16: [-32768, 32767], uint16: [0, 65535] }

/** Quantization of a tensor; undefined when it has no scales. Errors: `format/quantization`. */
function readQuantization(q: Table | undefined, name: string, shape: readonly number[], dtype: DType): Quantization | undefined {
  const scales = q?.float32s(2, 'scale', MAX_TENSOR_BYTES)
  if (!q || !scales || scales.length === 0) return undefined
  const bad = (what: string, expected: string | number, got: string | number): ThimbleError => new ThimbleError('format/quantization', what, { tensor: name, expected, got })
  const zeroPoints = q.int64s(3, 'zero_point', MAX_TENSOR_BYTES) ?? []
  if (zeroPoints.length !== scales.length) throw bad('not one zero point for each scale', scales.length, zeroPoints.length)
  const axis = q.int32(6)
  if (axis < 0 || (shape.length > 0 && axis >= shape.length)) throw bad('quantized dimension', `0 to ${shape.length - 1}`, axis)
  if (scales.length !== 1 && scales.length !== shape[axis]) throw bad('number of scales', `1 or ${shape[axis]}`, scales.length)
  const scale = scales.find(s => !(s >= 0 && s < Infinity))
  if (scale !== undefined) throw bad('scale', 'a finite number, not negative', scale)
  const [lo, hi] = ZERO_POINT_RANGE[dtype] ?? [-(2 ** 31), 2 ** 31 - 1]
  const zeroPoint = zeroPoints.find(z => !(z >= lo && z <= hi))
  if (zeroPoint !== undefined) throw bad('zero point', `${lo} to ${hi}`, zeroPoint)
  return { scales: Float32Array.from(scales), zeroPoints: Int32Array.from(zeroPoints), axis }
}

function readTensor(table: Table, index: number, buffers: readonly (Uint8Array | undefined)[]): Read {
  const name = table.string(3, 'name') || `tensor ${index}`
  const type = table.int8(1)
  const typeName = TYPE_NAMES[type]
  if (typeName === undefined) throw new ThimbleError('format/tensor-type', 'unknown tensor type', { tensor: name, expected: `0 to ${TYPE_NAMES.length - 1}`, got: type, hint: 'the file is damaged or newer than this reader' })
  const known = DTYPES[typeName]
  const dtype = known ?? 'string'
  const shape = readShape(table, name, dtypeBytes(dtype))
  const bufferIndex = table.uint32(2)
  // Buffer 0 is empty by convention, and some writers leave out the whole list.
  if (bufferIndex >= Math.max(buffers.length, 1)) throw new ThimbleError('format/buffer', 'buffer index out of range', { tensor: name, expected: `less than ${buffers.length}`, got: bufferIndex })
  if (table.uint32(10) !== 0) throw new ThimbleError('format/external-weights', 'the weights are in another file', { tensor: name, hint: 'convert the model to a single file' })
  const variable = table.bool(5)
  const data = buffers[bufferIndex]
  const quantization = table.table(4, 'quantization')
  const details = quantization?.uint8(4) ?? 0
  const opaque = known === undefined ? `${typeName} tensors` : table.has(6) ? 'sparse tensors' : details === 2 ? 'blockwise quantization' : details !== 0 ? 'custom quantization' : undefined
  const tensor: Tensor = { name, shape, dtype }
  if (opaque) return { tensor, opaque, ready: data !== undefined || variable, constant: data !== undefined }
  const q = readQuantization(quantization, name, shape, dtype)
  if (q) tensor.quantization = q
  if (data) {
    const expected = shape.reduce((a, b) => a * b, dtypeBytes(dtype))
    if (data.length !== expected) throw new ThimbleError('format/constant-size', `constant of another size than its shape [${shape}] and type ${dtype}`, { tensor: name, expected: `${expected} bytes`, got: data.length })
    tensor.data = data
  }
  return { tensor, opaque: variable ? 'variable tensors' : undefined, ready: data !== undefined || variable, constant: data !== undefined }
}

/** A list of tensor indices, each in range; -1 (absent) only where `optional`. Errors: `format/tensor-index`. */
function readIndices(table: Table, slot: number, name: string, max: number, tensors: number, optional: boolean): number[] {
  const indices = table.int32s(slot, name, max) ?? []
  for (const i of indices) {
    if (i >= tensors || i < (optional ? -1 : 0)) throw new ThimbleError('format/tensor-index', `tensor index out of range at ${table.path}.${name}`, { expected: `0 to ${tensors - 1}`, got: i, hint: 'the file is damaged' })
  }
  return indices
}

function readCodes(model: Table): { code: number; customCode: string | undefined }[] {
  // Codes above 127 are only in the wider field; old files have only the narrow one.
  return model.tables(1, 'operator_codes', MAX_OPS).map(t => ({ code: Math.max(t.int8(0), t.int32(3)), customCode: t.string(1, 'custom_code') }))
}

function readRawOp(table: Table, index: number, codes: readonly { code: number; customCode: string | undefined }[], tensorCount: number, bytes: Uint8Array): RawOp {
  const opcode = table.uint32(0)
  if (opcode >= codes.length) throw new ThimbleError('format/opcode', 'opcode index out of range', { op: `op ${index}`, expected: `less than ${codes.length}`, got: opcode, hint: 'the file is damaged' })
  const largeOffset = table.uint64(9), largeSize = table.uint64(10)
  if (largeOffset > 1) table.file.need(largeOffset, largeSize, `${table.path}.large_custom_options`)
  return {
    ...codes[opcode],
    optionsType: table.uint8(3),
    options: table.table(4, 'builtin_options'),
    customOptions: largeOffset > 1 ? bytes.subarray(largeOffset, largeOffset + largeSize) : table.bytes(5, 'custom_options'),
    inputs: readIndices(table, 1, 'inputs', MAX_OPERANDS, tensorCount, true),
    outputs: readIndices(table, 2, 'outputs', MAX_OPERANDS, tensorCount, false)
  }
}

/** Marks what `op` writes. Errors: `format/order` when it reads what nothing has written yet, `format/written-twice`. */
function checkOrder(raw: RawOp, where: string, reads: readonly Read[], written: boolean[]): void {
  for (const i of raw.inputs) {
    if (i < 0 || written[i]) continue
    throw new ThimbleError('format/order', 'reads a tensor that no earlier op, input or constant provides', { op: where, tensor: reads[i].tensor.name, hint: 'the file is damaged' })
  }
  for (const i of raw.outputs) {
    if (written[i]) throw new ThimbleError('format/written-twice', 'writes a tensor that is a constant, an input or written before', { op: where, tensor: reads[i].tensor.name, hint: 'the file is damaged' })
    written[i] = true
  }
}

/** Why none of Thimble's ops can take these operands, or undefined. */
function opaqueOperand(raw: RawOp, reads: readonly Read[]): string | undefined {
  for (const i of [...raw.inputs, ...raw.outputs]) {
    if (i < 0) continue
    const { opaque, tensor, constant } = reads[i]
    if (opaque) return opaque
    if (!constant && tensor.shape.includes(0) && !tensor.data) return 'empty tensors'
  }
  return undefined
}

function readOps(subgraph: Table, model: Table, reads: Read[], inputs: readonly number[], bytes: Uint8Array): Op[] {
  const tables = subgraph.tables(3, 'operators', MAX_OPS)
  const codes = readCodes(model)
  const tensors = reads.map(r => r.tensor)
  const raws = tables.map((t, i) => readRawOp(t, i, codes, tensors.length, bytes))
  const written = reads.map(r => r.ready)
  for (const i of inputs) {
    if (written[i]) throw new ThimbleError('format/inputs', 'a graph input is a constant, a variable or listed twice', { tensor: tensors[i].name, hint: 'the file is damaged' })
    written[i] = true
  }
  // An empty tensor that nothing writes is an empty constant (the shape of a scalar, no axes): a file stores no bytes for it.
  const produced = new Set(raws.flatMap(raw => raw.outputs))
  reads.forEach((r, i) => {
    if (written[i] || produced.has(i) || r.opaque || !r.tensor.shape.includes(0)) return
    r.tensor.data = bytes.subarray(0, 0)
    written[i] = true
  })
  return raws.map((raw, i) => {
    const where = `${opName(raw)} at op ${i}`
    checkOrder(raw, where, reads, written)
    const opaque = opaqueOperand(raw, reads)
    const read = readOp(raw, tensors, where)
    const op = opaque && read.type !== 'UNSUPPORTED' ? { type: 'UNSUPPORTED', attrs: { name: `${opName(raw)} with ${opaque}` } } : read
    return { ...op, inputs: raw.inputs, outputs: raw.outputs } as Op
  })
}

/** The model's own description, and what its TFLITE_METADATA buffer and label file say. Converters' signatures are no description. */
function readModelMetadata(model: Table, buffers: readonly (Uint8Array | undefined)[], bytes: Uint8Array, graph: Graph): Metadata {
  const description = model.string(3, 'description') ?? ''
  const own: Metadata = description === '' || /^(MLIR|TOCO) Converted\.?$/.test(description) ? {} : { description }
  const entry = model.tables(6, 'metadata', MAX_OPS).find(t => t.string(0, 'name') === 'TFLITE_METADATA')
  const buffer = entry && buffers[entry.uint32(1)]
  return buffer ? { ...own, ...readMetadata(buffer, bytes, graph) } : own
}

/**
 * Reads a TensorFlow Lite model. Constants are views of `bytes`: keep it unchanged while the graph lives.
 * Ops and tensor kinds that Thimble does not run become UNSUPPORTED ops. Only subgraph 0 is read: the others are bodies
 * of control-flow ops, which are unsupported by name.
 * `quantization.axis` is the file's quantized_dimension, also when there is one scale.
 * Errors: `format/…` for a file that is no model, truncated, damaged or inconsistent with itself.
 */
export function readTflite(bytes: Uint8Array): Graph {
  const file = new FlatBuffer(bytes, 'model')
  const model = file.root('TFL3')
  const version = model.uint32(0)
  if (version !== 3) throw new ThimbleError('format/version', 'unknown version of the TFLite schema', { expected: 3, got: version })
  const subgraph = model.tables(2, 'subgraphs', MAX_OPS)[0]
  if (!subgraph) throw new ThimbleError('format/no-graph', 'the model holds no graph', { hint: 'the file is truncated or damaged' })
  const buffers = readBuffers(model, bytes)
  const reads = subgraph.tables(0, 'tensors', MAX_TENSORS).map((t, i) => readTensor(t, i, buffers))
  const inputs = readIndices(subgraph, 1, 'inputs', MAX_OPERANDS, reads.length, false)
  const outputs = readIndices(subgraph, 2, 'outputs', MAX_OPERANDS, reads.length, false)
  if (inputs.length === 0 || outputs.length === 0) throw new ThimbleError('format/inputs', 'the model has no inputs or no outputs', { expected: 'at least 1 of each', got: `${inputs.length} and ${outputs.length}` })
  const ops = readOps(subgraph, model, reads, inputs, bytes)
  const provided = new Set([...inputs, ...ops.flatMap(op => op.outputs)])
  for (const i of outputs) {
    if (!provided.has(i) && !reads[i].ready) throw new ThimbleError('format/order', 'no op writes a graph output', { tensor: reads[i].tensor.name, hint: 'the file is damaged' })
  }
  const graph: Graph = { tensors: reads.map(r => r.tensor), ops, inputs, outputs, metadata: {} }
  graph.metadata = readModelMetadata(model, buffers, bytes, graph)
  return graph
}
