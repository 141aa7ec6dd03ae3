/**
 * Model bytes of any format to a Graph: which reader a file gets, and what to say about files that none of them reads.
 */
import { ThimbleError } from '../base/errors.ts'
import type { Graph } from '../graph/graph.ts'
import { addImplied } from './implied.ts'
import { PACKED_MAGIC } from './packed-frame.ts'
import { readPacked } from './packed.ts'
import { readTflite } from './tflite.ts'

export type Format =
  | 'tflite'
  | 'thimble'
  | 'empty'
  | 'git-lfs'
  | 'html'
  | 'gzip'
  | 'zip'
  | 'pytorch'
  | 'hdf5'
  | 'onnx'
  | 'wasm'
  | 'tfjs'
  | 'safetensors'
  | 'saved-model'
  | 'image'
  | 'text'
  | 'unknown'

const latin = (bytes: Uint8Array, from: number, to: number): string => String.fromCharCode(...bytes.subarray(from, to))
const starts = (bytes: Uint8Array, prefix: readonly number[]): boolean => prefix.every((b, i) => bytes[i] === b)

/** ONNX is a bare protobuf: field 1 (ir_version, a small varint), then one of ModelProto's string or graph fields. */
const looksLikeOnnx = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x08 &&
  bytes[1]! >= 1 &&
  bytes[1]! <= 20 &&
  [0x12, 0x1a, 0x22, 0x2a, 0x32, 0x3a, 0x42].includes(bytes[2]!)

function sniffText(head: string): Format | undefined {
  const text = head.replace(/^\u00ef\u00bb\u00bf/, '').trimStart()
  if (text.startsWith('version https://git-lfs')) return 'git-lfs'
  if (/^<(!doctype|html|head|body|\?xml)/i.test(text)) return 'html'
  if (text.startsWith('{')) return /"(modelTopology|weightsManifest)"/.test(text) ? 'tfjs' : 'text'
  return /^[\t\n\r\x20-\x7e]{16,}$/.test(text) ? 'text' : undefined
}

/** Which kind of file the bytes are, by content alone. Never throws. */
export function sniffFormat(bytes: Uint8Array): Format {
  if (bytes.length === 0) return 'empty'
  if (starts(bytes, PACKED_MAGIC.slice(0, 7))) return 'thimble'
  if (latin(bytes, 4, 8) === 'TFL3') return 'tflite'
  if (starts(bytes, [0x1f, 0x8b])) return 'gzip'
  if (starts(bytes, [0x50, 0x4b, 3, 4])) {
    return /\/data\.pkl|archive\/|\/version/.test(latin(bytes, 30, 200)) ? 'pytorch' : 'zip'
  }
  // A legacy PyTorch file begins with the pickled magic number 0x1950a86a20f9469cfc6c.
  if (starts(bytes, [0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9])) return 'pytorch'
  if (starts(bytes, [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a])) return 'hdf5'
  if (starts(bytes, [0, 0x61, 0x73, 0x6d])) return 'wasm'
  if (starts(bytes, [0xff, 0xd8, 0xff]) || starts(bytes, [0x89, 0x50, 0x4e, 0x47]) || latin(bytes, 0, 4) === 'RIFF') {
    return 'image'
  }
  if (latin(bytes, 8, 10) === '{"' && bytes[5] === 0 && bytes[6] === 0 && bytes[7] === 0) return 'safetensors'
  if (looksLikeOnnx(bytes)) return 'onnx'
  const text = sniffText(latin(bytes, 0, 512))
  if (text) return text
  return bytes[0] === 0x08 && latin(bytes, 0, 256).includes('serve') ? 'saved-model' : 'unknown'
}

const CONVERT = 'convert it to an int8 .tflite first'
/** What a file that no reader takes is, and what to do. */
const FOREIGN: Record<Exclude<Format, 'tflite' | 'thimble'>, readonly [string, string]> = {
  empty: ['the file is empty', 'copy or download it again'],
  'git-lfs': ['a git-lfs pointer, not the model itself', 'run `git lfs pull`, or download the file itself'],
  html: ['a web page, not a model', 'the download gave an error or login page: check the address'],
  gzip: ['a gzip file', 'unpack it first'],
  zip: ['a zip archive', 'unpack it first'],
  pytorch: ['a PyTorch file', CONVERT],
  hdf5: ['a Keras .h5 file', CONVERT],
  onnx: ['an ONNX model', CONVERT],
  wasm: ['a WebAssembly module', 'give the model it was packed from'],
  tfjs: ['a TensorFlow.js model.json', CONVERT],
  safetensors: ['a safetensors file: weights without a network', CONVERT],
  'saved-model': ['a TensorFlow SavedModel', CONVERT],
  image: ['an image, not a model', 'give the model first, then the image'],
  text: ['a text file, not a model', 'give a .tflite or .thimble file'],
  unknown: ['not a model that Thimble knows', 'give a .tflite or .thimble file'],
}

/**
 * Reads a `.tflite` or `.thimble` file, whichever the bytes are. `name` is only for messages.
 * Errors: `format/not-a-model` for any other kind of file, saying which it is; `format/…` of the readers.
 */
export function readModel(bytes: Uint8Array, name = 'the model'): Graph {
  const format = sniffFormat(bytes)
  if (format === 'tflite' || format === 'thimble') {
    const graph = format === 'tflite' ? readTflite(bytes) : readPacked(bytes)
    addImplied(graph)
    return graph
  }
  const [what, hint] = FOREIGN[format]
  throw new ThimbleError('format/not-a-model', `${name}: ${what}`, {
    expected: 'a .tflite or .thimble file',
    got: `${bytes.length} bytes`,
    hint,
  })
}
