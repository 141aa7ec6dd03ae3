/** `serve`: routes, protocols, limits and hostile bodies; and as a process. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Answerer } from '../src/cli/answers.ts'
import type { Answers, Question } from '../src/serve/questions.ts'
import { type AppOptions, createApp, type HttpApp } from '../src/serve/app.ts'
import { openSite, sitePage } from '../src/serve/site.ts'
import { thimble } from './call-cli.ts'
import { need, rng, root } from './util.ts'

const test = suite('serve')
const COMMAND = join(root, 'dist/cli.js')
const SAMPLE = join(root, 'weights/samples/astronaut.jpg')
const photo = new Uint8Array(readFileSync(SAMPLE))
const [DETECTOR, LANDMARKS] = ['face_detector_tiny_416', 'face_landmarks_68_tiny_112']

const answerer = new Answerer({ positionals: [], options: {} })
const answers: Answers = {
  answer: ((question: Question) => answerer.answer(question)) as Answers['answer'],
  busy: 0,
  waiting: 0,
  end: async () => {},
}

const LIMITS = { maxBytes: 1e6, maxRequests: 8 }

async function app(more: Partial<AppOptions> = {}): Promise<HttpApp> {
  const models = new Map()
  for (const [name, model] of [
    ['faces', DETECTOR],
    ['points', LANDMARKS],
  ] as const) {
    models.set(name, { model, about: await answerer.answer({ model, describe: true }) })
  }
  return createApp({ answers, models, version: '1.2.3', limits: LIMITS, ...more })
}

const call = async (
  to: HttpApp,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; json: any; response: Response }> => {
  const response = await to.fetch(new Request(`http://localhost${path}`, init))
  const copy = response.clone()
  const text = await copy.text()
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    json = text
  }
  return { status: response.status, json, response }
}
const post = (body: BodyInit, headers: Record<string, string> = {}): RequestInit => ({ method: 'POST', body, headers })
const form = (fields: Record<string, string> = {}, image: Uint8Array = photo): RequestInit => {
  const data = new FormData()
  data.set('image', new Blob([image as BlobPart]), 'photo.jpg')
  for (const [name, value] of Object.entries(fields)) data.set(name, value)
  return { method: 'POST', body: data }
}

test('tasks answer as their commands do', async () => {
  const to = await app()
  const [said] = JSON.parse((await thimble(['detect', SAMPLE, '-m', DETECTOR, '--json'])).out) as any[]
  for (const init of [post(photo), form()]) {
    const { status, json } = await call(to, '/detect', init)
    assert.is(status, 200)
    assert.equal(json.detections, said.detections)
    assert.equal([json.model, json.width, json.height], ['faces', said.width, said.height])
  }
  const faces = await call(to, '/faces', post(photo))
  assert.ok(faces.json.faces[0].points.length === 68)
  const classes = await call(to, '/classify?top=2', post(photo))
  assert.is(classes.json.predictions.length, 2)
  // Asked for by no name, a task has the shipped model.
  assert.is((await call(to, '/segment', post(photo))).status, 200)
  assert.is((await call(to, '/detect?model=none', post(photo))).status, 404)
  assert.is((await call(to, '/detect')).status, 405)
  assert.is((await call(to, '/nothing')).status, 404)
  // Without a page there is none.
  assert.is((await call(to, '/')).status, 404)
})

test('DeepStack and CodeProject.AI', async () => {
  const to = await app()
  const { status, json } = await call(to, '/v1/vision/detection', form({ min_confidence: '0.1' }))
  assert.is(status, 200)
  assert.is(json.success, true)
  const scores = json.predictions.map((p: any) => p.confidence)
  assert.equal(
    scores,
    [...scores].sort((a, b) => b - a),
  )
  assert.equal(Object.keys(json.predictions[0]).sort(), ['confidence', 'label', 'x_max', 'x_min', 'y_max', 'y_min'])
  const none = await call(to, '/v1/vision/detection', form({ min_confidence: '1' }))
  assert.equal(none.json.predictions, [])
  assert.equal((await call(to, '/v1/vision/custom/faces', form())).json.success, true)
  assert.is((await call(to, '/v1/vision/custom/none', form())).json.success, false)
  assert.equal((await call(to, '/v1/vision/custom/list', { method: 'POST' })).json, {
    success: true,
    models: ['faces'],
  })
  assert.is((await call(to, '/v1/vision/face', form())).json.predictions[0].label, 'face')
  assert.equal((await call(to, '/v1/vision/face/list', { method: 'POST' })).json.faces, [])
  assert.is((await call(to, '/v1/vision/face/recognize', form())).status, 404)
  assert.is(typeof (await call(to, '/v1/vision/scene', form())).json.label, 'string')
  assert.is((await call(to, '/v1/status/ping')).json.success, true)
  const wrong = await call(to, '/v1/vision/detection', form({}, new Uint8Array(9)))
  assert.equal([wrong.status, wrong.json.success], [400, false])
})

test('Open Inference Protocol: JSON and binary give what run gives', async () => {
  const to = await app()
  const about = (await call(to, '/v2/models/points')).json
  const [input] = about.inputs
  const count = input.shape.reduce((a: number, b: number) => a * b, 1)
  const model = (await answerer.answer({ model: LANDMARKS, describe: true })).inputs[0]!
  const values = Array.from({ length: count }, (_, i) => (i * 7) % 100)
  const typed =
    model.dtype === 'int8'
      ? Int8Array.from(values)
      : model.dtype === 'uint8'
        ? Uint8Array.from(values)
        : Float32Array.from(values)
  const want = Array.from(
    (await answerer.answer({ model: LANDMARKS, inputs: [typed] })).outputs[0]! as ArrayLike<number>,
  )
  const body = JSON.stringify({ id: '7', inputs: [{ ...input, data: values }] })
  const got = await call(to, '/v2/models/points/infer', post(body))
  assert.equal([got.status, got.json.id, got.json.outputs[0].data], [200, '7', want])
  const header = Buffer.from(
    JSON.stringify({
      inputs: [{ ...input, parameters: { binary_data_size: typed.byteLength } }],
      parameters: { binary_data_output: true },
    }),
  )
  const whole = Buffer.concat([header, new Uint8Array(typed.buffer)])
  const length = { 'inference-header-content-length': String(header.length) }
  const { response } = await call(to, '/v2/models/points/versions/1/infer', post(whole, length))
  const bytes = new Uint8Array(await response.arrayBuffer())
  const at = Number(response.headers.get('inference-header-content-length'))
  const [out] = JSON.parse(Buffer.from(bytes.subarray(0, at)).toString()).outputs
  assert.is(out.parameters.binary_data_size, bytes.length - at)
  const again =
    typed instanceof Float32Array
      ? new Float32Array(bytes.slice(at).buffer)
      : model.dtype === 'int8'
        ? new Int8Array(bytes.slice(at).buffer)
        : bytes.slice(at)
  assert.equal(Array.from(out.datatype === 'FP32' ? new Float32Array(bytes.slice(at).buffer) : again), want)
  for (const [path, init, status] of [
    ['/v2/models/none', {}, 404],
    ['/v2/models/points/ready', {}, 200],
    ['/v2/health/ready', {}, 200],
    ['/v2/models/points/infer', post('{'), 400],
    ['/v2/models/points/infer', post('{"inputs":[]}'), 400],
    ['/v2/models/points/infer', post(JSON.stringify({ inputs: [{ ...input, data: [1] }] })), 400],
    ['/v2/models/points/infer', post(JSON.stringify({ inputs: [{ ...input, data: values.map(() => '1') }] })), 400],
    ['/v2/models/points/infer', post(whole, { 'inference-header-content-length': '99999999' }), 400],
    ['/v2/models/points/infer', post(whole.subarray(0, -1), length), 400],
    ['/v2/models/%ff/infer', post('{}'), 400],
  ] as const) {
    assert.is((await call(to, path, init)).status, status, path)
  }
})

test('the page of examples/web at /, its files, and nothing beside them', async () => {
  const site = openSite(root, [
    { entry: { file: 'mine.thimble', sha256: 'abcdefabcdefabcdef', packaged: true }, path: SAMPLE },
  ])
  if (!site) return
  const to = await app({ page: sitePage(site) })
  const page = await call(to, '/')
  assert.match(page.json, /<title>Thimble/)
  assert.match(page.response.headers.get('content-type')!, /^text\/html/)
  for (const [, path] of (page.json as string).matchAll(/(?:src|href)="([\w./]+\.\w+)"/g)) {
    assert.is((await call(to, `/${path}`)).status, 200, path)
  }
  const worker = (await call(to, '/sw.js')).json as string
  const files = JSON.parse(/^const FILES = (.*)$/m.exec(worker)![1]!) as string[]
  assert.ok(files.includes('thimble/vision.js') && files.includes('models/mine.thimble?abcdefabcdef'), files.join())
  assert.match(worker, /^const VERSION = '[0-9a-f]{12}'$/m)
  assert.is((await call(to, '/models/mine.thimble?abcdefabcdef')).status, 200)
  for (const path of [
    '/../package.json',
    '/..%2fpackage.json',
    '/package.json',
    '/thimble/cli.js',
    '/models/',
    '//etc/passwd',
  ]) {
    assert.is((await call(to, path)).status, 404, path)
  }
  assert.is((await call(to, '/app.js', { method: 'DELETE' })).status, 405)
})

test('errors say what and why, in the form that a route has', async () => {
  const to = await app()
  for (const [init, status, code] of [
    [post(new Uint8Array()), 400, 'body-empty'],
    [post('hello', { 'content-type': 'text/plain' }), 415, 'media-type'],
    [post('--x', { 'content-type': 'multipart/form-data; boundary=x' }), 400, 'form'],
    [post(photo.slice(0, 9000)), 400, 'image/truncated'],
    [post(new Uint8Array(100).fill(7)), 415, 'image/unknown-format'],
    [post(photo, { 'content-encoding': 'gzip' }), 415, 'content-encoding'],
    [post(new Uint8Array(1e6 + 1)), 413, 'body-too-large'],
    [{}, 405, 'method'],
  ] as const) {
    const { json, ...got } = await call(to, '/detect', init)
    assert.equal([got.status, json.error?.code], [status, code])
    assert.ok(json.error.message.length > 10 && !json.error.message.includes('\n'))
  }
  for (const query of ['top=0', 'top=x', 'top=1.5', 'threshold=2', 'min_confidence=NaN']) {
    const { status, json } = await call(to, `/detect?${query}`, post(photo))
    assert.equal([status, json.error.code], [400, query.split('=')[0]])
  }
  assert.type((await call(to, '/v2/models/none')).json.error, 'string')
  assert.equal((await call(to, '/v1/vision/detection')).json.success, false)
})

test('bodies that come slowly or all at once hold a bounded memory', async () => {
  const endless = (size: number): RequestInit =>
    ({
      method: 'POST',
      body: new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(size)) }),
      duplex: 'half',
    }) as RequestInit
  const slow = await app({ limits: { ...LIMITS, arriveMs: 50 } })
  const late = await call(slow, '/detect', endless(10))
  assert.equal([late.status, late.json.error.code], [408, 'body-slow'])
  const narrow = await app({ limits: { ...LIMITS, arriveMs: 200, maxHeldBytes: 1500 } })
  const [first, second] = await Promise.all([
    call(narrow, '/detect', endless(1000)),
    call(narrow, '/detect', endless(1000)),
  ])
  assert.equal([first.status, second.status, second.response.headers.get('retry-after')], [408, 503, '1'])
  // What was held is given back.
  assert.is((await call(narrow, '/detect', post(photo.slice(0, 500)))).status, 400)
})

test('a form of many almost-boundaries is read in a moment', async () => {
  const to = await app({ limits: { ...LIMITS, maxBytes: 20e6 } })
  const type = `multipart/form-data; boundary=${'-'.repeat(199)}x`
  const start = performance.now()
  assert.is((await call(to, '/detect', post(new Uint8Array(10e6).fill(45), { 'content-type': type }))).status, 400)
  assert.ok(performance.now() - start < 1000)
})

test('the key: before the body where no form could hold it, in the form where it does', async () => {
  const to = await app({ apiKey: 'secret' })
  const untouched = new ReadableStream({ pull: () => assert.unreachable('the body was read') }, { highWaterMark: 0 })
  const refused = await call(to, '/detect', { method: 'POST', body: untouched, duplex: 'half' } as RequestInit)
  assert.equal([refused.status, refused.json.error.code], [401, 'key'])
  for (const [init, query, status] of [
    [form({ api_key: 'secret' }), '', 200],
    [form({ api_key: 'secreT' }), '', 401],
    [form({}), '', 401],
    [form({ api_key: 'secret' }), '?api_key=other', 401],
    [post(photo), '?api_key=secret', 200],
    [post(photo, { 'x-api-key': 'secret' }), '', 200],
    [post(photo, { 'x-api-key': 'secret1' }), '', 401],
  ] as const) {
    assert.is((await call(to, `/detect${query}`, init)).status, status, query)
  }
  assert.equal(Object.keys((await call(to, '/healthz')).json), ['status'])
})

test('pages of other origins may ask where that is wanted, and nowhere else', async () => {
  const [open, closed] = [await app({ cors: true }), await app()]
  const asked = await call(open, '/detect', { method: 'OPTIONS' })
  assert.equal([asked.status, asked.response.headers.get('access-control-allow-origin')], [204, '*'])
  assert.is(
    (await call(open, '/detect', post(new Uint8Array()))).response.headers.get('access-control-allow-origin'),
    '*',
  )
  const none = await call(closed, '/detect', { method: 'OPTIONS' })
  assert.equal([none.status, none.response.headers.get('access-control-allow-origin')], [405, null])
})

test('limits, keys and metrics', async () => {
  const small = await app({ limits: { ...LIMITS, maxBytes: 1000 }, apiKey: 'secret' })
  assert.is((await call(small, '/detect', post(photo, { authorization: 'Bearer secret' }))).status, 413)
  assert.is((await call(small, '/detect', post(photo.slice(0, 500)))).status, 401)
  const allowed = await call(
    small,
    '/v1/vision/detection',
    post(photo.slice(0, 500), { authorization: 'Bearer secret' }),
  )
  assert.is(allowed.status, 400)
  assert.is((await call(small, '/metrics')).status, 401)
  assert.is((await call(small, '/healthz')).status, 200)
  const none = await app({ limits: { ...LIMITS, maxRequests: 0 } })
  const refused = await call(none, '/detect', post(photo))
  assert.equal([refused.status, refused.response.headers.get('retry-after')], [503, '1'])
  const text = (await call(none, '/metrics')).json as string
  assert.match(text, /^thimble_requests_total\{route="\/detect",code="503"\} 1$/m)
  assert.match(text, /_bucket\{route="\/detect",le="\+Inf"\} 1$/m)
  none.stop()
  assert.is((await call(none, '/v2/health/ready')).status, 503)
})

test('no body makes it fail with a 500', async () => {
  const to = await app()
  const r = rng(3)
  const whole = new Uint8Array(await new Request('http://x', form()).arrayBuffer())
  const type = 'multipart/form-data; boundary=b'
  const bodies: [Uint8Array | string, string][] = [
    ['', ''],
    ['', type],
    ['--b--', type],
    ['--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n\r\n--b--', type],
    ['--b\r\n\r\n--b\r\n\r\n--b--', type],
    [whole, type],
    [whole, 'multipart/form-data'],
    ...Array.from({ length: 30 }, (): [Uint8Array, string] => {
      const damaged = photo.slice(0, r.int(photo.length))
      for (let i = 0; i < 20 && damaged.length; i++) damaged[r.int(damaged.length)] = r.int(256)
      return [damaged, 'image/jpeg']
    }),
  ]
  for (const [body, contentType] of bodies) {
    for (const path of ['/detect', '/v1/vision/detection', '/v2/models/points/infer']) {
      const { status } = await call(
        to,
        path,
        post(body as BodyInit, contentType ? { 'content-type': contentType } : {}),
      )
      assert.ok(status === 200 || (status >= 400 && status < 500), `${path}: ${status}`)
    }
  }
})

test('tensors that are none: every value of a question as something else', async () => {
  const to = await app()
  const about = (await call(to, '/v2/models/points')).json as { inputs: Record<string, unknown>[]; outputs: unknown[] }
  const shape = about.inputs[0]!.shape as number[]
  const zeros = Array.from({ length: shape.reduce((a, b) => a * b) }, () => 0)
  const question = { id: 'x', inputs: [{ ...about.inputs[0], data: zeros }], outputs: about.outputs, parameters: {} }
  const [path, deep] = ['/v2/models/points/infer', 20_000]
  assert.is((await call(to, path, post(JSON.stringify(question)))).status, 200)
  const odd = [
    'null',
    '{}',
    '[]',
    '""',
    '-1',
    '1e999',
    '9007199254740993',
    'true',
    '"__proto__"',
    '{"toString":1,"valueOf":1}',
    '[{"toString":1,"valueOf":1}]',
    '{"length":-1}',
    `${'['.repeat(deep)}${']'.repeat(deep)}`,
    `${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}`,
  ]
  const mark = '"MARK"'
  const all = (place: (value: unknown) => unknown): string[] =>
    odd.map((text) => JSON.stringify(place('MARK')).replace(mark, text))
  const [input] = question.inputs
  const bodies = [
    ...all((v) => v),
    ...['id', 'inputs', 'outputs', 'parameters'].flatMap((key) => all((v) => ({ ...question, [key]: v }))),
    ...['name', 'datatype', 'shape', 'data', 'parameters'].flatMap((key) =>
      all((v) => ({ ...question, inputs: [{ ...input, [key]: v }] })),
    ),
    ...all((v) => ({ ...question, inputs: [v] })),
    ...all((v) => ({ ...question, outputs: [v] })),
    ...all((v) => ({ ...question, inputs: [{ ...input, shape: shape.map((s, i) => (i ? s : v)) }] })),
    ...all((v) => ({ ...question, inputs: [{ ...input, data: zeros.map((z, i) => (i ? z : v)) }] })),
    ...all((v) => ({ ...question, inputs: [{ ...input, parameters: { binary_data_size: v } }] })),
    ...all((v) => ({ ...question, outputs: [{ ...(about.outputs[0] as object), parameters: { binary_data: v } }] })),
  ]
  for (const body of bodies) {
    const { status, json } = await call(to, path, post(body))
    assert.ok([200, 400].includes(status), `${status} ${JSON.stringify(json)} for ${body.slice(0, 80)}`)
  }
  // One output a thousand times would be an answer of a thousand.
  const many = { ...question, outputs: Array.from({ length: 1000 }, () => about.outputs[0]) }
  assert.match((await call(to, path, post(JSON.stringify(many)))).json.error, /too many outputs/)
})

need(
  test,
  'as a process: port 0, side by side, and an orderly end',
  { resource: existsSync(COMMAND) || undefined, missing: 'dist/ is not built' },
  async () => {
    const child = spawn(process.execPath, [COMMAND, 'serve', '--port', '0', '--jobs', '2', '--log', 'json'], {
      stdio: 'pipe',
    })
    let log = ''
    child.stderr.on('data', (chunk) => (log += chunk))
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
    try {
      const line = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk))))
      const base = /http:\S+/.exec(line)![0]
      const all = await Promise.all(Array.from({ length: 6 }, () => fetch(`${base}/detect`, post(photo))))
      assert.equal(
        all.map((a) => a.status),
        all.map(() => 200),
      )
      const texts = await Promise.all(all.map(async (a) => JSON.stringify((await a.json()).detections)))
      assert.is(new Set(texts).size, 1)
      // A path and a host that no URL has.
      const odd = await new Promise<number>((resolve, reject) => {
        const { hostname, port } = new URL(base)
        httpRequest({ hostname, port, path: '/%zz/..x', headers: { host: '[' } }, (r) =>
          resolve(r.resume().statusCode!),
        )
          .on('error', reject)
          .end()
      })
      assert.ok(odd >= 400 && odd < 500)
      child.kill('SIGTERM')
      assert.is(await ended, 0)
      const entries = log
        .trim()
        .split('\n')
        .map((l) => JSON.parse(l))
      assert.is(entries.filter((e) => e.path === '/detect' && e.status === 200).length, 6)
    } finally {
      child.kill('SIGKILL')
    }
  },
)

test.run()
