/**
 * TFLite metadata to Metadata: the buffer that a model lists under the name TFLITE_METADATA says what the model is and
 * how its input is normalized, and names the label file in the archive behind the model.
 * What the metadata leaves open follows the TFLite Task Library: the image is stretched to the input's size, bilinear.
 * Source: tensorflow_lite_support/metadata/metadata_schema.fbs (slots); cc/task/vision/core/base_vision_task_api.h and
 * label_map_item.cc of the Task Library (what its consumers do).
 */
import { ThimbleError } from '../base/errors.ts'
import { elements, type Graph, type Metadata, type Preprocess, type Tensor } from '../graph/graph.ts'
import { readLabels } from '../answers/label-file.ts'
import { fitLabels } from '../answers/labels.ts'
import { FlatBuffer, type Table } from './flatbuffer.ts'
import { ultralyticsMetadata } from './ultralytics.ts'
import { readZipFile } from './zip.ts'

const MAX_ENTRIES = 1024
// AssociatedFileType, ContentProperties, ProcessUnitOptions, ColorSpaceType
const AXIS_LABELS = 2
const VALUE_LABELS = 3
const IMAGE = 2
const BOUNDING_BOX = 3
const NORMALIZATION = 1
const GRAYSCALE = 2

/**
 * Names of a label file for a model with outputs of these sizes; undefined where it holds none. A file that is not
 * read as labels does not keep the model from running.
 */
function namesOf(bytes: Uint8Array, counts: readonly number[]): string[] | undefined {
  try {
    const file = readLabels(bytes)
    return (counts.map((n) => fitLabels(file, n)).find((f) => f !== undefined) ?? file).labels
  } catch {
    return undefined
  }
}

/** The normalization of an input: mean and std, each for all channels or one per channel. Errors: `format/metadata`. */
function readNormalization(tensor: Table, channels: number): { mean: number[]; std: number[] } | undefined {
  for (const unit of tensor.tables(4, 'process_units', MAX_ENTRIES)) {
    if (unit.uint8(0) !== NORMALIZATION) continue
    const options = unit.table(1, 'options')
    const mean = options?.float32s(0, 'mean', MAX_ENTRIES) ?? []
    const std = options?.float32s(1, 'std', MAX_ENTRIES) ?? []
    for (const [name, values] of [
      ['mean', mean],
      ['std', std],
    ] as const) {
      if (values.length !== 1 && values.length !== channels) {
        throw new ThimbleError('format/metadata', `number of values in the normalization's ${name}`, {
          expected: `1 or ${channels}`,
          got: values.length,
        })
      }
      const bad = values.find((v) => !Number.isFinite(v) || (name === 'std' && v === 0))
      if (bad !== undefined) {
        throw new ThimbleError('format/metadata', `normalization ${name}`, {
          expected: 'a finite number, std not 0',
          got: bad,
        })
      }
    }
    return { mean, std }
  }
  return undefined
}

/**
 * Mean and std for which quantizing (pixel - mean) / std gives the pixel itself (uint8), or the pixel minus 128 (int8).
 */
function pixelsThemselves({ dtype, quantization: q }: Tensor): { mean: number[]; std: number[] } {
  const smallest = dtype === 'int8' ? -128 : 0
  return q && q.scales[0]! > 0
    ? { mean: [q.zeroPoints[0]! - smallest], std: [1 / q.scales[0]!] }
    : { mean: [-smallest], std: [1] }
}

/**
 * How an image becomes `input`, or undefined when the metadata does not call it an image.
 * A uint8 input takes the pixels as they are: the Task Library skips its normalization, which would only bring the
 * pixels back to themselves up to rounding. An int8 input without normalization takes them minus 128, the same tensor
 * shifted. In terms of real values both are mean = zero point - smallest value, std = 1 / scale. A float input without
 * normalization leaves the range open (the Task Library refuses it), so nothing is said of it.
 */
function readPreprocess(tensor: Table, input: Tensor): Pick<Metadata, 'preprocess' | 'preprocessFrom'> | undefined {
  const content = tensor.table(3, 'content')
  const channels = input.shape[3]!
  const normalization = input.shape.length === 4 ? readNormalization(tensor, channels) : undefined
  if (input.shape.length !== 4 || (channels !== 1 && channels !== 3)) return undefined
  const isImage = content?.uint8(0) === IMAGE
  if (!normalization && (!isImage || (input.dtype !== 'uint8' && input.dtype !== 'int8'))) return undefined
  const colorSpace = isImage ? (content.table(1, 'content_properties')?.int8(0) ?? 0) : 0
  const said = normalization !== undefined && input.dtype !== 'uint8'
  const preprocess: Preprocess = {
    fit: 'stretch',
    method: 'bilinear-fast',
    channels: colorSpace === GRAYSCALE || channels === 1 ? 'gray' : 'rgb',
    ...(said ? normalization : pixelsThemselves(input)),
  }
  const preprocessFrom = said
    ? "mean and std from the model file; stretched, as TFLite's Task Library does"
    : `${normalization ? '' : 'assumed: '}the pixels themselves, stretched, as TFLite's Task Library does with an ${input.dtype} image`
  return { preprocess, preprocessFrom }
}

interface LabelFile {
  name: string
  type: number
  locale: string
}

function labelFiles(owner: Table, slot: number): LabelFile[] {
  return owner
    .tables(slot, 'associated_files', MAX_ENTRIES)
    .map((f) => ({ name: f.string(0, 'name') ?? '', type: f.int8(2), locale: f.string(3, 'locale') ?? '' }))
    .filter((f) => f.name !== '' && (f.type === AXIS_LABELS || f.type === VALUE_LABELS))
}

/** English or unmarked labels before other languages, else the first file. */
const preferred = (files: readonly LabelFile[]): LabelFile | undefined =>
  files.find((f) => f.locale === '' || f.locale.startsWith('en')) ?? files[0]

function readTask(outputs: readonly Table[], labels: LabelFile | undefined, graph: Graph): Metadata['task'] {
  if (graph.ops.some((op) => op.type === 'DETECTION_POSTPROCESS')) return 'detection'
  if (outputs.some((t) => t.table(3, 'content')?.uint8(0) === BOUNDING_BOX)) return 'detection'
  if (!labels) return undefined
  if (labels.type === VALUE_LABELS) return 'detection'
  const shape = graph.tensors[graph.outputs[0]!]!.shape
  return shape.length >= 3 && shape[1]! * shape[2]! > 1 ? 'segmentation' : 'classification'
}

const present = <T extends object>(object: T): T =>
  Object.fromEntries(Object.entries(object).filter(([, v]) => v !== undefined && v !== '')) as T

/**
 * Metadata of a TFLite model.
 * `buffer`: the flatbuffer named TFLITE_METADATA; `file`: the whole model file, whose archive holds the label files.
 * Errors: `format/flatbuffer`, `format/metadata`, `format/zip` for damaged metadata or archive.
 */
export function readMetadata(buffer: Uint8Array, file: Uint8Array, graph: Graph): Metadata {
  const model = new FlatBuffer(buffer, 'metadata').root('M001')
  const subgraph = model.tables(3, 'subgraph_metadata', MAX_ENTRIES)[0]
  const inputs = subgraph?.tables(2, 'input_tensor_metadata', MAX_ENTRIES) ?? []
  const outputs = subgraph?.tables(3, 'output_tensor_metadata', MAX_ENTRIES) ?? []
  const labels = preferred([
    ...outputs.flatMap((t) => labelFiles(t, 6)),
    ...(subgraph ? labelFiles(subgraph, 4) : []),
    ...labelFiles(model, 6),
  ])
  const labelBytes = labels && readZipFile(file, labels.name)
  if (labels && !labelBytes) {
    throw new ThimbleError('format/metadata', `the label file ${labels.name} that the metadata names is missing`, {
      expected: 'a zip archive at the end of the file',
      hint: 'the file is truncated or was rewritten without its archive',
    })
  }
  const yolo = labelBytes && ultralyticsMetadata(new TextDecoder().decode(labelBytes))
  const counts = graph.outputs.map((i) => elements(graph.tensors[i]!.shape))
  return present({
    name: model.string(0, 'name'),
    description: model.string(1, 'description'),
    version: model.string(2, 'version'),
    author: model.string(4, 'author'),
    license: model.string(5, 'license'),
    labels: labelBytes && namesOf(labelBytes, counts),
    ...(inputs[0] && !yolo ? readPreprocess(inputs[0], graph.tensors[graph.inputs[0]!]!) : {}),
    task: readTask(outputs, labels, graph),
    ...yolo,
  })
}
