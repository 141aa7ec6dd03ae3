/** Models on the command line: loading one, and the options that say how. */
import { ThimbleError } from '../base/errors.ts'
import { dtypeBytes, elements } from '../graph/graph.ts'
import { KERNELS } from '../kernels/kernels.ts'
import { MOST_THREADS } from '../options/load-options.ts'
import type { Choice } from '../engine/choice.ts'
import type { InputShapes, LoadOptions, Model, ModelReport, TensorInfo } from '../graph/types.ts'
import type { Args, OptionSpec } from './command.ts'
import { choice as oneOf, flag, text, whole } from './args.ts'
import type { ModelFile } from './shipped.ts'

/** Options of every command that runs a model. */
export const RUN_OPTIONS = {
  variant: { type: 'string', value: 'V', help: 'auto, simd, scalar or relaxed (default: auto)', check: loadOptions },
  kernels: {
    type: 'string',
    value: 'K',
    help: 'auto, generic, x86, x86-vnni, arm or arm-dot (default: auto, what suits this engine)',
    check: loadOptions,
  },
  plan: { type: 'string', value: 'P', help: 'speed or size (default: speed)', check: loadOptions },
  fast: {
    type: 'boolean',
    help: 'AVX2 through an experimental flag of V8, where it is there and found exact (Node 26 on x86-64)',
  },
  threads: { type: 'string', value: 'N', help: 'worker threads (default: 1)', check: loadOptions },
  'input-shape': {
    type: 'string',
    multiple: true,
    value: 'SHAPE',
    help: 'another shape for an input, e.g. 1,320,320,3 or NAME=1,320,320,3; repeatable',
    check: loadOptions,
  },
} satisfies Record<string, OptionSpec>

/** Shapes of `--input-shape`: in the inputs' order, or by name. Errors: `usage/option`. */
function inputShapes(args: Args): InputShapes | undefined {
  const given = args.options['input-shape'] as string[] | undefined
  if (!given?.length) return undefined
  const parsed = given.map((item) => {
    const at = item.lastIndexOf('=')
    const dims = item
      .slice(at + 1)
      .split(/[,x]/)
      .map(Number)
    if (!dims.every((d) => Number.isSafeInteger(d) && d >= 1)) {
      throw new ThimbleError('usage/option', '--input-shape is not a shape', {
        expected: 'numbers of at least 1, such as 1,320,320,3',
        got: item,
      })
    }
    return { name: at < 0 ? undefined : item.slice(0, at), dims }
  })
  if (parsed.every((p) => p.name === undefined)) return parsed.map((p) => p.dims)
  if (parsed.some((p) => p.name === undefined)) {
    throw new ThimbleError('usage/option', '--input-shape with and without a name', {
      expected: 'names for all inputs, or for none',
      got: given.join(' '),
    })
  }
  return Object.fromEntries(parsed.map((p) => [p.name!, p.dims]))
}

/** Errors: `usage/option`. */
export function loadOptions(args: Args): LoadOptions {
  const variant = oneOf(args, 'variant', ['auto', 'simd', 'scalar', 'relaxed'] as const)
  const kernels = oneOf(args, 'kernels', ['auto', ...KERNELS] as const)
  const shapes = inputShapes(args)
  const plan = oneOf(args, 'plan', ['speed', 'size'] as const)
  return {
    ...(variant ? { variant } : {}),
    ...(kernels ? { kernels } : {}),
    ...(plan ? { plan } : {}),
    ...(flag(args, 'fast') ? { fast: true } : {}),
    ...(shapes ? { inputShapes: shapes } : {}),
    ...(text(args, 'threads') !== undefined
      ? { threads: whole(args, 'threads', 1, { min: 1, max: MOST_THREADS }) }
      : {}),
  }
}

/** What the engine's model offers beyond Model, where it does. */
export interface ProfiledModel extends Model {
  /** Milliseconds per graph op, mean over `runs`. */
  profile?(
    input: Parameters<Model['run']>[0],
    runs: number,
  ): Promise<{ index: number; kernel: string; ms: number; macs: number }[]>
}

/** Loads an opened model: `.tflite`, `.thimble`, or a module made by pack. */
export async function load(file: ModelFile, options: LoadOptions): Promise<ProfiledModel> {
  const { loadBytes } = await import('../engine/load-node.ts')
  return loadBytes(file.bytes, options, file.name)
}

/** Imports what `load` needs for these options, so that nothing but the model is left to load. */
export async function importLoader(options: LoadOptions): Promise<void> {
  const { runtimeBytes } = await import('../engine/runtime.ts')
  await import('../engine/load-node.ts')
  if (options.fast) await import('../fast/runtime.ts')
  if ((options.threads ?? 1) > 1) await runtimeBytes('threads')
  else if (options.variant === 'scalar' || options.variant === 'relaxed') await runtimeBytes(options.variant)
}

/** What `load` would choose. */
export async function choice(options: LoadOptions): Promise<Choice> {
  const { choose } = await import('../engine/choice.ts')
  const { fastRuntime } = await import('../engine/load-node.ts')
  return choose(options, fastRuntime)
}

/** What a packed module says of weights that it has in flash. */
async function packedFlash(wasm: Uint8Array): Promise<Pick<ModelReport, 'flash'>> {
  const { packedMeta } = await import('../engine/packed-module.ts')
  const { flash } = packedMeta(await WebAssembly.compile(wasm as Uint8Array<ArrayBuffer>))
  return flash ? { flash } : {}
}

/** The report on what `pack --weights flash` makes of a model. Errors: those of packGraph. */
export async function inspectFlash(
  file: ModelFile,
  options: LoadOptions,
  ram: number | undefined,
): Promise<ModelReport> {
  const { readModel } = await import('../formats/index.ts')
  const { settle } = await import('../fold/index.ts')
  const { kernelNames } = await import('../engine/inspect.ts')
  const { packGraph } = await import('../pack/pack.ts')
  const report = await inspect(file, options)
  if (!report.ops.length || report.unsupported.length) return report
  const graph = settle(readModel(file.bytes, file.name), options.inputShapes)
  const { variant, plan } = options
  const packed = await packGraph(graph, {
    weights: 'flash',
    ram,
    plan,
    variant: variant === 'auto' || variant === undefined ? 'simd' : variant,
  })
  const { program, sizes, meta } = packed
  const names = kernelNames(graph, program)
  return {
    ...report,
    ops: report.ops.map((op, i) => ({ ...op, kernel: names[i]! })),
    variant: meta.variant,
    kernels: meta.kernels ?? 'generic',
    plan: program.plan,
    arenaBytes: program.arenaBytes,
    arena: program.arena,
    weightBytes: program.weightBytes,
    memoryBytes: sizes.memoryBytes,
    flash: { ...meta.flash!, units: program.flash!.units },
  }
}

/** `inspect`'s report on an opened model. A packed module tells what its metadata holds: no ops, no arena plan. */
export async function inspect(file: ModelFile, options: LoadOptions): Promise<ModelReport> {
  const { isWasm } = await import('../options/source.ts')
  if (!isWasm(file.bytes)) {
    const { inspectAs } = await import('../engine/inspect.ts')
    return inspectAs(file.bytes, options, { name: file.name, choice: await choice(options) })
  }
  const model = await load(file, options)
  const withBytes = (t: TensorInfo): ModelReport['inputs'][number] => ({
    ...t,
    bytes: elements(t.shape) * dtypeBytes(t.dtype),
  })
  return {
    format: 'packed module',
    fileBytes: file.bytes.length,
    inputs: model.inputs.map(withBytes),
    outputs: model.outputs.map(withBytes),
    ops: [],
    macs: 0,
    params: 0,
    arenaBytes: model.arenaBytes,
    weightBytes: 0,
    memoryBytes: model.memoryBytes,
    unsupported: [],
    arena: [],
    variant: model.variant,
    kernels: model.kernels,
    plan: options.plan ?? 'speed',
    ...(await packedFlash(file.bytes)),
    metadata: model.metadata,
  }
}
