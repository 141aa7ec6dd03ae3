/**
 * Graph to a standard `.tflite` (schema version 3) that LiteRT loads: the inverse of the reader. Float and 8-bit
 * graphs.
 * Source: tensorflow/lite/schema/schema.fbs (slots).
 */
import { ThimbleError } from '../base/errors.ts'
import { elements, type Graph, type Op, type Tensor } from '../graph/graph.ts'
import { FlatBufferBuilder, i32, i8, offset, u32, u8, type Field } from './flatbuffer-build.ts'
import { labelArchive, metadataBuffers } from './metadata-write.ts'
import { BUILTIN_NAMES } from './tflite-names.ts'
import { storedOp, typeCode } from './tflite-write-ops.ts'

/** Names of custom ops. */
const CUSTOM_NAMES: Partial<Record<Op['type'], string>> = { DETECTION_POSTPROCESS: 'TFLite_Detection_PostProcess' }
const CUSTOM = BUILTIN_NAMES.indexOf('CUSTOM')

/** Operator codes in order of first use; one per op and version. */
class OperatorCodes {
  private readonly keys: string[] = []
  private readonly tables: number[] = []
  private readonly b: FlatBufferBuilder
  constructor(b: FlatBufferBuilder) {
    this.b = b
  }

  index(type: Op['type'], version: number): number {
    const key = `${type} ${version}`
    const known = this.keys.indexOf(key)
    if (known >= 0) return known
    const name = CUSTOM_NAMES[type]
    const code = name === undefined ? BUILTIN_NAMES.indexOf(type) : CUSTOM
    const custom = name === undefined ? undefined : offset(this.b.string(name))
    this.keys.push(key)
    // Old readers look only at the narrow field.
    this.tables.push(this.b.table([i8(Math.min(code, 127)), custom, i32(version), i32(code)]))
    return this.keys.length - 1
  }

  finish(): number {
    return this.b.offsetVector(this.tables)
  }
}

function writeQuantization(t: Tensor, b: FlatBufferBuilder): number {
  const q = t.quantization!
  const scales = b.float32Vector(q.scales)
  const zeroPoints = b.int64Vector(q.zeroPoints)
  return b.table([
    undefined,
    undefined,
    offset(scales),
    offset(zeroPoints),
    undefined,
    undefined,
    q.axis ? i32(q.axis) : undefined,
  ])
}

function writeTensor(t: Tensor, buffer: number, b: FlatBufferBuilder): number {
  const shape = b.int32Vector([...t.shape])
  const name = b.string(t.name)
  const quantization = t.quantization ? writeQuantization(t, b) : 0
  return b.table([
    offset(shape),
    i8(typeCode(t.dtype)),
    u32(buffer),
    offset(name),
    quantization ? offset(quantization) : undefined,
  ])
}

function writeOps(graph: Graph, codes: OperatorCodes, b: FlatBufferBuilder): number {
  return b.offsetVector(
    graph.ops.map((op) => {
      const { version, options = 0, fields, custom } = storedOp(graph, op, b)
      const body = fields ? b.table(fields) : 0
      const flex = custom ? b.byteVector(custom, 4) : 0
      const inputs = b.int32Vector([...op.inputs])
      const outputs = b.int32Vector([...op.outputs])
      return b.table([
        u32(codes.index(op.type, version)),
        offset(inputs),
        offset(outputs),
        options ? u8(options) : undefined,
        body ? offset(body) : undefined,
        flex ? offset(flex) : undefined,
      ])
    }),
  )
}

interface Buffers {
  vector: number
  index: number[]
  metadata: { name: string; buffer: number }[]
}

/** One buffer per constant and per block of metadata, and their numbers. */
function bufferTable(graph: Graph, b: FlatBufferBuilder): Buffers {
  // Buffer 0 is empty by convention: it stands for "no data".
  const tables = [b.table([])]
  const index = graph.tensors.map((t) => {
    if (!t.data || elements(t.shape) === 0) return 0
    tables.push(b.table([offset(b.byteVector(t.data, 16))]))
    return tables.length - 1
  })
  const metadata = metadataBuffers(graph).map(({ name, data }) => ({
    name,
    buffer: tables.push(b.table([offset(b.byteVector(data, 16))])) - 1,
  }))
  return { vector: b.offsetVector(tables), index, metadata }
}

/** What LiteRT's signature runners ask for: inputs and outputs by tensor name. Undefined where names repeat. */
function signature(graph: Graph, b: FlatBufferBuilder): Field | undefined {
  const unique = (list: readonly number[]): boolean =>
    new Set(list.map((t) => graph.tensors[t]!.name)).size === list.length
  if (!unique(graph.inputs) || !unique(graph.outputs)) return undefined
  const maps = (list: readonly number[]): Field =>
    offset(
      b.offsetVector(
        list.map((t) => {
          const name = b.string(graph.tensors[t]!.name)
          return b.table([offset(name), u32(t)])
        }),
      ),
    )
  const [inputs, outputs, key] = [maps(graph.inputs), maps(graph.outputs), offset(b.string('serving_default'))]
  return offset(b.offsetVector([b.table([inputs, outputs, key, undefined, u32(0)])]))
}

/**
 * Serializes a graph.
 * Returns: the bytes of a `.tflite` with one subgraph; constants are 16-byte aligned in the file. Its metadata says how
 * images become the input; labels are in a zip archive behind the model, as TFLite's tools have it.
 * Errors: `format/unsupported-op` for ops that TFLite has no builtin for, `format/dtype`.
 */
export function writeTflite(graph: Graph): Uint8Array {
  const state = graph.tensors.find((t) => t.initial)
  if (state) {
    throw new ThimbleError('format/unsupported-op', 'models with state are not written to .tflite', {
      tensor: state.name,
      hint: 'write a .thimble file',
    })
  }
  const b = new FlatBufferBuilder()
  const buffers = bufferTable(graph, b)
  const codes = new OperatorCodes(b)
  const ops = writeOps(graph, codes, b)
  const tensors = b.offsetVector(graph.tensors.map((t, i) => writeTensor(t, buffers.index[i]!, b)))
  const inputs = b.int32Vector(graph.inputs)
  const outputs = b.int32Vector(graph.outputs)
  const name = b.string('main')
  const subgraph = b.table([offset(tensors), offset(inputs), offset(outputs), offset(ops), offset(name)])
  const subgraphs = b.offsetVector([subgraph])
  const description = b.string(graph.metadata.description ?? graph.metadata.name ?? 'Thimble')
  const operatorCodes = codes.finish()
  const metadata = buffers.metadata.map(({ name, buffer }) => {
    const text = b.string(name)
    return b.table([offset(text), u32(buffer)])
  })
  const signatures = signature(graph, b)
  const list = metadata.length ? offset(b.offsetVector(metadata)) : undefined
  const model = b.finish(
    b.table([
      u32(3),
      offset(operatorCodes),
      offset(subgraphs),
      offset(description),
      offset(buffers.vector),
      undefined,
      list,
      signatures,
    ]),
    'TFL3',
  )
  const archive = labelArchive(graph.metadata)
  const out = new Uint8Array(model.length + archive.length)
  out.set(model)
  out.set(archive, model.length)
  return out
}
