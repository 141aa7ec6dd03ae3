/**
 * `thimble pack --target component` and `http`, without an engine for components: the binaries are taken apart, what is
 * inside is called as the canonical ABI calls it, and the answers are LiteRT's recorded ones and those of Node.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../src/classify/classifier.ts'
import { arrayType, tensorInfo } from '../src/engine/engine.ts'
import { readModel } from '../src/formats/index.ts'
import { dtypeBytes, elements, type Graph } from '../src/graph/graph.ts'
import { decodeImage } from '../src/image/decode.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { type PackOptions, packGraph } from '../src/pack/pack.ts'
import { encodeModule, parseModule } from '../src/pack/wasm.ts'
import { thimble } from './call-cli.ts'
import { coreModules, exportedInstances, HostedModel, type Numbers, sectionsOf } from './component-host.ts'
import { finderOf, grid, HEADS, PHOTOS } from './head-networks.ts'
import { post } from './http-host.ts'
import { GraphBuilder } from './small-models.ts'
import { lines } from './op-cases.ts'
import { equalBytes, root } from './util.ts'

const test = suite('component')
const dir = mkdtempSync(join(tmpdir(), 'thimble-component-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

interface Recorded {
  note: string
  graph: Graph
  runs: { inputs: string[]; outputs: { data: string }[] }[]
}
const recorded = (kind: string): Recorded[] =>
  lines(join(root, `test/goldens/ops/${kind}.jsonl.gz`))
    .map((line) => JSON.parse(line) as Omit<Recorded, 'graph'> & { model: string })
    .map((c) => ({ ...c, graph: readModel(new Uint8Array(Buffer.from(c.model, 'base64'))) }))

const component = async (graph: Graph, options: PackOptions = {}): Promise<HostedModel> =>
  new HostedModel((await packGraph(graph, { target: 'component', raw: true, ...options })).wasm)

/** The inputs of a recorded run as lists. */
const lists = (graph: Graph, inputs: readonly string[]): Numbers[] =>
  inputs.map((x, i) => {
    const { dtype } = tensorInfo(graph.tensors[graph.inputs[i]!]!)
    return new (arrayType(dtype))(new Uint8Array(Buffer.from(x, 'base64')).buffer)
  })

// One and several inputs and outputs, every width of elements, states.
const KINDS = [
  'CONV_2D-negative',
  'SPLIT_V',
  'CAST',
  'SELECT_V2',
  'TOPK_V2',
  'COMPARE',
  'int16-CONV_2D',
  'FLOAT_CONV',
  'VARIABLES',
  'LSTM',
]
const there = (kind: string): boolean => existsSync(join(root, `test/goldens/ops/${kind}.jsonl.gz`))

test('the kinds of recorded models are there', () => {
  assert.equal(
    KINDS.filter((kind) => !there(kind)),
    [],
  )
})

for (const kind of KINDS) {
  test(`${kind}: run gives LiteRT's bytes, from and to the tensors themselves`, async () => {
    for (const { note, graph, runs } of recorded(kind).slice(0, 2)) {
      for (const variant of ['simd', 'scalar'] as const) {
        const model = await component(graph, { variant })
        const outputs = graph.outputs.map((i) => tensorInfo(graph.tensors[i]!))
        const widths = outputs.map(({ dtype }) => dtypeBytes(dtype))
        for (const { inputs, outputs: want } of runs) {
          const pages = model.memory.buffer.byteLength
          const got = model.run(lists(graph, inputs), widths)
          assert.ok('ok' in got, note)
          got.ok.forEach((bytes, i) => equalBytes(bytes, Buffer.from(want[i]!.data, 'base64'), `${note}, output ${i}`))
          assert.is(model.memory.buffer.byteLength, pages, 'no memory is taken')
        }
        assert.equal(
          model.outputs.map(({ name, shape }) => ({ name, shape })),
          outputs.map(({ name, shape }) => ({ name, shape: [...shape] })),
        )
      }
    }
  })
}

test('reset begins a stream anew', async () => {
  const { graph, runs } = recorded('LSTM')[0]!
  const model = await component(graph)
  const { dtype } = tensorInfo(graph.tensors[graph.outputs[0]!]!)
  const first = (): unknown => model.run(lists(graph, runs[0]!.inputs), [dtypeBytes(dtype)])
  const want = first()
  first()
  model.reset()
  assert.equal(first(), want)
})

/** A network of two images, and of numbers that pick rows. */
function picker(): Graph {
  const b = new GraphBuilder(1)
  const x = b.input([4, 3, 5], 'int8')
  const i = b.tensor([2, 1], 'int32')
  b.graph.inputs.push(i)
  return b.done(b.op('GATHER_ND', [x, i], [b.tensor([2, 3, 5], 'int8', 0.05, 3)], {}))
}

test('wrong sizes and bad indices are errors with a sentence, and the next run is right again', async () => {
  const model = await component(picker())
  const x = Int8Array.from({ length: 60 }, (_, i) => i)
  const rows = (...i: number[]): Int32Array => Int32Array.from(i)
  const right = model.run([x, rows(1, 3)], [1])
  assert.equal(right, { ok: [Uint8Array.from([...x.subarray(15, 30), ...x.subarray(45)])] })
  const [at0, at1] = model.lowered
  for (const [inputs, error] of [
    [[x.subarray(1), rows(1, 3)], { case: 0, text: 'input 0 (t0) is int8 [4, 3, 5]; expected 60 elements, got 59' }],
    [[x, rows(1)], { case: 0, text: 'input 1 (t1) is int32 [2, 1]; expected 2 elements, got 1' }],
    [[x, new Int32Array(0)], { case: 0, text: 'input 1 (t1) is int32 [2, 1]; expected 2 elements, got 0' }],
    [
      [new Int8Array(300_000), rows(1, 3)],
      { case: 0, text: 'input 0 (t0) is int8 [4, 3, 5]; expected 60 elements, got 300000' },
    ],
    [
      [x, rows(1, 4)],
      { case: 3, text: 'an index that the model computed is outside of the tensor that it picks from' },
    ],
  ] as const) {
    assert.equal(model.run(inputs, [1]), { error })
    assert.equal(model.run([x, rows(1, 3)], [1]), right)
    assert.equal(model.lowered, [at0, at1])
  }
  const pages = model.memory.buffer.byteLength
  for (let i = 0; i < 20; i++) model.run([new Int8Array(200_000 + i), rows(1, 3)], [1])
  assert.is(model.memory.buffer.byteLength, pages, 'room is used again')
  assert.equal(
    model.inputs.map(({ name, shape, elements, zeroPoint }) => ({ name, shape, elements, zeroPoint })),
    [
      { name: 't0', shape: [4, 3, 5], elements: 0, zeroPoint: 3 },
      { name: 't1', shape: [2, 1], elements: 4, zeroPoint: 0 },
    ],
  )
})

test('the core module inside is the packed module, with a memory that may grow', async () => {
  const { graph } = recorded('CONV_2D-negative')[0]!
  const core = await packGraph(graph)
  const packed = await packGraph(graph, { target: 'component', raw: true })
  const [model, shell, ...more] = coreModules(packed.wasm)
  assert.is(more.length, 0)
  assert.is(packed.sizes.memoryPages, core.sizes.memoryPages)
  const { memory, ...rest } = parseModule(model!)
  equalBytes(encodeModule({ ...rest, memory: parseModule(core.wasm).memory }), core.wasm, 'core module')
  assert.equal(memory, { min: core.sizes.memoryPages, max: 16384 })
  assert.equal(exportedInstances(packed.wasm), ['thimble:vision/model'])
  // Two modules and their instances, what is taken from them, types, lifted functions, the interface.
  assert.equal(
    [...new Set(sectionsOf(packed.wasm).map(({ id }) => id))].sort((a, b) => a - b),
    [1, 2, 5, 6, 7, 8, 11],
  )
  const { shellBytes, fileBytes } = packed.sizes
  assert.is(fileBytes, packed.wasm.length)
  assert.ok(shellBytes > shell!.length && shellBytes < 1500, `${shellBytes} bytes`)
  assert.equal(packed.wasm, (await packGraph(graph, { target: 'component', raw: true })).wasm)
})

for (const [name, graph] of Object.entries(HEADS)) {
  test(`${name}: what is found in pictures is what Node finds`, async () => {
    const { wasm, wit } = await packGraph(graph, { target: 'component', variant: 'scalar' })
    const model = new HostedModel(wasm)
    const finder = await finderOf(graph)
    assert.match(
      wit!,
      new RegExp(`^  ${finder.task}: func\\(image: list<u8>\\) -> result<list<[a-z-]+>, error>;$`, 'm'),
    )
    for (const bytes of PHOTOS.slice(1, 3)) {
      const image = decodeImage(new Uint8Array(bytes))
      const want: unknown[] =
        finder.task === 'segment'
          ? [...finder.find(image).classes]
          : finder.task === 'pose'
            ? finder.find(image).map(({ score, box, points }) => ({ score, ...(box && { box }), points }))
            : finder.find(image).map(({ box, score, label, index }) => ({ box, score, label, index }))
      assert.equal(model[finder.task](bytes), { ok: want })
    }
  })
}

function classifier(): Graph {
  const { b, y } = grid(13, 4, 6)
  const graph = b.done(b.op('RESHAPE', [y, b.ints([1, 6])], [b.tensor([1, 6], 'int8', 1 / 100, 0)], {}))
  graph.metadata = { name: 'net', labels: ['one', 'zwei "2"', 'drei'] }
  return graph
}

const BAD: readonly (readonly [name: string, bytes: Uint8Array, pattern: RegExp])[] = [
  ['nothing', new Uint8Array(0), /^the file is empty; expected a whole JPEG/],
  ['no picture', new Uint8Array(100).fill(7), /^not a picture that can be read here; expected/],
  ['half a picture', PHOTOS[2]!.subarray(0, 9000), /^[^;]+; expected a whole JPEG/],
]

test('classify gives the best classes, and an error for what is no picture', async () => {
  const graph = classifier()
  const model = new HostedModel((await packGraph(graph, { target: 'component' })).wasm)
  const node = await createClassifier(await loadGraph(graph), { topK: 6 })
  for (const bytes of PHOTOS) {
    const want = node.classify(decodeImage(new Uint8Array(bytes)))
    for (const top of [0, 1, 4, 6, 100, 2 ** 32 - 1]) {
      assert.equal(model.classify(bytes, top), { ok: want.slice(0, top) }, `${top}`)
    }
  }
  for (const [name, bytes, pattern] of BAD) {
    const answer = model.classify(bytes, 5)
    assert.ok('error' in answer, name)
    assert.is(answer.error.case, 1, name)
    assert.match(answer.error.text, pattern)
    assert.ok('ok' in model.classify(PHOTOS[0]!, 5))
  }
  const huge = model.classify(Buffer.from('P6 30000 30000 255\n'), 5)
  assert.ok('error' in huge)
  assert.equal(huge.error, { case: 2, text: 'more than 50 megapixels; scale it down first' })
  // Raw tensors and pictures in turn.
  const { inputs } = model
  assert.is(inputs.length, 1)
  const raw = model.run([new Int8Array(elements(inputs[0]!.shape))], [1])
  assert.ok('ok' in raw && raw.ok[0]!.length === 6)
})

test('http: a picture is posted in pieces, JSON comes back', async () => {
  const graph = classifier()
  const { wasm, wit } = await packGraph(graph, { target: 'http' })
  assert.is(wit, undefined)
  assert.equal(exportedInstances(wasm), ['wasi:http/incoming-handler@0.2.0'])
  const node = await createClassifier(await loadGraph(graph))
  const handler = post(wasm)
  for (const bytes of PHOTOS.slice(0, 2)) {
    const want = node.classify(decodeImage(new Uint8Array(bytes)))
    for (const piece of [65536, 1000, 7]) {
      const { status, type, body } = handler.ask('post', bytes, piece)
      assert.is(status, 200, body)
      assert.is(type, 'application/json')
      const { model, predictions } = JSON.parse(body) as { model: string; predictions: { score: number }[] }
      assert.is(model, 'net')
      assert.equal(
        predictions,
        want.map((w) => ({ ...w, score: Number(w.score.toFixed(9)) })),
      )
    }
  }
  for (const [name, bytes, pattern] of BAD) {
    const { status, body } = handler.ask('post', bytes, 4096)
    assert.is(status, 400, name)
    const { error } = JSON.parse(body) as { error: { code: string; message: string } }
    assert.match(error.message, pattern)
    assert.match(error.code, /^image\/(truncated|unsupported-format)$/)
  }
  const large = Buffer.concat([PHOTOS[0]!, Buffer.alloc(3_000_000)])
  assert.is(handler.ask('post', large, 65536).status, 200, 'what follows a picture is not looked at')
  assert.is(handler.ask('post', Buffer.from('P5 9999 9999 255\n'), 100).status, 413)
  assert.is(handler.ask('post', PHOTOS[0], 100, 300).status, 400, 'the sender goes away')
  assert.match(handler.ask('get', undefined, 1).body, /^\{"model": "net", "usage": "POST an image/)
  assert.is(handler.ask('put', PHOTOS[0], 65536).status, 405)
  assert.is(handler.ask('other', undefined, 1).status, 405)
  assert.is(handler.ask('post', PHOTOS[1], 500).status, 200)
})

test('http: boxes, in a body of many writes', async () => {
  const graph = HEADS['yolo8 rows, letterbox']!
  const handler = post((await packGraph(graph, { target: 'http', variant: 'scalar' })).wasm)
  const { status, body } = handler.ask('post', PHOTOS[2], 65536)
  assert.is(status, 200)
  const { width, height, detections } = JSON.parse(body) as { width: number; height: number; detections: unknown[] }
  assert.equal([width, height], [211, 90])
  assert.ok(detections.length > 0)
})

test('models that components have no place for are refused', async () => {
  const b = new GraphBuilder(3)
  const inputs = Array.from({ length: 9 }, () => b.input([1, 4], 'int8'))
  const sum = b.op('CONCATENATION', inputs, [b.tensor([1, 36], 'int8', 0.05, 3)], { axis: 1, activation: 'NONE' })
  const code = await packGraph(b.done(sum), { target: 'component' }).then(
    () => '',
    (error: { code: string }) => error.code,
  )
  assert.is(code, 'usage/target')
})

test('the command line writes the component, its interface and what it takes', async () => {
  const model = join(root, 'weights/blazeface_short_128.thimble')
  const out = join(dir, 'faces.wasm')
  const made = await thimble(['pack', model, '-o', out, '--target', 'component', '--raw', '--name', 'faces'])
  assert.is(made.code, 0, made.err)
  assert.match(made.out, /component \d+/)
  const wit = readFileSync(join(dir, 'faces.wit'), 'utf8')
  assert.match(wit, /^package thimble:vision;\n/)
  assert.match(wit, /run: func\(input: list<s8>\) -> result<tuple<list<s8>, list<s8>>, error>;/)
  assert.equal(exportedInstances(new Uint8Array(readFileSync(out))), ['thimble:vision/model'])
  const header = ['pack', model, '-o', out, '--target', 'http', '--header', join(dir, 'x.h')]
  assert.is((await thimble(header)).code, 2)
  assert.is((await thimble(['pack', model, '-o', out, '--raw'])).code, 2)
})

test.run()
