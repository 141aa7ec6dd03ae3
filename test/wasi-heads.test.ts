/**
 * `thimble pack --target wasi` of models that find things: the command in Node's WASI prints the numbers of `thimble
 * detect`, `pose`, `segment` and `classify`. Networks and photos are made here.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../src/classifier.ts'
import { printedBox, printedPose, printedSegments, rounded } from '../src/vision/printed.ts'
import { ThimbleError } from '../src/errors.ts'
import type { Graph, Metadata } from '../src/graph.ts'
import { decodeImage } from '../src/image/decode.ts'
import { loadGraph } from '../src/load-graph.ts'
import { packGraph } from '../src/pack/pack.ts'
import { META_SECTION } from '../src/packed-module.ts'
import type { PixelImage } from '../src/types.ts'
import { createDetector, createPoseEstimator, createSegmenter } from '../src/vision.ts'
import type { Head } from '../src/vision/head.ts'
import { GraphBuilder } from './small-models.ts'
import { rng, root } from './util.ts'

const dir = mkdtempSync(join(tmpdir(), 'thimble-heads-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

/** Photos with large and small things in them: binary PNM of odd sizes. */
const photos = [
  [64, 64, 3],
  [37, 61, 3],
  [211, 90, 3],
  [150, 149, 1],
] as const
const names = photos.map(([width, height, channels], i) => {
  const r = rng(i + 1)
  const blobs = Array.from({ length: 6 }, () => [r.int(width), r.int(height), 4 + r.int(20), r.int(256)] as const)
  const data = Buffer.alloc(width * height * channels, 90)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [bx, by, size, value] of blobs) {
        if (Math.abs(x - bx) + Math.abs(y - by) > size) continue
        for (let c = 0; c < channels; c++) data[(y * width + x) * channels + c] = (value * (c + 2) + x) & 255
      }
    }
  }
  const name = `${i}.pnm`
  writeFileSync(
    join(dir, name),
    Buffer.concat([Buffer.from(`P${channels === 3 ? 6 : 5} ${width} ${height} 255\n`), data]),
  )
  return name
})

/** A network from a picture of `side` to [1, cells, cells, channels], as values of -1 to 1. */
function grid(seed: number, side: number, channels: number): { b: GraphBuilder; y: number; cells: number } {
  const b = new GraphBuilder(seed)
  const x = b.input([1, side, side, 3], 'int8', 1 / 127, 0)
  const cells = side / 4
  const y = b.op(
    'CONV_2D',
    [x, b.weights([channels, 5, 5, 3], 0), b.bias(channels, channels)],
    [b.tensor([1, cells, cells, channels], 'int8', 1 / 100, 0)],
    { padding: 'SAME', strideH: 4, strideW: 4, activation: 'NONE', dilationH: 1, dilationW: 1 },
  )
  return { b, y, cells }
}

/** The same as probabilities, in another shape, perhaps as floats. */
function shaped(seed: number, side: number, channels: number, shape: readonly number[], floats = false): Graph {
  const { b, y, cells } = grid(seed, side, channels)
  const p = b.op('LOGISTIC', [y], [b.tensor([1, cells, cells, channels], 'int8', 1 / 256, -128)], {})
  const out = b.op('RESHAPE', [p, b.ints(shape)], [b.tensor(shape, 'int8', 1 / 256, -128)], {})
  return b.done(floats ? b.op('DEQUANTIZE', [out], [b.tensor(shape, 'float32')], {}) : out)
}

const described = (graph: Graph, head: object, more: Metadata = {}): Graph => {
  graph.metadata = { name: 'net', ...more, extra: { head } }
  return graph
}

const common = { scoreThreshold: 0.5, iouThreshold: 0.4 }
const yolo = { ...common, output: 0, layout: 'rows', coordinates: 'shares', classes: 3 }

/** Classes of every cell as int64, by an arg-max in the network. */
function indices(): Graph {
  const { b, y, cells } = grid(5, 32, 6)
  return b.done(b.op('ARG_MAX', [y, b.ints([3], [])], [b.tensor([1, cells, cells], 'int64')], { outputType: 'int64' }))
}

/** Boxes and scores of a grid through TFLite_Detection_PostProcess. */
function postprocess(): Graph {
  const { b, y } = grid(6, 32, 6)
  const codes = b.op('RESHAPE', [y, b.ints([1, 64, 6])], [b.tensor([1, 64, 6], 'int8', 1 / 100, 0)], {})
  const part = (from: number, count: number): number => {
    const shape = [1, 64, count]
    const slice = b.op('SLICE', [codes, b.ints([0, 0, from]), b.ints(shape)], [b.tensor(shape, 'int8', 1 / 100, 0)], {})
    return b.op('DEQUANTIZE', [slice], [b.tensor(shape, 'float32')], {})
  }
  const anchors = b.tensor([64, 4], 'float32')
  const centre = (i: number): number[] => [((i >> 3) + 0.5) / 8, ((i & 7) + 0.5) / 8, 0.3, 0.25]
  b.graph.tensors[anchors]!.data = new Uint8Array(
    Float32Array.from(Array.from({ length: 64 }, (_, i) => centre(i)).flat()).buffer,
  )
  const outputs = [[1, 9, 4], [1, 9], [1, 9], [1]].map((shape) => b.tensor(shape, 'float32'))
  b.op('DETECTION_POSTPROCESS', [part(0, 4), part(4, 2), anchors], outputs, {
    maxDetections: 9,
    maxClassesPerDetection: 1,
    detectionsPerClass: 100,
    useRegularNms: false,
    nmsScoreThreshold: 0.1,
    nmsIouThreshold: 0.5,
    numClasses: 2,
    yScale: 10,
    xScale: 10,
    hScale: 5,
    wScale: 5,
  })
  return b.done(...outputs)
}

const MODELS: Record<string, Graph> = {
  'yolo8 rows, letterbox': described(shaped(1, 32, 7, [1, 64, 7]), { kind: 'yolo8', ...yolo, framing: 'letterbox' }),
  'yolo8 columns of floats, corner': described(
    shaped(2, 32, 7, [1, 7, 64], true),
    { kind: 'yolo8', ...yolo, layout: 'columns', coordinates: 'auto', framing: 'corner' },
    { labels: ['a "cup"', 'ein Bär', ''] },
  ),
  'yolo5, percent apart': described(shaped(3, 32, 8, [1, 64, 8]), { kind: 'yolo5', ...yolo, scoreThreshold: 0.3 }),
  'yolo8-pose': described(shaped(4, 32, 56, [1, 64, 56]), {
    kind: 'yolo8-pose',
    ...yolo,
    classes: 1,
    points: 17,
    pointValues: 3,
  }),
  'fomo, square': described(shaped(7, 48, 3, [1, 12, 12, 3]), {
    kind: 'fomo',
    ...common,
    output: 0,
    framing: 'square',
  }),
  'fomo, logits': described(shaped(8, 32, 3, [1, 8, 8, 3], true), {
    kind: 'fomo',
    ...common,
    scoreThreshold: 0.35,
    output: 0,
    scores: 'softmax',
  }),
  movenet: described(shaped(9, 4, 51, [1, 1, 17, 3], true), {
    kind: 'movenet',
    ...common,
    scoreThreshold: 0.2,
    output: 0,
    framing: 'square',
  }),
  postprocess: described(postprocess(), { kind: 'postprocess', ...common, boxes: 0, classes: 1, scores: 2, count: 3 }),
  'classes along the last axis': described(
    shaped(10, 32, 5, [1, 8, 8, 5]),
    { kind: 'segmentation', ...common, outputs: [0], form: 'last' },
    { labels: ['sky', 'road'] },
  ),
  'classes along the first axis': described(shaped(11, 32, 4, [1, 4, 8, 8]), {
    kind: 'segmentation',
    ...common,
    outputs: [0],
    form: 'first',
  }),
  'class numbers': described(indices(), {
    kind: 'segmentation',
    ...common,
    outputs: [0],
    form: 'indices',
    framing: 'letterbox',
  }),
  'one mask': described(shaped(12, 32, 1, [1, 8, 8, 1]), {
    kind: 'segmentation',
    ...common,
    outputs: [0],
    form: 'mask',
    crop: true,
  }),
}

/** What the Node command prints of a photo. */
type Look = (image: PixelImage) => Record<string, unknown>
async function looker(graph: Graph): Promise<Look> {
  const model = await loadGraph(graph)
  const { kind } = graph.metadata.extra!.head as Head
  if (kind === 'segmentation') {
    const segmenter = await createSegmenter(model)
    return (image) => printedSegments(segmenter.segment(image))
  }
  if (kind === 'movenet' || kind === 'yolo8-pose') {
    const estimator = await createPoseEstimator(model)
    return (image) => ({ poses: estimator.estimate(image).map(printedPose) })
  }
  const detector = await createDetector(model)
  return (image) => ({
    detections: detector
      .detect(image)
      .map(({ box, score, label, index }) => ({ box: printedBox(box), score: rounded(score, 4), label, index })),
  })
}

function command(wasm: string, args: string[]): { stdout: string; stderr: string; status: number | null } {
  const host = join(root, 'test/engines/hosts/wasi.mjs')
  const r = spawnSync(process.execPath, ['--no-warnings', host, wasm, dir, ...args], { timeout: 60_000 })
  return { stdout: r.stdout.toString(), stderr: r.stderr.toString(), status: r.status }
}

interface Printed extends Record<string, unknown> {
  file: string
  model: string
  timings: Record<string, number>
}

for (const [name, graph] of Object.entries(MODELS)) {
  test(name, async () => {
    const path = join(dir, 'net.wasm')
    writeFileSync(path, (await packGraph(graph, { target: 'wasi' })).wasm)
    const got = command(path, ['--json', ...names])
    assert.is(got.status, 0, got.stderr)
    const look = await looker(graph)
    const want = names.map((file) => {
      const image = decodeImage(new Uint8Array(readFileSync(join(dir, file))))
      return { file, model: 'net', width: image.width, height: image.height, ...look(image) }
    })
    const printed = (JSON.parse(got.stdout) as Printed[]).map(({ timings, ...rest }) => {
      assert.equal(Object.keys(timings), ['decodeMs', 'preprocessMs', 'inferMs', 'headMs'])
      return rest
    })
    assert.equal(printed, want)
    const things = want.map((w) => Object.values(w).find((v) => Array.isArray(v)) as unknown[])
    assert.ok(
      things.some((list) => list.length > 0),
      'something is found',
    )
    const text = command(path, names)
    assert.is(text.status, 0, text.stderr)
    assert.match(text.stdout, /^0\.pnm\n +\S/)
    assert.is(text.stdout.match(/ms, inference /g)?.length, names.length)
    for (const args of [['--top', '3', names[0]!], ['--decode', 'fast', names[0]!], []]) {
      assert.is(command(path, args).status, 2)
    }
  })
}

test('models with one score: 1 - p and p', async () => {
  for (const [scores, labels] of [
    [undefined, undefined],
    ['sigmoid', ['cat']],
    ['identity', ['no cat', 'cat']],
  ] as const) {
    for (const probable of [true, false]) {
      const { b, y } = grid(13, 4, 1)
      const p = b.op('LOGISTIC', [y], [b.tensor([1, 1, 1, 1], 'int8', 1 / 256, -128)], {})
      const flat = b.op(
        'RESHAPE',
        [probable ? p : y, b.ints([1, 1])],
        [b.tensor([1, 1], 'int8', ...(probable ? ([1 / 256, -128] as const) : ([1 / 100, 0] as const)))],
        {},
      )
      const graph = b.done(flat)
      graph.metadata = { name: 'net', ...(scores ? { scores } : {}), ...(labels ? { labels: [...labels] } : {}) }
      const path = join(dir, 'one.wasm')
      writeFileSync(path, (await packGraph(graph, { target: 'wasi' })).wasm)
      const got = command(path, ['--json', ...names])
      assert.is(got.status, 0, got.stderr)
      const classifier = await createClassifier(await loadGraph(graph))
      const printed = JSON.parse(got.stdout) as {
        file: string
        predictions: { label: string; index: number; score: number }[]
      }[]
      for (const { file, predictions } of printed) {
        const want = classifier.classify(decodeImage(new Uint8Array(readFileSync(join(dir, file)))))
        assert.is(want.length, 2)
        assert.equal(
          predictions,
          want.map((w) => ({ ...w, score: rounded(w.score, 9) })),
          file,
        )
      }
    }
  }
})

test('a head that the command does not read is refused when it is packed, and described in a core module', async () => {
  const graph = described(shaped(14, 32, 7, [1, 64, 7]), { kind: 'map', ...common, output: 0 })
  const anchors = [
    [0.1, 0.1],
    [0.3, 0.2],
  ]
  graph.metadata.extra = { head: { kind: 'yolo', ...common, anchors } }
  const refused: unknown = await packGraph(graph, { target: 'wasi' }).then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.instance(refused, ThimbleError)
  const { code, message } = refused as ThimbleError
  assert.is(code, 'usage/head')
  assert.match(message, /does not read yolo heads.*thimble\.meta/s)
  const { wasm } = await packGraph(graph)
  const [section] = WebAssembly.Module.customSections(await WebAssembly.compile(wasm as BufferSource), META_SECTION)
  const meta = JSON.parse(new TextDecoder().decode(section)) as Metadata
  assert.equal((meta.extra as { head: Head }).head.kind, 'yolo')
})

test("a command has its own head's code alone", async () => {
  const size = async (graph: Graph): Promise<number> => (await packGraph(graph, { target: 'wasi' })).sizes.codeBytes
  const one = (): Graph => {
    const { b, y } = grid(15, 4, 3)
    const graph = b.done(b.op('RESHAPE', [y, b.ints([1, 3])], [b.tensor([1, 3], 'int8', 1 / 100, 0)], {}))
    graph.metadata = { name: 'net' }
    return graph
  }
  const [classes, boxes] = [await size(one()), await size(MODELS['yolo8 rows, letterbox']!)]
  assert.ok(boxes - classes > 1000, `${boxes - classes} bytes more`)
})

test.run()
