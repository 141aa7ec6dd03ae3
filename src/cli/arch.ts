/**
 * `thimble arch`: MobileNets of every width and resolution against the networks they replaced, counted, planned and
 * timed here.
 */
import { ARCHITECTURES, buildArch, separableExample, type ArchName, type ArchSpec } from '../arch/index.ts'
import { archChart } from '../arch/chart.ts'
import { BUDGET_GRID, countRow, fits, measureRow, pick, type ArchRow, type Budget } from '../arch/measure.ts'
import { ThimbleError } from '../base/errors.ts'
import { choice, flag, number, text, whole } from './args.ts'
import type { Args, Command } from './command.ts'
import { writeFiles } from './files.ts'
import { progress } from './progress.ts'
import { count, grouped, ms, table } from './text.ts'

/** What is compared when nothing is named: the paper's tables, and the networks since. */
const DEFAULT: readonly ArchSpec[] = [
  ...[1, 0.75, 0.5, 0.25].map((alpha): ArchSpec => ({ name: 'mobilenet_v1', alpha })),
  ...[192, 160, 128].map((size): ArchSpec => ({ name: 'mobilenet_v1', size })),
  ...(
    [
      'mobilenet_v2',
      'mobilenet_v3_small',
      'mobilenet_v3_large',
      'efficientnet_lite0',
      'mobilenet_v1_full',
      'googlenet',
      'inception_v3',
      'vgg16',
    ] as const
  ).map((name): ArchSpec => ({ name })),
]

/** `512K`, `1.5M`, `300000`. Errors: `usage/option`. */
export function byteSize(value: string, option: string): number {
  const m = /^(\d+(?:\.\d+)?)\s*([kKmM]?)(?:i?[bB])?$/.exec(value)
  const bytes = m ? Number(m[1]) * { '': 1, k: 1024, m: 1024 ** 2 }[m[2]!.toLowerCase() as '' | 'k' | 'm'] : NaN
  if (!(bytes >= 1)) {
    throw new ThimbleError('usage/option', `--${option} is not usable`, {
      expected: 'a size such as 512K, 1.5M or 300000',
      got: JSON.stringify(value),
    })
  }
  return Math.floor(bytes)
}

const kib = (bytes: number | undefined): string => (bytes === undefined ? '-' : `${grouped(bytes / 1024)} KiB`)
const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(bytes < 10 * 1024 ** 2 ? 2 : 1)} MiB`

const SUPERSCRIPTS = '¹²³⁴⁵⁶⁷⁸⁹'

/** Millions with one digit, grouped. */
const millions = (n: number): string => {
  const [whole, part] = (n / 1e6).toFixed(1).split('.')
  return `${grouped(Number(whole))}.${part} M`
}

/** The table, and under it what is to be said of published figures: marked with letters. */
function human(rows: readonly ArchRow[]): string {
  const notes: string[] = []
  /** Whether the published figure follows from the counts, the figure, and the number of its note. */
  const mark = (r: ArchRow, kind: 'macs' | 'params'): string => {
    const figure = r.published?.[kind]
    if (figure === undefined) return '- '
    const note = r.published!.notes[kind]
    if (note !== undefined && !notes.includes(note)) notes.push(note)
    return `${r.published!.follows[kind] ? '=' : '≠'} ${Number.isInteger(figure) ? grouped(figure) : figure.toFixed(1)} M${note === undefined ? ' ' : SUPERSCRIPTS[notes.indexOf(note)]}`
  }
  const known = rows.some((r) => r.published)
  const timed = rows.some((r) => r.medianMs !== undefined)
  const head = [
    'network',
    'α',
    'ρ',
    'input',
    'mult-adds',
    ...(known ? ['published '] : []),
    'parameters',
    ...(known ? ['published ', 'top-1'] : []),
    'int8',
    'float32',
    ...(timed ? ['arena', 'memory', 'ms', 'GMAC/s'] : []),
  ]
  const body = rows.map((r) => [
    r.title,
    String(r.alpha),
    String(Number(r.rho.toFixed(3))),
    String(r.size),
    millions(r.macs),
    ...(known ? [mark(r, 'macs')] : []),
    `${(r.params / 1e6).toFixed(2)} M`,
    ...(known ? [mark(r, 'params'), r.published?.top1?.toFixed(1) ?? '-'] : []),
    mib(r.int8Bytes),
    mib(r.floatBytes),
    ...(timed ? [kib(r.arenaBytes), mib(r.memoryBytes!), ms(r.medianMs!), r.gmacPerSecond!.toFixed(1)] : []),
  ])
  return [
    table([head, ...body], head.map((_, i) => i).slice(1)),
    '',
    'mult-adds: multiply-adds of convolutions and fully connected layers. parameters: filters and biases, batch norm folded, 1000 classes.',
    ...(known
      ? [
          'published: the figure of the paper (--json names it), = where the counts give it when rounded as it is; top-1: published ImageNet accuracy in percent.',
        ]
      : []),
    ...notes.map((n, i) => `${SUPERSCRIPTS[i]} ${n}`),
  ].join('\n')
}

function exampleText(): string {
  const { full, separable, ratio } = separableExample()
  return `One layer, 8x8x3 to 8x8x256 with 5x5 kernels: ${grouped(full)} multiplications as a full convolution, ${grouped(separable)} depthwise separable (${ratio.toFixed(1)} times fewer).`
}

function specs(args: Args): ArchSpec[] {
  const given = {
    ...(text(args, 'alpha') !== undefined ? { alpha: number(args, 'alpha', 1, { min: 0.01, max: 4 }) } : {}),
    ...(text(args, 'size') !== undefined ? { size: whole(args, 'size', 224, { min: 16, max: 2048 }) } : {}),
  }
  const base: readonly ArchSpec[] = args.positionals.length
    ? args.positionals.map((name) => ({ name: name as ArchName }))
    : Object.keys(given).length
      ? (Object.keys(ARCHITECTURES) as ArchName[]).map((name) => ({ name }))
      : DEFAULT
  return base.map((s) => ({ ...s, ...given }))
}

async function rowsOf(list: readonly ArchSpec[], args: Args): Promise<ArchRow[]> {
  if (flag(args, 'counts')) return list.map(countRow)
  const plan = choice(args, 'plan', ['speed', 'size'] as const)
  const variant = choice(args, 'variant', ['auto', 'simd', 'scalar', 'relaxed'] as const)
  const options = {
    runs: whole(args, 'runs', 20),
    limitMs: 1500,
    ...(plan ? { plan } : {}),
    ...(variant ? { variant } : {}),
  }
  // Names and sizes are checked before anything is timed.
  list.forEach(countRow)
  const shown = progress(list.length)
  const rows: ArchRow[] = []
  for (const [i, spec] of list.entries()) {
    shown.at(i, spec.name)
    rows.push(await measureRow(spec, options))
  }
  shown.clear()
  return rows
}

async function exportAll(list: readonly ArchSpec[], folder: string): Promise<void> {
  const { writeTflite } = await import('../formats/tflite-write.ts')
  writeFiles(
    list.map((spec) => {
      const graph = buildArch(spec)
      return { path: `${folder}/${graph.metadata.name}.tflite`, bytes: writeTflite(graph) }
    }),
  )
}

async function budgetRun(args: Args, budget: Budget): Promise<void> {
  if (args.positionals.length) {
    throw new ThimbleError('usage/arguments', 'a budget chooses among MobileNet V1 widths and resolutions', {
      got: args.positionals.join(' '),
      hint: 'leave the names out',
    })
  }
  if (flag(args, 'counts') && budget.ms !== undefined) {
    throw new ThimbleError('usage/option', '--counts measures nothing, and --budget-ms needs a measurement')
  }
  const rows = await rowsOf(BUDGET_GRID, { ...args, options: { ...args.options, counts: undefined } })
  const chosen = pick(rows, budget)
  if (!chosen) {
    const least = rows.reduce((a, b) => ((a.medianMs ?? 0) < (b.medianMs ?? 0) ? a : b))
    throw new ThimbleError('plan/budget', 'no MobileNet V1 fits the budget', {
      expected: [
        budget.ms === undefined ? '' : `at most ${budget.ms} ms`,
        budget.arenaBytes === undefined ? '' : `at most ${budget.arenaBytes} bytes of arena`,
      ]
        .filter(Boolean)
        .join(' and '),
      got: `α ${least.alpha} at ${least.size}: ${ms(least.medianMs!)} ms, ${least.arenaBytes} bytes`,
      hint: 'raise the budget',
    })
  }
  if (flag(args, 'json')) {
    process.stdout.write(
      `${JSON.stringify({ budget: { ms: budget.ms, ramBytes: budget.arenaBytes }, pick: chosen, candidates: rows.map((r) => ({ ...r, fits: fits(r, budget) })) }, null, 2)}\n`,
    )
    return
  }
  const body = rows.map((r) => [
    r === chosen ? '>' : fits(r, budget) ? '+' : '',
    String(r.alpha),
    r.rho.toFixed(3),
    String(r.size),
    `${r.published?.top1?.toFixed(1)} %`,
    count(r.macs),
    kib(r.arenaBytes),
    ms(r.medianMs!),
  ])
  process.stdout.write(
    `${table([['', 'α', 'ρ', 'input', 'ImageNet top-1', 'mult-adds', 'arena', 'ms'], ...body], [1, 2, 3, 4, 5, 6, 7])}\n\n` +
      `MobileNet V1 with α ${chosen.alpha} and ρ ${chosen.rho.toFixed(3)} (${chosen.size}x${chosen.size}) fits: ${ms(chosen.medianMs!)} ms, arena ${kib(chosen.arenaBytes)}, published top-1 ${chosen.published?.top1?.toFixed(1)} %.\n` +
      'The arena holds activations and scratch; weights can stay in flash.\n',
  )
}

async function run(args: Args): Promise<void> {
  const budgetMs =
    text(args, 'budget-ms') === undefined ? undefined : number(args, 'budget-ms', 0, { min: 0.001, max: 1e6 })
  const ram = text(args, 'budget-ram')
  if (budgetMs !== undefined || ram !== undefined) {
    return budgetRun(args, {
      ...(budgetMs !== undefined ? { ms: budgetMs } : {}),
      ...(ram !== undefined ? { arenaBytes: byteSize(ram, 'budget-ram') } : {}),
    })
  }
  const list = specs(args)
  const folder = text(args, 'export')
  const rows = await rowsOf(list, args)
  if (folder !== undefined) await exportAll(list, folder)
  const chart = text(args, 'chart')
  if (chart !== undefined) writeFiles([{ path: chart, bytes: new TextEncoder().encode(archChart(rows)) }])
  process.stdout.write(
    flag(args, 'json')
      ? `${JSON.stringify({ networks: rows, example: separableExample() }, null, 2)}\n`
      : `${human(rows)}\n\n${exampleText()}\n`,
  )
}

export const command: Command = {
  name: 'arch',
  summary:
    'Compares MobileNets of any width and resolution with the networks they replaced: parameters, multiply-adds, sizes, memory, and time on this machine.',
  usage: 'arch [NAME...] [--alpha A] [--size S] [--json] [--chart OUT.svg] [--budget-ms N] [--budget-ram SIZE]',
  options: {
    alpha: { type: 'string', value: 'A', help: "width multiplier (default: 1, and for the table the paper's four)" },
    size: { type: 'string', value: 'S', help: 'side of the input; the resolution multiplier times 224' },
    counts: { type: 'boolean', help: 'count only, time nothing' },
    runs: { type: 'string', value: 'N', help: 'runs per network, fewer for slow ones (default: 20)' },
    variant: { type: 'string', value: 'V', help: 'auto, simd, scalar or relaxed (default: auto)' },
    plan: { type: 'string', value: 'P', help: 'speed or size (default: speed)' },
    'budget-ms': { type: 'string', value: 'N', help: 'names the most accurate MobileNet V1 that runs in N ms here' },
    'budget-ram': { type: 'string', value: 'SIZE', help: 'and whose arena fits in SIZE, e.g. 512K' },
    chart: { type: 'string', value: 'OUT.svg', help: 'also draws the trade' },
    export: {
      type: 'string',
      value: 'DIR',
      help: 'also writes each network, with its random weights, as int8 .tflite',
    },
    json: { type: 'boolean', help: 'print JSON' },
  },
  notes: `NAME: ${Object.keys(ARCHITECTURES).join(', ')}.\nWeights are random: the numbers are about cost, not about what a network recognises.\nPublished accuracies are those of the papers and of the TF-slim models.`,
  run,
}
