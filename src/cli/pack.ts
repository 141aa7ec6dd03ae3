/** `thimble pack`: a model file -> one self-contained wasm module, and its C header on request. */
import { basename } from 'node:path'
import { ThimbleError } from '../base/errors.ts'
import { readModel } from '../formats/index.ts'
import { KERNELS } from '../kernels/kernels.ts'
import { SIGNED_DOT } from '../pack/header.ts'
import { packGraph, TARGETS } from '../pack/pack.ts'
import { badCall, byteCount, choice, flag, text } from './args.ts'
import type { Args, Command } from './command.ts'
import { labelFile, writeFiles } from './files.ts'
import { packReport } from './pack-report.ts'
import { openModel } from './shipped.ts'

async function run(args: Args): Promise<void> {
  const [modelName, ...more] = args.positionals
  if (modelName === undefined || more.length) {
    throw badCall(command, modelName === undefined ? 'no MODEL given' : 'more than one MODEL given')
  }
  const output = text(args, 'output')
  if (output === undefined) throw badCall(command, 'no -o OUT.wasm given')
  const target = choice(args, 'target', TARGETS) ?? 'core'
  const variant = choice(args, 'variant', ['simd', 'scalar', 'relaxed'] as const) ?? 'simd'
  const plan = choice(args, 'plan', ['speed', 'size'] as const)
  const weights = choice(args, 'weights', ['memory', 'flash'] as const)
  const ram = byteCount(args, 'ram', command)
  const page = choice(args, 'page-size', ['1', '65536'] as const)
  const pageSize = page === '1' ? (1 as const) : undefined
  const header = text(args, 'header')
  if (header !== undefined && target !== 'core') {
    throw new ThimbleError(
      'usage/option',
      '--header goes with --target core: commands and components are not linked to C',
    )
  }
  // Who asks for a header makes C of the module, on controllers most of all.
  const kernels = choice(args, 'kernels', KERNELS) ?? (header !== undefined && variant === 'scalar' ? 'arm' : undefined)
  const raw = flag(args, 'raw')
  if (raw && target !== 'component') throw new ThimbleError('usage/option', '--raw goes with --target component')
  const model = openModel(modelName)
  const graph = readModel(model.bytes, model.name)
  const labels = labelFile(args)
  if (labels) graph.metadata.labels = labels
  // Two models may well have the same name: macros that begin with the file's can't collide.
  const prefix = text(args, 'name') ?? basename(output).replace(/\.[^.]*$/, '')
  const name = text(args, 'name') ?? graph.metadata.name ?? basename(model.name).replace(/\.[^.]*$/, '')
  const file = basename(output)
  const options = { target, raw, variant, kernels, plan, weights, ram, pageSize, name, prefix, file }
  const packed = await packGraph(graph, options)
  writeFiles([
    { path: output, bytes: packed.wasm },
    ...(header === undefined ? [] : [{ path: header, bytes: packed.header }]),
    ...(packed.wit === undefined ? [] : [{ path: `${output.replace(/\.wasm$/, '')}.wit`, bytes: packed.wit }]),
  ])
  process.stdout.write(await packReport(output, packed, { graph, options }))
  if (weights === 'flash') {
    process.stderr.write('thimble: warning: wasm3 refuses modules with weights in flash: it has no memory.init\n')
  }
  if (packed.signedDot) process.stderr.write(`thimble: warning: ${output} is ${SIGNED_DOT}\n`)
}

export const command: Command = {
  name: 'pack',
  summary: 'Makes one self-contained WebAssembly module of a model: only the kernels it uses, its weights, its plan.',
  usage: 'pack MODEL -o OUT.wasm [--target core|wasi|component|http] [--variant simd|scalar|relaxed] [--header OUT.h]',
  options: {
    output: { type: 'string', short: 'o', value: 'OUT.wasm', help: 'where the module goes' },
    target: {
      type: 'string',
      value: 'T',
      help: 'core: a module with no imports, for any engine; wasi: a command that reads image files and says what is in them; component: thimble:vision/model, whose interface goes to OUT.wit; http: wasi:http/incoming-handler, an image POSTed, JSON back (default: core)',
    },
    variant: { type: 'string', value: 'V', help: 'simd, scalar (engines without SIMD) or relaxed (default: simd)' },
    kernels: {
      type: 'string',
      value: 'K',
      help: 'processors to choose kernels for: generic, x86, arm, or with --variant relaxed arm-dot, which is refused where the relaxed dot product is not signed (all but arm64); with --variant scalar arm is for C on 32-bit processors, generic for interpreters and the rest (default: generic; arm with --variant scalar and --header)',
    },
    plan: {
      type: 'string',
      value: 'P',
      help: 'speed or size (default: the smaller weights where they cost at most 3 % of the time; for scalar whichever needs less memory)',
    },
    weights: {
      type: 'string',
      value: 'W',
      help: 'memory: linear memory holds them; flash: they stay in the module, which copies what it needs at a time (not for wasm3) (default: memory)',
    },
    ram: {
      type: 'string',
      value: 'BYTES',
      help: 'with --weights flash: linear memory that the module may take, such as 64K (default: as little as possible)',
    },
    'page-size': {
      type: 'string',
      value: 'BYTES',
      help: '1 or 65536; 1: memory is declared to the byte, for engines with the custom-page-sizes proposal (Wasmtime, wasmi) (default: 65536)',
    },
    raw: {
      type: 'boolean',
      help: 'with --target component: inputs, outputs and run alone, without the decoder of images',
    },
    header: {
      type: 'string',
      value: 'OUT.h',
      help: 'also write a C header: shapes, types, quantization, memory, status codes',
    },
    labels: {
      type: 'string',
      short: 'l',
      value: 'FILE',
      help: 'class names to put into the module: one per line, "index name" lines, or JSON',
    },
    name: {
      type: 'string',
      value: 'NAME',
      help: "the model's name in the metadata and of the header's macros (default: its own; for the macros the name of OUT.wasm)",
    },
  },
  notes:
    'A core module exports memory, thimble_abi, thimble_input_ptr, thimble_input_bytes, thimble_output_ptr, thimble_output_bytes,\n' +
    'thimble_invoke, __heap_base and __data_end. A wasi one is run as: wasmtime run --dir=. OUT.wasm photo.jpg',
  run,
}
