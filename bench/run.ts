/**
 * Thimble beside its peers: `tsx bench/run.ts [--quick] [--peers REGEX] [--node PATH]... [NETWORK.tflite | NAME]...`
 * Prints a Markdown table. A run that is kept adds its JSON to bench/results/by-processor/, from which the tables of
 * docs/benchmarks.md are made (bench/tables.ts).
 */
import { mkdir, writeFile } from 'node:fs/promises'
import os from 'node:os'
import { parseArgs } from 'node:util'
import { describe, processor } from '../src/cli/processor.ts'
import { bundle } from './bundle.ts'
import { here, install, type Setup } from './install.ts'
import { measure, type NetworkResult, type Plan } from './measure.ts'
import { find, type NetworkFiles, prepare } from './networks.ts'
import { type Peer, peers as allPeers } from './peers.ts'
import { record } from './records.ts'
import { chart, table, type Report } from './report.ts'
import { FileServer } from './server.ts'
import { RESULTS, updatePage } from './tables.ts'

const PLANS: Record<'quick' | 'full', Plan> = {
  quick: { rounds: 5, turnMs: 80, warmupMs: [200, 2000], maxRunsPerTurn: 60, inputs: 3 },
  full: { rounds: 15, turnMs: 250, warmupMs: [600, 6000], maxRunsPerTurn: 400, inputs: 5 },
}

const HELP = `usage: tsx bench/run.ts [options] [NETWORK.tflite | NAME]...
  --quick         about two minutes: fewer and shorter turns; kept only with --keep
  --peers REGEX   only peers whose id matches (see --list)
  --node PATH     also under this Node (repeatable)
  --fresh         install all peers anew
  --no-convert    don't make ONNX twins (skips the ONNX Runtimes unless their twins are there)
  --keep          add it to bench/results/by-processor and write docs/benchmarks.md even with --quick
  --out DIR       JSON, table and chart go here (default bench/build/quick, or build/full), and nowhere else
  --list          name the peers and whether they can run here
  --photos DIR    instead: a photo's way to the tensor beside Pillow and NumPy (--model MODEL, --rounds N; bench/photos.ts)
  --serve         instead: thimble serve under load (--model MODEL; bench/serve.ts)
  --watch         instead: thimble watch on clips (--model MODEL; bench/watch.ts)`

function machine(): string {
  return `${describe(processor())}; ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()}`
}

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  peers: { type: 'string', default: '' },
  node: { type: 'string', multiple: true, default: [] as string[] },
  fresh: { type: 'boolean', default: false },
  'no-convert': { type: 'boolean', default: false },
  keep: { type: 'boolean', default: false },
  out: { type: 'string' },
  list: { type: 'boolean', default: false },
  photos: { type: 'string' },
  serve: { type: 'boolean', default: false },
  watch: { type: 'boolean', default: false },
  model: { type: 'string' },
  rounds: { type: 'string', default: '5' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

function log(line: string): void {
  const { isTTY } = process.stderr
  process.stderr.write(`${isTTY ? '\r\x1b[2K' : ''}bench: ${line}${isTTY ? '' : '\n'}`)
}

/** The peers whose name matches; those that cannot run say why. */
async function peersOf(setup: Setup, names: string): Promise<Peer[]> {
  const unbundled = setup.modules.path ? await bundle() : new Map<string, string>()
  const peers = allPeers(setup).filter((p) => new RegExp(names).test(p.id))
  for (const p of peers) {
    const runner = p.host.kind === 'page' ? p.host.runner : p.host.args.at(-1)!
    p.skip ??= unbundled.get(/([^/\\]+)\.js$/.exec(runner)?.[1] ?? '')
  }
  return peers
}

/** What pages may fetch: bundles, packages and every form of the networks. */
function serveNetworks(networks: readonly NetworkFiles[]): Promise<FileServer> {
  const forms = networks.flatMap((n) =>
    Object.entries(n.forms)
      .filter(([, f]) => f.path)
      .map(([form, f]) => [`/network/${n.name}/${form}`, f.path!]),
  )
  return FileServer.start({
    '/build/': `${here}build/`,
    '/modules/': `${here}node_modules/`,
    ...Object.fromEntries(forms),
  })
}

/** What was typed. */
function commandLine(): string {
  const quoted = process.argv.slice(2).map((a) => (/[^\w./=-]/.test(a) ? `'${a}'` : a))
  return ['npx tsx bench/run.ts', ...quoted].join(' ')
}

/** JSON, table and chart. Returns the table. */
async function write(report: Report, out: string): Promise<string> {
  const markdown = table(report)
  const files = {
    'results.json': `${JSON.stringify(report, null, 1)}\n`,
    'results.md': `${markdown}\n`,
    'latency.svg': chart(report),
  }
  await mkdir(out, { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(`${out}/${name}`, text)
  return markdown
}

/** The network benchmark: every peer on every network. */
async function benchNetworks(flags: Flags, wanted: string[]): Promise<void> {
  const mode = flags.quick ? 'quick' : 'full'
  const plan = PLANS[mode]
  const setup = await install({
    fresh: flags.fresh,
    convert: !flags['no-convert'],
    nodes: flags.node,
    log: (line) => log(`installing ${line}`),
  })
  const peers = await peersOf(setup, flags.peers)
  if (flags.list) {
    return peers.forEach((p) =>
      console.log(`${p.id.padEnd(24)} ${p.name}, ${p.where}, ${p.arithmetic}${p.skip ? `: skipped, ${p.skip}` : ''}`),
    )
  }
  const networks = await prepare(await find(wanted), setup.converter, log)
  const server = await serveNetworks(networks)
  const began = { date: new Date().toISOString(), load: os.loadavg()[0]! }
  const browser = { server, chromium: setup.chromium.path }
  const results: NetworkResult[] = []
  for (const n of networks) results.push(await measure(n, peers, plan, { browser, log }))
  server.close()

  const report: Report = {
    date: began.date,
    processor: processor(),
    machine: machine(),
    loadAverage: [began.load, os.loadavg()[0]!],
    command: commandLine(),
    plan,
    versions: {
      node: setup.nodes.map((n) => n.version),
      chromium: setup.chromium.path ? setup.chromium.version : undefined,
      python: setup.python.path ? setup.python.version : undefined,
    },
    networks: results,
  }
  const markdown = await write(report, flags.out ?? `${here}build/${mode}`)
  log('done')
  process.stderr.write('\n')
  console.log(markdown)
  if (flags.out !== undefined || (flags.quick && !flags.keep)) return
  console.error(`bench: kept as ${record(RESULTS, report)}`)
  updatePage()
}

const typed = () => parseArgs({ allowPositionals: true, options: OPTIONS })
type Flags = ReturnType<typeof typed>['values']

async function main(): Promise<void> {
  const { values: flags, positionals } = typed()
  const { model = 'mobilenet_v2_1.0_224' } = flags
  if (flags.help) return console.log(HELP)
  if (flags.photos !== undefined) {
    const { benchPhotos } = await import('./photos.ts')
    return benchPhotos({
      folder: flags.photos,
      ...(flags.model === undefined ? {} : { model: flags.model }),
      rounds: Math.max(1, Number(flags.rounds) || 5),
    })
  }
  if (flags.serve) return (await import('./serve.ts')).benchServe(model)
  if (flags.watch) return (await import('./watch.ts')).benchWatch(model)
  return benchNetworks(flags, positionals)
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`)
  process.exitCode = 1
})
