/**
 * Graph to a standard `.tflite` (schema version 3) that LiteRT loads: the inverse of the reader. Float and 8-bit
 * graphs.
 * Source: tensorflow/lite/schema/schema.fbs (slots), lite/tools/versioning/op_version.cc (versions).
 */
import { ThimbleError } from '../errors.ts'
import { elements, type DType, type Graph, type Op, type Padding, type Tensor } from '../graph.ts'
import { bool, f32, FlatBufferBuilder, i32, i8, offset, u32, u8, type Field } from './flatbuffer-build.ts'
import { writeFlexMap } from './flexbuffer.ts'
import { labelArchive, metadataBuffers } from './metadata-write.ts'
import { ACTIVATION_NAMES, BUILTIN_NAMES, TYPE_NAMES } from './tflite-names.ts'

/** How an op is stored: version, options union number (0: none), option fields by slot. */
interface Stored {
  version: number
  options?: number
  fields?: (Field | undefined)[]
  /** A custom op's FlexBuffer. */
  custom?: Uint8Array
}

/** Names of custom ops. */
const CUSTOM_NAMES: Partial<Record<Op['type'], string>> = { DETECTION_POSTPROCESS: 'TFLite_Detection_PostProcess' }
const CUSTOM = BUILTIN_NAMES.indexOf('CUSTOM')

const INT32 = TYPE_NAMES.indexOf('INT32')
const padding = (p: Padding): Field => i8(p === 'SAME' ? 0 : 1)
const activation = (a: string): Field => i8(ACTIVATION_NAMES.indexOf(a))

function pool(op: Extract<Op, { type: 'AVERAGE_POOL_2D' | 'MAX_POOL_2D' | 'L2_POOL_2D' }>, version: number): Stored {
  const a = op.attrs
  return {
    version,
    options: 5,
    fields: [
      padding(a.padding),
      i32(a.strideW),
      i32(a.strideH),
      i32(a.filterW),
      i32(a.filterH),
      activation(a.activation),
    ],
  }
}

/** 16-bit sums say whether their scales are powers of two, which is what a file without the field says. */
const sumFields = ({ attrs }: Extract<Op, { type: 'ADD' | 'SUB' }>, { dtype }: Tensor): (Field | undefined)[] => [
  activation(attrs.activation),
  dtype === 'int16' ? bool(attrs.powersOfTwo ?? false) : undefined,
]

function store(graph: Graph, op: Op, b: FlatBufferBuilder): Stored {
  const tensor = (i: number): Tensor => graph.tensors[op.inputs[i]!]!
  const float = op.outputs.every((t) => graph.tensors[t]!.dtype === 'float32')
  const byDtype = (whenFloat: number, whenQuantized: number): number => (float ? whenFloat : whenQuantized)
  switch (op.type) {
    case 'DETECTION_POSTPROCESS': {
      const a = op.attrs
      const custom = writeFlexMap({
        max_detections: a.maxDetections,
        max_classes_per_detection: a.maxClassesPerDetection,
        detections_per_class: a.detectionsPerClass,
        use_regular_nms: a.useRegularNms,
        nms_score_threshold: { real: a.nmsScoreThreshold },
        nms_iou_threshold: { real: a.nmsIouThreshold },
        num_classes: a.numClasses,
        y_scale: { real: a.yScale },
        x_scale: { real: a.xScale },
        h_scale: { real: a.hScale },
        w_scale: { real: a.wScale },
      })
      return { version: 1, custom }
    }
    case 'CONV_2D': {
      const a = op.attrs
      return {
        version: byDtype(1, tensor(0).dtype === 'int8' ? 3 : 1),
        options: 1,
        fields: [
          padding(a.padding),
          i32(a.strideW),
          i32(a.strideH),
          activation(a.activation),
          i32(a.dilationW),
          i32(a.dilationH),
          a.narrowBias && i8(INT32),
        ],
      }
    }
    case 'DEPTHWISE_CONV_2D': {
      const a = op.attrs
      const version = tensor(0).dtype === 'int8' ? 3 : a.dilationH > 1 || a.dilationW > 1 ? 2 : 1
      return {
        version,
        options: 2,
        fields: [
          padding(a.padding),
          i32(a.strideW),
          i32(a.strideH),
          i32(a.depthMultiplier),
          activation(a.activation),
          i32(a.dilationW),
          i32(a.dilationH),
        ],
      }
    }
    case 'TRANSPOSE_CONV': {
      const a = op.attrs
      return {
        version: op.inputs.length > 3 ? 3 : byDtype(1, 2),
        options: 49,
        fields: [
          padding(a.padding),
          i32(a.strideW),
          i32(a.strideH),
          activation(a.activation),
          a.narrowBias && i8(INT32),
        ],
      }
    }
    case 'FULLY_CONNECTED': {
      const perChannel = (tensor(1).quantization?.scales.length ?? 1) > 1
      const version = perChannel ? 12 : op.attrs.keepNumDims ? 5 : byDtype(1, tensor(0).dtype === 'int8' ? 4 : 1)
      return { version, options: 8, fields: [activation(op.attrs.activation), undefined, bool(op.attrs.keepNumDims)] }
    }
    case 'ADD':
      return { version: byDtype(1, 2), options: 11, fields: sumFields(op, tensor(0)) }
    case 'SUB':
      return { version: byDtype(1, 2), options: 28, fields: sumFields(op, tensor(0)) }
    case 'MUL':
      return { version: byDtype(1, 2), options: 21, fields: [activation(op.attrs.activation)] }
    case 'DIV':
      return { version: byDtype(1, 2), options: 29, fields: [activation(op.attrs.activation)] }
    case 'AVERAGE_POOL_2D':
    case 'MAX_POOL_2D':
      return pool(op, byDtype(1, 2))
    case 'L2_POOL_2D':
      return pool(op, 1)
    case 'MEAN':
    case 'SUM':
    case 'REDUCE_MAX':
    case 'REDUCE_MIN':
    case 'REDUCE_PROD':
    case 'REDUCE_ANY':
    case 'REDUCE_ALL':
      return { version: byDtype(1, 2), options: 27, fields: [bool(op.attrs.keepDims)] }
    case 'SOFTMAX':
      return { version: byDtype(1, 2), options: 9, fields: [f32(op.attrs.beta)] }
    case 'LEAKY_RELU':
      return { version: byDtype(1, 2), options: 75, fields: [f32(op.attrs.alpha)] }
    case 'CONCATENATION':
      return { version: byDtype(1, 2), options: 10, fields: [i32(op.attrs.axis), activation(op.attrs.activation)] }
    case 'SPLIT':
      return { version: byDtype(1, 2), options: 35, fields: [i32(op.attrs.numSplits)] }
    case 'ARG_MAX':
      return {
        version: tensor(0).dtype === 'float32' ? 1 : 2,
        options: 40,
        fields: [i8(TYPE_NAMES.indexOf(op.attrs.outputType.toUpperCase()))],
      }
    case 'RESIZE_BILINEAR':
      return {
        version: op.attrs.halfPixelCenters ? 3 : byDtype(1, 2),
        options: 15,
        fields: [undefined, undefined, bool(op.attrs.alignCorners), bool(op.attrs.halfPixelCenters)],
      }
    case 'RESIZE_NEAREST_NEIGHBOR':
      return {
        version: op.attrs.halfPixelCenters ? 3 : byDtype(1, 2),
        options: 74,
        fields: [bool(op.attrs.alignCorners), bool(op.attrs.halfPixelCenters)],
      }
    case 'STRIDED_SLICE': {
      const a = op.attrs
      return {
        version: byDtype(1, 2),
        options: 32,
        fields: [i32(a.beginMask), i32(a.endMask), i32(a.ellipsisMask), i32(a.newAxisMask), i32(a.shrinkAxisMask)],
      }
    }
    case 'PACK':
      return { version: byDtype(1, 2), options: 59, fields: [i32(op.attrs.valuesCount), i32(op.attrs.axis)] }
    case 'UNPACK':
      return { version: byDtype(1, 2), options: 64, fields: [i32(op.attrs.num), i32(op.attrs.axis)] }
    case 'SPLIT_V':
      return { version: byDtype(1, 2), options: 79, fields: [i32(op.attrs.numSplits)] }
    case 'GELU':
      return { version: byDtype(1, 2), options: 116, fields: [bool(op.attrs.approximate)] }
    case 'L2_NORMALIZATION':
      return { version: byDtype(1, 2), options: 12, fields: [activation(op.attrs.activation)] }
    case 'BATCH_MATMUL':
      return { version: byDtype(1, 2), options: 101, fields: [bool(op.attrs.adjX), bool(op.attrs.adjY)] }
    case 'MIRROR_PAD':
      return { version: byDtype(1, 2), options: 77, fields: [i8(op.attrs.mode === 'REFLECT' ? 0 : 1)] }
    case 'GATHER':
      return {
        version: op.attrs.batchDims ? 5 : byDtype(1, 2),
        options: 23,
        fields: [i32(op.attrs.axis), i32(op.attrs.batchDims)],
      }
    case 'SPACE_TO_DEPTH':
      return { version: byDtype(1, 2), options: 19, fields: [i32(op.attrs.blockSize)] }
    case 'DEPTH_TO_SPACE':
      return { version: byDtype(1, 2), options: 94, fields: [i32(op.attrs.blockSize)] }
    case 'ONE_HOT':
      return { version: 1, options: 61, fields: [i32(op.attrs.axis)] }
    case 'CUMSUM':
      return { version: 1, options: 102, fields: [bool(op.attrs.exclusive), bool(op.attrs.reverse)] }
    case 'SHAPE':
    case 'ARG_MIN':
      return {
        version: 1,
        options: op.type === 'SHAPE' ? 55 : 57,
        fields: [i8(TYPE_NAMES.indexOf(op.attrs.outputType.toUpperCase()))],
      }
    case 'RESHAPE': {
      const shape = op.attrs.newShape ?? graph.tensors[op.outputs[0]!]!.shape
      return { version: 1, options: 17, fields: [offset(b.int32Vector([...shape]))] }
    }
    case 'SQUEEZE':
      return {
        version: 1,
        options: 30,
        fields: [
          offset(
            b.int32Vector(
              op.attrs.dims ? [...op.attrs.dims] : squeezed(tensor(0).shape, graph.tensors[op.outputs[0]!]!.shape),
            ),
          ),
        ],
      }
    case 'CAST':
      return {
        version: 1,
        options: 37,
        fields: [i8(typeCode(tensor(0).dtype)), i8(typeCode(graph.tensors[op.outputs[0]!]!.dtype))],
      }
    case 'PAD':
    case 'TRANSPOSE':
    case 'SLICE':
    case 'RELU':
    case 'RELU6':
    case 'LOGISTIC':
    case 'TANH':
    case 'LOG_SOFTMAX':
    case 'EXP':
    case 'LOG':
    case 'RSQRT':
    case 'PADV2':
    case 'MAXIMUM':
    case 'MINIMUM':
    case 'SQUARED_DIFFERENCE':
    case 'EQUAL':
    case 'NOT_EQUAL':
    case 'LESS':
    case 'LESS_EQUAL':
    case 'GREATER':
    case 'GREATER_EQUAL':
    case 'SPACE_TO_BATCH_ND':
    case 'BATCH_TO_SPACE_ND':
    case 'TOPK_V2':
      return { version: byDtype(1, 2) }
    case 'DEQUANTIZE':
      return { version: 2 }
    case 'QUANTIZE':
      return { version: tensor(0).dtype === 'float32' ? 1 : 2 }
    case 'HARD_SWISH':
    case 'RELU_N1_TO_1':
    case 'EXPAND_DIMS':
    case 'SQRT':
    case 'FLOOR_DIV':
    case 'GATHER_ND':
    case 'PRELU':
    case 'ELU':
    case 'ABS':
    case 'NEG':
    case 'SQUARE':
    case 'SIN':
    case 'COS':
    case 'FLOOR':
    case 'CEIL':
    case 'ROUND':
    case 'SIGN':
    case 'RELU_0_TO_1':
    case 'LOGICAL_NOT':
    case 'ZEROS_LIKE':
    case 'RANK':
    case 'SCATTER_ND':
    case 'ADD_N':
    case 'EMBEDDING_LOOKUP':
    case 'FLOOR_MOD':
    case 'POW':
    case 'LOGICAL_AND':
    case 'LOGICAL_OR':
    case 'SELECT':
    case 'SELECT_V2':
    case 'FILL':
    case 'RANGE':
    case 'TILE':
    case 'BROADCAST_TO':
    case 'BROADCAST_ARGS':
    case 'REVERSE_V2':
      return { version: 1 }
    default:
      throw new ThimbleError(
        'format/unsupported-op',
        `${op.type === 'UNSUPPORTED' ? op.attrs.name : op.type} is not written to .tflite`,
      )
  }
}

/** Dimensions of length 1 that SQUEEZE removed. */
function squeezed(from: readonly number[], to: readonly number[]): number[] {
  const removed: number[] = []
  let k = 0
  from.forEach((d, i) => {
    if (k < to.length && to[k] === d) k++
    else removed.push(i)
  })
  return removed
}

function typeCode(dtype: DType): number {
  const code = TYPE_NAMES.indexOf(dtype.toUpperCase())
  if (code < 0) throw new ThimbleError('format/dtype', `dtype ${dtype} is not written to .tflite`)
  return code
}

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
      const { version, options = 0, fields, custom } = store(graph, op, b)
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
