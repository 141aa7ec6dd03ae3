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
import { createClassifier } from '../src/classify/classifier.ts'
import { printedDetection, printedPose, printedSegments, rounded } from '../src/vision/printed.ts'
import { ThimbleError } from '../src/base/errors.ts'
import type { Graph, Metadata } from '../src/graph/graph.ts'
import { decodeImage } from '../src/image/decode.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { packGraph } from '../src/pack/pack.ts'
import { META_SECTION } from '../src/engine/packed-module.ts'
import type { PixelImage } from '../src/graph/types.ts'
import type { Head } from '../src/vision/head.ts'
import { common, described, finderOf, grid, HEADS, PHOTOS, shaped } from './head-networks.ts'
import { root } from './util.ts'

const dir = mkdtempSync(join(tmpdir(), 'thimble-heads-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const names = PHOTOS.map((bytes, i) => {
  const name = `${i}.pnm`
  writeFileSync(join(dir, name), bytes)
  return name
})

/** What the Node command prints of a photo. */
async function looker(graph: Graph): Promise<(image: PixelImage) => Record<string, unknown>> {
  const finder = await finderOf(graph)
  if (finder.task === 'segment') return (image) => printedSegments(finder.find(image))
  if (finder.task === 'pose') return (image) => ({ poses: finder.find(image).map(printedPose) })
  return (image) => ({ detections: finder.find(image).map(printedDetection) })
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

for (const [name, graph] of Object.entries(HEADS)) {
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
  const graph = described(shaped(grid(14, 32, 7), [1, 64, 7]), { kind: 'map', ...common, output: 0 })
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
  const [classes, boxes] = [await size(one()), await size(HEADS['yolo8 rows, letterbox']!)]
  assert.ok(boxes - classes > 1000, `${boxes - classes} bytes more`)
})

test.run()
