/**
 * The commands as a user calls them: answers on stdout, one line on stderr, exit codes, files written or not at all.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeImage } from '../src/image/decode.ts'
import { preprocess } from '../src/image/preprocess.ts'
import type { TensorInfo } from '../src/graph/types.ts'
import { describe, featuresOf } from '../src/cli/processor.ts'
import { type Result, spawned, thimble } from './call-cli.ts'
import { makePng, noise } from './image-files.ts'
import { recordedNetworks } from './recorded.ts'
import { equalBytes, need, root, shared } from './util.ts'

const MODEL = 'mobilenet_v2_1.0_224'
const SAMPLE = join(root, 'weights/samples/coffee.jpg')
const dir = mkdtempSync(join(tmpdir(), 'thimble-cli-'))
const photos = join(dir, 'photos')
mkdirSync(join(photos, 'deeper'), { recursive: true })
const put = (name: string, bytes: Uint8Array | string): string => {
  writeFileSync(join(dir, name), bytes)
  return join(dir, name)
}
const coffee = readFileSync(SAMPLE)
put('photos/b.jpg', coffee)
put(
  'photos/deeper/a.png',
  makePng(20, 10, (x, y, c) => x * y + c, { type: 2, depth: 8 }),
)
put('photos/notes.txt', 'not an image')
const broken = put('broken.jpg', coffee.subarray(0, 5000))

const test = suite('cli')
test.after(() => rmSync(dir, { recursive: true, force: true }))

/** One error line of the documented form, nothing on stdout. */
function failed(r: Result, code: number, words: RegExp): void {
  assert.is(r.code, code, r.err)
  assert.is(r.out, '')
  assert.match(r.err, /^thimble: [a-z]+\/[a-z0-9-]+: .+\n$/)
  assert.is(r.err.split('\n').length, 2, r.err)
  assert.match(r.err, words)
}

test('--help, --version, help of every command', async () => {
  const overview = await thimble(['--help'])
  assert.is(overview.code, 0)
  const names = [...overview.out.matchAll(/^ {2}(\w+) {2,}/gm)].map((m) => m[1]!)
  for (const name of ['classify', 'run', 'inspect', 'bench']) {
    assert.ok(names.includes(name), `${name} in ${overview.out}`)
  }
  for (const name of names) {
    const help = await thimble([name, '--help'])
    assert.is(help.code, 0, help.err)
    assert.match(help.out, new RegExp(`^thimble ${name} `))
  }
  const version = await thimble(['--version'])
  assert.is(
    version.out.trim(),
    (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version,
  )
})

const BAD_CALLS: [string, string[], RegExp][] = [
  ['no command', [], /usage: thimble COMMAND/],
  ['unknown command', ['frobnicate'], /unknown command frobnicate.*usage:/],
  ['unknown option', ['classify', '--wrong'], /unknown option --wrong.*usage: thimble classify/],
  ['value missing', ['classify', '--top'], /--top needs a value/],
  ['value negative', ['classify', '--top', '-1'], /--top needs a value/],
  ['value no number', ['classify', SAMPLE, '--top', 'many'], /--top.*"many"/],
  ['value for a flag', ['classify', '--json=yes'], /--json takes no value/],
  ['image missing', ['classify', join(dir, 'nowhere.jpg')], /nowhere\.jpg.*no such file/],
  ['folder without images', ['classify', dir + '/photos/../empty'], /no images|no such file/],
  ['label file missing', ['classify', SAMPLE, '--labels', join(dir, 'no.txt')], /no such file/],
  ['wrong label file', ['classify', SAMPLE, '--labels', put('two.txt', 'a\nb\n')], /expected 1000 labels, got 2/],
  ['unknown model', ['classify', SAMPLE, '--model', 'resnet'], new RegExp(`resnet.*${MODEL}`)],
  ['unknown variant', ['bench', MODEL, '--variant', 'avx'], /--variant.*simd/],
  ['run without a model', ['run'], /no MODEL given.*usage: thimble run MODEL/],
  ['run without input', ['run', MODEL, '--output', join(dir, 'o')], /no --input/],
  ['run without output', ['run', MODEL, '--input', SAMPLE], /no --output/],
  [
    'run: wrong length',
    ['run', MODEL, '--input', put('short.bin', new Uint8Array(10)), '--output', join(dir, 'o')],
    /expected 150528 bytes.*got 10 bytes/,
  ],
  [
    'run: two inputs for one',
    ['run', MODEL, '--input', SAMPLE, SAMPLE, '--output', join(dir, 'o')],
    /number of input files/,
  ],
  ['run: model missing', ['run', join(dir, 'no.tflite'), '--input', SAMPLE, '--output', join(dir, 'o')], /no\.tflite/],
  ['detect: crops to no folder', ['detect', SAMPLE, '--crop', ''], /^thimble: usage\/output: a file without a name/],
  ['detect: crops into a file', ['detect', SAMPLE, '--crop', join(SAMPLE, 'x')], /x can't be written/],
  ['arch: a chart without a name', ['arch', '--chart='], /^thimble: usage\/output: a file without a name/],
  ['inspect two', ['inspect', 'a', 'b'], /one MODEL at a time/],
  ['inspect -o alone', ['inspect', MODEL, '-o', 'x.png'], /--output needs --input/],
  ['inspect: unknown picture kind', ['inspect', MODEL, '--input', SAMPLE, '-o', join(dir, 'x.gif')], /x\.gif/],
]
test('bad calls: exit code 2', async () => {
  for (const [name, args, words] of BAD_CALLS) {
    const r = await thimble(args)
    try {
      failed(r, 2, words)
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`)
    }
  }
  assert.not(
    readdirSync(dir).some((name) => name.startsWith('o')),
    'something was written',
  )
})

test('bad models and images: exit code 1', async () => {
  const rows: [string[], RegExp][] = [
    [['classify', broken], /image\/truncated: .*broken\.jpg: JPEG/],
    [['classify', broken, '--json'], /image\/truncated/],
    [['classify', put('zero.png', '')], /image\/empty/],
    [['classify', put('pretend.jpg', 'GIF89a')], /image\/unsupported-format.*GIF/],
    [['classify', put('big.ppm', 'P6 10000 10000 255\n')], /image\/too-large.*100 megapixels/],
    [['classify', SAMPLE, '--max-megapixels', '0.01'], /image\/too-large/],
    [['inspect', SAMPLE], /format\//],
    [['bench', put('cut.thimble', readFileSync(join(root, `weights/${MODEL}.thimble`)).subarray(0, 1000))], /format\//],
    [['run', put('empty.tflite', ''), '--input', SAMPLE, '--output', join(dir, 'o')], /format\/.*empty/],
  ]
  for (const [args, words] of rows) failed(await thimble(args), 1, words)
})

test('a process of its own: exit codes, one line on stderr', async () => {
  const [good, bad, call] = await Promise.all([
    spawned(['classify', SAMPLE, '--top', '1']),
    spawned(['classify', broken]),
    spawned(['run']),
  ])
  assert.is(good.code, 0, good.err)
  assert.match(good.out, /espresso/)
  failed(bad, 1, /image\/truncated/)
  failed(call, 2, /no MODEL/)
})

test('classify: the sample photo by default, readable', async () => {
  const r = await thimble(['classify'])
  assert.is(r.code, 0, r.err)
  assert.match(r.out, /coffee\.jpg.*sample/)
  assert.match(r.out, /espresso +9\d\.\d %  █+/)
  assert.match(r.out, new RegExp(`${MODEL}: decode [\\d.]+ ms, preprocess [\\d.]+ ms, inference [\\d.]+ ms`))
  assert.is(r.out.trim().split('\n').length, 7)
})

test("classify --json: the contract's shape, from a file, a folder and stdin", async () => {
  const file = await thimble(['classify', SAMPLE, '--json', '--top', '3'])
  const [folder, stdin] = await Promise.all([
    spawned(['classify', photos, '--json']),
    spawned(['classify', '-', '--json'], coffee),
  ])
  const list = JSON.parse(file.out)
  assert.is(list.length, 1)
  assert.equal(Object.keys(list[0]), ['file', 'model', 'predictions', 'timings'])
  assert.equal([list[0].file, list[0].model, list[0].predictions.length], [SAMPLE, MODEL, 3])
  assert.equal(Object.keys(list[0].predictions[0]), ['label', 'index', 'score'])
  assert.is(list[0].predictions[0].label, 'espresso')
  assert.ok(list[0].predictions[0].score > 0.9 && list[0].predictions[0].score <= 1)
  assert.equal(Object.keys(list[0].timings), ['decodeMs', 'preprocessMs', 'inferMs'])
  assert.equal(
    JSON.parse(folder.out).map((r: { file: string }) => r.file),
    [join(photos, 'b.jpg'), join(photos, 'deeper/a.png')],
  )
  assert.is(folder.err, '', 'no progress line where stderr is no terminal')
  assert.equal(JSON.parse(stdin.out)[0].predictions.slice(0, 3), list[0].predictions)
})

test('classify: among several, the good ones are answered and each bad one has its line', async () => {
  const missing = join(dir, 'nowhere.jpg')
  const r = await thimble(['classify', broken, SAMPLE, '--json'])
  assert.is(r.code, 1)
  assert.equal(
    JSON.parse(r.out).map((a: { file: string }) => a.file),
    [SAMPLE],
  )
  assert.match(r.err, /^thimble: image\/truncated: [^\n]+\n$/)
  const two = await thimble(['classify', missing, SAMPLE, broken])
  assert.is(two.code, 2)
  assert.is(two.err.trim().split('\n').length, 2)
  assert.match(two.out, /espresso/)
})

test("classify: labels of one's own, threshold", async () => {
  const labels = put('mine.txt', Array.from({ length: 1000 }, (_, i) => `label ${i}`).join('\n'))
  const r = JSON.parse((await thimble(['classify', SAMPLE, '--labels', labels, '--threshold', '0.5', '--json'])).out)
  assert.equal(
    r[0].predictions.map((p: { label: string }) => p.label),
    ['label 967'],
  )
})

test('inspect --input: the picture holds the exact tensor', async () => {
  const [png, bin] = [join(dir, 'seen.png'), join(dir, 'seen.bin')]
  const report = await thimble(['inspect', MODEL, '--json'])
  for (const out of [png, bin]) assert.is((await thimble(['inspect', MODEL, '--input', SAMPLE, '-o', out])).code, 0)
  const {
    inputs: [input],
    preprocess: how,
  } = JSON.parse(report.out)
  const tensor = preprocess(decodeImage(coffee), input as TensorInfo, how) as Int8Array
  equalBytes(readFileSync(bin), tensor, 'raw')
  equalBytes(
    decodeImage(readFileSync(png)).data,
    Uint8Array.from(tensor, (v) => v + 128),
    'picture',
  )
})

test('preprocessing given in the call: what is fed, how it is told, and that it decides the answer', async () => {
  const at = (name: string, ...more: string[]): Promise<{ code: number | null; out: string; err: string }> =>
    thimble(['inspect', MODEL, '--input', SAMPLE, '-o', join(dir, name), ...more])
  const own = await at('own.bin')
  assert.match(
    own.out,
    /own\.bin: the input tensor int8 \[1, 224, 224, 3\].*\n {2}shorter side to 256.*\n {2}values -?\d+ to -?\d+, which mean .* % at the ends\n$/,
  )
  const raw = await at('raw.bin', '--preprocess', 'raw')
  assert.match(raw.out, /RGB, pixel\n.*clipped, the range looks wrong/)
  const bgr = await at('bgr.bin', '--bgr')
  assert.match(bgr.out, /BGR, \(pixel - \[103\.53, 116\.28, 123\.675\]\)/)
  const [rgbBytes, bgrBytes] = ['own.bin', 'bgr.bin'].map((name) => readFileSync(join(dir, name)))
  equalBytes(
    bgrBytes!,
    Uint8Array.from(rgbBytes!, (_, i) => rgbBytes![i + 2 - 2 * (i % 3)]!),
    'the same values, blue first',
  )
  assert.match(
    (await at('fit.bin', '--fit', 'stretch', '--mean', '127', '--std', '128')).out,
    /stretch to 224x224 \(bilinear\), RGB, \(pixel - 127\) \/ 128\n/,
  )
  const best = async (...more: string[]): Promise<string> =>
    JSON.parse((await thimble(['classify', SAMPLE, '--json', ...more])).out)[0].predictions[0].label
  assert.is(await best('--preprocess', 'imagenet'), await best())
  assert.is.not(await best('--preprocess', 'raw'), await best())
  failed(await at('x.bin', '--std', '0'), 2, /--std is not usable/)
})

test('run: raw bytes in and out, the same in every variant, nothing left half done', async () => {
  const input = put('in.bin', noise(3, 150528))
  const simd = await thimble(['run', MODEL, '--input', input, '--output', join(dir, 'simd'), '--variant', 'simd'])
  const scalar = await thimble([
    'run',
    MODEL,
    '--input',
    input,
    '--output',
    join(dir, 'scalar'),
    '--variant',
    'scalar',
    '--plan',
    'size',
  ])
  const json = await thimble(['run', MODEL, `--input=${input}`, `--output=${join(dir, 'json')}`, '--json'])
  assert.is(simd.code, 0, simd.err)
  assert.is(scalar.code, 0, scalar.err)
  assert.match(simd.out, /simd0 {2}int8 \[1, 1000\] {2}1000 bytes/)
  const bytes = readFileSync(join(dir, 'simd0'))
  assert.is(bytes.length, 1000)
  equalBytes(readFileSync(join(dir, 'scalar0')), bytes, 'scalar')
  assert.equal(JSON.parse(json.out), [
    { file: join(dir, 'json0'), name: 'logits', dtype: 'int8', shape: [1, 1000], bytes: 1000 },
  ])
  const nowhere = await thimble(['run', MODEL, '--input', input, '--output', join(dir, 'no/such/folder/x')])
  failed(nowhere, 2, /no such folder/)
  mkdirSync(join(dir, 'taken0'))
  failed(await thimble(['run', MODEL, '--input', input, '--output', join(dir, 'taken')]), 2, /folder/)
  assert.not(readdirSync(dir).some((name) => name.endsWith('.tmp')))
})

test('inspect: everything that is promised, as text and as JSON', async () => {
  const text = await thimble(['inspect', MODEL])
  const json = await thimble(['inspect', MODEL, '--json'])
  assert.is(text.code, 0, text.err)
  const report = JSON.parse(json.out)
  for (const key of ['inputs', 'outputs', 'ops', 'macs', 'params', 'arenaBytes', 'weightBytes', 'unsupported']) {
    assert.ok(key in report, key)
  }
  assert.equal(report.unsupported, [])
  assert.is(report.macs, 300774272)
  for (const words of [
    /300\.8 M multiply-adds/,
    /int8 +\[1, 224, 224, 3\] +scale/,
    /shorter side to 256, centre-crop 224x224/,
    /from the model file/,
    /1,000 in the file: /,
    /DEPTHWISE_CONV_2D +3x3/,
    /<- peak/,
    /variant +\w+ \(/,
  ]) {
    assert.match(text.out, words)
  }
  const drawing = text.out.slice(text.out.indexOf('\nArena'))
  assert.ok(
    drawing.split('\n').every((line) => line.length <= 100),
    'the drawing fits 100 columns',
  )
  assert.is((drawing.match(/<- peak/g) ?? []).length > 0, true)
})

test('bench --json: everything that is promised', async () => {
  const r = await thimble(['bench', MODEL, '--runs', '3', '--warmup', '1', '--profile', '--json'])
  assert.is(r.code, 0, r.err)
  const b = JSON.parse(r.out)
  for (const key of [
    'medianMs',
    'minMs',
    'p95Ms',
    'loadMs',
    'reloadMs',
    'firstRunMs',
    'macs',
    'gmacPerSecond',
    'arenaBytes',
    'memoryBytes',
    'wasmBytes',
  ]) {
    assert.ok(b[key] > 0, `${key}: ${b[key]}`)
  }
  assert.ok(b.minMs <= b.medianMs && b.medianMs <= b.p95Ms)
  assert.ok(['simd', 'scalar', 'relaxed'].includes(b.variant))
  assert.ok(b.ops.length > 50)
  assert.equal(Object.keys(b.ops[0]), ['index', 'op', 'kernel', 'ms', 'macs'])
  const human = await thimble(['bench', MODEL, '--runs', '2', '--warmup', '0'])
  assert.match(human.out, /median +[\d.]+ ms +2 runs/)
})

test('bench names the processor, its vector extensions and the engine; --share is one row to paste', async () => {
  const r = JSON.parse((await thimble(['bench', MODEL, '--runs', '2', '--warmup', '0', '--json'])).out) as {
    processor: { arch: string; cores: number; features?: string[] }
    engine: string
  }
  assert.is(r.processor.arch, process.arch)
  assert.ok(r.processor.cores >= 1 && r.engine.includes(process.versions.node))
  const share = (await thimble(['bench', MODEL, '--runs', '2', '--warmup', '0', '--share'])).out.trim().split('\n')
  assert.is(share.length, 3)
  assert.is(new Set(share.map((line) => line.split('|').length)).size, 1)
  assert.equal(featuresOf('processor : 0\nflags\t\t: fpu sse4_1 avx avx2 avx_vnni\n'), [
    'SSE4.1',
    'AVX',
    'AVX2',
    'AVX-VNNI',
  ])
  assert.equal(featuresOf('Features\t: fp asimd asimddp\n'), ['NEON', 'dot product'])
  assert.is(featuresOf(''), undefined)
  const named = { name: 'A', arch: 'x64', cores: 2 }
  assert.is(describe({ ...named, features: ['AVX2'] }), 'A, x64, 2 cores; AVX2, no VNNI')
  assert.is(describe({ ...named, features: undefined }), 'A, x64, 2 cores; vector extensions not known')
})

test('bench --plan size says what the memory costs', async () => {
  const r = await thimble([
    'bench',
    MODEL,
    '--plan',
    'size',
    '--variant',
    'simd',
    '--runs',
    '3',
    '--warmup',
    '1',
    '--json',
  ])
  assert.is(r.code, 0, r.err)
  const b = JSON.parse(r.out)
  assert.ok(b.againstSpeed.slowdown > 0 && b.againstSpeed.medianMs > 0)
  assert.ok(
    b.memoryBytes < 0.75 * b.againstSpeed.memoryBytes,
    `${b.memoryBytes} and ${b.againstSpeed.memoryBytes} bytes`,
  )
  const human = await thimble(['bench', MODEL, '--plan', 'size', '--runs', '2', '--warmup', '0'])
  assert.match(human.out, /slowdown +[\d.]+ +of plan speed/)
})

test('bench: two threads are compared with one, in turn', async () => {
  const args = ['bench', MODEL, '--threads', '2', '--runs', '3', '--warmup', '1']
  const r = await thimble([...args, '--json'])
  assert.is(r.code, 0, r.err)
  const { againstOneThread } = JSON.parse(r.out)
  assert.ok(againstOneThread.speedup > 0 && againstOneThread.atBest > 0 && againstOneThread.medianMs > 0)
  assert.match((await thimble(args)).out, /speedup +[\d.]+ +over one thread/)
})

test('a reader that goes away is no error', async () => {
  const r = await new Promise<Result>((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'src/cli.ts'), 'inspect', MODEL, '--json'], {
      cwd: root,
    })
    let err = ''
    child.stdout.once('data', () => child.stdout.destroy())
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    child.on('close', (code) => resolve({ code, out: '', err }))
  })
  assert.is(r.err, '')
  assert.is(r.code, 0)
})

need(
  test,
  'unsupported models: inspect lists every op, running them fails',
  { resource: shared('models/model_invoking_error.tflite'), missing: 'no ../shared' },
  async (model) => {
    const inspected = await thimble(['inspect', model])
    assert.is(inspected.code, 0, inspected.err)
    assert.match(inspected.out, /can't run this model: 1 of 1 ops.*\n.*fake-op-double/)
    failed(await thimble(['bench', model]), 1, /fake-op-double/)
  },
)

test('a bare .tflite: recorded answers through run, and what inspect assumes', async () => {
  const { name, path, cases } = recordedNetworks.find(({ macs }) => macs > 5e6)!
  const [first] = cases
  const input = join(dir, 'recorded.bin')
  writeFileSync(input, first!.inputs[0]!)
  const r = await thimble(['run', path, '--input', input, '--output', join(dir, 'recorded')])
  assert.is(r.code, 0, r.err)
  first!.check(readFileSync(join(dir, 'recorded0')), 0, name)
  const report = await thimble(['inspect', path])
  assert.match(report.out, /assumed: /)
  assert.match(report.out, /labels +none in the file \(give --labels FILE\)/)
})

test.run()
