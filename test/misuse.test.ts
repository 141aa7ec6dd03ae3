/** What callers get wrong: each gives one ThimbleError that says what to do. Sources that answer badly, too. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as browser from '../src/browser.ts'
import { loadModel as loadInBrowser } from '../src/browser.ts'
import * as serve from '../src/serve.ts'
import * as vision from '../src/vision.ts'
import { createDetector } from '../src/vision.ts'
import { readFile } from '../src/cli/files.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { parseMetadata } from '../src/formats/check-metadata.ts'
import { openFrame, writeFrame } from '../src/formats/packed-frame.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import * as node from '../src/node.ts'
import { createClassifier, loadModel } from '../src/node.ts'
import { checkValue } from '../src/options/options.ts'
import { packGraph } from '../src/pack/pack.ts'
import { loadModel as loadInWorker } from '../src/workerd.ts'
import { smallModels } from './small-models.ts'
import { equalBytes, refusal } from './util.ts'

const { graph } = smallModels()[0]!
const file = writeTflite(graph)
const folder = mkdtempSync(join(tmpdir(), 'thimble-misuse-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

/** The ThimbleError that `body` ends in, which names `code` and matches `message`. */
async function refused(body: () => unknown, code: string, message: RegExp): Promise<ThimbleError> {
  try {
    await body()
  } catch (error) {
    if (!(error instanceof ThimbleError)) throw error
    assert.is(error.code, code)
    assert.match(error.message, message)
    return error
  }
  throw new Error(`${code} was not thrown`)
}

test('an error that came from another one names it as its cause', async () => {
  const json = new TextEncoder().encode('{')
  for (const [code, body] of [
    ['format/metadata', () => parseMetadata(json)],
    ['format/packed-header', () => openFrame(writeFrame('{', [], 0, false))],
    ['usage/file', () => readFile(join(folder, 'missing'))],
  ] as const) {
    const error = await refused(body, code, /./)
    assert.ok(error.cause instanceof Error, code)
  }
})

test('paths, file: URLs as text and as URL, bytes, packed files: the same answer', async () => {
  const { wasm } = await packGraph(graph)
  writeFileSync(join(folder, 'm.tflite'), file)
  writeFileSync(join(folder, 'm.wasm'), wasm)
  const reference = await loadModel(file)
  const input = new Int8Array(reference.inputs[0]!.shape.reduce((a, b) => a * b, 1)).map((_, i) => (i * 37) & 127)
  const want = reference.run(input)
  const path = join(folder, 'm.tflite')
  const packed = join(folder, 'm.wasm')
  for (const source of [
    path,
    pathToFileURL(path),
    pathToFileURL(path).href,
    packed,
    pathToFileURL(packed).href,
    wasm,
    Uint8Array.from(readFileSync(packed)).buffer,
  ]) {
    const model = await loadModel(source)
    model.run(input).forEach((o, i) => equalBytes(o, want[i]!, String(source).slice(0, 80)))
  }
  const model = await loadInBrowser(wasm)
  model.run(input).forEach((o, i) => equalBytes(o, want[i]!, 'browser entry, packed bytes'))
})

test('what is no source, and promises that were not awaited', async () => {
  const promise = Promise.resolve(file) as never
  for (const load of [loadModel, loadInBrowser, loadInWorker]) {
    await refused(() => load(promise), 'usage/source', /got Promise; it is a promise: await it/)
    await refused(() => load(undefined as never), 'usage/source', /got undefined/)
    await refused(() => load(null as never), 'usage/source', /got null/)
    await refused(() => load([1, 2] as never), 'usage/source', /got Array/)
  }
  const model = loadModel(file)
  await refused(() => createClassifier(model as never), 'usage/model', /createClassifier.*await it/)
  await refused(() => createDetector(model as never), 'usage/model', /what gives boxes.*await it/)
  await refused(() => createClassifier({} as never), 'usage/model', /got Object; load it with loadModel/)
})

test('run: no input, a promise, plain numbers, too many, wrong out', async () => {
  const model = await loadModel(file)
  const input = new Int8Array(model.inputs[0]!.shape.reduce((a, b) => a * b, 1))
  const run = model.run.bind(model) as (...args: unknown[]) => unknown
  await refused(() => run(), 'runtime/input', /no input array is given.*expected Int8Array of \d+, got undefined/)
  await refused(() => run(null), 'runtime/input', /no input array is given/)
  await refused(() => run(Promise.resolve(input)), 'runtime/input', /got Promise; it is a promise: await it/)
  await refused(() => run([Promise.resolve(input)]), 'runtime/input', /got Promise; it is a promise: await it/)
  await refused(() => run([input, input]), 'runtime/inputs', /expected 1, got 2/)
  await refused(() => run([1, 2, 3]), 'runtime/inputs', /expected 1, got 3/)
  await refused(() => run(input, { out: 7 }), 'runtime/output', /no output array is given/)
  await refused(() => run(input, { out: [undefined] }), 'runtime/output', /got undefined/)
  model.dispose()
  await refused(() => run(input), 'runtime/disposed', /load it again/)
})

/** What a call may be given by mistake. */
const MISTAKES: readonly unknown[] = [
  undefined,
  null,
  -1,
  NaN,
  Infinity,
  '',
  'x',
  true,
  5n,
  Symbol('s'),
  [],
  {},
  [NaN],
  [null],
  [{}],
  new Uint8Array(0),
  Uint8Array.of(1, 2, 3),
  new Float64Array(4),
  new Map(),
  Object.create(null),
  () => undefined,
  { width: NaN, height: 1, data: new Uint8Array(3), channels: 3 },
  { width: 2, height: 2, data: new Uint8Array(12), channels: 3 },
]

/** One line that names no internals. */
function wellSaid(error: unknown, call: string): void {
  if (!(error instanceof ThimbleError)) throw new Error(`${call}: ${String(error)}`, { cause: error })
  // `got undefined` says what was given.
  assert.not.match(error.message.replace(/got undefined/g, ''), /undefined|\[object|\n/, call)
}

test('every function of every entry point, given what it does not take: a result or one ThimbleError', async () => {
  const model = await loadModel(file)
  const firsts = [model, file, { width: 2, height: 2, data: new Uint8Array(12), channels: 3 }]
  let calls = 0
  for (const [entry, exports] of Object.entries({ node, browser, vision, serve })) {
    for (const [name, given] of Object.entries(exports)) {
      // Errors are made by those who know what they say.
      if (typeof given !== 'function' || name === 'ThimbleError') continue
      const lists = MISTAKES.flatMap((v) => [
        [v],
        ...firsts.flatMap((first) => [
          [first, v],
          [first, {}, v],
        ]),
      ])
      for (const list of [[], ...lists]) {
        calls++
        try {
          await (given as (...args: unknown[]) => unknown)(...list)
        } catch (error) {
          if (error instanceof TypeError && /without 'new'/.test(error.message)) continue
          wellSaid(error, `${entry}: ${name}, call ${calls}`)
        }
      }
    }
  }
  assert.ok(calls > 3000)
})

test('long values are told by their size', () => {
  const error = (value: unknown): string =>
    refusal(() => checkValue('it', value, { expected: 'nothing', accepts: () => false })).got as string
  assert.is(
    error({ at: NaN, far: -Infinity, data: new Uint8Array(1e7) }),
    '{"at":"NaN","far":"-Infinity","data":"Uint8Array of 10000000 bytes"}',
  )
  assert.is(error([1, 2]), '[1,2]')
  assert.is(error(new Array(1e6).fill(0)), 'a list of 1000000 values')
  assert.is(error({ list: new Array(1e6).fill(0) }), '{"list":"1000000 values"}')
})

test('servers that do not answer, answer with an error page, or were read already', async () => {
  const server = createServer((request, response) => {
    response.statusCode = request.url === '/model' ? 200 : 404
    // An error page that is a model: only its status says that it is not what was asked for.
    response.end(file)
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  try {
    for (const load of [loadModel, loadInBrowser]) {
      ;(await load(`${base}/model`)).dispose()
      ;(await load(await fetch(`${base}/model`))).dispose()
      await refused(() => load(`${base}/missing`), 'format/fetch', /the server answered 404.*check the address/)
      await refused(async () => load(await fetch(`${base}/missing`)), 'format/fetch', /the server answered 404/)
      const read = await fetch(`${base}/model`)
      await read.arrayBuffer()
      const error = await refused(() => load(read), 'format/fetch', /can't be read.*before it is read/)
      assert.instance(error.cause, TypeError)
    }
  } finally {
    server.close()
    server.closeAllConnections()
  }
  for (const load of [loadModel, loadInBrowser]) {
    const error = await refused(() => load(`${base}/model`), 'format/fetch', /nothing answers \(.+\)/)
    assert.instance(error.cause, TypeError)
    await refused(() => load('nothing://here'), load === loadModel ? 'format/file' : 'format/fetch', /here/)
  }
})

test('files that are missing or a folder say so and keep what the system said', async () => {
  const error = await refused(() => loadModel(join(folder, 'none.tflite')), 'format/file', /no such file/)
  assert.is((error.cause as NodeJS.ErrnoException).code, 'ENOENT')
  await refused(() => loadModel(folder), 'format/file', /a folder/)
})

test.run()
