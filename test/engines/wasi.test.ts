/**
 * `thimble pack --target wasi`: the command in real Wasmtime and in Node's WASI, against the classifier in this
 * process.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../../src/classify/classifier.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { loadGraph } from '../../src/engine/load-graph.ts'
import { packGraph } from '../../src/pack/pack.ts'
import type { Graph, Preprocess } from '../../src/graph/graph.ts'
import type { Prediction } from '../../src/graph/types.ts'
import { makeBmp } from '../image-files.ts'
import { madeNetworks } from '../made-networks.ts'
import { LITERT_MISSING, litertPython } from '../peer-python.ts'
import { need, rng, root } from '../util.ts'
import { ENGINES } from './engines.ts'

const test = suite('engines: wasi')
const dir = mkdtempSync(join(tmpdir(), 'thimble-wasi-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const host = (name: string): string => fileURLToPath(new URL(`hosts/${name}`, import.meta.url))
const HOSTS: Record<string, string[] | undefined> = {
  Wasmtime: existsSync(join(ENGINES, 'python/wasmtime')) ? ['python3', host('wasi_host.py')] : undefined,
  Node: [process.execPath, '--no-warnings', host('wasi.mjs')],
  'Node 24 arm64':
    existsSync(join(ENGINES, 'node-arm64-24.22.0/bin/node')) && existsSync('/usr/bin/qemu-aarch64')
      ? [
          '/usr/bin/qemu-aarch64',
          '-L',
          '/usr/aarch64-linux-gnu',
          join(ENGINES, 'node-arm64-24.22.0/bin/node'),
          '--no-warnings',
          host('wasi.mjs'),
        ]
      : undefined,
}
/** One that is always there, for what does not depend on the engine. */
const ANY = HOSTS.Wasmtime ?? HOSTS.Node!

interface Result {
  stdout: string
  stderr: string
  status: number | null
}
function command(engine: string[], wasm: string, args: string[], input: Uint8Array = new Uint8Array()): Result {
  const r = spawnSync(engine[0]!, [...engine.slice(1), wasm, dir, ...args], {
    input,
    env: { ...process.env, NODE_OPTIONS: '', PYTHONPATH: join(ENGINES, 'python') },
    maxBuffer: 1 << 26,
    timeout: 120_000,
  })
  return { stdout: r.stdout.toString(), stderr: r.stderr.toString(), status: r.status }
}

interface Answer {
  file: string
  model: string
  predictions: Prediction[]
  timings: Record<string, number>
}
const answers = (r: Result): Answer[] => {
  assert.is(r.status, 0, r.stderr)
  return JSON.parse(r.stdout) as Answer[]
}

/** A classifier of 16 things, with what an ImageNet network says of its preprocessing, or with `change`. */
function graphOf(change: Partial<Preprocess> = {}): Graph {
  const { graph } = madeNetworks().find(({ name }) => name === 'separable_96')!
  graph.metadata.labels = Array.from({ length: 16 }, (_, i) => `thing ${i}`)
  graph.metadata.preprocess = {
    fit: 'stretch',
    method: 'bilinear',
    channels: 'rgb',
    mean: [127.5],
    std: [127.5],
    ...change,
  }
  return graph
}

async function packed(graph: Graph, name: string): Promise<string> {
  const path = join(dir, `${name}.wasm`)
  writeFileSync(path, (await packGraph(graph, { target: 'wasi', name })).wasm)
  return path
}

/** The same images through the classifier of this process. */
async function expected(graph: Graph, files: string[], topK: number): Promise<Prediction[][]> {
  const classifier = await createClassifier(await loadGraph(graph), { topK })
  return files.map((file) => classifier.classify(decodeImage(new Uint8Array(readFileSync(join(dir, file))))))
}

function same(got: Answer[], want: Prediction[][]): void {
  assert.is(got.length, want.length)
  got.forEach((answer, i) => {
    assert.equal(
      answer.predictions.map(({ label, index }) => ({ label, index })),
      want[i]!.map(({ label, index }) => ({ label, index })),
      answer.file,
    )
    // Nine digits are printed.
    answer.predictions.forEach((p, k) =>
      assert.ok(
        Math.abs(p.score - want[i]![k]!.score) < 1e-9,
        `${answer.file} score ${k}: ${p.score}, expected ${want[i]![k]!.score}`,
      ),
    )
  })
}

const PHOTOS = ['astronaut.jpg', 'coffee.jpg', 'cat.bmp', 'cat.jpg']
for (const name of ['astronaut.jpg', 'cat.jpg', 'coffee.jpg']) {
  copyFileSync(join(root, 'weights/samples', name), join(dir, name))
}
const cat = decodeImage(new Uint8Array(readFileSync(join(dir, 'cat.jpg'))))
const pixel = (x: number, y: number): number => {
  const at = (y * cat.width + x) * 3
  return (cat.data[at]! << 16) | (cat.data[at + 1]! << 8) | cat.data[at + 2]!
}
writeFileSync(join(dir, 'cat.bmp'), makeBmp({ width: cat.width, height: cat.height, bits: 24 }, pixel))
const EDGES: Partial<Preprocess>[] = [
  { fit: 'crop', shorterSide: 146 },
  { fit: 'crop' },
  { fit: 'fit', method: 'bilinear-fast', channels: 'bgr' },
  { method: 'nearest', channels: 'gray' },
  { fit: 'crop', method: 'area', mean: [120, 110, 100], std: [60, 58, 57] },
]

for (const [engine, line] of Object.entries(HOSTS)) {
  need(
    test,
    `${engine}: photos get the classifier's answers`,
    { resource: line, missing: `${engine} is missing` },
    async () => {
      const graph = graphOf()
      same(
        answers(command(line!, await packed(graph, 'v1'), ['--json', '--top', '7', ...PHOTOS])),
        await expected(graph, PHOTOS, 7),
      )
    },
  )
}

test('every way to place and scale a picture', async () => {
  for (const [i, change] of EDGES.entries()) {
    const graph = graphOf(change)
    same(
      answers(command(ANY, await packed(graph, `edge${i}`), ['--json', ...PHOTOS])),
      await expected(graph, PHOTOS, 5),
    )
  }
})

test('stdin, text output, several pictures', async () => {
  const wasm = await packed(graphOf(), 'v1')
  const bytes = readFileSync(join(dir, 'cat.bmp'))
  const piped = answers(command(ANY, wasm, ['-', '--json'], bytes))
  const named = answers(command(ANY, wasm, ['--json', 'cat.bmp']))
  assert.equal(piped[0]!.predictions, named[0]!.predictions)
  assert.is(piped[0]!.file, '-')
  const text = command(ANY, wasm, ['--top', '1', 'cat.bmp', 'coffee.jpg'])
  assert.is(text.status, 0)
  const [, first, second] = /^cat\.bmp\n +\d+\.\d %  (.*)\n.*inference.*\n\ncoffee\.jpg\n +\d+\.\d %  (.*)\n/.exec(
    text.stdout,
  )!
  const want = await expected(graphOf(), ['cat.bmp', 'coffee.jpg'], 1)
  assert.equal(
    [first, second],
    want.map(([best]) => best!.label),
  )
})

test('PNM of every kind reads as in the host', async () => {
  const graph = graphOf()
  const r = rng(7)
  const body = (n: number, max: number): number[] => Array.from({ length: n }, () => r.int(max + 1))
  const wide = body(30 * 20 * 3, 1000)
  const files: Record<string, Buffer> = {
    'p1.pbm': Buffer.from(`P1\n# a comment\n30 20\n${body(600, 1).join('')}`),
    'p2.pgm': Buffer.from(`P2 30 20 99\n${body(600, 99).join(' ')}`),
    'p3.ppm': Buffer.from(`P3 30 20 255\n${body(1800, 255).join('\n')}`),
    'p4.pbm': Buffer.concat([Buffer.from('P4 30 20\n'), Buffer.from(body(80, 255))]),
    'p5.pgm': Buffer.concat([Buffer.from('P5 30 20 255\n'), Buffer.from(body(600, 255))]),
    'p6.ppm': Buffer.concat([Buffer.from('P6 30 20 1000\n'), Buffer.from(wide.flatMap((v) => [v >> 8, v & 255]))]),
  }
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(dir, name), bytes)
  const names = Object.keys(files)
  same(answers(command(ANY, await packed(graph, 'v1'), ['--json', ...names])), await expected(graph, names, 5))
})

test('wrong calls and wrong files: one line on stderr, nothing on stdout', async () => {
  const wasm = await packed(graphOf(), 'v1')
  writeFileSync(join(dir, 'empty.jpg'), '')
  writeFileSync(join(dir, 'text.jpg'), 'not a picture')
  mkdirSync(join(dir, 'folder'), { recursive: true })
  const cases: [string[], number, RegExp][] = [
    [[], 2, /^thimble: usage\/arguments: no IMAGE/],
    [['--frob', 'cat.bmp'], 2, /^thimble: usage\/option: /],
    [['--top', '0', 'cat.bmp'], 2, /^thimble: usage\/option: --top/],
    [['--top'], 2, /--top/],
    [['nothing.jpg'], 2, /^thimble: usage\/file: nothing\.jpg: no such file/],
    [['folder'], 2, /^thimble: usage\/file: folder: /],
    [['empty.jpg'], 1, /^thimble: image\/truncated: empty\.jpg: /],
    [['text.jpg'], 1, /^thimble: image\/unsupported-format: text\.jpg: /],
  ]
  for (const [args, status, message] of cases) {
    const r = command(ANY, wasm, args)
    assert.is(r.status, status, `${args.join(' ')}: ${r.stderr}`)
    assert.match(r.stderr, message)
    assert.is(r.stderr.trimEnd().split('\n').length, 1, r.stderr)
    assert.is(r.stdout, '')
  }
})

test('damaged pictures never trap', async () => {
  const wasm = await packed(graphOf(), 'v1')
  const r = rng(11)
  const names: string[] = []
  for (const source of ['cat.bmp', 'cat.jpg', 'p3.ppm'].filter((n) => existsSync(join(dir, n)))) {
    const good = readFileSync(join(dir, source))
    for (let k = 0; k < 25; k++) {
      const bytes = Buffer.from(k % 3 === 0 ? good.subarray(0, r.int(good.length)) : good)
      for (let flips = 0; flips < 1 + r.int(8) && bytes.length; flips++) {
        bytes[r.int(k % 2 ? Math.min(600, bytes.length) : bytes.length)] = r.int(256)
      }
      names.push(`bad-${names.length}`)
      writeFileSync(join(dir, names.at(-1)!), bytes)
    }
  }
  const result = command(ANY, wasm, ['--json', ...names])
  assert.ok(result.status === 0 || result.status === 1, `status ${result.status}: ${result.stderr.slice(-300)}`)
  const good = result.stdout ? (JSON.parse(result.stdout) as Answer[]).length : 0
  assert.is(
    good +
      result.stderr
        .trimEnd()
        .split('\n')
        .filter((l) => l.startsWith('thimble: image/')).length,
    names.length,
  )
})

need(
  test,
  'progressive, gray, subsampled and turned JPEGs',
  { resource: litertPython(), missing: LITERT_MISSING },
  async (python) => {
    const script = `
import sys
from PIL import Image
im = Image.open(sys.argv[1])
d = sys.argv[2]
for n, k in [('progressive', dict(progressive=True)), ('s420', dict(subsampling=2)), ('s444', dict(subsampling=0)), ('optimized', dict(optimize=True, quality=30))]:
    im.save(f'{d}/{n}.jpg', **k)
im.convert('L').save(f'{d}/gray.jpg')
im.convert('CMYK').save(f'{d}/cmyk.jpg')
e = Image.Exif()
e[0x112] = 6
im.save(f'{d}/turned.jpg', exif=e)
`
    execFileSync(python, ['-c', script, join(dir, 'cat.jpg'), dir])
    const names = ['progressive', 's420', 's444', 'optimized', 'gray', 'cmyk', 'turned'].map((n) => `${n}.jpg`)
    const graph = graphOf()
    same(answers(command(ANY, await packed(graph, 'v1'), ['--json', ...names])), await expected(graph, names, 5))
  },
)

test.run()
