/** New classes from a few photos: the solver against plain algebra, and the whole way to a file that LiteRT runs. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readModel } from '../src/formats/index.ts'
import { elements } from '../src/graph/graph.ts'
import { decodeImage } from '../src/image/decode.ts'
import { cutHead } from '../src/learn/cut.ts'
import { createLearner, type Learner } from '../src/learn/learner.ts'
import { closedForm, type Examples, linearOf, productsOf } from '../src/learn/solve.ts'
import { createClassifier, loadModel } from '../src/node.ts'
import { packGraph } from '../src/pack/pack.ts'
import type { PixelImage } from '../src/graph/types.ts'
import { thimble } from './call-cli.ts'
import { LITERT_MISSING, litertPython, runPython } from './peer-python.ts'
import { equalBytes, need, rng, root, shared } from './util.ts'

const CLASSES = ['astronaut', 'cat', 'coffee']
const BASE = readFileSync(join(root, 'weights/mobilenet_v2_1.0_224.thimble'))
const samples = new Map(
  CLASSES.map((label) => [label, decodeImage(readFileSync(join(root, `weights/samples/${label}.jpg`)))]),
)

/** Part of a sample photo: `at` names the corner (0 to 3), 4 the middle. */
function cropped(label: string, at: number): PixelImage {
  const { data, width, height, channels = 3 } = samples.get(label)!
  const side = Math.floor(Math.min(width, height) * 0.75)
  const share = at === 4 ? [0.5, 0.5] : [at & 1, at >> 1]
  const [left, top] = [Math.floor((width - side) * share[0]!), Math.floor((height - side) * share[1]!)]
  const out = new Uint8Array(side * side * 3)
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      for (let c = 0; c < 3; c++) {
        out[(y * side + x) * 3 + c] = data[((top + y) * width + left + x) * channels + c]!
      }
    }
  }
  return { data: out, width: side, height: side, channels: 3 }
}

async function taught(base: Uint8Array, photos = [0, 1, 2]): Promise<Learner> {
  const learner = await createLearner(base)
  for (const label of CLASSES) for (const at of photos) await learner.add(label, cropped(label, at))
  return learner
}

const code = async (body: () => unknown): Promise<unknown> => {
  try {
    await body()
  } catch (error) {
    return (error as { code?: string }).code
  }
  return 'no error'
}

function randomExamples(seed: number): Examples {
  const next = rng(seed)
  const [count, features, classes] = [10, 7, 3]
  return {
    count,
    features,
    classes,
    // Each class has a feature of its own.
    rows: Float64Array.from({ length: count * features }, (_, at) => {
      const own = Math.floor(at / features) % classes === at % features ? 2 : 0
      return next() * 3 + own
    }),
    labels: Int32Array.from({ length: count }, (_, i) => i % classes),
  }
}

/** Solves a x = b by elimination with pivots. */
function solved(a: number[][], b: number[]): number[] {
  const m = a.map((row, i) => [...row, b[i]!])
  const n = m.length
  for (let k = 0; k < n; k++) {
    const pivot = m.slice(k).reduce((p, row, i) => (Math.abs(row[k]!) > Math.abs(m[p]![k]!) ? i + k : p), k)
    ;[m[k], m[pivot]] = [m[pivot]!, m[k]!]
    for (let i = 0; i < n; i++) {
      if (i === k) continue
      const f = m[i]![k]! / m[k]![k]!
      for (let j = k; j <= n; j++) m[i]![j]! -= f * m[k]![j]!
    }
  }
  return m.map((row, i) => row[n]! / row[i]!)
}

const rowsOf = ({ count, features, rows }: Examples): number[][] =>
  Array.from({ length: count }, (_, i) => [...rows.subarray(i * features, (i + 1) * features)])
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0)
const meanOf = (list: readonly number[][]): number[] =>
  list[0]!.map((_, d) => sum(list.map((x) => x[d]!)) / list.length)
const dot = (a: readonly number[], b: readonly number[]): number => sum(a.map((v, d) => v * b[d]!))
const less = (a: readonly number[], b: readonly number[]): number[] => a.map((v, d) => v - b[d]!)

/** Sums of products of rows less their class' mean, [features][features]. */
function scatterOf(rows: readonly number[][], labels: ArrayLike<number>): number[][] {
  const own = (c: number): number[] => meanOf(rows.filter((_, j) => labels[j] === c))
  const apart = rows.map((x, i) => less(x, own(labels[i]!)))
  return rows[0]!.map((_, d) => rows[0]!.map((_, e) => sum(apart.map((r) => r[d]! * r[e]!))))
}

/** Of each class its mean, weights and bias by the scatter of rows plus `added` on its diagonal. */
function byDefinition(rows: readonly number[][], labels: readonly number[], added: number) {
  const s = scatterOf(rows, labels).map((row, d) => row.map((v, e) => (d === e ? v + added : v)))
  return [...new Set(labels)]
    .sort((a, b) => a - b)
    .map((c) => {
      const mean = meanOf(rows.filter((_, j) => labels[j] === c))
      const weights = solved(s, mean)
      return { weights, bias: -0.5 * dot(weights, mean) }
    })
}

test('the closed form and its leave-one-out are what the definition gives', () => {
  for (const seed of [1, 2, 3]) {
    const examples = randomExamples(seed)
    const { count, classes } = examples
    const labels = [...examples.labels]
    const products = productsOf(examples)
    const closed = closedForm({ products: products.products, labels, classes })
    // Seen from the mean of the classes' means.
    const all = rowsOf(examples)
    const means = [0, 1, 2].map((c) => meanOf(all.filter((_, i) => labels[i] === c)))
    const rows = all.map((x) => less(x, meanOf(means)))
    const trace = sum(scatterOf(rows, labels).map((row, d) => row[d]!))
    const added = (0.5 * classes * trace) / count
    const learned = byDefinition(rows, labels, added)
    // Half of what the weights differ in length is taken back.
    const factors = learned.map(({ weights }) => dot(weights, weights) ** -0.25)
    const answers = (x: number[], by: typeof learned): number[] => {
      const said = by.map(({ weights, bias }, c) => factors[c]! * (dot(weights, x) + bias))
      return said.map((v) => v - sum(said) / classes)
    }
    const others = <T>(list: readonly T[], i: number): T[] => list.filter((_, j) => j !== i)
    const leftOut = rows.map((x, i) => answers(x, byDefinition(others(rows, i), others(labels, i), added)))
    // The right class is ahead by 1 in the mean.
    const lead = sum(leftOut.map((said, i) => said[labels[i]!]! * (1 + 1 / (classes - 1)))) / count
    assert.ok(lead > 0, `seed ${seed}: lead ${lead}`)
    const { weights, bias } = linearOf(examples, products, closed, 1)
    for (const [i, x] of rows.entries()) {
      const inside = answers(x, learned)
      for (let c = 0; c < classes; c++) {
        const where = `seed ${seed}, photo ${i}, class ${c}`
        assert.ok(Math.abs(leftOut[i]![c]! / lead - closed.leftOut[i * classes + c]!) < 1e-8, where)
        const said = bias[c]! + sum(all[i]!.map((v, d) => v * weights[c * x.length + d]!))
        assert.ok(Math.abs(inside[c]! / lead - said) < 1e-8, where)
      }
    }
  }
})

test('with one example a class the closed form is ridge regression, and left out by definition', () => {
  const examples = { ...randomExamples(4), count: 4, classes: 4, labels: Int32Array.of(0, 1, 2, 3) }
  examples.rows = examples.rows.subarray(0, 4 * examples.features)
  const { products } = productsOf(examples)
  const { leftOut } = closedForm({ products, labels: examples.labels, classes: 4 })
  for (let out = 0; out < 4; out++) {
    const others = [0, 1, 2, 3].filter((i) => i !== out)
    const a = others.map((i) => others.map((j) => products[i * 4 + j]! + (i === j ? 3 : 0)))
    for (let c = 0; c < 4; c++) {
      const x = solved(
        a,
        others.map((i) => (i === c ? 1 : 0)),
      )
      const said = sum(others.map((j, k) => products[out * 4 + j]! * x[k]!))
      assert.ok(Math.abs(said - leftOut[out * 4 + c]!) < 1e-8, `photo ${out}, class ${c}`)
    }
  }
})

test('coefficients of examples and the layer on their features say the same', () => {
  const examples = randomExamples(4)
  const { count: n, features, classes, rows } = examples
  const all = productsOf(examples)
  const next = rng(5)
  const k = Float64Array.from({ length: n * classes }, () => next() - 0.5)
  const added = Float64Array.from({ length: classes }, () => next() - 0.5)
  const { weights, bias } = linearOf(examples, all, { coefficients: k, bias: added }, 1)
  for (let r = 0; r < n; r++) {
    for (let c = 0; c < classes; c++) {
      let [a, b] = [added[c]!, bias[c]!]
      for (let j = 0; j < n; j++) a += all.products[r * n + j]! * k[j * classes + c]!
      for (let d = 0; d < features; d++) b += weights[c * features + d]! * rows[r * features + d]!
      assert.ok(Math.abs(a - b) < 1e-9)
    }
  }
})

test('classes are learned from three crops each; the files say what the learner says; same photos, same bytes', async () => {
  const learner = await taught(BASE)
  const report = await learner.train()
  assert.equal(report.labels, CLASSES)
  assert.equal(report.photos, [3, 3, 3])
  assert.equal(
    report.confusion.map((row) => row.reduce((a, b) => a + b)),
    [3, 3, 3],
  )
  assert.is(report.leaveOneOut, 1)
  const [tflite, packed] = [learner.export('tflite'), learner.export('thimble')]
  const fromFiles = await Promise.all(
    [tflite, packed].map(async (bytes) => createClassifier(await loadModel(bytes), { topK: 4 })),
  )
  for (const label of CLASSES) {
    for (const at of [3, 4]) {
      const said = await learner.classify(cropped(label, at))
      assert.is(said[0]!.label, label)
      assert.ok(said[0]!.score > 0.7, `${label} ${said[0]!.score}`)
      for (const classifier of fromFiles) assert.equal(classifier.classify(cropped(label, at)), said)
    }
  }
  const again = await taught(BASE)
  await again.train()
  equalBytes(again.export('tflite'), tflite, 'the same photos again')
  equalBytes(again.export('thimble'), packed, 'the same photos again, packed')
  learner.dispose()
  again.dispose()
})

test('a photo in the wrong class and one that is there twice are named', async () => {
  const learner = await taught(BASE, [0, 1, 2, 3])
  await learner.add('coffee', cropped('cat', 4), 'stray')
  await learner.add('astronaut', cropped('astronaut', 1), 'copy')
  const { mislabelled, doubles, leaveOneOut } = await learner.train()
  assert.equal(
    mislabelled.map(({ name, label, looksLike }) => ({ name, label, looksLike })),
    [{ name: 'stray', label: 'coffee', looksLike: 'cat' }],
  )
  const copy = doubles.find((d) => d.b === 'copy')
  assert.is(copy?.a, 'astronaut 2')
  assert.is(leaveOneOut, 13 / 14)
  learner.dispose()
})

test('an ImageData is a photo like any other', async () => {
  /** As in browsers: the fields are getters of the class. */
  class Image {
    readonly #of: PixelImage
    constructor(of: PixelImage) {
      this.#of = of
    }
    get data() {
      return this.#of.data
    }
    get width() {
      return this.#of.width
    }
    get height() {
      return this.#of.height
    }
    get channels() {
      return this.#of.channels
    }
  }
  const [plain, wrapped] = await Promise.all([createLearner(BASE), createLearner(BASE)])
  for (const label of CLASSES) {
    await plain.add(label, cropped(label, 4))
    await wrapped.add(label, new Image(cropped(label, 4)))
  }
  await plain.train()
  await wrapped.train()
  equalBytes(wrapped.export(), plain.export(), 'the same photos')
  plain.dispose()
  wrapped.dispose()
})

test('one photo a class is enough to begin with', async () => {
  const learner = await taught(BASE, [4])
  const report = await learner.train()
  assert.is(report.crossValidation, undefined)
  for (const label of CLASSES) assert.is((await learner.classify(cropped(label, 0)))[0]!.label, label)
  learner.dispose()
})

test('what was not taught is called unknown, by the learner, the files and a packed module', async () => {
  const learner = await createLearner(BASE)
  for (const label of ['astronaut', 'coffee']) {
    for (const at of [0, 1, 2, 3]) await learner.add(label, cropped(label, at))
  }
  const { unknown } = await learner.train({ unknown: 1 })
  assert.is(unknown?.from, 'photos')
  assert.is(unknown?.kept, 1)
  const thimble = learner.export('thimble')
  const { wasm } = await packGraph(readModel(thimble))
  const everywhere = await Promise.all(
    [learner.export('tflite'), thimble, await WebAssembly.compile(wasm as Uint8Array<ArrayBuffer>)].map(async (from) =>
      createClassifier(await loadModel(from)),
    ),
  )
  for (const [label, expected] of [
    ['cat', 'unknown'],
    ['astronaut', 'astronaut'],
    ['coffee', 'coffee'],
  ] as const) {
    const said = await learner.classify(cropped(label, 4))
    assert.is(said[0]!.label, expected, JSON.stringify(said))
    for (const classifier of everywhere) assert.equal(classifier.classify(cropped(label, 4)), said)
  }
  // Without it, the cat must be one of the two.
  assert.is((await learner.train({ unknown: 0 })).unknown, undefined)
  assert.equal((await learner.classify(cropped('cat', 4))).map((p) => p.label).sort(), ['astronaut', 'coffee'])
  // Pictures of nothing that is taught have a folder of their own.
  for (const at of [0, 1, 2]) await learner.add('none', cropped('cat', at))
  const report = await learner.train()
  assert.equal(report.labels, ['astronaut', 'coffee', 'none'])
  assert.is(report.unknown?.none, 1)
  assert.is((await learner.classify(cropped('cat', 3)))[0]!.label, 'unknown')
  assert.is((await learner.classify(cropped('coffee', 4)))[0]!.label, 'coffee')
  learner.dispose()
})

test('a learned file is taught more elsewhere; nothing old is run again', async () => {
  for (const format of ['tflite', 'thimble'] as const) {
    const first = await taught(BASE, [0, 1])
    await first.train()
    assert.is(first.inferences, 18)
    const kept = first.export(format)
    const bare = first.export(format, { photos: false })
    const saved = kept.length - bare.length
    assert.ok(saved >= first.photoBytes && saved < first.photoBytes + 1024, `${saved} of ${first.photoBytes}`)

    const second = await createLearner(kept)
    assert.equal([...second.classes], [...first.classes])
    assert.is(second.inferences, 0)
    // Untouched, it gives the same file.
    await second.train()
    equalBytes(second.export(format), kept, `${format} taught again`)
    assert.is(second.inferences, 0)
    await second.add('bird', cropped('coffee', 4))
    assert.is(second.inferences, 3)
    assert.is(second.remove('cat'), 2)
    await second.train()
    assert.is(second.inferences, 3)
    const said = await second.classify(cropped('astronaut', 4))
    assert.equal(said.map((p) => p.label).sort(), ['astronaut', 'bird', 'coffee', 'unknown'])

    // The same photos in the same order, taught at once.
    const atOnce = await createLearner(BASE)
    for (const label of ['astronaut', 'coffee']) for (const at of [0, 1]) await atOnce.add(label, cropped(label, at))
    await atOnce.add('bird', cropped('coffee', 4))
    await atOnce.train()
    assert.equal(await atOnce.classify(cropped('astronaut', 4)), said)

    // Without its photos, the file is a base like any other.
    const forgetful = await createLearner(bare)
    assert.is(forgetful.classes.size, 0)
    assert.is(await code(() => forgetful.remove('cat')), 'usage/label')
    for (const learner of [first, second, atOnce, forgetful]) learner.dispose()
  }
})

test('what cannot be learned is refused', async () => {
  const learner = await createLearner(BASE)
  assert.is(await code(() => learner.train()), 'usage/classes')
  assert.is(await code(() => learner.export()), 'usage/not-trained')
  assert.is(await code(() => learner.classify(cropped('cat', 0))), 'usage/not-trained')
  assert.is(await code(() => learner.add(' ', cropped('cat', 0))), 'usage/label')
  assert.is(await code(() => learner.add('cat', new Uint8Array(9))), 'image/unknown-format')
  await learner.add('cat', cropped('cat', 0))
  assert.is(await code(() => learner.train()), 'usage/classes')
  learner.dispose()
  assert.is(await code(() => createLearner(7 as unknown as Uint8Array)), 'usage/source')
  const detector = readFileSync(join(root, 'weights/face_detector_tiny_416.thimble'))
  assert.is(await code(() => createLearner(detector)), 'usage/base')
})

/** A folder of photos a class, each cut a little differently. */
function writePhotos(folder: string, cuts: readonly number[]): void {
  for (const label of CLASSES) {
    mkdirSync(join(folder, label), { recursive: true })
    for (const at of cuts) {
      const { data, width, height } = cropped(label, at)
      const ppm = Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), Uint8Array.from(data)])
      writeFileSync(join(folder, label, `${at}.ppm`), ppm)
    }
  }
}

const COMMAND = join(root, 'dist/cli.js')

need(
  test,
  'thimble learn looks at photos on several threads, and the file is the same',
  { resource: existsSync(COMMAND) || undefined, missing: 'dist/ is not built' },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'thimble-learn-jobs-'))
    try {
      const photos = join(folder, 'photos')
      writePhotos(photos, [0, 1])
      const learn = (jobs: string) => {
        const out = join(folder, `${jobs}.tflite`)
        const args = ['learn', photos, '-o', out, '--jobs', jobs, '--base', 'mobilenet_v2_1.0_96']
        const { status, stderr } = spawnSync(process.execPath, [COMMAND, ...args], { encoding: 'utf8' })
        return { status, stderr, out }
      }
      const [one, three] = [learn('1'), learn('3')]
      assert.is(one.status, 0, one.stderr)
      assert.is(three.status, 0, three.stderr)
      equalBytes(readFileSync(three.out), readFileSync(one.out), 'three threads and one')
      writeFileSync(join(photos, CLASSES[1]!, 'x.jpg'), 'no photo')
      for (const jobs of ['1', '3']) {
        const { status, stderr } = learn(jobs)
        assert.is(status, 1, jobs)
        assert.match(stderr, /image\/unknown-format: .*x\.jpg/)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

test('thimble learn makes a file of folders', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-learn-'))
  try {
    writePhotos(join(folder, 'photos'), [0, 1])
    const out = join(folder, 'mine.tflite')
    const { code: exit, out: text, err } = await thimble(['learn', join(folder, 'photos'), '-o', out])
    assert.is(exit, 0, err)
    assert.match(text, /3 classes, 6 photos/)
    assert.match(text, /class \\ said +astronaut +cat +coffee/)
    const learner = await createLearner(BASE)
    for (const label of CLASSES) {
      for (const at of [0, 1]) await learner.add(label, cropped(label, at), join(label, `${at}.ppm`))
    }
    await learner.train()
    equalBytes(readFileSync(out), learner.export(), 'the command and the API')
    learner.dispose()
    // A stream of raw frames is watched with it.
    const frame = cropped('cat', 4)
    writeFileSync(join(folder, 'frames.rgb'), frame.data)
    const size = `${frame.width}x${frame.height}`
    const watched = await thimble([
      'watch',
      join(folder, 'frames.rgb'),
      '--size',
      size,
      '--format',
      'rgb24',
      '--model',
      out,
      '--json',
    ])
    assert.is(watched.code, 0, watched.err)
    const { predictions } = JSON.parse(watched.out.split('\n')[0]!) as { predictions: { label: string }[] }
    assert.is(predictions[0]!.label, 'cat')
    // More photos of a file that was learned before, a class less, and what needs its photos without them.
    const less = await thimble([
      'learn',
      '--add',
      out,
      '--remove',
      'cat',
      '-o',
      join(folder, 'less.thimble'),
      '--forget-photos',
    ])
    assert.is(less.code, 0, less.err)
    assert.match(less.out, /2 classes, 4 photos/)
    assert.match(less.out, /without the photos; on mine.tflite; 0 inferences/)
    const more = await thimble([
      'learn',
      join(folder, 'photos'),
      '--add',
      out,
      '-o',
      join(folder, 'more.wasm'),
      '--json',
    ])
    assert.is(more.code, 0, more.err)
    const { photos, inferences, bytes } = JSON.parse(more.out) as {
      photos: number[]
      inferences: number
      bytes: number
    }
    assert.equal(photos, [4, 4, 4])
    assert.is(inferences, 18)
    assert.is(bytes, readFileSync(join(folder, 'more.wasm')).length)
    const again = await thimble(['learn', join(folder, 'photos'), '--add', join(folder, 'less.thimble'), '-o', out])
    assert.is(again.code, 2)
    assert.match(again.err, /usage\/base: .*keeps no photos/)
    assert.is((await thimble(['learn', '--add', out, '--remove', 'dog', '-o', out])).code, 2)
    assert.is((await thimble(['learn', join(folder, 'photos'), '--remove', 'cat', '-o', out])).code, 2)
    assert.is((await thimble(['learn', folder, '-o', out])).code, 2)
    assert.is((await thimble(['learn', join(folder, 'photos'), '-o', join(folder, 'x.bin')])).code, 2)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a base is cut where all its heads stand, and a model without a head says so', () => {
  const cutOf = (name: string) => {
    const { tensors, outputs, ops } = cutHead(readModel(readFileSync(join(root, `weights/${name}.thimble`))))
    return { shape: tensors[outputs[0]!]!.shape, last: ops.at(-1)!.type }
  }
  for (const size of [96, 128, 160, 192, 224]) {
    assert.equal(cutOf(`mobilenet_v2_1.0_${size}`), { shape: [1, 1280], last: 'MEAN' })
  }
  assert.equal(cutOf('face_age_gender_112'), { shape: [1, 512], last: 'MEAN' })
  assert.equal(cutOf('dogs_mobilenet_v2_1.0_160'), { shape: [1, 1280], last: 'MEAN' })
  for (const name of ['face_detector_tiny_416', 'selfie_segmentation_256', 'face_mesh_468_192']) {
    assert.throws(() => cutOf(name), /usage\/base: .*no head to cut; expected an int8 or uint8 image classifier/)
  }
})

for (const [name, path, weak] of [
  ['int8 MobileNetV2', join(root, 'weights/mobilenet_v2_1.0_224.thimble')],
  ['a network with two heads', join(root, 'weights/face_age_gender_112.thimble'), 'weak'],
  ['uint8 MobileNetV1, whose head is a convolution', shared('models/mobilenet_v1_0.25_128_quant.tflite')],
  ['a uint8 network whose head flattens', shared('field/0c44a6fd-cifar10_model.tflite'), 'weak'],
  ['a Keras export with an open batch', shared('field/83445ceb-vww_96_int8.tflite'), 'weak'],
] as const) {
  const python = litertPython()
  need(
    test,
    `a file learned on ${name} gives LiteRT's bytes`,
    { resource: path && python ? { path, python } : undefined, missing: path ? LITERT_MISSING : '../shared' },
    async (at) => {
      const bytes = readFileSync(at.path)
      const base = cutHead(readModel(bytes))
      const learner = await taught(bytes)
      await learner.train()
      const tflite = learner.export()
      const model = await loadModel(tflite)
      const folder = mkdtempSync(join(tmpdir(), 'thimble-learn-'))
      try {
        const size = elements(base.tensors[base.inputs[0]!]!.shape)
        const next = rng(6)
        const inputs = Array.from({ length: 6 }, () => Uint8Array.from({ length: size }, () => next.int(256)))
        writeFileSync(join(folder, 'model.tflite'), tflite)
        inputs.forEach((x, i) => writeFileSync(join(folder, `model.${i}.in0.bin`), x))
        runPython(at.python, join(root, 'tools/goldens/litert.py'), folder)
        const got = inputs.map((x) => model.run(model.inputs[0]!.dtype === 'int8' ? new Int8Array(x.buffer) : x)[0]!)
        equalBytes(
          Buffer.concat(got.map((o) => new Uint8Array(o.buffer, o.byteOffset, o.byteLength))),
          Buffer.concat(inputs.map((_, i) => readFileSync(join(folder, `model.${i}.out0.bin`)))),
          name,
        )
        if (!weak) for (const label of CLASSES) assert.is((await learner.classify(cropped(label, 4)))[0]!.label, label)
      } finally {
        rmSync(folder, { recursive: true })
        learner.dispose()
      }
    },
  )
}

test.run()
