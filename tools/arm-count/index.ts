/**
 * Counts the instructions that an emulated Cortex-A72 and A76 execute for one inference, Thimble beside native TFLite
 * runtimes: repeatable to the instruction, on a machine without an ARM processor. Instructions are not cycles.
 *
 * Usage: tsx tools/arm-count/index.ts [--layers] [--core cortex-a72|cortex-a76] MODEL...
 *   MODEL  a .tflite or .thimble file, or the name of a shipped model
 * Needs: gcc, QEMU's user mode and an arm64 Node (.ci/engines.sh); for the peers .ci/engines.sh litert-arm64.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { flag, helpText, parseCommandLine, text } from '../../src/cli/args.ts'
import type { Args, Command } from '../../src/cli/command.ts'
import { report } from '../../src/cli/report.ts'
import { openModel } from '../../src/cli/shipped.ts'
import { table } from '../../src/cli/text.ts'
import { ThimbleError } from '../../src/base/errors.ts'
import { readModel } from '../../src/formats/index.ts'
import { writeTflite } from '../../src/formats/tflite-write.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { type Core, CORES, type Count, countAll, peers, plugin, qemuVersion, type Runtime, thimble } from './count.ts'
import { layersOf } from './layers.ts'

interface Row {
  name: string
  times: number
  graph: Graph
}

const command: Command = {
  name: 'arm-count',
  usage: 'npm run arm-count -- [--layers] [--core CORE] MODEL...',
  summary: 'Executed arm64 instructions an inference, Thimble beside native TFLite runtimes.',
  options: {
    layers: { type: 'boolean', help: 'each kind of layer of the model, the worst ratio first' },
    core: { type: 'string', value: 'CORE', help: `one of ${CORES.join(', ')} (default: both)` },
  },
  run,
}

const millions = (n: number): string => (n / 1e6).toFixed(n < 1e7 ? 2 : 1)

/** What is counted: whole models, or one model's layers. */
function rowsOf(models: readonly string[], layers: boolean): Row[] {
  return models.flatMap((model) => {
    const file = openModel(model)
    const graph = readModel(file.bytes, file.name)
    return layers ? layersOf(graph) : [{ name: model.replace(/.*\//, ''), times: 1, graph }]
  })
}

/** One row of the table, and the worst ratio of the first peer by which rows are sorted. */
function line({ name, times }: Row, own: Count, others: readonly Count[]): { cells: string[]; ratio: number } {
  const cells = others.flatMap((peer) => [
    millions(peer.instructions),
    (own.instructions / peer.instructions).toFixed(2),
  ])
  return {
    cells: [times > 1 ? `${name} (${times})` : name, own.about, millions(own.instructions), ...cells],
    ratio: others[0] ? own.instructions / others[0].instructions : own.instructions,
  }
}

async function run(args: Args): Promise<number> {
  if (!args.positionals.length) {
    throw new ThimbleError('usage/arguments', 'no model given', { hint: `usage: ${command.usage}` })
  }
  const core = text(args, 'core')
  const wanted = CORES.filter((c) => core === undefined || c === core)
  if (!wanted.length) {
    throw new ThimbleError('usage/option', 'no such core', { expected: CORES.join(', '), got: core })
  }
  const [ours, insn] = [thimble(), plugin()]
  if (!ours || !insn) {
    throw new ThimbleError('usage/tools', 'no arm64 Node, QEMU or C compiler', { hint: 'run .ci/engines.sh' })
  }
  const beside = peers()
  const rows = rowsOf(args.positionals, flag(args, 'layers'))
  const folder = mkdtempSync(join(tmpdir(), 'thimble-arm-'))
  try {
    const models = rows.map(({ graph }, i) => {
      const path = join(folder, `${i}.tflite`)
      writeFileSync(path, writeTflite(graph))
      return path
    })
    for (const on of wanted) print(on, { rows, models, insn, ours, beside, layers: flag(args, 'layers') })
  } finally {
    rmSync(folder, { recursive: true })
  }
  if (!beside.length) process.stdout.write('No peer beside it: .ci/engines.sh litert-arm64 installs two.\n')
  return 0
}

interface Run {
  rows: readonly Row[]
  models: readonly string[]
  insn: string
  ours: Runtime
  beside: readonly Runtime[]
  layers: boolean
}

function print(core: Core, { rows, models, insn, ours, beside, layers }: Run): void {
  const [own, ...others] = [ours, ...beside].map((runtime) => countAll(runtime, core, { models, insn }))
  const lines = rows.map((row, i) =>
    line(
      row,
      own![i]!,
      others.map((counts) => counts[i]!),
    ),
  )
  if (layers) lines.sort((a, b) => b.ratio - a.ratio)
  const dots = others.map((counts) => (counts.some((c) => c.dots > 0) ? ', SDOT' : ''))
  const head = [core, 'kernels', ours.name, ...beside.flatMap(({ name }, i) => [`${name}${dots[i]}`, 'ratio'])]
  const numbers = head.map((_, i) => i).slice(2)
  process.stdout.write(
    `Millions of instructions an inference, ${core} under QEMU ${qemuVersion()}, one thread\n\n` +
      `${table([head, ...lines.map(({ cells }) => cells)], numbers)}\n\n`,
  )
}

function printHelp(): number {
  process.stdout.write(helpText(command))
  return 0
}

try {
  const argv = process.argv.slice(2)
  const args = parseCommandLine(command, argv)
  process.exitCode = args.options.help ? printHelp() : await run(args)
} catch (error) {
  process.exitCode = report(error)
}
