/** `thimble convert`: a model of another tool as a .tflite (float or 8-bit), or as a packed file when it is 8-bit. */
import { sniffModel } from '../convert/index.ts'
import { ThimbleError } from '../base/errors.ts'
import { elements, type Graph } from '../graph/graph.ts'
import { opMacs } from '../engine/inspect.ts'
import { quantizeBlockers, runBlockers } from '../quantize/check.ts'
import { floatModelOf, quantizeCommand } from '../graph/float-model.ts'
import { badCall, flag, text } from './args.ts'
import type { Args, Command } from './command.ts'
import { writeFiles } from './files.ts'
import { openSource, SOURCE_OPTIONS } from './source-model.ts'
import { bytes as showBytes, count } from './text.ts'

const isQuantized = (graph: Graph): boolean => floatModelOf(graph) === undefined

function summary(
  graph: Graph,
  format: string,
): {
  format: string
  quantized: boolean
  inputs: object[]
  outputs: object[]
  ops: Record<string, number>
  macs: number
  params: number
  labels: number
} {
  const ops: Record<string, number> = {}
  let macs = 0
  let params = 0
  for (const op of graph.ops) {
    ops[op.type === 'UNSUPPORTED' ? op.attrs.name : op.type] =
      (ops[op.type === 'UNSUPPORTED' ? op.attrs.name : op.type] ?? 0) + 1
    macs += opMacs(graph, op)
    for (const t of op.inputs) {
      const tensor = graph.tensors[t]
      if (tensor?.data && (tensor.dtype === 'float32' || tensor.quantization)) params += elements(tensor.shape)
    }
  }
  const brief = (t: number): object => {
    const { name, shape, dtype } = graph.tensors[t]!
    return { name, shape, dtype }
  }
  return {
    format,
    quantized: isQuantized(graph),
    inputs: graph.inputs.map(brief),
    outputs: graph.outputs.map(brief),
    ops,
    macs,
    params,
    labels: graph.metadata.labels?.length ?? 0,
  }
}

/** `source`: the file's name, for messages. */
async function encode(graph: Graph, output: string, source: string): Promise<Uint8Array> {
  if (/\.tflite$/i.test(output)) return (await import('../formats/tflite-write.ts')).writeTflite(graph)
  if (!/\.thimble$/i.test(output)) {
    throw new ThimbleError('usage/option', 'output is of no known kind', {
      expected: 'a name ending in .tflite or .thimble',
      got: JSON.stringify(output),
    })
  }
  if (!isQuantized(graph)) {
    throw new ThimbleError('lower/float', 'model is float, and a packed file holds 8-bit models', {
      hint: `${quantizeCommand(source)}, or write a .tflite`,
    })
  }
  const [{ writePacked }, { withPrograms }] = await Promise.all([
    import('../formats/packed-write.ts'),
    import('../plan/record.ts'),
  ])
  return writePacked(withPrograms(graph))
}

/**
 * Opens what was written as a user will. Errors: what keeps the file from loading; ops that Thimble reads but does not
 * run are no reason not to write a .tflite.
 */
async function tryOut(encoded: Uint8Array, output: string, quantized: boolean): Promise<void> {
  const { readModel } = await import('../formats/index.ts')
  const graph = readModel(encoded, output)
  if (!quantized || graph.ops.some((op) => op.type === 'UNSUPPORTED')) return
  const { loadBytes } = await import('../engine/load.ts')
  try {
    ;(await loadBytes(encoded, {}, output)).dispose()
  } catch (error) {
    if (error instanceof ThimbleError && error.code === 'lower/unsupported-op' && /\.tflite$/i.test(output)) return
    throw error
  }
}

/** Everything that keeps a graph, or the int8 form of a float one, from running. */
function inTheWay(graph: Graph, quantized: boolean): string[] {
  try {
    return quantized ? runBlockers(graph) : quantizeBlockers(graph)
  } catch (error) {
    if (error instanceof ThimbleError) return [error.message]
    throw error
  }
}

async function run(args: Args): Promise<void> {
  const [path, ...more] = args.positionals
  if (path === undefined || more.length) {
    throw badCall(command, path === undefined ? 'no MODEL given' : 'more than one MODEL given')
  }
  const { graph, bytes, stored } = await openSource(args, path)
  const output = text(args, 'output')
  const about = summary(graph, (await sniffModel(bytes)) ?? 'unknown')
  const blockers = inTheWay(graph, about.quantized)
  const encoded = output === undefined ? undefined : await encode(graph, output, path)
  if (output !== undefined) await tryOut(encoded!, output, about.quantized)
  if (output !== undefined) writeFiles([{ path: output, bytes: encoded! }])
  if (flag(args, 'json')) {
    process.stdout.write(
      `${JSON.stringify({ ...about, blockers, ...(encoded ? { file: output, bytes: encoded.length } : {}) }, null, 2)}\n`,
    )
    return
  }
  const tensor = (t: object): string => {
    const { name, shape, dtype } = t as { name: string; shape: number[]; dtype: string }
    return `${name} ${dtype} [${shape.join(', ')}]`
  }
  process.stdout.write(
    [
      `${path}: ${about.format}, ${about.quantized ? '8-bit' : stored}`,
      `  input   ${about.inputs.map(tensor).join(', ')}`,
      `  output  ${about.outputs.map(tensor).join(', ')}`,
      `  ops     ${Object.entries(about.ops)
        .map(([op, n]) => `${n} ${op}`)
        .join(', ')}`,
      `  size    ${count(about.params)} parameters, ${count(about.macs)} multiply-adds${about.labels ? `, ${about.labels} labels` : ''}`,
      ...(blockers.length
        ? [
            `  ${about.quantized ? 'does not run' : 'its int8 form would not run'}: ${blockers.length} in the way`,
            ...blockers.map((b) => `    ${b}`),
          ]
        : [about.quantized ? '  runs' : `  runs when quantized: ${quantizeCommand(path)}`]),
      ...(encoded ? [`${output}: ${showBytes(encoded.length)}`] : []),
    ].join('\n') + '\n',
  )
}

export const command: Command = {
  name: 'convert',
  summary:
    'Reads a model of Keras, TensorFlow.js, Teachable Machine, ONNX, PyTorch or TFLite, with batch norm folded, and writes it as .tflite or packed file.',
  usage: 'convert MODEL [-o OUT.tflite|OUT.thimble] [--input-shape SHAPE] [--size N] [--labels FILE] [--json]',
  options: {
    output: {
      type: 'string',
      short: 'o',
      value: 'FILE',
      help: '.tflite, or .thimble for 8-bit models (default: only tell what the model is)',
    },
    ...SOURCE_OPTIONS,
    json: { type: 'boolean', help: 'print JSON' },
  },
  notes:
    'MODEL: .h5, .keras, model.json, .onnx, .pt, .pth, .safetensors, .tflite, a .zip of one (as Teachable Machine exports), or a folder.\nTo make a float model small and fast: thimble quantize. Whether its int8 form will run, and everything in the way, is told here.',
  run,
}
