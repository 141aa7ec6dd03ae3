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
import { here, install } from './install.ts'
import { measure, type NetworkResult, type Plan } from './measure.ts'
import { find, prepare } from './networks.ts'
import { peers as allPeers } from './peers.ts'
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

async function main(): Promise<void> {
  const { values: flags, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      peers: { type: 'string', default: '' },
      node: { type: 'string', multiple: true, default: [] },
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
    },
  })
  if (flags.help) return console.log(HELP)
  if (flags.photos !== undefined) {
    const { benchPhotos } = await import('./photos.ts')
    return benchPhotos({
      folder: flags.photos,
      ...(flags.model === undefined ? {} : { model: flags.model }),
      rounds: Math.max(1, Number(flags.rounds) || 5),
    })
  }
  if (flags.serve) {
    const { benchServe } = await import('./serve.ts')
    return benchServe(flags.model ?? 'mobilenet_v2_1.0_224')
  }
  if (flags.watch) {
    const { benchWatch } = await import('./watch.ts')
    return benchWatch(flags.model ?? 'mobilenet_v2_1.0_224')
  }
  const log = (line: string): void => {
    process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[2K' : ''}bench: ${line}${process.stderr.isTTY ? '' : '\n'}`)
  }
  const mode = flags.quick ? 'quick' : 'full'
  const setup = await install({
    fresh: flags.fresh,
    convert: !flags['no-convert'],
    nodes: flags.node,
    log: (line) => log(`installing ${line}`),
  })
  const unbundled = setup.modules.path ? await bundle() : new Map<string, string>()
  const peers = allPeers(setup).filter((p) => new RegExp(flags.peers).test(p.id))
  for (const p of peers) {
    const runner = p.host.kind === 'page' ? p.host.runner : p.host.args.at(-1)!
    p.skip ??= unbundled.get(/([^/\\]+)\.js$/.exec(runner)?.[1] ?? '')
  }
  if (flags.list) {
    return peers.forEach((p) =>
      console.log(`${p.id.padEnd(24)} ${p.name}, ${p.where}, ${p.arithmetic}${p.skip ? `: skipped, ${p.skip}` : ''}`),
    )
  }

  const networks = await prepare(await find(positionals), setup.converter, log)
  const server = await FileServer.start({
    '/build/': `${here}build/`,
    '/modules/': `${here}node_modules/`,
    ...Object.fromEntries(
      networks.flatMap((n) =>
        Object.entries(n.forms)
          .filter(([, f]) => f.path)
          .map(([form, f]) => [`/network/${n.name}/${form}`, f.path!]),
      ),
    ),
  })
  const began = { date: new Date().toISOString(), load: os.loadavg()[0]! }
  const browser = { server, chromium: setup.chromium.path }
  const results: NetworkResult[] = []
  for (const n of networks) results.push(await measure(n, peers, PLANS[mode], { browser, log }))
  server.close()

  const report: Report = {
    date: began.date,
    processor: processor(),
    machine: machine(),
    loadAverage: [began.load, os.loadavg()[0]!],
    command: ['npx tsx bench/run.ts', ...process.argv.slice(2).map((a) => (/[^\w./=-]/.test(a) ? `'${a}'` : a))].join(
      ' ',
    ),
    plan: PLANS[mode],
    versions: {
      node: setup.nodes.map((n) => n.version),
      chromium: setup.chromium.path ? setup.chromium.version : undefined,
      python: setup.python.path ? setup.python.version : undefined,
    },
    networks: results,
  }
  const out = flags.out ?? `${here}build/${mode}`
  const markdown = table(report)
  const files = {
    'results.json': `${JSON.stringify(report, null, 1)}\n`,
    'results.md': `${markdown}\n`,
    'latency.svg': chart(report),
  }
  await mkdir(out, { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(`${out}/${name}`, text)
  log('done')
  process.stderr.write('\n')
  console.log(markdown)
  if (flags.out !== undefined || (flags.quick && !flags.keep)) return
  console.error(`bench: kept as ${record(RESULTS, report)}`)
  updatePage()
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`)
  process.exitCode = 1
})
