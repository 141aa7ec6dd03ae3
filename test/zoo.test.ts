/** The models in weights/: files are what the manifest says, load by name, and answer what it says. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openModel } from '../src/cli/models.ts'
import { elements } from '../src/graph.ts'
import { createClassifier, loadModel } from '../src/node.ts'
import { need, root, shared } from './util.ts'

interface Entry {
  name: string
  file: string
  task: string
  packaged?: boolean
  default?: boolean
  bytes: number
  sha256: string
  license: string
  source: string
  sample?: string
  answer?: { label: string; index: number; score: number }
}

const weights = join(root, 'weights')
const manifest = JSON.parse(readFileSync(join(weights, 'manifest.json'), 'utf8')) as Entry[]
const classifiers = manifest.filter((m) => m.task === 'classification')
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
  classifiers.some((m) => m.name.startsWith('dogs_')) ? shared('images/dog_segmentation.bmp') : undefined,
  '../shared is missing',
  async (photo) => {
    const classifier = await createClassifier(await loadModel(openModel('dogs_mobilenet_v2_1.0_160').path))
    const [best] = classifier.classify(readFileSync(photo))
    assert.is(best!.label, 'Samoyed')
    assert.ok(best!.score > 0.9, `score ${best!.score}`)
  },
)

test.run()
