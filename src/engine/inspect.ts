/** What `thimble inspect` shows: a model's tensors, ops, kernels, counts and memory, without running it. */
import { tensorInfo } from './engine.ts'
import { readModel, sniffFormat } from '../formats/index.ts'
import { tensorBytes, type Graph, type Op, type Tensor } from '../graph/graph.ts'
import { checkLoadOptions } from '../options/load-options.ts'
import { settle } from '../fold/index.ts'
import { lower } from '../lower/index.ts'
import { describeFloat, floatModelOf } from '../graph/float-model.ts'
import { assemble, type Entry, type Program } from '../plan/compile.ts'
import { chooseVariant, type VariantChoice } from './runtime.ts'
import { checkValue, text } from '../options/options.ts'
import { notASource } from '../options/source.ts'
import type { LoadOptions, Model, ModelReport, OpReport } from '../graph/types.ts'

/** Multiply-adds of an op, from its shapes: what the published figures of these networks count. */
export function opMacs(graph: Graph, op: Op): number {
  const t = (i: number | undefined): Tensor | undefined => (i === undefined || i < 0 ? undefined : graph.tensors[i])
  const size = (x: Tensor | undefined): number => (x ? x.shape.reduce((a, b) => a * b, 1) : 0)
  const out = t(op.outputs[0])
  const filter = t(op.inputs[1])
  switch (op.type) {
    case 'CONV_2D':
      return (size(out) * size(filter)) / (filter?.shape[0] || 1)
    case 'DEPTHWISE_CONV_2D':
      return size(out) * (filter?.shape[1] ?? 0) * (filter?.shape[2] ?? 0)
    case 'FULLY_CONNECTED':
      return size(out) * (filter?.shape[1] ?? 0)
    case 'TRANSPOSE_CONV':
      return (size(t(op.inputs[2])) * size(filter)) / (filter?.shape[3] || 1)
    default:
      return 0
  }
}

const weightOps = new Set(['CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'TRANSPOSE_CONV'])

/** Trained parameters of an op: filter and bias elements. */
function opParams(graph: Graph, op: Op): number {
  if (!weightOps.has(op.type)) return 0
  return op.inputs.reduce((a, i, position) => {
    const t = i >= 0 ? graph.tensors[i]! : undefined
    return t?.data && !(op.type === 'TRANSPOSE_CONV' && position === 0) ? a + t.shape.reduce((x, y) => x * y, 1) : a
  }, 0)
}

export function kernelNames(graph: Graph, program: Program | undefined): string[] {
  const byOp = new Map<number, Entry[]>()
  for (const e of program?.entries ?? []) {
    if (e.kernel === 'group') continue
    const known = byOp.get(e.opIndex)
    if (known) known.push(e)
    else byOp.set(e.opIndex, [e])
  }
  return graph.ops.map((_, index) => {
    const own = byOp.get(index) ?? []
    const main = own.find((e) => e.macs > 0) ?? own.find((e) => e.kernel !== 'fill' && e.kernel !== 'frame') ?? own[0]
    return main ? main.kernel + (own.some((e) => e.group !== undefined) ? ' (banded)' : '') : '-'
  })
}

/** What the entry points' function of this name gives, at once. Errors: `format/…`, `usage/option`. */
export const inspectModel = (bytes: Uint8Array, options: LoadOptions = {}, name?: string): ModelReport =>
  inspectAs(bytes, options, { ...(name !== undefined && { name }) })

/** The same for kernels that were chosen already. */
export function inspectAs(
  bytes: Uint8Array,
  options: LoadOptions,
  { name, choice }: { name?: string; choice?: Pick<Model, 'variant' | 'kernels' | 'why'> | undefined },
): ModelReport {
  if (!(bytes instanceof Uint8Array)) throw notASource(bytes, 'the bytes of a model, as a Uint8Array')
  if (name !== undefined) checkValue('inspectModel: name', name, text)
  checkLoadOptions(options, 'inspectModel')
  const graph = settle(readModel(bytes, name), options.inputShapes)
  return inspectGraph(graph, options, { format: sniffFormat(bytes), fileBytes: bytes.length }, choice)
}

function inspectGraph(
  graph: Graph,
  options: LoadOptions,
  { format, fileBytes }: Pick<ModelReport, 'format' | 'fileBytes'>,
  choice?: VariantChoice,
): ModelReport {
  const { variant, kernels } = choice ?? chooseVariant(options.variant, options.kernels)
  const plan = options.plan ?? 'speed'
  const lowered = lower(graph, { variant, kernels, compact: plan === 'size' })
  const program = lowered.unsupported.length ? undefined : assemble(lowered, { variant, kernels, plan })
  const names = kernelNames(graph, program)
  const float = floatModelOf(graph)
  const info = (i: number): ModelReport['inputs'][number] => ({
    ...tensorInfo(graph.tensors[i]!),
    bytes: tensorBytes(graph.tensors[i]!),
  })
  const brief = (i: number): OpReport['inputs'][number] => {
    const { name, shape, dtype } = graph.tensors[i]!
    return { name, shape, dtype }
  }
  const ops = graph.ops.map((op, index) => ({
    index,
    op: op.type === 'UNSUPPORTED' ? op.attrs.name : op.type,
    kernel: names[index]!,
    inputs: op.inputs.filter((i) => i >= 0).map(brief),
    outputs: op.outputs.map(brief),
    macs: opMacs(graph, op),
    params: opParams(graph, op),
  }))
  return {
    format,
    fileBytes,
    inputs: graph.inputs.map(info),
    outputs: graph.outputs.map(info),
    ops,
    macs: ops.reduce((a, o) => a + o.macs, 0),
    params: ops.reduce((a, o) => a + o.params, 0),
    arenaBytes: program?.arenaBytes ?? 0,
    weightBytes: program?.weightBytes ?? 0,
    memoryBytes: program?.memoryBytes ?? 0,
    ...(float ? { floatModel: describeFloat(float) } : {}),
    unsupported: lowered.unsupported,
    arena: program?.arena ?? [],
    variant,
    kernels,
    plan,
    metadata: {
      ...graph.metadata,
      ...(options.labels ? { labels: options.labels } : {}),
      ...(options.preprocess ? { preprocess: options.preprocess } : {}),
    },
  }
}
