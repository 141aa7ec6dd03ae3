/**
 * Speed of each kernel on each layer of MobileNet V1, V2 and V3 and on 3x3 convolutions of YOLO, ResNet and VGG: GMAC/s
 * and percent of what the vector units can do at most, measured in the same run; the kernels that `auto` picks on this
 * engine are marked.
 *
 * Usage: tsx tools/bench-kernels/index.ts [REGEX of a row] [--json] [--rounds N] [--convolution winograd|direct]
 * Every row is one op in a program of its own, made by the real lowering and planner and run by the real runtime. The
 * kernel sets take turns, the best time counts. GMAC/s are those of the plain sum; percent of the peak count the
 * products that a kernel really makes.
 */
import { buildArch, type ArchSpec } from '../../src/arch/index.ts'
import { Engine, instantiateProgram, sharedMemory, tensorInfo } from '../../src/engine/engine.ts'
import { withFlags } from '../../src/fast/runtime.ts'
import { elements, type Graph, type Op } from '../../src/graph/graph.ts'
import { engineFeatures, KERNELS } from '../../src/kernels/kernels.ts'
import { choose } from '../../src/engine/choice.ts'
import type { Convolution } from '../../src/lower/context.ts'
import { fastRuntime } from '../../src/engine/load-node.ts'
import { compileModel } from '../../src/plan/compile.ts'
import { PLAIN, runtimeModule } from '../../src/engine/runtime.ts'
import type { Kernels, TypedArray, Variant } from '../../src/graph/types.ts'
import { table } from '../../src/cli/text.ts'
import { peak } from './peak.ts'

/** A set of kernels and the runtime that has it. */
interface Contender {
  kernels: Kernels
  variant: Variant
  module: WebAssembly.Module
  picked: boolean
  peak: number
}

const NETWORKS: readonly ArchSpec[] = [
  { name: 'mobilenet_v1' },
  { name: 'mobilenet_v2' },
  { name: 'mobilenet_v3_large' },
]

/** Height and width of a full 3x3 convolution's input, its channels, its stride. */
type FullLayer = readonly [size: number, c: number, o: number, stride?: number]

const FULL: readonly FullLayer[] = [
  // YOLOv8n at 320.
  [80, 16, 16],
  [40, 32, 32],
  [40, 64, 64],
  [20, 64, 64],
  [20, 128, 64],
  [10, 128, 128],
  [80, 32, 64, 2],
  [40, 64, 128, 2],
  [20, 128, 256, 2],
  // ResNet-8 on 32 x 32, VGG on 224 x 224.
  [32, 16, 16],
  [8, 64, 64],
  [112, 64, 128],
  [28, 256, 256],
  [14, 512, 512],
]

function fullLayer([size, c, o, stride = 1]: FullLayer): Graph {
  const quantization = { scales: Float32Array.of(0.05), zeroPoints: Int32Array.of(3), axis: 0 }
  const scales = new Float32Array(o).fill(0.01)
  const data = Uint8Array.from({ length: o * 9 * c }, (_, k) => Math.imul(k + 1, 0x9e3779b1) >>> 24)
  return {
    tensors: [
      { name: 'x', shape: [1, size, size, c], dtype: 'int8', quantization },
      {
        name: 'filter',
        shape: [o, 3, 3, c],
        dtype: 'int8',
        quantization: { scales, zeroPoints: new Int32Array(o), axis: 0 },
        data,
      },
      { name: 'bias', shape: [o], dtype: 'int32', data: new Uint8Array(o * 4) },
      { name: 'y', shape: [1, Math.ceil(size / stride), Math.ceil(size / stride), o], dtype: 'int8', quantization },
    ],
    inputs: [0],
    outputs: [3],
    metadata: {},
    ops: [
      {
        type: 'CONV_2D',
        inputs: [0, 1, 2],
        outputs: [3],
        attrs: {
          padding: 'SAME',
          strideH: stride,
          strideW: stride,
          dilationH: 1,
          dilationW: 1,
          activation: 'RELU',
        },
      },
    ],
  }
}

/** The layers of the networks that multiply, each shape once. */
function layers(): Map<string, Graph> {
  const found = new Map<string, Graph>()
  for (const spec of NETWORKS) {
    const graph = buildArch(spec)
    for (const op of graph.ops) {
      const title = titleOf(graph, op)
      if (title && !found.has(title)) found.set(title, alone(graph, op))
    }
  }
  for (const layer of FULL) {
    const graph = fullLayer(layer)
    found.set(titleOf(graph, graph.ops[0]!)!, graph)
  }
  return found
}

function titleOf(graph: Graph, op: Op): string | undefined {
  if (op.type !== 'CONV_2D' && op.type !== 'DEPTHWISE_CONV_2D') return undefined
  const [, h, w, c] = graph.tensors[op.inputs[0]!]!.shape as [number, number, number, number]
  const filter = graph.tensors[op.inputs[1]!]!.shape
  const o = graph.tensors[op.outputs[0]!]!.shape[3]!
  const kind = op.type === 'DEPTHWISE_CONV_2D' ? 'depthwise' : filter[1] === 1 ? 'pointwise' : 'conv'
  return `${kind}${filter[1] === 1 ? '' : ` ${filter[1]}x${filter[2]}`}${op.attrs.strideH > 1 ? ` s${op.attrs.strideH}` : ''} ${h}x${w}x${c}${kind === 'depthwise' ? '' : ` -> ${o}`}`
}

/** An op as a graph of its own. */
function alone(graph: Graph, op: Op): Graph {
  const indices = [...op.inputs, ...op.outputs]
  const at = (i: number): number => indices.indexOf(i)
  return {
    tensors: indices.map((i) => graph.tensors[i]!),
    inputs: [0],
    outputs: [at(op.outputs[0]!)],
    metadata: {},
    ops: [{ ...op, inputs: op.inputs.map(at), outputs: op.outputs.map(at) }],
  }
}

async function contenders(): Promise<Contender[]> {
  const features = engineFeatures()
  const fast = await fastRuntime()
  const auto = (await choose({})).kernels
  if (!fast.module) console.error(`no fast kernels: ${fast.why}`)
  const list: Omit<Contender, 'peak'>[] = []
  // `generic` takes the same forms as `x86`.
  for (const kernels of KERNELS.filter(
    (k) => k !== 'generic' && (k !== 'arm-dot' || features.signedDot) && (k !== 'x86-vnni' || features.unsignedDot),
  )) {
    const variant: Variant = PLAIN[kernels] ? 'relaxed' : 'simd'
    list.push({ kernels, variant, module: await runtimeModule(variant), picked: kernels === auto })
  }
  if (fast.module) list.push({ kernels: 'avx2', variant: 'simd', module: fast.module, picked: false })
  return list.map((c) => ({ ...c, peak: peak(c.kernels, withFlags) }))
}

function load(graph: Graph, { variant, kernels, module }: Contender, convolution: Convolution): Engine {
  const program = compileModel(graph, { variant, kernels, plan: 'speed', convolution })
  const info = (i: number): ReturnType<typeof tensorInfo> => tensorInfo(graph.tensors[i]!)
  const memory = kernels === 'avx2' ? sharedMemory(program) : undefined
  return new Engine(
    instantiateProgram(module, program, memory),
    { inputs: graph.inputs.map(info), outputs: graph.outputs.map(info), variant, kernels, why: '', metadata: {} },
    program,
  )
}

interface Cell {
  kernels: Kernels
  kernel: string
  ms: number
  gmacPerSecond: number
  percentOfPeak: number
  picked: boolean
}
interface Row {
  layer: string
  macs: number
  cells: Cell[]
}

/** Milliseconds that all turns of one kernel set on one layer may take before the clock counts. */
const WARM_MS = 20

interface Settings {
  rounds: number
  convolution: Convolution
}

/** Products that a kernel makes for each of the plain sum's. */
const products = (kernel: string): number =>
  kernel.startsWith('winograd') ? 36 / 144 : kernel.startsWith('polyphase') ? 25 / 36 : 1

async function measure(
  layer: string,
  graph: Graph,
  list: readonly Contender[],
  { rounds, convolution }: Settings,
): Promise<Row> {
  const engines = list.map((c) => load(graph, c, convolution))
  const inputs = engines[0]!.inputs.map((i) =>
    Int8Array.from({ length: elements(i.shape) }, (_, k) => Math.imul(k + 1, 0x9e3779b1) >>> 24),
  ) as TypedArray[]
  for (const e of engines) {
    for (const start = performance.now(); performance.now() - start < WARM_MS;) await e.profile(inputs, 1)
  }
  const best = engines.map(() => ({ kernel: '', ms: Infinity, macs: 0 }))
  for (let r = 0; r < rounds; r++) {
    for (const [i, e] of engines.entries()) {
      const { kernel, ms, macs } = (await e.profile(inputs, 1)).find((row) => row.macs)!
      if (ms < best[i]!.ms) best[i] = { kernel, ms, macs }
    }
  }
  const cells = best.map(({ kernel, ms, macs }, i): Cell => {
    const { kernels, picked, peak } = list[i]!
    const gmacPerSecond = macs / ms / 1e6
    return {
      kernels,
      kernel,
      ms,
      gmacPerSecond,
      percentOfPeak: ((gmacPerSecond * products(kernel)) / peak) * 100,
      picked,
    }
  })
  return { layer, macs: best[0]!.macs, cells }
}

function print(list: readonly Contender[], rows: readonly Row[]): void {
  const name = (c: Contender): string =>
    c.kernels === 'avx2' ? 'avx2 (fast)' : c.picked ? `${c.kernels} (picked)` : c.kernels
  console.log(
    `${process.arch}, V8 ${process.versions.v8}. GMAC/s, and percent of the best loop that only multiplies and adds: ${list.map((c) => `${c.kernels} ${c.peak.toFixed(1)}`).join(', ')} GMAC/s`,
  )
  console.log(
    table(
      [
        ['layer', 'MMAC', ...list.flatMap((c) => [name(c), 'GMAC/s', '%'])],
        ...rows.map((r) => [
          r.layer,
          (r.macs / 1e6).toFixed(2),
          ...r.cells.flatMap((c) => [
            `${c.picked ? '*' : ' '}${c.kernel}`,
            c.gmacPerSecond.toFixed(1),
            c.percentOfPeak.toFixed(0),
          ]),
        ]),
      ],
      [1, ...list.flatMap((_, i) => [3 + 3 * i, 4 + 3 * i])],
    ),
  )
}

async function main(): Promise<void> {
  const args = process.argv.slice(2)
  const json = args.includes('--json')
  const rounds = args.includes('--rounds') ? Number(args[args.indexOf('--rounds') + 1]) : 30
  const convolution = args.includes('--convolution') ? args[args.indexOf('--convolution') + 1] : 'best'
  const pattern = args.find((a, i) => !a.startsWith('--') && !/^--(rounds|convolution)$/.test(args[i - 1] ?? ''))
  const wanted = [...layers()].filter(([title]) => !pattern || new RegExp(pattern).test(title))
  if (!wanted.length || !(rounds >= 1)) {
    throw new Error(wanted.length ? '--rounds needs a number' : `no layer matches ${pattern}`)
  }
  if (convolution !== 'best' && convolution !== 'winograd' && convolution !== 'direct') {
    throw new Error('--convolution needs best, winograd or direct')
  }
  const list = await contenders()
  const rows: Row[] = []
  for (const [title, graph] of wanted) rows.push(await measure(title, graph, list, { rounds, convolution }))
  if (json) {
    console.log(
      JSON.stringify(
        {
          arch: process.arch,
          v8: process.versions.v8,
          peaks: Object.fromEntries(list.map((c) => [c.kernels, c.peak])),
          rows,
        },
        null,
        2,
      ),
    )
  } else print(list, rows)
}

await main()
