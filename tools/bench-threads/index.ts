/**
 * Where threads lose time: what each of them does between two barriers, timed by itself on one thread, and real runs
 * beside it.
 *
 * Usage: npm run bench:threads -- [--threads N] [--seconds S] [--spans N] MODEL...
 *   MODEL  a .tflite or .thimble file, or the name of a shipped model
 *
 * `possible` counts the longest share of every span: no thread waits for longer, and nothing is lost at barriers or
 * between processors' caches. Real runs of one and of N threads take turns; what else runs on the machine lengthens
 * those of N threads most, so that the shortest ones tell.
 *
 * `side by side` is the ceiling: what N processes of one thread each, which share nothing, do in the time of one that
 * is alone. It is less than N where processors share caches, memory or a core. LiteRT with N threads against itself
 * with one stands beside it, where .ci/engines.sh has installed it and the model is a .tflite file.
 */
import { flag, helpText, number, parseCommandLine, whole } from '../../src/cli/args.ts'
import type { Args, Command } from '../../src/cli/command.ts'
import { sampleInput } from '../../src/cli/bench.ts'
import { describe, processor } from '../../src/cli/processor.ts'
import { report } from '../../src/cli/report.ts'
import { openModel, type ModelFile } from '../../src/cli/shipped.ts'
import { median } from '../../src/cli/stats.ts'
import { ms, table } from '../../src/cli/text.ts'
import { choose } from '../../src/engine/choice.ts'
import { instantiateProgram, sharedMemory } from '../../src/engine/engine.ts'
import { ThimbleError } from '../../src/base/errors.ts'
import { settle } from '../../src/fold/index.ts'
import { readModel } from '../../src/formats/index.ts'
import { loadFile } from '../../src/engine/load-graph.ts'
import { compileModel } from '../../src/plan/compile.ts'
import { runtimeModule } from '../../src/engine/runtime.ts'
import { spansOf } from './spans.ts'
import { litertThreads, sideBySide } from './twins.ts'

const command: Command = {
  name: 'bench-threads',
  usage: 'npm run bench:threads -- [--threads N] [--seconds S] [--spans N] MODEL...',
  summary: 'Where threads lose time: the shares of each between barriers, and real runs.',
  options: {
    threads: { type: 'string', value: 'N', help: 'threads (default: 2)' },
    seconds: { type: 'string', value: 'S', help: 'time for each model and measurement (default: 3)' },
    spans: { type: 'string', value: 'N', help: 'list the N spans between barriers that lose most (default: 0)' },
  },
  run,
}

/** Turns of real runs before it is the other's turn: threads that are woken for one run only are slow. */
const TURN = 10

/** Shortest milliseconds of each thread's share of a span, and what it holds. */
interface SpanTime {
  ms: number[]
  about: string
}

/** Calls `body` until the time is over. */
function during(seconds: number, body: () => void): void {
  const end = performance.now() + seconds * 1000
  do body()
  while (performance.now() < end)
}

/** Every thread's share of every span, one after the other on this thread. */
async function shares(file: ModelFile, threads: number, seconds: number): Promise<SpanTime[]> {
  const { variant, kernels } = await choose({})
  const program = compileModel(settle(readModel(file.bytes, file.name)), { variant, kernels, plan: 'speed', threads })
  const { thimble_thread: call } = instantiateProgram(await runtimeModule('threads'), program, sharedMemory(program))
  const spans = spansOf(program)
  const best = spans.map((span) => span.map((calls) => calls.map(() => Infinity)))
  during(seconds, () => {
    for (const [s, span] of spans.entries()) {
      for (const [t, calls] of span.entries()) {
        for (const [k, { address, count }] of calls.entries()) {
          const start = performance.now()
          if (call!(address, count)) throw new ThimbleError('runtime/status', 'the executor refused the program')
          best[s]![t]![k] = Math.min(best[s]![t]![k]!, performance.now() - start)
        }
      }
    }
  })
  return spans.map((span, s) => ({
    ms: best[s]!.map((calls) => calls.reduce((a, b) => a + b, 0)),
    about: span[0]!
      .map(({ index }) => program.entries[index]!)
      .filter(({ kernel }) => kernel !== 'fill')
      .map(({ kernel, opIndex }) => `${kernel} ${opIndex}`)
      .join(', '),
  }))
}

/** Milliseconds of runs of one thread and of several, in turn. */
async function real(file: ModelFile, threads: number, seconds: number): Promise<number[][]> {
  const [one, many] = [
    await loadFile(file.bytes, { threads: 1 }, file.name),
    await loadFile(file.bytes, { threads }, file.name),
  ]
  const inputs = one.inputs.map(sampleInput)
  const times: number[][] = [[], []]
  during(seconds, () => {
    for (const [i, model] of [one, many].entries()) {
      for (let k = 0; k < TURN; k++) {
        const start = performance.now()
        model.run(inputs)
        times[i]!.push(performance.now() - start)
      }
    }
  })
  many.dispose()
  return times
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

const times = (a: number, b: number): string => `${(a / b).toFixed(2)}x`
const short = (name: string): string => name.replace(/.*\//, '')

/** One model's row of the table, and its spans. */
async function measured(name: string, threads: number, seconds: number): Promise<{ row: string[]; spans: SpanTime[] }> {
  const file = openModel(name)
  const spans = await shares(file, threads, seconds)
  const [one, many] = (await real(file, threads, seconds)) as [number[], number[]]
  const shortest = [Math.min(...one), Math.min(...many)] as const
  const critical = sum(spans.map((s) => Math.max(...s.ms)))
  const alone = sum(spans.map((s) => (s.ms.filter((t) => t > 0).length > 1 ? 0 : Math.max(...s.ms))))
  const ceiling = await sideBySide(name, threads, seconds)
  const peer = litertThreads(name, threads, seconds)
  const row = [
    short(name),
    ms(shortest[0]),
    `${ms(critical)} (${times(shortest[0], critical)})`,
    ms(alone),
    String(spans.length - 1),
    `${ms(shortest[1])} (${times(shortest[0], shortest[1])})`,
    times(median(one), median(many)),
    `${sum(ceiling.together.map((t) => ceiling.alone / t)).toFixed(2)}x`,
    peer ? `${ms(peer.many)} (${times(peer.one, peer.many)})` : '-',
  ]
  return { row, spans }
}

/** The spans that lose most. */
function worstSpans(name: string, spans: readonly SpanTime[], threads: number, count: number): string {
  const lost = ({ ms: t }: SpanTime): number => Math.max(...t) - sum(t) / threads
  const worst = [...spans].sort((a, b) => lost(b) - lost(a)).slice(0, count)
  const rows = worst.map((s) => [lost(s).toFixed(3), s.ms.map((t) => t.toFixed(3)).join(' '), s.about])
  return table([['lost ms', 'shares', short(name)], ...rows], [0])
}

async function run(args: Args): Promise<number> {
  if (!args.positionals.length) {
    throw new ThimbleError('usage/arguments', 'no model given', { hint: `usage: ${command.usage}` })
  }
  const threads = whole(args, 'threads', 2, { min: 2 })
  const seconds = number(args, 'seconds', 3, { min: 0.1, max: 600 })
  const listed = whole(args, 'spans', 0, { min: 0 })
  const rows: string[][] = []
  const lists: string[] = []
  for (const name of args.positionals) {
    const { row, spans } = await measured(name, threads, seconds)
    rows.push(row)
    if (listed) lists.push(worstSpans(name, spans, threads, listed))
  }
  const many = `${threads} threads`
  const head = ['', 'one thread, ms', 'possible', 'alone', 'barriers', many, 'medians', 'side by side', 'LiteRT']
  const text = [table([head, ...rows], [1, 2, 3, 4, 5, 6, 7, 8]), ...lists].join('\n\n')
  process.stdout.write(`${describe(processor())}, Node ${process.versions.node}, ${threads} threads\n\n${text}\n`)
  return 0
}

try {
  const args = parseCommandLine(command, process.argv.slice(2))
  if (flag(args, 'help')) process.stdout.write(helpText(command))
  else process.exitCode = await run(args)
} catch (error) {
  process.exitCode = report(error)
}
