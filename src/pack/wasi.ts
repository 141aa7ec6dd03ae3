/**
 * `thimble pack --target wasi`: the model linked with the command in assembly/wasi, which reads picture files and
 * prints what is in them.
 */
import { isProbability, pickLabels, scoreOutput } from '../classify/classifier.ts'
import { tensorInfo } from '../engine/engine.ts'
import { ThimbleError } from '../base/errors.ts'
import {
  CONFIG_LAYOUT,
  COORDINATES_AUTO,
  COORDINATES_PIXELS,
  COORDINATES_SHARES,
  DTYPE_FLOAT32,
  DTYPE_INT16,
  DTYPE_INT32,
  DTYPE_INT64,
  DTYPE_INT8,
  DTYPE_UINT8,
  FIT_CROP,
  FIT_LETTERBOX,
  FIT_STRETCH,
  FORM_FIRST,
  FORM_INDICES,
  FORM_LAST,
  FORM_MASK,
  FORM_MASK_LOGITS,
  FRAMING_CORNER,
  FRAMING_FIT,
  FRAMING_LETTERBOX,
  FRAMING_SQUARE,
  HEAD_FOMO,
  HEAD_MOVENET,
  HEAD_PLANES,
  HEAD_POSTPROCESS,
  HEAD_SCORES,
  HEAD_YOLO,
  METHOD_AREA,
  METHOD_BILINEAR,
  METHOD_BILINEAR_FAST,
  METHOD_NEAREST,
  SCORES_AUTO,
  SCORES_IDENTITY,
  SCORES_SIGMOID,
  SCORES_SOFTMAX,
} from '../generated/wasi-config.ts'
import { type DType, dtypeBytes, elements, type Graph, type Preprocess } from '../graph/graph.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { inputGeometry } from '../image/geometry.ts'
import { inputTable, Preprocessor } from '../image/preprocess.ts'
import { decompress } from '../base/compressed.ts'
import { type Subject, taskOf } from '../answers/task.ts'
import type { TensorInfo, Variant } from '../graph/types.ts'
import type { Framing, Head } from '../vision/head.ts'
import { fomoDecoder } from '../vision/heads/fomo.ts'
import type { Size } from '../vision/heads/head.ts'
import { segmentationDecoder } from '../vision/heads/maps.ts'
import { moveNetDecoder } from '../vision/heads/movenet.ts'
import { postprocessDecoder } from '../vision/heads/postprocess.ts'
import { extraValues, scaleOf, yoloDecoder, type YoloHead } from '../vision/heads/yolo.ts'
import { familyLabels, familyPreprocess } from '../vision/network.ts'
import { headOf } from '../vision/recognise.ts'
import { skeletonOf } from '../vision/skeletons.ts'
import { shapesOf } from '../vision/values.ts'
import { Blob } from './blob.ts'

/** Bytes of a variant's command, with all kernels and no model. */
export async function wasiRuntimeBytes(variant: Variant): Promise<Uint8Array> {
  const file =
    variant === 'simd'
      ? await import('../generated/wasi-simd.ts')
      : variant === 'scalar'
        ? await import('../generated/wasi-scalar.ts')
        : await import('../generated/wasi-relaxed.ts')
  return decompress(file.default)
}

const FITS = { stretch: FIT_STRETCH, crop: FIT_CROP, fit: FIT_LETTERBOX }
const FRAMINGS = { letterbox: FRAMING_LETTERBOX, corner: FRAMING_CORNER, square: FRAMING_SQUARE }
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
  int64: DTYPE_INT64,
  bool: DTYPE_UINT8,
  float32: DTYPE_FLOAT32,
}

export type PictureTask = 'classify' | 'detect' | 'pose' | 'segment'

export interface Command {
  /** Bytes to place at `base`: tables, labels, name. */
  blob: Uint8Array
  /** The HEAD_ constant of what it reads. */
  head: number
  /** What that gives. */
  task: PictureTask
  /** Configuration for a program whose free memory starts at `heap`, in a memory that ends at `memoryEnd`. */
  config(heap: number, memoryEnd: number): Uint8Array
}

type Fields = Record<string, number>

/** How a model's outputs become an answer. */
interface Answer {
  fields: Fields
  labels: readonly string[]
  pointNames?: readonly string[]
  /** Numbers of the outputs that are read. */
  reads: readonly number[]
  preprocess: Preprocess
  framing?: Exclude<Framing['framing'], 'mediapipe'>
  thresholds?: readonly [score: number, overlap: number]
}

/** Names and scores, as createClassifier's. Errors: `usage/not-a-classifier`. */
function scoresAnswer(subject: Subject): Answer {
  const { inputs, outputs, metadata = {} } = subject
  const index = scoreOutput({ ...subject, metadata }, metadata.labels?.length)
  const output = outputs[index]!
  const classes = elements(output.shape)
  const said = metadata.scores && (classes > 1 || metadata.scores !== 'softmax') ? metadata.scores : undefined
  const scores = said ? SCORES[said] : isProbability(output) ? SCORES_IDENTITY : SCORES_AUTO
  return {
    fields: { head: HEAD_SCORES, output0: index, classes: Math.max(2, classes), scores },
    labels: pickLabels({ metadata }, undefined, classes).labels,
    reads: [index],
    preprocess: defaultPreprocess(inputs[0]!, metadata).preprocess,
  }
}

/** A table of YOLO candidates. */
function yoloFields(head: YoloHead, table: TensorInfo, input: Size): Fields {
  const objectness = Number(head.kind === 'yolo5')
  const values = 4 + objectness + head.classes + extraValues(head)
  const rows = elements(table.shape) / values
  const [rowStep, valueStep] = head.layout === 'rows' ? [values, 1] : [1, rows]
  let asked = false
  const [scale] = scaleOf(
    head.coordinates,
    input,
    table,
  )(() => {
    asked = true
    return 0
  })
  return {
    head: HEAD_YOLO,
    output0: head.output,
    rows,
    rowStep,
    valueStep,
    classes: head.classes,
    objectness,
    percent: Number(head.percent ?? false),
    coordinates: asked ? COORDINATES_AUTO : scale === 1 ? COORDINATES_SHARES : COORDINATES_PIXELS,
    points: head.kind === 'yolo8-pose' ? (head.points ?? 0) : 0,
    pointValues: head.pointValues ?? 3,
  }
}

const FORMS = { indices: FORM_INDICES, last: FORM_LAST, first: FORM_FIRST, mask: FORM_MASK }

/** What the command must know of a head, and which outputs it reads; undefined for a head that it can't read. */
function headFields(
  head: Head,
  outputs: readonly TensorInfo[],
  input: Size,
): { fields: Fields; reads: readonly number[] } | undefined {
  const shape = (i: number): readonly number[] => outputs[i]!.shape
  switch (head.kind) {
    case 'postprocess': {
      postprocessDecoder(head, outputs)
      const { boxes, classes, scores, count } = head
      const rows = elements(shape(scores))
      const fields = { head: HEAD_POSTPROCESS, rows, output0: boxes, output1: classes, output2: scores }
      return {
        fields: { ...fields, output3: count ?? -1 },
        reads: [boxes, classes, scores, ...(count === undefined ? [] : [count])],
      }
    }
    case 'yolo5':
    case 'yolo8':
    case 'yolo8-pose':
      yoloDecoder(head, outputs, input)
      return { fields: yoloFields(head, outputs[head.output]!, input), reads: [head.output] }
    case 'fomo': {
      fomoDecoder(head, outputs)
      const [rows, columns, classes] = shape(head.output).slice(-3) as [number, number, number]
      const scores = head.scores === 'softmax' ? SCORES_SOFTMAX : SCORES_IDENTITY
      return { fields: { head: HEAD_FOMO, output0: head.output, rows, columns, classes, scores }, reads: [head.output] }
    }
    case 'movenet': {
      moveNetDecoder(head, outputs)
      const points = elements(shape(head.output)) / 3
      return { fields: { head: HEAD_MOVENET, output0: head.output, points, pointValues: 3 }, reads: [head.output] }
    }
    case 'segmentation': {
      const { width, height, channels } = segmentationDecoder(head, outputs)
      const form = head.form === 'mask' && head.logits ? FORM_MASK_LOGITS : FORMS[head.form]
      const [rowStep, valueStep] = head.form === 'first' ? [1, width * height] : [channels, 1]
      const size = { rows: height, columns: width, classes: channels }
      return { fields: { head: HEAD_PLANES, form, ...size, rowStep, valueStep }, reads: head.outputs }
    }
    default:
      return undefined
  }
}

/** Boxes, points or classes of pixels. Errors: `usage/head` for heads that the command can't read, `format/shape`. */
function headAnswer({ inputs, outputs, metadata = {} }: Subject, head: Head): Answer {
  const [input] = inputs as [TensorInfo]
  const read = headFields(head, outputs, inputGeometry(input))
  if (!read || read.reads.some((i) => DTYPES[outputs[i]!.dtype] === undefined)) {
    throw new ThimbleError('usage/head', `the wasi command does not read ${head.kind} heads`, {
      expected: 'postprocess, yolo5, yolo8, yolo8-pose, fomo, movenet or segmentation, or scores of classes',
      got: `${head.kind}: ${shapesOf(outputs)}`,
      hint: 'pack it with --target core, whose thimble.meta describes the head',
    })
  }
  const { framing } = head
  if (framing === 'mediapipe') {
    throw new ThimbleError('usage/head', 'the wasi command has no framing as MediaPipe has it', {
      expected: 'letterbox, corner or square',
      got: framing,
    })
  }
  const labels = familyLabels(head, metadata)
  return {
    ...read,
    labels: labels.length === 0 && head.kind === 'segmentation' ? ['background'] : labels,
    pointNames: skeletonOf(read.fields.points ?? 0).names,
    preprocess: familyPreprocess(input, { metadata }, head),
    framing,
    thresholds: [head.scoreThreshold, head.iouThreshold],
  }
}

function answerOf(subject: Subject): Answer {
  if (['classify', 'embed'].includes(taskOf(subject).command)) return scoresAnswer(subject)
  const head = headOf({ ...subject, metadata: subject.metadata ?? {} })
  return head ? headAnswer(subject, head) : scoresAnswer(subject)
}

const outputInfos = (outputs: readonly TensorInfo[]): Uint8Array => {
  const { fields } = CONFIG_LAYOUT.OutputInfo
  const view = new DataView(new ArrayBuffer(4 * fields.length * outputs.length))
  outputs.forEach((o, i) => {
    const values = { type: DTYPES[o.dtype] ?? DTYPE_FLOAT32, count: elements(o.shape), zeroPoint: o.zeroPoint }
    fields.forEach((field, k) => {
      const at = 4 * (i * fields.length + k)
      if (field === 'scale') view.setFloat32(at, o.scale, true)
      else view.setInt32(at, values[field], true)
    })
  })
  return new Uint8Array(view.buffer)
}

const taskOfFields = ({ head, points }: Fields): PictureTask => {
  if (head === HEAD_SCORES) return 'classify'
  if (head === HEAD_PLANES) return 'segment'
  return points ? 'pose' : 'detect'
}

/**
 * What the command needs to know of a model. `base`: where the blob will lie, a multiple of 16.
 * Errors: `usage/not-a-classifier`, `usage/head`, `image/unsupported-input`, `usage/preprocess`, `format/…`.
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
  const answer = answerOf({ inputs, outputs, metadata: graph.metadata })
  const { preprocess: how, framing } = answer
  const geometry = inputGeometry(input)
  void new Preprocessor(input, how) // Checks the dtype and the parameters.

  const blob = new Blob(base)
  const tables = Array.from({ length: geometry.channels }, (_, c) =>
    blob.add(inputTable(input, (how.mean[c] ?? how.mean[0])!, (how.std[c] ?? how.std[0])!)),
  )
  const title = new TextEncoder().encode(name)
  const zeros = Object.fromEntries(CONFIG_LAYOUT.Config.fields.map((field) => [field, 0]))
  const fields: Fields = {
    ...zeros,
    inputWidth: geometry.width,
    inputHeight: geometry.height,
    inputChannels: geometry.channels,
    nchw: Number(geometry.nchw),
    fit: framing ? FIT_STRETCH : FITS[how.fit],
    shorterSide: framing ? 0 : (how.shorterSide ?? 0),
    method: METHODS[how.method],
    bgr: Number(how.channels === 'bgr'),
    gray: Number(how.channels === 'gray'),
    tables: tables[0]!,
    inputBytes: dtypeBytes(input.dtype),
    framing: framing ? FRAMINGS[framing] : FRAMING_FIT,
    thresholds: blob.add(Float64Array.of(...(answer.thresholds ?? [0, 0])), 8),
    outputs: blob.add(outputInfos(outputs), 4),
    outputList: blob.add(Int32Array.from(answer.reads), 4),
    outputCount: answer.reads.length,
    labels: blob.texts(answer.labels),
    labelCount: answer.labels.length,
    pointNames: blob.texts(answer.pointNames ?? []),
    pointNameCount: answer.pointNames?.length ?? 0,
    name: blob.add(title),
    nameBytes: title.length,
    ...answer.fields,
  }
  return {
    blob: blob.bytes(),
    head: fields.head!,
    task: taskOfFields(fields),
    config: (heap, memoryEnd) => encodeConfig({ ...fields, heap, memoryEnd }),
  }
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
