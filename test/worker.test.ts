/** examples/cloudflare-worker in the real workerd: answers, refusals, hostile bodies, and what a request costs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../src/classify/classifier.ts'
import { Answerer } from '../src/cli/answers.ts'
import { ImageDecoder } from '../src/image/wasm.ts'
import { loadPackedModule } from '../src/engine/packed-module.ts'
import { createApp } from '../src/serve/app.ts'
import { describeAll } from '../src/serve/questions.ts'
import { makePng } from './image-files.ts'
import { rng, root, shared, skip } from './util.ts'
import { built, bundleWorker, esbuild, miniflare, pack, type RunningWorker, startWorker } from './worker-host.ts'

const test = suite('worker')
const missing = !miniflare
  ? 'miniflare is not installed'
  : !esbuild
    ? 'esbuild is not installed'
    : !built
      ? 'dist/ is not built'
      : undefined
const cat = readFileSync(join(root, 'weights/samples/cat.jpg'))
const jpeg = { 'content-type': 'image/jpeg' }

interface Answer {
  model: string
  predictions: { label: string; index: number; score: number }[]
  timings: { decodeMs: number; preprocessMs: number; inferMs: number }
  error?: { code: string; message: string }
}

if (missing) skip('worker', missing)
else {
  let worker: RunningWorker
  let script: string
  let model: Uint8Array
  let faces: Uint8Array
  const image = readFileSync(join(root, 'dist/image.wasm'))
  const post = async (
    body: Uint8Array | string,
    headers: Record<string, string> = jpeg,
    query = '',
  ): Promise<{ status: number; body: Answer }> => {
    const response = await worker.fetch(`/classify${query}`, { method: 'POST', body, headers })
    return { status: response.status, body: (await response.json()) as Answer }
  }

  test.before(async () => {
    script = await bundleWorker()
    model = pack('mobilenet_v2_1.0_224')
    faces = pack('face_detector_tiny_416')
    worker = await startWorker(script, { 'model.wasm': model, 'faces.wasm': faces, 'image.wasm': image })
  })
  test.after(() => worker.stop())

  test('a photo gets labels, the same as outside workerd', async () => {
    const { status, body } = await post(cat, jpeg, '?top=3')
    assert.is(status, 200)
    assert.is(body.predictions.length, 3)
    assert.match(body.predictions[0]!.label, /cat|tabby/i)
    const decoder = new ImageDecoder(new WebAssembly.Module(image), { decode: 'fast' })
    const here = await createClassifier(loadPackedModule(new WebAssembly.Module(model as Uint8Array<ArrayBuffer>)), {
      topK: 3,
      prepare: (...args) => decoder.prepare(...args),
    })
    assert.equal(body.predictions, here.classify(cat))
    for (const ms of Object.values(body.timings)) assert.type(ms, 'number')
  })

  test('PNG, and a body without a content type', async () => {
    const png = makePng(40, 30, (x, y, c) => (x * 6 + y * 3 + c * 40) & 255, { type: 2, depth: 8 })
    const typed = await post(png, { 'content-type': 'image/png' })
    const untyped = await post(png, {})
    assert.is(typed.status, 200)
    assert.is(typed.body.predictions.length, 5)
    assert.equal(untyped.body.predictions, typed.body.predictions)
  })

  test('page and health', async () => {
    const page = await worker.fetch('/')
    assert.is(page.status, 200)
    assert.match(page.headers.get('content-type')!, /text\/html/)
    assert.match(await page.text(), /<input id="file" type="file"/)
    const health = (await (await worker.fetch('/healthz')).json()) as Record<string, unknown>
    assert.is(health.status, 'ok')
    const [things, found] = health.models as Record<string, unknown>[]
    assert.equal(
      [things!.name, things!.task, things!.variant, things!.input],
      ['things', 'classify', 'simd', [1, 224, 224, 3]],
    )
    assert.equal([found!.name, found!.task], ['faces', 'detect'])
  })

  test('what is refused, and how', async () => {
    const gif = new TextEncoder().encode('GIF89a and so on')
    const large = new Uint8Array(11 << 20)
    large.set(cat)
    const wide = Uint8Array.from(cat)
    const frame = wide.findIndex((b, i) => b === 0xff && (wide[i + 1] === 0xc0 || wide[i + 1] === 0xc2))
    wide.set([0xff, 0xf0, 0xff, 0xf0], frame + 5)
    const cases: [string, number, string, () => Promise<{ status: number; body: Answer }>][] = [
      ['empty', 400, 'body-empty', () => post('')],
      ['truncated', 400, 'image/truncated', () => post(cat.subarray(0, 9000))],
      [
        'nothing but a header',
        400,
        'image/truncated',
        () => post(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 3, 4, 5, 6, 7)),
      ],
      ['GIF', 415, 'image/unsupported-format', () => post(gif, { 'content-type': 'image/gif' })],
      ['text', 415, 'media-type', () => post('hello', { 'content-type': 'text/plain' })],
      ['form', 400, 'form', () => post('--x', { 'content-type': 'multipart/form-data; boundary=x' })],
      ['no model', 404, 'usage/model', () => post(cat, jpeg, '?model=none')],
      ['noise', 415, 'image/unknown-format', () => post(new Uint8Array(1000).fill(7))],
      ['large body', 413, 'body-too-large', () => post(large)],
      ['65520x65520', 413, 'image/too-large', () => post(wide)],
      ['top=0', 400, 'top', () => post(cat, jpeg, '?top=0')],
      ['top=x', 400, 'top', () => post(cat, jpeg, '?top=x')],
    ]
    for (const [name, status, code, ask] of cases) {
      const got = await ask()
      assert.is(got.status, status, `${name}: ${JSON.stringify(got.body)}`)
      assert.is(got.body.error?.code, code, name)
      assert.ok(got.body.error!.message.length > 10 && !got.body.error!.message.includes('\n'), name)
    }
    // A body that doesn't say how long it is.
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1 << 20)) })
    const streamed = await worker
      .fetch('/classify', { method: 'POST', body: endless, headers: jpeg, duplex: 'half' })
      .catch(() => undefined)
    if (streamed) assert.is(streamed.status, 413, 'endless body')
    const get = await worker.fetch('/classify')
    assert.is(get.status, 405)
    assert.is(get.headers.get('allow'), 'POST')
    assert.is((await worker.fetch('/', { method: 'DELETE' })).status, 405)
    assert.is((await worker.fetch('/nothing')).status, 404)
  })

  test('every task, as `thimble serve` answers it', async () => {
    const list = { things: 'model', faces: 'faces', pose: 'pose', cut: 'cut', people: 'people' }
    const imports = Object.entries(list).map(([name, file]) => `import ${name} from './${file}.wasm'`)
    const text = `${imports.join('\n')}\nexport const MODELS = { ${Object.keys(list).join(', ')} }`
    const all = await startWorker(await bundleWorker('cloudflare-worker', text), {
      'model.wasm': model,
      'faces.wasm': faces,
      'pose.wasm': pack('pose_landmarks_33_256'),
      'people.wasm': pack('pose_detector_224'),
      'cut.wasm': pack('selfie_segmentation_256'),
      'image.wasm': image,
    })
    const answerer = new Answerer({ positionals: [], options: {} })
    const names = [
      ['things', 'mobilenet_v2_1.0_224'],
      ['faces', 'face_detector_tiny_416'],
      ['pose', 'pose_landmarks_33_256'],
      ['cut', 'selfie_segmentation_256'],
    ] as const
    const answers = { answer: answerer.answer.bind(answerer), busy: 0, waiting: 0, end: () => Promise.resolve() }
    const app = createApp({
      answers,
      models: await describeAll(answers, names),
      version: '0.1.0',
      limits: { maxBytes: 1e7, maxRequests: 9 },
    })
    const body = readFileSync(join(root, 'weights/samples/astronaut.jpg'))
    const headers = jpeg
    try {
      for (const path of [
        '/detect',
        '/pose?top=1',
        '/segment',
        '/v1/vision/detection',
        '/v1/vision/custom/faces',
        '/v2/models/pose',
      ]) {
        const method = path.startsWith('/v2') ? 'GET' : 'POST'
        const init = method === 'GET' ? {} : { method, body, headers }
        const there = (await (await all.fetch(path, init)).json()) as Record<string, unknown>
        const here = (await (await app.fetch(new Request(`http://localhost${path}`, init))).json()) as typeof there
        for (const said of [there, here]) for (const key of ['timings', 'inferenceMs', 'processMs']) delete said[key]
        assert.equal(there, here, path)
      }
      const found = (await (await all.fetch('/faces', { method: 'POST', body, headers })).json()) as {
        faces: unknown[]
      }
      assert.ok(found.faces.length > 0)
      const asked = (await (await all.fetch('/v1/vision/scene', { method: 'POST', body, headers })).json()) as object
      assert.equal(Object.keys(asked), ['success', 'label', 'confidence'])
      const text = await (await all.fetch('/metrics')).text()
      assert.match(text, /^thimble_requests_total\{route="\/detect",code="200"\} 1$/m)
    } finally {
      await all.stop()
    }
  })

  test('hostile bodies: never a 500, and the Worker goes on answering', async () => {
    const r = rng(21)
    const png = makePng(60, 50, () => r.int(256), { type: 6, depth: 8 })
    const before = await post(cat)
    const seen = new Map<number, number>()
    for (let n = 0; n < 240; n++) {
      let bytes = Uint8Array.from(r.int(2) ? cat : png)
      for (let i = r.int(8); i >= 0; i--) bytes[r.int(r.int(2) ? bytes.length : 700)] = r.int(3) ? r.int(256) : 255
      if (r.int(4) === 0) bytes = bytes.slice(0, 1 + r.int(bytes.length))
      const type = n % 3 ? jpeg : { 'content-type': 'image/png' }
      const path = `/${['classify', 'detect', 'faces'][n % 7] ?? 'classify'}`
      const response = await worker.fetch(path, { method: 'POST', body: bytes, headers: type })
      const { status } = response
      const body = await response.json()
      assert.ok([200, 400, 413, 415].includes(status), `round ${n}: ${status} ${JSON.stringify(body)}`)
      seen.set(status, (seen.get(status) ?? 0) + 1)
    }
    assert.ok((seen.get(200) ?? 0) > 0 && (seen.get(400) ?? 0) > 0, JSON.stringify([...seen]))
    assert.equal((await post(cat)).body.predictions, before.body.predictions)
  })

  test('what it costs', async () => {
    const photo = shared('images/hot_dog.jpg')
    const empty = await startWorker('export default { fetch: () => new Response("") }', {})
    const idle = empty.memoryBytes()
    const idleStart = empty.startMs
    await empty.stop()
    const rows: [string, RunningWorker][] = [['MobileNetV2 1.0 224', worker]]
    const small = await startWorker(script, {
      'model.wasm': pack('mobilenet_v2_1.0_160'),
      'faces.wasm': faces,
      'image.wasm': image,
    })
    rows.push(['MobileNetV2 1.0 160', small])
    const costs: number[] = []
    for (const [name, w] of rows) {
      const body = photo ? readFileSync(photo) : cat
      const ask = async (): Promise<Answer> =>
        (await w.fetch('/classify', { method: 'POST', body, headers: jpeg })).json() as Promise<Answer>
      const first = w.cpuMs()
      await ask()
      const firstMs = w.cpuMs() - first
      for (let i = 0; i < 20; i++) await ask()
      const runs = 40
      const sum = { decodeMs: 0, preprocessMs: 0, inferMs: 0 }
      const overheadFrom = w.cpuMs()
      for (let i = 0; i < runs; i++) {
        await (await w.fetch('/classify', { method: 'POST', body: Uint8Array.of(1), headers: jpeg })).arrayBuffer()
      }
      const overhead = (w.cpuMs() - overheadFrom) / runs
      const from = w.cpuMs()
      for (let i = 0; i < runs; i++) {
        const { timings } = await ask()
        for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += timings[key] / runs
      }
      const cpu = (w.cpuMs() - from) / runs
      console.log(
        `${name}, photo of ${body.length} bytes: ${cpu.toFixed(1)} ms CPU a request, ${overhead.toFixed(1)} of them workerd's own (first request ${firstMs.toFixed(1)}); by the Worker's clock decode ${sum.decodeMs.toFixed(1)}, preprocess ${sum.preprocessMs.toFixed(1)}, inference ${sum.inferMs.toFixed(1)} ms; start ${(w.startMs - idleStart).toFixed(0)} ms and ${((w.memoryBytes() - idle) / 1e6).toFixed(0)} MB over an empty Worker`,
      )
      assert.ok(cpu > 0 && w.memoryBytes() - idle < 128e6)
      costs.push(cpu)
    }
    await small.stop()
    assert.ok(costs[1]! < costs[0]!, `160 takes ${costs[1]} ms, 224 ${costs[0]}`)
  })

  test('half-open uploads hold a bounded number of bytes, and photos are answered again after them', async () => {
    const before = worker.memoryBytes()
    const stops: (() => void)[] = []
    // 40 bodies of which 9 of 10 MB come and then nothing.
    const open = Array.from({ length: 40 }, () => {
      const body = new ReadableStream({
        start(controller) {
          for (let i = 0; i < 9; i++) controller.enqueue(new Uint8Array(1 << 20).fill(255))
          stops.push(() => {
            try {
              controller.error(new Error('gone'))
            } catch {
              // The Worker ended it.
            }
          })
        },
      })
      return worker.fetch('/classify', { method: 'POST', body, headers: jpeg, duplex: 'half' }).then(
        (response) => response.status,
        () => 0,
      )
    })
    await new Promise((resolve) => setTimeout(resolve, 4000))
    const held = worker.memoryBytes() - before
    const refused = await Promise.race([
      Promise.any(open.map(async (s) => ((await s) === 503 ? 503 : Promise.reject(s)))),
      new Promise((resolve) => setTimeout(resolve, 5000, 0)),
    ])
    console.log(
      `40 half-open uploads of 9 MB: ${(held / 1e6).toFixed(0)} MB more, the first refused with ${String(refused)}`,
    )
    stops.forEach((stop) => stop())
    await Promise.all(open)
    assert.is(refused, 503)
    assert.ok(held < 128e6, `${held} bytes`)
    assert.is((await post(cat)).status, 200)
  })
}

if (!missing) test.run()
