/** `thimble run`: raw tensors in, raw tensors out. */
import { ThimbleError } from '../base/errors.ts'
import { dtypeBytes, elements } from '../graph/graph.ts'
import type { TensorInfo, TypedArray } from '../graph/types.ts'
import { badCall, flag, text } from './args.ts'
import type { Args, Command } from './command.ts'
import { readFile, writeFiles } from './files.ts'
import { load, loadOptions, RUN_OPTIONS } from './models.ts'
import { openModel } from './shipped.ts'

/** Views a file's bytes as an input's values. Errors: `usage/input`. */
export function tensorFromBytes(bytes: Uint8Array, info: TensorInfo, file: string): TypedArray {
  const expected = elements(info.shape) * dtypeBytes(info.dtype)
  if (bytes.length !== expected) {
    throw new ThimbleError('usage/input', `${file} does not fit the model's input`, {
      tensor: info.name,
      expected: `${expected} bytes (${info.dtype} [${info.shape.join(', ')}])`,
      got: `${bytes.length} bytes`,
    })
  }
  // A copy of its own: aligned for every element size.
  const buffer = new Uint8Array(bytes).buffer
  switch (info.dtype) {
    case 'int8':
      return new Int8Array(buffer)
    case 'int16':
      return new Int16Array(buffer)
    case 'int32':
      return new Int32Array(buffer)
    case 'int64':
      return new BigInt64Array(buffer)
    case 'float32':
      return new Float32Array(buffer)
    default:
      return new Uint8Array(buffer)
  }
}

async function run(args: Args): Promise<number> {
  const [modelName, ...more] = args.positionals
  if (modelName === undefined) throw badCall(command, 'no MODEL given')
  const prefix = text(args, 'output')
  // `--input A B` leaves B among the positionals.
  const files = [...((args.options.input ?? []) as string[]), ...more]
  if (files.length === 0) throw badCall(command, 'no --input given')
  if (prefix === undefined) throw badCall(command, 'no --output given')
  const modelFile = openModel(modelName)
  const inputs = files.map((file) => ({ file, bytes: readFile(file) }))
  const model = await load(modelFile, loadOptions(args))
  if (inputs.length !== model.inputs.length) {
    throw new ThimbleError('usage/input', 'the number of input files is wrong', {
      expected: `${model.inputs.length}: ${model.inputs.map((i) => `${i.name} ${i.dtype} [${i.shape.join(', ')}]`).join('; ')}`,
      got: inputs.length,
    })
  }
  const tensors = inputs.map(({ file, bytes }, i) => tensorFromBytes(bytes, model.inputs[i]!, file))
  const outputs = model.run(tensors)
  const written = outputs.map((o, i) => ({
    path: `${prefix}${i}`,
    bytes: new Uint8Array(o.buffer, o.byteOffset, o.byteLength),
  }))
  writeFiles(written)
  const list = written.map(({ path, bytes }, i) => ({
    file: path,
    name: model.outputs[i]!.name,
    dtype: model.outputs[i]!.dtype,
    shape: model.outputs[i]!.shape,
    bytes: bytes.length,
  }))
  if (flag(args, 'json')) process.stdout.write(`${JSON.stringify(list, null, 2)}\n`)
  else for (const o of list) process.stdout.write(`${o.file}  ${o.dtype} [${o.shape.join(', ')}]  ${o.bytes} bytes\n`)
  return 0
}

export const command: Command = {
  name: 'run',
  summary: 'Runs a model on raw tensors: no preprocessing, no labels.',
  usage: 'run MODEL --input FILE... --output PREFIX',
  options: {
    input: {
      type: 'string',
      short: 'i',
      multiple: true,
      value: 'FILE',
      help: "one input's row-major little-endian bytes in the model's own dtype; one FILE per input",
    },
    output: {
      type: 'string',
      short: 'o',
      value: 'PREFIX',
      help: "outputs go to PREFIX0, PREFIX1, ... in the model's own dtypes",
    },
    ...RUN_OPTIONS,
    json: { type: 'boolean', help: 'print [{ file, name, dtype, shape, bytes }]' },
  },
  notes: 'Output files appear complete or not at all.',
  run,
}
