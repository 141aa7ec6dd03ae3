/**
 * `thimble pack --target wasi`: the model linked with the command in assembly/wasi, which reads and names picture
 * files.
 */
import { isProbability } from '../classifier.ts'
import { tensorInfo } from '../engine.ts'
import { ThimbleError } from '../errors.ts'
import {
  CONFIG_LAYOUT,
  DTYPE_FLOAT32,
  DTYPE_INT16,
  DTYPE_INT32,
  DTYPE_INT8,
  DTYPE_UINT8,
  FIT_CROP,
  FIT_LETTERBOX,
  FIT_STRETCH,
  METHOD_AREA,
  METHOD_BILINEAR,
  METHOD_BILINEAR_FAST,
  METHOD_NEAREST,
  SCORES_AUTO,
  SCORES_IDENTITY,
  SCORES_SIGMOID,
  SCORES_SOFTMAX,
} from '../generated/wasi-config.ts'
import { type DType, dtypeBytes, elements, type Graph } from '../graph.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { inputGeometry, inputTable, Preprocessor } from '../image/preprocess.ts'
import { fromBase64 } from '../base64.ts'
import { type Subject, taskOf } from '../task.ts'
import type { TensorInfo, Variant } from '../types.ts'

/** Bytes of a variant's command, with all kernels and no model. */
export async function wasiRuntimeBytes(variant: Variant): Promise<Uint8Array> {
  const file =
    variant === 'simd'
      ? await import('../generated/wasi-simd.ts')
      : variant === 'scalar'
        ? await import('../generated/wasi-scalar.ts')
        : await import('../generated/wasi-relaxed.ts')
  return fromBase64(file.default)
}

const FITS = { stretch: FIT_STRETCH, crop: FIT_CROP, fit: FIT_LETTERBOX }
const METHODS = {
  bilinear: METHOD_BILINEAR,
  'bilinear-fast': METHOD_BILINEAR_FAST,
  nearest: METHOD_NEAREST,
  area: METHOD_AREA,
}
const SCORES = { identity: SCORES_IDENTITY, softmax: SCORES_SOFTMAX, sigmoid: SCORES_SIGMOID }
const DTYPES: Partial<Record<DType, number>> = {
  int8: DTYPE_INT8,
  uint8: DTYPE_UINT8,
  int16: DTYPE_INT16,
  int32: DTYPE_INT32,
  float32: DTYPE_FLOAT32,
}

/** The output that holds the scores: the only one, or the one with as many elements as there are labels. */
function scoreOutput(subject: Subject, labels: number | undefined): number {
  const { outputs } = subject
  const index =
    outputs.length === 1
      ? 0
      : Math.max(
          0,
          outputs.findIndex((o) => elements(o.shape) === labels),
        )
  const output = outputs[index]!
  const { command } = taskOf(subject)
  if (command === 'detect' || output.shape.filter((d) => d > 1).length !== 1 || DTYPES[output.dtype] === undefined) {
    throw new ThimbleError('usage/not-a-classifier', "the model's output is not one score per class", {
      tensor: output.name,
      expected: '[1, classes], 2 or more',
      got: `${output.dtype} [${output.shape.join(', ')}]`,
      hint: 'pack it with --target core',
    })
  }
  return index
}

export interface Command {
  /** Bytes to place at `base`: tables, labels, name. */
  blob: Uint8Array
  /** Configuration for a program whose free memory starts at `heap`, in a memory that ends at `memoryEnd`. */
  config(heap: number, memoryEnd: number): Uint8Array
}

/**
 * What the command needs to know of a classifier. `base`: where the blob will lie, a multiple of 16.
 * Errors: `usage/not-a-classifier`, `image/unsupported-input`, `usage/preprocess`.
 */
export function wasiCommand(graph: Graph, name: string, base: number): Command {
  const inputs = graph.inputs.map((i) => tensorInfo(graph.tensors[i]!))
  const outputs = graph.outputs.map((i) => tensorInfo(graph.tensors[i]!))
  if (inputs.length !== 1) {
    throw new ThimbleError('usage/not-a-classifier', 'the model takes several inputs', {
      expected: 1,
      got: inputs.length,
      hint: 'pack it with --target core',
    })
  }
  const [input] = inputs as [TensorInfo]
  const { preprocess: how } = defaultPreprocess(input, graph.metadata)
  const geometry = inputGeometry(input)
  void new Preprocessor(input, how) // Checks the dtype and the parameters.
  const labels = graph.metadata.labels ?? []
  const index = scoreOutput({ inputs, outputs, metadata: graph.metadata }, graph.metadata.labels?.length)
  const output = outputs[index]!
  const scores = graph.metadata.scores
    ? SCORES[graph.metadata.scores]
    : isProbability(output)
      ? SCORES_IDENTITY
      : SCORES_AUTO

  const tables = Array.from({ length: geometry.channels }, (_, c) =>
    inputTable(input, (how.mean[c] ?? how.mean[0])!, (how.std[c] ?? how.std[0])!),
  ).map((t) => new Uint8Array(t.buffer, t.byteOffset, t.byteLength))
  const encoder = new TextEncoder()
  const texts = labels.map((l) => encoder.encode(l))
  const title = encoder.encode(name)
  const tableBytes = tables.reduce((n, t) => n + t.length, 0)
  const labelTable = base + tableBytes
  const addresses = new Uint32Array(labels.length + 1)
  addresses[0] = labelTable + addresses.byteLength
  texts.forEach((t, i) => {
    addresses[i + 1] = addresses[i]! + t.length
  })
  const nameAddress = addresses[labels.length]!
  const blob = new Uint8Array(nameAddress - base + title.length)
  let at = 0
  for (const part of [...tables, new Uint8Array(addresses.buffer), ...texts, title]) {
    blob.set(part, at)
    at += part.length
  }
  const fields = {
    inputWidth: geometry.width,
    inputHeight: geometry.height,
    inputChannels: geometry.channels,
    nchw: Number(geometry.nchw),
    fit: FITS[how.fit],
    shorterSide: how.shorterSide ?? 0,
    method: METHODS[how.method],
    bgr: Number(how.channels === 'bgr'),
    gray: Number(how.channels === 'gray'),
    tables: base,
    inputBytes: dtypeBytes(input.dtype),
    outputIndex: index,
    outputType: DTYPES[output.dtype]!,
    outputCount: elements(output.shape),
    outputScale: output.scale,
    outputZeroPoint: output.zeroPoint,
    scores,
    labels: labelTable,
    labelCount: labels.length,
    name: nameAddress,
    nameBytes: title.length,
  }
  return { blob, config: (heap, memoryEnd) => encodeConfig({ heap, memoryEnd, ...fields }) }
}

function encodeConfig(values: Record<string, number>): Uint8Array {
  const { size, fields, f32 } = CONFIG_LAYOUT.Config as {
    size: number
    fields: readonly string[]
    f32: readonly string[]
  }
  const view = new DataView(new ArrayBuffer(size))
  fields.forEach((field, i) => {
    if (values[field] === undefined) throw new ThimbleError('plan/internal', `no value for the command's ${field}`)
    if (f32.includes(field)) view.setFloat32(i * 4, values[field], true)
    else view.setUint32(i * 4, values[field], true)
  })
  return new Uint8Array(view.buffer)
}
