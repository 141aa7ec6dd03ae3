/** `thimble bench`: how fast a model loads and runs on this machine. */
import type { LoadOptions, ModelReport, TensorInfo, TypedArray } from '../graph/types.ts'
import { ThimbleError } from '../base/errors.ts'
import { badCall, flag, whole } from './args.ts'
import type { Args, Command } from './command.ts'
import { importLoader, inspect, load, loadOptions, type ProfiledModel, RUN_OPTIONS } from './models.ts'
import { type ModelFile, openModel } from './shipped.ts'
import { describe, processor, type Processor } from './processor.ts'
import { printable } from '../base/markup.ts'
import { tensorFromBytes } from './run.ts'
import { dtypeBytes, elements } from '../graph/graph.ts'
import { median, quantile } from './stats.ts'
import { bar, bytes, count, cut, ms, table } from './text.ts'

interface OpTime {
  index: number
  op: string
  kernel: string
  ms: number
  macs: number
}

/** The same values every time, over the whole range of the type (0 to 1 for floats). */
export function sampleInput(info: TensorInfo): TypedArray {
  const n = elements(info.shape)
  let state = 0x9e3779b9
  const next = (): number => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x5bd1e995) | 0
    return state >>> 24
  }
  if (info.dtype === 'float32') return Float32Array.from({ length: n }, () => next() / 255)
  const raw = new Uint8Array(n * dtypeBytes(info.dtype))
  for (let i = 0; i < raw.length; i++) raw[i] = next()
  return tensorFromBytes(raw, info, 'sample')
}

async function wasmBytes(model: ProfiledModel, file: ModelFile, packed: boolean): Promise<number> {
  if (packed) return file.bytes.length
  if (model.kernels === 'avx2') return (await import('../fast/runtime.ts')).fastBytes()
  const { runtimeBytes } = await import('../engine/runtime.ts')
  return (await runtimeBytes(model.variant)).length
}

/** How often the model is loaded again, when the engine has compiled what loads it. */
const RELOADS = 9

async function run(args: Args): Promise<number> {
  const [name, ...more] = args.positionals
  if (name === undefined) throw badCall(command, 'no MODEL given')
  if (more.length > 0) throw badCall(command, `one MODEL at a time, and ${more[0]} is one more`)
  if (flag(args, 'load')) return (await import('./bench-load.ts')).benchLoad(name, args)
  const runs = whole(args, 'runs', 50)
  const warmup = whole(args, 'warmup', 10, { min: 0 })
  const options = loadOptions(args)
  const file = openModel(name)
  await importLoader(options)

  const loaded = async () => {
    const start = performance.now()
    const model = await load(file, options)
    return { model, ms: performance.now() - start }
  }
  const { model, ms: loadMs } = await loaded()
  const inputs = model.inputs.map(sampleInput)
  const timed = (out?: TypedArray[]): number => {
    const t = performance.now()
    model.run(inputs, out ? { out } : undefined)
    return performance.now() - t
  }
  const firstRunMs = timed()
  const out = model.run(inputs)
  for (let i = 0; i < warmup; i++) timed(out)
  const times = Array.from({ length: runs }, () => timed(out)).sort((a, b) => a - b)

  const again: number[] = []
  for (let i = 0; i < RELOADS; i++) {
    const other = await loaded()
    again.push(other.ms)
    other.model.dispose()
  }
  // A packed module has no ops to report on.
  const known = await inspect(file, options)
  const { macs } = known
  const medianMs = median(times)
  const reloadMs = median(again)
  const round = (n: number): number => Number(n.toPrecision(5))
  const result = {
    model: file.name,
    processor: processor(),
    engine: engineName(),
    variant: model.variant,
    kernels: model.kernels,
    why: model.why,
    plan: options.plan ?? 'speed',
    runs,
    warmup,
    medianMs: round(medianMs),
    minMs: round(times[0]!),
    p95Ms: round(quantile(times, 0.95)),
    loadMs: round(loadMs),
    reloadMs: round(reloadMs),
    firstRunMs: round(firstRunMs),
    macs,
    gmacPerSecond: round(macs / medianMs / 1e6),
    arenaBytes: model.arenaBytes,
    memoryBytes: model.memoryBytes,
    wasmBytes: await wasmBytes(model, file, known.ops.length === 0),
    ...(options.plan === 'size' && known.ops.length > 0
      ? { againstSpeed: slowdown(await compare(timed, { file, options: { ...options, plan: 'speed' }, inputs, runs })) }
      : {}),
    ...((options.threads ?? 1) > 1
      ? { againstOneThread: speedup(await compare(timed, { file, options: { ...options, threads: 1 }, inputs, runs })) }
      : {}),
    ...(flag(args, 'profile') ? { ops: await profile(model, inputs, runs, known) } : {}),
  }
  process.stdout.write(
    flag(args, 'json') ? `${JSON.stringify(result, null, 2)}\n` : flag(args, 'share') ? shared(result) : human(result),
  )
  return 0
}

/** `Node 26.10.0, V8 14.6.202.34`. */
function engineName(): string {
  const { versions } = process
  return versions.bun ? `Bun ${versions.bun}` : `Node ${versions.node}, V8 ${versions.v8.replace(/-.*/, '')}`
}

/** A row of a table to paste where others can read it. Nothing is sent anywhere. */
function shared(r: {
  model: string
  processor: Processor
  engine: string
  variant: string
  kernels: string
  plan: string
  medianMs: number
  minMs: number
  firstRunMs: number
  loadMs: number
  gmacPerSecond: number
  memoryBytes: number
}): string {
  const cell = (text: string): string => printable(text).replaceAll('|', '/')
  const rows = [
    [
      'model',
      'processor',
      'engine',
      'kernels',
      'median ms',
      'min ms',
      'first run ms',
      'load ms',
      'GMAC/s',
      'memory bytes',
    ],
    [
      cell(r.model.replace(/^.*[/\\]/, '')),
      cell(describe(r.processor)),
      r.engine,
      `${r.variant} ${r.kernels}, plan ${r.plan}`,
      ms(r.medianMs),
      ms(r.minMs),
      ms(r.firstRunMs),
      ms(r.loadMs),
      r.gmacPerSecond.toFixed(2),
      String(r.memoryBytes),
    ],
  ]
  const [head, row] = rows.map((cells) => `| ${cells.join(' | ')} |`)
  return `${head}\n${`|${'---|'.repeat(rows[0]!.length)}`}\n${row}\n`
}

/**
 * The same model loaded otherwise. `times`: how many times as long `timed` took, pair by pair; the shortest of each.
 */
interface Comparison {
  times: number[]
  shortest: [that: number, own: number]
  medianMs: number
  memoryBytes: number
}
interface Other {
  file: ModelFile
  options: LoadOptions
  inputs: TypedArray[]
  runs: number
}

/** Runs of each, one after the other, before it is the other's turn. */
const TURN = 10

/** Runs the other one in turn with `timed`. */
async function compare(timed: () => number, { file, options, inputs, runs }: Other): Promise<Comparison> {
  const other = await load(file, options)
  const once = (): number => {
    const t = performance.now()
    other.run(inputs)
    return performance.now() - t
  }
  for (let i = 0; i < 10; i++) once()
  // A few of each at a time: threads that are woken for one run only are slow.
  const pairs = Array.from({ length: Math.ceil(runs / TURN) }, () => {
    const those = Array.from({ length: TURN }, once)
    return those.map((that) => [that, timed()] as const)
  }).flat()
  const result = {
    times: pairs.map(([that, own]) => own / that),
    shortest: [Math.min(...pairs.map(([that]) => that)), Math.min(...pairs.map(([, own]) => own))] as [number, number],
    medianMs: Number(median(pairs.map(([that]) => that)).toPrecision(5)),
    memoryBytes: other.memoryBytes,
  }
  other.dispose()
  return result
}

type Slowdown = Omit<Comparison, 'times' | 'shortest'> & { slowdown: number }
const slowdown = ({ times, medianMs, memoryBytes }: Comparison): Slowdown => ({
  slowdown: Number(median(times).toPrecision(4)),
  medianMs,
  memoryBytes,
})

/** `speedup`: by the medians of pairs; `atBest`: by the shortest runs of both, which others disturbed least. */
type Speedup = Omit<Comparison, 'times' | 'shortest'> & { speedup: number; atBest: number }
const speedup = ({ times, shortest: [that, own], medianMs, memoryBytes }: Comparison): Speedup => ({
  speedup: Number((1 / median(times)).toPrecision(4)),
  atBest: Number((that / own).toPrecision(4)),
  medianMs,
  memoryBytes,
})

async function profile(
  model: ProfiledModel,
  inputs: TypedArray[],
  runs: number,
  known: ModelReport,
): Promise<OpTime[]> {
  if (!model.profile) {
    throw new ThimbleError('usage/profile', "this model can't be profiled op by op", {
      hint: 'profile the model file that it was packed from',
    })
  }
  // The median of single runs: one interruption does not make an op look slow.
  const rounds: Awaited<ReturnType<NonNullable<ProfiledModel['profile']>>>[] = []
  for (let i = 0; i < Math.min(runs, 200); i++) rounds.push(await model.profile(inputs, 1))
  return rounds[0]!.map(({ index, kernel, macs }, i) => {
    const times = rounds.map((round) => round[i]!.ms)
    return { index, op: known.ops[index]?.op ?? '', kernel, ms: Number(median(times).toPrecision(4)), macs }
  })
}

function human(r: {
  model: string
  processor: Processor
  engine: string
  variant: string
  why: string
  plan: string
  runs: number
  medianMs: number
  minMs: number
  p95Ms: number
  loadMs: number
  reloadMs: number
  firstRunMs: number
  macs: number
  gmacPerSecond: number
  arenaBytes: number
  memoryBytes: number
  wasmBytes: number
  againstSpeed?: Slowdown
  againstOneThread?: Speedup
  ops?: OpTime[]
}): string {
  const summary = table([
    ['  median', `${ms(r.medianMs)} ms`, `${r.runs} runs, min ${ms(r.minMs)}, p95 ${ms(r.p95Ms)}`],
    [
      '  first run',
      `${ms(r.firstRunMs)} ms`,
      `after loading in ${ms(r.loadMs)} ms; loading again takes ${ms(r.reloadMs)} ms`,
    ],
    ...(r.macs ? [['  speed', `${r.gmacPerSecond.toFixed(2)} GMAC/s`, `${count(r.macs)} multiply-adds`]] : []),
    ['  memory', bytes(r.memoryBytes), `arena ${bytes(r.arenaBytes)}`],
    ...(r.againstSpeed
      ? [
          [
            '  slowdown',
            r.againstSpeed.slowdown.toFixed(3),
            `of plan speed, in turn: ${ms(r.againstSpeed.medianMs)} ms, memory ${bytes(r.againstSpeed.memoryBytes)}`,
          ],
        ]
      : []),
    ...(r.againstOneThread
      ? [
          [
            '  speedup',
            r.againstOneThread.speedup.toFixed(3),
            `over one thread, in turn: ${ms(r.againstOneThread.medianMs)} ms; of the shortest runs ${r.againstOneThread.atBest.toFixed(3)}`,
          ],
        ]
      : []),
    ['  on', r.engine, describe(r.processor)],
    ['  wasm', bytes(r.wasmBytes), `${r.variant}: ${r.why}; plan ${r.plan}`],
  ])
  return `${printable(r.model)}\n${summary}\n${r.ops ? `\n${profileTable(r.ops)}\n` : ''}`
}

function profileTable(ops: OpTime[]): string {
  const total = ops.reduce((sum, op) => sum + op.ms, 0) || 1
  const largest = Math.max(...ops.map((op) => op.ms)) || 1
  const rows = ops.map((op) => [
    String(op.index),
    cut(op.op, 24),
    cut(op.kernel, 28),
    op.ms.toFixed(3),
    `${((op.ms / total) * 100).toFixed(1)} %`,
    op.macs && op.ms ? (op.macs / op.ms / 1e6).toFixed(2) : '',
    bar(op.ms / largest, 16),
  ])
  const byKernel = new Map<string, { ms: number; macs: number; n: number }>()
  for (const op of ops) {
    const sum = byKernel.get(op.kernel) ?? { ms: 0, macs: 0, n: 0 }
    byKernel.set(op.kernel, { ms: sum.ms + op.ms, macs: sum.macs + op.macs, n: sum.n + 1 })
  }
  const kernels = [...byKernel]
    .sort((a, b) => b[1].ms - a[1].ms)
    .map(([kernel, s]) => [
      kernel,
      String(s.n),
      s.ms.toFixed(3),
      `${((s.ms / total) * 100).toFixed(1)} %`,
      s.macs ? (s.macs / s.ms / 1e6).toFixed(2) : '',
    ])
  return `${table([['#', 'op', 'kernel', 'ms', '', 'GMAC/s', ''], ...rows], [0, 3, 4, 5])}\n\n${table([['kernel', 'ops', 'ms', '', 'GMAC/s'], ...kernels], [1, 2, 3, 4])}`
}

export const command: Command = {
  name: 'bench',
  summary: 'Measures how fast a model loads and runs on this machine.',
  usage: 'bench MODEL [--runs N] [--warmup N] [--profile | --load] [--json | --share]',
  options: {
    runs: { type: 'string', short: 'n', value: 'N', help: 'measured runs (default: 50)' },
    warmup: { type: 'string', short: 'w', value: 'N', help: 'runs before that (default: 10)' },
    profile: {
      type: 'boolean',
      short: 'p',
      help: 'time every op; each is run on its own, so they add up to a little more',
    },
    load: {
      type: 'boolean',
      help: 'where the time goes from a cold process to the first answer; --runs processes (default: 5)',
    },
    ...RUN_OPTIONS,
    json: { type: 'boolean', help: 'print everything as JSON' },
    share: { type: 'boolean', help: 'print a table to paste where others can read it; nothing is sent' },
  },
  notes:
    "Loading counts from the bytes of the file to a model that can run, the first in this process: parse, plan, pack weights, compile and\ninstantiate the wasm, start threads. Loading again is the median of nine more times, when the engine has compiled what loads.\nReading the file and importing Thimble's own modules are not counted.\nWith --threads the same model on one thread takes turns with it: the speed-up is the median of pairs.",
  run,
}
