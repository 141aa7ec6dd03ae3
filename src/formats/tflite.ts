/**
 * `.tflite` to Graph. Everything a file can get wrong by itself is checked here: offsets, counts, shapes, the length of
 * every constant, quantization, operand indices, and that ops come in an order in which they can run. What Thimble
 * can't run becomes an UNSUPPORTED op, so that `lower` can list them all at once.
 * Not done here: whether an op's shapes and types fit each other, which is `lower`'s.
 * Source: tensorflow/lite/schema/schema.fbs (slots and defaults), core/interpreter_builder.cc (what it demands of a
 * file).
 */
import { ThimbleError } from '../base/errors.ts'
import {
  tensorBytes,
  type DType,
  type Graph,
  type Metadata,
  type Op,
  type Quantization,
  type Tensor,
} from '../graph/graph.ts'
import { checkGraph, MAX_OPS, MAX_TENSORS } from './check.ts'
import { checkShape, MAX_OPERANDS, MAX_RANK, MAX_TENSOR_BYTES } from './check-shape.ts'
import { FlatBuffer, type Table } from './flatbuffer.ts'
import { JSON_METADATA, parseMetadata } from './check-metadata.ts'
import { readMetadata } from './metadata.ts'
import { detectionMetadata, setDetectionShapes } from '../graph/detection-op.ts'
import { ultralyticsMetadata } from './ultralytics.ts'
import { readZipFile } from './zip.ts'
import { resolveDensify, Unfolding } from './tflite-sparse.ts'
import { resolveDeconvolutions } from './tflite-custom.ts'
import { TYPE_NAMES } from './tflite-names.ts'
import { hasRow, opName, readOp, type RawOp } from './tflite-ops.ts'
import { resolveControlFlow } from './tflite-loops.ts'
import { resolveVariables, type RawSubgraph, type Read } from './tflite-variables.ts'

const DTYPES: Record<string, DType> = {
  FLOAT32: 'float32',
  FLOAT16: 'float16',
  FLOAT64: 'float64',
  INT8: 'int8',
  UINT8: 'uint8',
  INT16: 'int16',
  UINT16: 'uint16',
  INT32: 'int32',
  UINT32: 'uint32',
  INT64: 'int64',
  UINT64: 'uint64',
  BOOL: 'bool',
}

/** The bytes of every buffer, inside the FlatBuffer or behind it (files over 2 GB); undefined for an empty one. */
function readBuffers(model: Table): (Uint8Array | undefined)[] {
  const { bytes } = model.file
  return model.tables(4, 'buffers', 4 * MAX_TENSORS).map((buffer) => {
    const offset = buffer.uint64(1)
    if (offset > 1) {
      const size = buffer.uint64(2)
      buffer.file.need(offset, size, buffer)
      return size > 0 ? bytes.subarray(offset, offset + size) : undefined
    }
    const data = buffer.bytes(0, 'data')
    return data && data.length > 0 ? data : undefined
  })
}

/**
 * Quantization of a tensor; undefined when it has no scales. Errors: `format/quantization`; `checkTensor` does the
 * rest.
 */
function readQuantization(q: Table | undefined, name: string): Quantization | undefined {
  const scales = q?.float32Array(2, 'scale', MAX_TENSOR_BYTES)
  if (!q || !scales || scales.length === 0) return undefined
  const zeroPoints = q.int64sAsInt32(3, 'zero_point', MAX_TENSOR_BYTES, (value) => {
    throw new ThimbleError('format/quantization', 'zero point', {
      tensor: name,
      expected: 'a 32-bit integer',
      got: Number(value),
    })
  })
  return { scales, zeroPoints: zeroPoints ?? new Int32Array(0), axis: q.int32(6) }
}

/** Where a file's constants are. */
interface Constants {
  buffers: readonly (Uint8Array | undefined)[]
  unfolding: Unfolding
}

function readTensor(table: Table, index: number, { buffers, unfolding }: Constants): Read {
  const name = table.string(3, 'name') || `tensor ${index}`
  const type = table.int8(1)
  const typeName = TYPE_NAMES[type]
  if (typeName === undefined) {
    throw new ThimbleError('format/tensor-type', 'unknown tensor type', {
      tensor: name,
      expected: `0 to ${TYPE_NAMES.length - 1}`,
      got: type,
      hint: 'the file is damaged or newer than this reader',
    })
  }
  const known = DTYPES[typeName]
  const dtype = known ?? 'string'
  const bufferIndex = table.uint32(2)
  // Buffer 0 is empty by convention, and some writers leave out the whole list.
  if (bufferIndex >= Math.max(buffers.length, 1)) {
    throw new ThimbleError('format/buffer', 'buffer index out of range', {
      tensor: name,
      expected: `less than ${buffers.length}`,
      got: bufferIndex,
    })
  }
  if (table.uint32(10) !== 0) {
    throw new ThimbleError('format/external-weights', 'the weights are in another file', {
      tensor: name,
      hint: 'convert the model to a single file',
    })
  }
  const variable = table.bool(5)
  const data = buffers[bufferIndex]
  // An open dimension is 1 here, its -1 in shape_signature, which is not read; some writers have the -1 here.
  const shape = (table.int32s(0, 'shape', MAX_RANK) ?? []).map((d) => (d === -1 && !data ? 1 : d))
  const quantization = table.table(4, 'quantization')
  const details = quantization?.uint8(4) ?? 0
  const sparsity = table.table(6, 'sparsity')
  const opaque =
    known === undefined
      ? `${typeName} tensors`
      : sparsity && !sparsity.has(2)
        ? 'sparse tensors'
        : details === 2
          ? 'blockwise quantization'
          : details !== 0
            ? 'custom quantization'
            : undefined
  const tensor: Tensor = { name, shape, dtype }
  if (opaque) return { tensor, opaque, ready: data !== undefined || variable }
  const q = readQuantization(quantization, name)
  if (q) tensor.quantization = q
  if (sparsity) tensor.data = unfolding.dense(sparsity, tensor, data ?? new Uint8Array(0))
  else if (data) tensor.data = data
  if (variable && !data) tensor.initial = resetValue(tensor)
  // LiteRT refuses them too.
  return {
    tensor,
    opaque: variable && data ? 'variable tensors that have contents' : undefined,
    ready: variable || !!tensor.data,
  }
}

/** What a variable tensor begins with: LiteRT sets int8 bytes to the zero point, all others to 0. */
function resetValue(tensor: Tensor): Uint8Array {
  checkShape(tensor)
  const value = tensor.dtype === 'int8' ? (tensor.quantization?.zeroPoints[0] ?? 0) : 0
  return new Uint8Array(tensorBytes(tensor)).fill(value)
}

function readCodes(model: Table): { code: number; customCode: string | undefined }[] {
  // Codes above 127 are only in the wider field; old files have only the narrow one.
  return model
    .tables(1, 'operator_codes', MAX_OPS)
    .map((t) => ({ code: Math.max(t.int8(0), t.int32(3)), customCode: t.string(1, 'custom_code') }))
}

function readRawOp(
  table: Table,
  index: number,
  codes: readonly { code: number; customCode: string | undefined }[],
  bytes: Uint8Array,
): RawOp {
  const opcode = table.uint32(0)
  if (opcode >= codes.length) {
    throw new ThimbleError('format/opcode', 'opcode index out of range', {
      op: `op ${index}`,
      expected: `less than ${codes.length}`,
      got: opcode,
      hint: 'the file is damaged',
    })
  }
  const largeOffset = table.uint64(9)
  const largeSize = table.uint64(10)
  if (largeOffset > 1) table.file.need(largeOffset, largeSize, table, 'large_custom_options')
  return {
    code: codes[opcode]!.code,
    customCode: codes[opcode]!.customCode,
    optionsType: table.uint8(3),
    options: table.table(4, 'builtin_options'),
    options2: table.table(12, 'builtin_options_2'),
    customOptions:
      largeOffset > 1 ? bytes.subarray(largeOffset, largeOffset + largeSize) : table.bytes(5, 'custom_options'),
    inputs: table.int32s(1, 'inputs', MAX_OPERANDS) ?? [],
    outputs: table.int32s(2, 'outputs', MAX_OPERANDS) ?? [],
    intermediates: table.int32s(8, 'intermediates', MAX_OPERANDS),
  }
}

function opaqueIn(indices: readonly number[], reads: readonly Read[]): string | undefined {
  for (let k = 0; k < indices.length; k++) {
    const read = reads[indices[k]!]
    if (read?.opaque) return read.opaque
  }
  return undefined
}

/** Why none of Thimble's ops can take these operands, or undefined. */
function opaqueOperand(raw: RawOp, reads: readonly Read[]): string | undefined {
  return opaqueIn(raw.inputs, reads) ?? opaqueIn(raw.outputs, reads)
}

const portsOf = (subgraph: Table): { inputs: number[]; outputs: number[] } => ({
  inputs: subgraph.int32s(1, 'inputs', MAX_OPERANDS) ?? [],
  outputs: subgraph.int32s(2, 'outputs', MAX_OPERANDS) ?? [],
})

/**
 * An empty tensor that nothing writes is an empty constant (the shape of a scalar, no axes): a file stores no bytes for
 * it.
 */
function fillEmptyConstants(
  reads: readonly Read[],
  raws: readonly RawOp[],
  inputs: readonly number[],
  bytes: Uint8Array,
): void {
  const empty = reads.filter((r) => !r.opaque && r.tensor.shape.includes(0))
  if (empty.length === 0) return
  const provided = new Set([...inputs, ...raws.flatMap((raw) => raw.outputs)].map((i) => reads[i]))
  for (const r of empty) if (!provided.has(r)) r.tensor.data ??= bytes.subarray(0, 0)
}

function readOps(raws: readonly RawOp[], reads: readonly Read[]): Op[] {
  const tensors = reads.map((r) => r.tensor)
  return raws.map((raw, i) => {
    const name = opName(raw)
    const opaque = raw.refused ?? (hasRow(name) ? opaqueOperand(raw, reads) : undefined)
    const { type, attrs } = opaque
      ? { type: 'UNSUPPORTED', attrs: { name: `${name} with ${opaque}` } }
      : readOp(raw, name, tensors, i)
    return { type, inputs: raw.inputs, outputs: raw.outputs, attrs } as Op
  })
}

/**
 * The model's own description, what its TFLITE_METADATA buffer and label file say, and on top of it what a block of
 * JSON says where this project wrote one. Converters' signatures are no description.
 */
function readModelMetadata(
  model: Table,
  buffers: readonly (Uint8Array | undefined)[],
  bytes: Uint8Array,
  graph: Graph,
): Metadata {
  const description = model.string(3, 'description') ?? ''
  const own: Metadata = description === '' || /^(MLIR|TOCO) Converted\.?$/.test(description) ? {} : { description }
  const entries = model.tables(6, 'metadata', MAX_OPS)
  const buffer = (name: string): Uint8Array | undefined => {
    const entry = entries.find((t) => t.string(0, 'name') === name)
    return entry && buffers[entry.uint32(1)]
  }
  const [tflite, json] = [buffer('TFLITE_METADATA'), buffer(JSON_METADATA)]
  const beside = json ? undefined : readZipFile(bytes, 'metadata.json')
  const said: Metadata = {
    ...own,
    ...(tflite ? readMetadata(tflite, bytes, graph) : {}),
    ...(beside ? ultralyticsMetadata(new TextDecoder().decode(beside)) : {}),
  }
  const written = json ? parseMetadata(json) : {}
  // Where the preprocessing of the others came from says nothing of this one.
  if (written.preprocess) delete said.preprocessFrom
  return { ...said, ...written }
}

/**
 * Reads a TensorFlow Lite model. Constants are views of `bytes`: keep it unchanged while the graph lives.
 * Ops and tensor kinds that Thimble does not run become UNSUPPORTED ops. Control flow is written out where the file
 * decides it, and unsupported by name where the input does.
 * Resource variables become state tensors; CALL_ONCE and VAR_HANDLE are gone then. Sparse constants are laid out
 * densely; DENSIFY is gone then.
 * `quantization.axis` is the file's quantized_dimension, also when there is one scale.
 * Errors: `format/…` for a file that is no model, truncated, damaged or inconsistent with itself.
 */
export function readTflite(bytes: Uint8Array): Graph {
  const file = new FlatBuffer(bytes, 'model')
  const model = file.root('TFL3')
  const version = model.uint32(0)
  if (version !== 3) {
    throw new ThimbleError('format/version', 'unknown version of the TFLite schema', { expected: 3, got: version })
  }
  const subgraphs = model.tables(2, 'subgraphs', MAX_OPS)
  const subgraph = subgraphs[0]
  if (!subgraph) {
    throw new ThimbleError('format/no-graph', 'the model holds no graph', { hint: 'the file is truncated or damaged' })
  }
  const buffers = readBuffers(model)
  const constants: Constants = { buffers, unfolding: new Unfolding(bytes.length) }
  const tensorsOf = (t: Table): Read[] =>
    t.tables(0, 'tensors', MAX_TENSORS).map((tensor, i) => readTensor(tensor, i, constants))
  const reads = tensorsOf(subgraph)
  const { inputs } = portsOf(subgraph)
  const codes = readCodes(model)
  const opsOf = (t: Table): RawOp[] => t.tables(3, 'operators', MAX_OPS).map((op, i) => readRawOp(op, i, codes, bytes))
  const other = (index: number): RawSubgraph | undefined => {
    const t = subgraphs[index]
    return t && { ...portsOf(t), reads: tensorsOf(t), raws: opsOf(t) }
  }
  const { raws: written, outputs } = resolveControlFlow({ ...portsOf(subgraph), reads, raws: opsOf(subgraph) }, other)
  const dense = resolveDensify(resolveDeconvolutions(written, reads), reads)
  const raws = resolveVariables({ reads, raws: dense }, other)
  fillEmptyConstants(reads, raws, inputs, bytes)
  const graph: Graph = { tensors: reads.map((r) => r.tensor), ops: readOps(raws, reads), inputs, outputs, metadata: {} }
  checkGraph(
    graph,
    reads.map((r) => r.ready),
  )
  setDetectionShapes(graph)
  graph.metadata = { ...detectionMetadata(graph), ...readModelMetadata(model, buffers, bytes, graph) }
  return graph
}
