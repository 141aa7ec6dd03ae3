/**
 * Metadata to what a `.tflite` carries of it, twice: TFLite's own metadata (normalization, labels, licence), which the
 * Task Library and others read, and all of it as JSON, which this project's reader prefers: TFLite has no words for
 * cropping, or for logits that still need a softmax.
 * Source: tensorflow_lite_support/metadata/metadata_schema.fbs (slots). The label file lies in a zip archive behind the
 * model.
 */
import { zipSync } from 'fflate'
import type { Graph, Metadata, Preprocess } from '../graph/graph.ts'
import { parseLabels } from '../answers/label-file.ts'
import { JSON_METADATA } from './check-metadata.ts'
import { FlatBufferBuilder, i8, offset, u8, type Field } from './flatbuffer-build.ts'

const LABEL_FILE = 'labels.txt'

/** Labels can be kept one a line. */
const writableLabels = (labels: readonly string[] | undefined): labels is readonly string[] =>
  labels !== undefined && labels.length > 0 && labels.every((l) => !/[\r\n]/.test(l)) && labels.at(-1) !== ''

const labelText = (labels: readonly string[]): string => `${labels.join('\n')}\n`

/** Labels that a label file gives back; others (`0 cat` as a name, blanks around one) are in the JSON as well. */
function readsBack(labels: readonly string[]): boolean {
  try {
    const read = parseLabels(labelText(labels))
    return read.length === labels.length && read.every((label, i) => label === labels[i])
  } catch {
    return false
  }
}

/** Buffers to list in a model by name, in order; none for a model that says nothing about itself but a description. */
export function metadataBuffers(graph: Graph): { name: string; data: Uint8Array }[] {
  const { description, ...more } = graph.metadata
  if (Object.values(more).every((v) => v === undefined)) return []
  const { labels, ...json } = graph.metadata
  const text = JSON.stringify(writableLabels(labels) && readsBack(labels) ? json : graph.metadata)
  return [
    { name: 'TFLITE_METADATA', data: tfliteMetadata(graph) },
    { name: JSON_METADATA, data: new TextEncoder().encode(text) },
  ]
}

/** The archive that goes behind the model: empty when there are no labels. */
export function labelArchive({ labels }: Metadata): Uint8Array {
  if (!writableLabels(labels)) return new Uint8Array(0)
  // Stored, so that other programs can use it in place; a fixed date, so that equal models are equal files.
  return zipSync(
    { [LABEL_FILE]: new TextEncoder().encode(labelText(labels)) },
    { level: 0, mtime: new Date(1980, 0, 1) },
  )
}

const NORMALIZATION = 1
const FEATURE = 1
const IMAGE = 2
const RGB = 1
const GRAYSCALE = 2
const AXIS_LABELS = 2

function tfliteMetadata(graph: Graph): Uint8Array {
  const b = new FlatBufferBuilder()
  const { name, description, version, author, license, preprocess, labels } = graph.metadata
  const text = (s: string | undefined): Field | undefined => (s ? offset(b.string(s)) : undefined)
  const inputs = b.offsetVector(
    graph.inputs.map((t, i) => {
      const own = i === 0 && preprocess ? imageFields(b, preprocess) : []
      return b.table([text(graph.tensors[t]!.name), undefined, undefined, ...own])
    }),
  )
  const outputs = b.offsetVector(
    graph.outputs.map((t, i) => {
      const files =
        i === 0 && writableLabels(labels)
          ? offset(b.offsetVector([b.table([text(LABEL_FILE), undefined, i8(AXIS_LABELS)])]))
          : undefined
      const content = b.table([u8(FEATURE), offset(b.table([]))])
      return b.table([text(graph.tensors[t]!.name), undefined, undefined, offset(content), undefined, undefined, files])
    }),
  )
  const subgraph = b.table([undefined, undefined, offset(inputs), offset(outputs)])
  return b.finish(
    b.table([
      text(name),
      text(description),
      text(version),
      offset(b.offsetVector([subgraph])),
      text(author),
      text(license),
      undefined,
      text('1.0.0'),
    ]),
    'M001',
  )
}

/** Slots 3 (content) and 4 (process units) of an image input. */
function imageFields(b: FlatBufferBuilder, { channels, mean, std }: Preprocess): Field[] {
  const properties = b.table([i8(channels === 'gray' ? GRAYSCALE : RGB)])
  const content = b.table([u8(IMAGE), offset(properties)])
  const options = b.table([offset(b.float32Vector(mean)), offset(b.float32Vector(std))])
  const unit = b.table([u8(NORMALIZATION), offset(options)])
  return [offset(content), offset(b.offsetVector([unit]))]
}
