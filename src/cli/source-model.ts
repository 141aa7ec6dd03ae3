/** The model of another tool that `convert` and `quantize` read, with the options that both have for it. */
import { basename } from 'node:path'
import { openPath } from '../convert/files.ts'
import { addLabels, readFloatModel } from '../convert/index.ts'
import { isOnnx, parseOnnx } from '../convert/onnx/model.ts'
import type { Sidecar } from '../convert/sidecar.ts'
import { ThimbleError } from '../base/errors.ts'
import { addImplied } from '../formats/implied.ts'
import { sniffFormat } from '../formats/index.ts'
import { readTflite } from '../formats/tflite.ts'
import type { Graph } from '../graph/graph.ts'
import { describeFloat, floatModelOf } from '../graph/float-model.ts'
import { text, whole } from './args.ts'
import type { Args, OptionSpec } from './command.ts'
import { labelFile } from './files.ts'
import { note } from './report.ts'

export const SOURCE_OPTIONS: Record<string, OptionSpec> = {
  'input-shape': {
    type: 'string',
    value: 'SHAPE',
    help: 'for dimensions the file leaves open, in its own order: 1x224x224x3, or 1x3x224x224 for ONNX',
    check: shapeOf,
  },
  size: {
    type: 'string',
    value: 'N',
    help: "side of the input, for PyTorch state dicts (default: the architecture's own)",
  },
  labels: {
    type: 'string',
    short: 'l',
    value: 'FILE',
    help: 'class names to keep with the model (default: its own, or labels.txt beside it)',
  },
}

/** `--input-shape`, such as `1x224x224x3`. Errors: `usage/option`. */
function shapeOf(args: Args): number[] | undefined {
  const value = text(args, 'input-shape')
  if (value === undefined) return undefined
  const shape = value.split(/[x,]/).map(Number)
  if (shape.length > 6 || !shape.every((d) => Number.isInteger(d) && d >= 1 && d <= 1 << 20)) {
    throw new ThimbleError('usage/option', '--input-shape is not usable', {
      expected: 'a shape such as 1x224x224x3',
      got: JSON.stringify(value),
    })
  }
  return shape
}

export interface Source {
  graph: Graph
  /** Of the file. */
  bytes: Uint8Array
  /**
   * What the model is, in words, e.g. `a float model with int8 weights (dynamic range)`; '8-bit' for a quantized one.
   */
  stored: string
}

/** What onnxruntime's quantize_dynamic writes: it has weights of 8 bits, that the reader makes floats of. */
const isDynamic = async (bytes: Uint8Array, sidecar: Sidecar | undefined): Promise<boolean> =>
  isOnnx(bytes) && (await parseOnnx(bytes, sidecar)).nodes.some((n) => n.type === 'DynamicQuantizeLinear')

/** In the file itself: the graph has its weights as floats. */
async function storedAs(graph: Graph, bytes: Uint8Array, sidecar: Sidecar | undefined): Promise<string> {
  const found = floatModelOf(sniffFormat(bytes) === 'tflite' ? readTflite(bytes) : graph)
  if (!found) return '8-bit'
  return describeFloat((await isDynamic(bytes, sidecar)) ? { ...found, weights: 'int8' } : found)
}

/**
 * The graph of the model at `path`, float or 8-bit, with its labels, and the file it came from. Errors: `usage/…`,
 * those of the readers. Says on stderr where weights are stored narrower than float32.
 */
export async function openSource(args: Args, path: string): Promise<Source> {
  const shape = shapeOf(args)
  const size = text(args, 'size') === undefined ? undefined : whole(args, 'size', 224, { min: 16, max: 4096 })
  const { bytes, sidecar, path: file } = await openPath(path)
  const graph = await readFloatModel(bytes, {
    sidecar,
    name: basename(file),
    ...(shape === undefined ? {} : { inputShape: shape }),
    ...(size === undefined ? {} : { size }),
  })
  const labels = labelFile(args)
  if (labels) graph.metadata = { ...graph.metadata, labels, task: graph.metadata.task ?? 'classification' }
  else if (!graph.metadata.labels) await addLabels(graph, sidecar)
  addImplied(graph)
  const stored = await storedAs(graph, bytes, sidecar)
  if (/ with /.test(stored)) note(`the file is ${stored}, which were dequantized to float32 first`)
  return { graph, bytes, stored }
}
