/** The models in weights/: files are what the manifest says, load by name, and answer what it says. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openModel, shippedPath } from '../src/cli/shipped.ts'
import { elements } from '../src/graph/graph.ts'
import { createClassifier, loadModel } from '../src/node.ts'
import { thimble } from './call-cli.ts'
import { need, root, shared } from './util.ts'

interface Entry {
  name: string
  file: string
  task: string
  packaged?: boolean
  default?: boolean
  macs: number
  arenaBytes: number
  bytes: number
  sha256: string
  license: string
  source: string
  sample?: string
  answer?: { label: string; index: number; score: number }
}

const weights = join(root, 'weights')
const manifest = JSON.parse(readFileSync(join(weights, 'manifest.json'), 'utf8')) as Entry[]
const classifiers = manifest.filter((m) => m.task === 'classification' || m.task === 'attributes')
const readme = readFileSync(join(weights, 'README.md'), 'utf8')

test('every file is the one that the manifest names, and is described', () => {
  assert.is(manifest.filter((m) => m.default && m.task === 'classification').length, 1)
  for (const m of manifest) {
    const bytes = readFileSync(join(weights, m.file))
    assert.equal([bytes.length, createHash('sha256').update(bytes).digest('hex')], [m.bytes, m.sha256], m.name)
    assert.ok(
      readme.includes(`## ${m.name}\n`) || readme.includes(`\n| \`${m.name}\` |`),
      `${m.name} in weights/README.md`,
    )
    assert.is(openModel(m.name).path, join(weights, m.file))
  }
})

test('the npm package carries the models that the manifest marks, no others', () => {
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] }
  assert.equal(
    files.filter((f) => f.endsWith('.thimble')).sort(),
    manifest
      .filter((m) => m.packaged)
      .map((m) => `weights/${m.file}`)
      .sort(),
  )
  for (const f of files) if (f.startsWith('weights/')) assert.ok(existsSync(join(root, f)), f)
})

test('models lists them with what they cost, and says how to get what is not here', async () => {
  const all = JSON.parse((await thimble(['models', '--json'])).out) as (Entry & Record<string, unknown>)[]
  assert.equal(
    all.map((m) => m.name),
    manifest.map((m) => m.name),
  )
  for (const m of all) {
    assert.is(m.here, true, m.name)
    assert.is(m.path, join(weights, m.file))
    assert.ok(m.arenaBytes > 0 && m.macs > 0, m.name)
    assert.is((m.input as number[]).length, 2)
    assert.match(m.description as string, /\d/)
  }
  const text = await thimble(['models'])
  for (const m of manifest) assert.ok(text.out.includes(m.name), m.name)
  const one = await thimble(['models', 'mobilenet_v2_1.0_160'])
  for (const word of ['BSD-3-Clause', '160x160', 'npm run zoo -- mobilenet_v2_1.0_160']) {
    assert.ok(one.out.includes(word), one.out)
  }
  const wrong = await thimble(['models', 'mobilenet_v9'])
  assert.is(wrong.code, 2)
  assert.match(wrong.err, /no shipped model is called mobilenet_v9/)
})

test('a smaller resolution costs less', () => {
  const [large, small] = ['mobilenet_v2_1.0_224', 'mobilenet_v2_1.0_160'].map((name) =>
    manifest.find((m) => m.name === name)!,
  )
  assert.ok(small!.macs < 0.55 * large!.macs)
  assert.ok(small!.arenaBytes < 0.65 * large!.arenaBytes)
})

test('what the npm package lacks is taken from thimble-models', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'thimble-zoo-'))
  try {
    const at = join(dir, 'node_modules/thimble-models')
    mkdirSync(at, { recursive: true })
    writeFileSync(join(at, 'package.json'), JSON.stringify({ name: 'thimble-models', version: '0.0.0' }))
    writeFileSync(join(at, 'elsewhere.thimble'), 'x')
    const before = process.cwd()
    process.chdir(dir)
    try {
      assert.match(shippedPath({ name: 'elsewhere', file: 'elsewhere.thimble' }) ?? '', /elsewhere\.thimble$/)
      assert.is(shippedPath({ name: 'nowhere', file: 'nowhere.thimble' }), undefined)
    } finally {
      process.chdir(before)
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

for (const m of classifiers) {
  test(`${m.name} has labels, preprocessing and licence, and gives its answer`, async () => {
    const model = await loadModel(join(weights, m.file))
    const { labels, preprocess, license, source } = model.metadata
    assert.ok(
      model.outputs.some((o) => elements(o.shape) === labels?.length),
      `an output for ${labels?.length} labels`,
    )
    assert.is(new Set(labels).size, labels!.length, 'no label twice')
    assert.equal([license, source], [m.license, m.source])
    assert.ok(preprocess)
    if (m.sample && m.answer) {
      const [best] = (await createClassifier(model)).classify(readFileSync(join(weights, m.sample)))
      assert.equal({ ...best, score: Number(best!.score.toFixed(2)) }, m.answer)
    }
    model.dispose()
  })
}

need(
  test,
  'dogs: a Samoyed',
  {
    resource: classifiers.some((m) => m.name.startsWith('dogs_')) ? shared('images/dog_segmentation.bmp') : undefined,
    missing: '../shared is missing',
  },
  async (photo) => {
    const classifier = await createClassifier(await loadModel(openModel('dogs_mobilenet_v2_1.0_160').path))
    const [best] = classifier.classify(readFileSync(photo))
    assert.is(best!.label, 'Samoyed')
    assert.ok(best!.score > 0.9, `score ${best!.score}`)
  },
)

test.run()
