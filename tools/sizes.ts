/**
 * The numbers of docs/benchmarks.md that need no clock: bytes of the runtime and of a page, arenas and memory.
 *
 * Usage: tsx tools/sizes.ts [MODEL…] [--write]
 * Without --write the table is only printed. Models default to the shipped one and those of ../shared.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { inspectModel } from '../src/engine/inspect.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
/** What TFLite Micro's planner reserves for the same model's tensors. */
const TFLM_HEAD: Record<string, number> = {
  vww_96_int8: 73728,
  kws_ref_model: 16000,
  pretrainedResnet_quant: 49152,
  'tf2_mobilenet_v2_1.0_224_ptq': 1505280,
}
const DEFAULT = [
  'tf2_mobilenet_v2_1.0_224_ptq',
  'mobilenet_v1_0.75_192_quant',
  'mobilenet_v1_0.25_128_quant',
  'vww_96_int8',
  'kws_ref_model',
  'pretrainedResnet_quant',
]

const thousands = (n: number): string => n.toLocaleString('en-US')

const MODULES = [
  ['simd-core', '`simd` runtime, what classifiers and detectors need'],
  ['simd', '`simd` runtime, all kernels: loaded for other graphs'],
  ['scalar', '`scalar` runtime, all kernels'],
  ['image-simd', 'photo decoder'],
] as const

function sizes(): string {
  const rows = MODULES.map(([name, what]) => {
    const bytes = readFileSync(`${root}build/thimble-${name}.wasm`)
    return `| ${what} | ${thousands(bytes.length)} | ${thousands(gzipSync(bytes, { level: 9 }).length)} |`
  })
  return ['| WebAssembly | bytes | gzip |', '|---|---|---|', ...rows].join('\n')
}

/** What pages load on demand, by source: each brings what it imports. */
const PHOTOS = ['src/image/wasm.ts', 'src/generated/image-simd.ts']
const CORE = ['src/generated/simd-core.ts']
const PAGES: readonly (readonly [string, readonly string[]])[] = [
  ['pixels, a `.thimble` file', CORE],
  ['photos, a `.thimble` file', [...CORE, ...PHOTOS]],
  ['photos, a `.tflite` file', [...CORE, ...PHOTOS, 'src/engine/load-graph.ts']],
]

/** Script and wasm that a page with the browser entry downloads, bundled and minified by esbuild. */
async function pages(): Promise<string> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    stdin: {
      contents:
        "import { createClassifier, loadModel } from './src/browser.ts'\nglobalThis.page = { createClassifier, loadModel }",
      resolveDir: root,
    },
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    outdir: 'page',
    write: false,
    metafile: true,
    logLevel: 'error',
  })
  const { outputs } = metafile
  const closure = (paths: readonly string[]): Set<string> => {
    const found = new Set<string>()
    const visit = (path: string): void => {
      if (found.has(path)) return
      found.add(path)
      for (const i of outputs[path]!.imports) if (i.kind === 'import-statement') visit(i.path)
    }
    paths.forEach(visit)
    return found
  }
  const outputOf = (entry: string): string => {
    const path = Object.keys(outputs).find((p) => outputs[p]!.entryPoint === entry)
    if (path === undefined) throw new Error(`${entry} is not loaded on demand`)
    return path
  }
  const rows = PAGES.map(([what, demanded]) => {
    const files = [...closure([outputOf('<stdin>'), ...demanded.map(outputOf)])]
    const contents = files.map((file) => outputFiles.find(({ path }) => path === `${root}${file}`)!.contents)
    const sum = (size: (b: Uint8Array) => number): string => thousands(contents.reduce((n, b) => n + size(b), 0))
    return `| ${what} | ${sum((b) => b.length)} | ${sum((b) => gzipSync(b, { level: 9 }).length)} |`
  })
  return ['| a page that classifies, without the model | bytes | gzip |', '|---|---|---|', ...rows].join('\n')
}

function arenas(paths: string[]): string {
  const rows = paths.map((path) => {
    const bytes = readFileSync(path)
    const name = basename(path).replace(/\.(tflite|thimble)$/, '')
    const speed = inspectModel(bytes)
    const size = inspectModel(bytes, { plan: 'size' })
    const head = TFLM_HEAD[name]
    return `| ${name} | ${(speed.macs / 1e6).toFixed(1)} M | ${thousands(speed.arenaBytes)} | ${thousands(size.arenaBytes)} | ${head ? thousands(head) : ''} | ${thousands(speed.memoryBytes)} | ${thousands(size.memoryBytes)} |`
  })
  return [
    '| model | multiply-adds | arena, bytes | arena, plan `size` | TFLM plans | memory in all | plan `size` |',
    '|---|---|---|---|---|---|---|',
    ...rows,
  ].join('\n')
}

const write = process.argv.includes('--write')
const given = process.argv.slice(2).filter((a) => !a.startsWith('--'))
const paths = given.length
  ? given
  : [
      `${root}weights/mobilenet_v2_1.0_224.thimble`,
      ...DEFAULT.map((n) => `${root}../shared/models/${n}.tflite`),
    ].filter(existsSync)
const text = `${sizes()}\n\n${await pages()}\n\n${arenas(paths)}\n\nPrinted by \`npx tsx tools/sizes.ts\`. The arena holds all activations; weights, tables and the arena are the memory. What plan \`size\` costs in time: \`thimble bench MODEL --plan size\`.`
if (write) {
  const page = readFileSync(`${root}docs/benchmarks.md`, 'utf8')
  writeFileSync(
    `${root}docs/benchmarks.md`,
    page.replace(/<!-- numbers -->[\s\S]*<!-- \/numbers -->/, `<!-- numbers -->\n${text}\n<!-- /numbers -->`),
  )
}
console.log(text)
