/**
 * From a photo's bytes to the printed scores: the same on every host, for JPEG and PNG of every kind; and `classify` on
 * folders.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { encode } from 'jpeg-js'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { imagesIn } from '../src/cli/files.ts'
import { createClassifier as createInBrowser, loadModel as loadInBrowser } from '../src/browser.ts'
import { readModel } from '../src/formats/index.ts'
import { decodeImage } from '../src/image/decode.ts'
import { createClassifier, loadModel } from '../src/node.ts'
import { packGraph } from '../src/pack/pack.ts'
import type { Prediction } from '../src/graph/types.ts'
import { createClassifier as createInWorker, loadModel as loadInWorker } from '../src/workerd.ts'
import { moduleGraph } from '../src/serve/site.ts'
import { serve } from '../tools/web.ts'
import { launchChromium } from './chromium.ts'
import { makePng, type PngOptions, withOrientation } from './image-files.ts'
import { need, rng, root } from './util.ts'
import { esbuild, miniflare, startWorker } from './worker-host.ts'

const test = suite('photos')
const dir = mkdtempSync(join(tmpdir(), 'thimble-photos-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const MODEL = join(root, 'weights/dogs_mobilenet_v2_1.0_160.thimble')
const COMMAND = join(root, 'dist/cli.js')
const imageModule = new WebAssembly.Module(readFileSync(join(root, 'build/thimble-image-simd.wasm')))

/** Whole and damaged files that Pillow reads, every kind of PNG, eight orientations, odd sizes, 12 megapixels. */
function corpus(): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  const vectors = (name: string): { cases: Record<string, string | boolean>[] } =>
    JSON.parse(readFileSync(new URL(`./vectors/${name}`, import.meta.url), 'utf8'))
  const bytes = (base64: unknown): Uint8Array => Uint8Array.from(Buffer.from(base64 as string, 'base64'))
  const name = (text: unknown, end: string): string => `${String(text).replace(/\W+/g, '-')}.${end}`
  const { cases } = vectors('jpeg.json')
  for (const c of cases) files.set(name(c.name, 'jpg'), bytes(c.jpeg))
  for (const c of vectors('damaged.json').cases.filter((c, i) => !c.refused && i % 3 === 0)) {
    files.set(name(c.name, String(c.name).slice(0, 3)), bytes(c.file))
  }
  const upright = bytes(cases.find((c) => c.name === 'baseline 4:4:4')!.jpeg)
  for (let orientation = 1; orientation <= 8; orientation++) {
    files.set(`turned-${orientation}.jpg`, withOrientation(upright, orientation))
  }
  const depths = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] } as const
  const r = rng(3)
  for (const [type, list] of Object.entries(depths)) {
    for (const depth of list) {
      for (const interlaced of [false, true]) {
        const options = {
          type: Number(type),
          depth,
          interlaced,
          ...(type === '3' ? { palette: Array.from({ length: 3 << depth }, () => r.int(256)) } : {}),
        } as PngOptions
        const most = 2 ** depth
        files.set(
          `png-${type}-${depth}${interlaced ? '-interlaced' : ''}.png`,
          makePng(37, 23, (x, y, c) => (x * 7 + y * 13 + c * 29 + r.int(2)) % most, options),
        )
      }
    }
  }
  const [width, height] = [4000, 3000]
  const data = new Uint8Array(width * height * 4)
  for (let o = 0; o < data.length; o += 4) {
    const [x, y] = [(o >> 2) % width, Math.floor((o >> 2) / width)]
    data[o] = x >> 4
    data[o + 1] = y >> 4
    data[o + 2] = x ^ y
  }
  files.set('12-megapixels.jpg', encode({ data, width, height }, 80).data)
  return files
}

const files = corpus()
const names = [...files.keys()]
for (const [name, bytes] of files) writeFileSync(join(dir, name), bytes)

/** Nine digits, as the WASI command prints them. */
const rounded = (predictions: readonly Prediction[]): string =>
  predictions.map(({ index, score }) => `${index}:${score.toFixed(9)}`).join(' ')

let expected: Map<string, string>
test.before(async () => {
  const classifier = await createClassifier(await loadModel(MODEL), { topK: 3 })
  expected = new Map(names.map((name) => [name, rounded(classifier.classify(files.get(name)!))]))
})

test('Node: the same from bytes and from pixels', async () => {
  const classifier = await createClassifier(await loadModel(MODEL), { topK: 3 })
  for (const name of names) {
    assert.is(rounded(classifier.classify(decodeImage(files.get(name)!))), expected.get(name), name)
  }
})

test("the Worker's entry point, in this process", async () => {
  const { wasm } = await packGraph(readModel(readFileSync(MODEL)), {})
  const model = await loadInWorker(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>))
  const classifier = await createInWorker(model, { topK: 3, image: imageModule })
  for (const name of names) assert.is(rounded(classifier.classify(files.get(name)!)), expected.get(name), name)
  const fast = await createInWorker(model, { topK: 3, image: imageModule, decode: 'fast' })
  const here = await createClassifier(await loadModel(MODEL), { topK: 3, decode: 'fast' })
  const large = files.get('12-megapixels.jpg')!
  assert.is(rounded(fast.classify(large)), rounded(here.classify(large)), 'decoded fast')
  assert.is(fast.timings.reduced, 8)
})

test("the browser's entry point, in this process", async () => {
  const model = await loadInBrowser(new Uint8Array(readFileSync(MODEL)))
  const classifier = await createInBrowser(model, { topK: 3 })
  // All at once: an answer is of its own photo.
  const answers = await Promise.all(names.map((name) => classifier.classify(files.get(name)!)))
  answers.forEach((predictions, i) => assert.is(rounded(predictions), expected.get(names[i]!), names[i]))
  const fast = await createInBrowser(model, { topK: 3, decode: 'fast' })
  const here = await createClassifier(await loadModel(MODEL), { topK: 3, decode: 'fast' })
  const large = files.get('12-megapixels.jpg')!
  assert.is(rounded(await fast.classify(large)), rounded(here.classify(large)), 'decoded fast')
  assert.is(fast.timings.reduced, 8)
})

need(
  test,
  'Chromium: the same from the bytes of files',
  {
    resource: existsSync(join(root, 'dist/browser.js')) ? launchChromium : undefined,
    missing: 'dist/, playwright-core or Chromium is missing',
  },
  async (launch) => {
    const served = new Map<string, Buffer>([['index.html', Buffer.from('<!doctype html><title>photos</title>')]])
    for (const file of moduleGraph(join(root, 'dist'), 'browser.js')) {
      served.set(`dist/${file}`, readFileSync(join(root, 'dist', file)))
    }
    served.set('model.thimble', readFileSync(MODEL))
    // The server knows types by their ends: these are read as bytes.
    names.forEach((name, i) => served.set(`${i}.jpg`, Buffer.from(files.get(name)!)))
    const server = await serve(served, 0)
    const browser = await launch()
    try {
      const page = await browser.newPage()
      await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`)
      const answers = await page.evaluate<Prediction[][]>(`(async () => {
        const { createClassifier, loadModel } = await import('/dist/browser.js')
        const classifier = await createClassifier(await loadModel('/model.thimble'), { topK: 3 })
        const answers = []
        for (let i = 0; i < ${names.length}; i++) {
          answers.push(await classifier.classify(new Uint8Array(await (await fetch(i + '.jpg')).arrayBuffer())))
        }
        return answers
      })()`)
      assert.is(answers.length, names.length)
      answers.forEach((predictions, i) => assert.is(rounded(predictions), expected.get(names[i]!), names[i]))
    } finally {
      await browser.close()
      server.close()
    }
  },
)

const WASI_HOSTS: Record<string, string | undefined> = {
  Node: fileURLToPath(new URL('engines/hosts/wasi.mjs', import.meta.url)),
}
for (const [host, script] of Object.entries(WASI_HOSTS)) {
  need(test, `the WASI command in ${host}`, { resource: script, missing: 'no such host' }, async (path) => {
    for (const variant of ['simd', 'scalar'] as const) {
      const { wasm } = await packGraph(readModel(readFileSync(MODEL)), { target: 'wasi', variant })
      writeFileSync(join(dir, 'command.wasm'), wasm)
      const list = variant === 'simd' ? names : names.filter((_, i) => i % 5 === 0)
      const said = (args: string[]): Prediction[][] => {
        const text = execFileSync(
          process.execPath,
          ['--no-warnings', path, join(dir, 'command.wasm'), dir, '--json', '--top', '3', ...args],
          { env: { ...process.env, NODE_OPTIONS: '' }, maxBuffer: 1 << 26 },
        ).toString()
        return (JSON.parse(text) as { predictions: Prediction[] }[]).map((a) => a.predictions)
      }
      said(list).forEach((predictions, i) =>
        assert.is(rounded(predictions), expected.get(list[i]!), `${variant}: ${list[i]}`),
      )
      if (variant === 'scalar') continue
      const fast = await createClassifier(await loadModel(MODEL), { topK: 3, decode: 'fast' })
      const large = '12-megapixels.jpg'
      assert.is(rounded(said(['--decode', 'fast', large])[0]!), rounded(fast.classify(files.get(large)!)), 'fast')
    }
  })
}

const WORKER = `
import { createClassifier, loadModel } from 'thimble/workerd'
import image from './image.wasm'
import module from './model.wasm'
const classifier = await createClassifier(await loadModel(module), { topK: 3, image })
export default { async fetch(request) {
  if (request.method !== 'POST') return new Response('ready')
  try { return Response.json(classifier.classify(new Uint8Array(await request.arrayBuffer()))) }
  catch (error) { return new Response(error.message, { status: 400 }) }
} }
`
need(
  test,
  'workerd',
  {
    resource: miniflare && esbuild && existsSync(COMMAND) ? esbuild : undefined,
    missing: 'miniflare, esbuild or dist/ is missing',
  },
  async (builder) => {
    const { outputFiles } = await builder.build({
      stdin: { contents: WORKER.replace('thimble/workerd', join(root, 'dist/workerd.js')), resolveDir: root },
      bundle: true,
      format: 'esm',
      write: false,
      external: ['*.wasm'],
      logLevel: 'error',
    })
    const { wasm } = await packGraph(readModel(readFileSync(MODEL)), {})
    const worker = await startWorker(outputFiles[0]!.text, {
      'model.wasm': wasm,
      'image.wasm': readFileSync(join(root, 'dist/image.wasm')),
    })
    try {
      for (const name of names) {
        const response = await worker.fetch('/', { method: 'POST', body: files.get(name)! })
        assert.is(response.status, 200, name)
        assert.is(rounded((await response.json()) as Prediction[]), expected.get(name), name)
      }
    } finally {
      await worker.stop()
    }
  },
)

test('photos of a folder: links are followed, circles end, dot files and node_modules are left out', () => {
  const folder = join(dir, 'linked')
  const elsewhere = join(dir, 'elsewhere')
  for (const f of ['b', '.hidden', 'node_modules/x']) mkdirSync(join(folder, f), { recursive: true })
  mkdirSync(join(elsewhere, 'deep'), { recursive: true })
  for (const f of ['linked/b/2.jpg', 'linked/.hidden/3.jpg', 'linked/node_modules/x/4.png', 'linked/.5.jpg']) {
    writeFileSync(join(dir, f), '')
  }
  for (const f of ['elsewhere/deep/1.png', 'elsewhere/6.gif']) writeFileSync(join(dir, f), '')
  symlinkSync(elsewhere, join(folder, 'a'))
  symlinkSync(join(elsewhere, 'deep/1.png'), join(folder, 'c.png'))
  symlinkSync(folder, join(folder, 'b/back'))
  symlinkSync('self', join(folder, 'self'))
  symlinkSync(join(dir, 'nowhere.png'), join(folder, 'gone.png'))
  const skipped: string[] = []
  const found = imagesIn(folder, skipped)
  assert.equal(
    found.map((path) => relative(folder, path)),
    ['a/deep/1.png', 'b/2.jpg', 'c.png'],
  )
  assert.equal(skipped, [join(folder, 'a/6.gif')])
})

need(
  test,
  'classify on a folder: several threads, in order',
  { resource: existsSync(COMMAND) || undefined, missing: 'dist/ is not built' },
  () => {
    const folder = join(dir, 'folder')
    mkdirSync(folder)
    const few = names.filter((name) => !/12-mega/.test(name)).slice(0, 24)
    few.forEach((name, i) => writeFileSync(join(folder, `${String(i).padStart(2, '0')}-${name}`), files.get(name)!))
    writeFileSync(join(folder, '05-broken.jpg'), 'not a photo')
    for (const other of ['a.webp', 'b.HEIC']) writeFileSync(join(folder, other), 'x')
    const run = (...args: string[]) => {
      const { stdout, stderr, status } = spawnSync(
        process.execPath,
        [COMMAND, 'classify', folder, '--model', MODEL, '--json', ...args],
        { env: { ...process.env, NODE_OPTIONS: '' } },
      )
      const answers = JSON.parse(stdout.toString()) as { file: string; timings?: unknown; decode?: string }[]
      for (const answer of answers) delete answer.timings
      return { answers, stderr: stderr.toString(), status }
    }
    const one = run('--jobs', '1')
    assert.is(one.status, 1)
    assert.is(one.answers.length, 24)
    assert.match(one.stderr, /skipped 2 pictures of kinds that are not read: .*a\.webp, .*b\.HEIC/)
    assert.match(one.stderr, /image\/unknown-format: .*05-broken\.jpg/)
    assert.equal(run('--jobs', '3'), one)
    assert.is(run('--jobs', '2', '--decode', 'fast').answers[0]!.decode, 'fast')
  },
)

test.run()
