/** `thimble quantize` on a small network: files, reports, notes, refusals. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { quantize } from '../src/quantize/quantize.ts'
import type { QuantizeReport } from '../src/quantize/report.ts'
import { thimble } from './call-cli.ts'
import { makePng } from './image-files.ts'
import { calibration, SIZE, tinyNet, unseen } from './tiny-net.ts'

const folder = mkdtempSync(join(tmpdir(), 'thimble-quantize-cli-'))
const at = (name: string): string => join(folder, name)
const pngOf = (x: Float32Array): Uint8Array =>
  makePng(SIZE, SIZE, (px, py, c) => Math.round((x[3 * (py * SIZE + px) + c]! + 2) * 63), { depth: 8, type: 2 })
test.before(() => {
  mkdirSync(at('photos'))
  mkdirSync(at('empty'))
  calibration.forEach((x, i) => writeFileSync(at(`photos/${String(i).padStart(2, '0')}.png`), pngOf(x)))
  writeFileSync(at('tiny.tflite'), writeTflite(tinyNet(1)))
  const bare = tinyNet(1)
  writeFileSync(at('bare.tflite'), writeTflite({ ...bare, metadata: {} }))
})
test.after(() => rmSync(folder, { recursive: true }))

test('thimble quantize writes the model and its reports; classify reads it', async () => {
  const reports = ['r.json', 'r.html', 'r.txt'].flatMap((r) => ['--report', at(r)])
  const { code, out, err } = await thimble([
    'quantize',
    at('tiny.tflite'),
    '--calibration',
    at('photos'),
    '-o',
    at('q.tflite'),
    '--inputs',
    '16',
    ...reports,
  ])
  assert.is(err, '')
  assert.is(code, 0)
  const report = JSON.parse(readFileSync(at('r.json'), 'utf8')) as QuantizeReport & { worst: string[] }
  assert.equal([report.evaluation.photos, report.evaluation.inputs, report.evaluation.heldBack], [2, 4, true])
  assert.equal([report.calibration.photos, report.calibration.inputs], [10, 16])
  assert.equal([report.asTheyAre.inputs, report.varied.inputs, report.photos.length], [2, 2, 4])
  assert.ok(report.asTheyAre.logitSqnr > 10 && report.layers.length >= 10)
  assert.is(report.worst[0], [...report.layers].sort((a, b) => a.sqnr - b.sqnr)[0]!.name)
  const text = readFileSync(at('r.txt'), 'utf8')
  assert.ok(out.startsWith(text.trimEnd()), 'stdout is the text report')
  assert.match(text, `worst layers: ${report.worst[0]!}`)
  assert.match(text, /same top-1 \d of 2, float's best in the top-5 \d of 2/)
  const html = readFileSync(at('r.html'), 'utf8')
  assert.is(html.match(/<svg/g)!.length, 2)
  assert.not.match(html, /src=|href=|thing <\d>/)
  for (const l of report.layers) assert.ok(html.includes(l.name.slice(-35)), l.name)

  const again = await thimble([
    'quantize',
    at('tiny.tflite'),
    '--calibration',
    at('photos'),
    '-o',
    at('q.thimble'),
    '--inputs',
    '16',
    '--json',
  ])
  const second = JSON.parse(again.out) as QuantizeReport
  assert.equal([second.photos, second.layers], [report.photos, report.layers], 'deterministic')
  const answers: object[][] = []
  for (const m of ['q.tflite', 'q.thimble']) {
    answers.push(
      (
        JSON.parse((await thimble(['classify', at('photos/03.png'), '--model', at(m), '--json'])).out) as {
          predictions: object[]
        }[]
      )[0]!.predictions,
    )
  }
  assert.equal(answers[0], answers[1])
  assert.match(JSON.stringify(answers[0]), /thing </)
})

test('an evaluation folder; an assumed preprocessing is told, a given one is not', async () => {
  mkdirSync(at('other'))
  unseen.slice(0, 3).forEach((x, i) => writeFileSync(at(`other/${i}.png`), pngOf(x)))
  const call = [
    'quantize',
    at('bare.tflite'),
    '--calibration',
    at('photos'),
    '--evaluation',
    at('other'),
    '-o',
    at('b.tflite'),
    '--inputs',
    '4',
    '--json',
  ]
  const guessed = await thimble(call)
  assert.match(guessed.err, /note: the model does not say .* assumed: .*127\.5/)
  assert.is((JSON.parse(guessed.out) as QuantizeReport).evaluation.photos, 3)
  assert.is((await thimble([...call, '--preprocess', 'imagenet'])).err, '')
  assert.is(readTflite(readFileSync(at('b.tflite'))).metadata.preprocess!.std[0], 0.229 * 255)
})

const REFUSED: [string, string[], RegExp, number][] = [
  ['no calibration', ['-o', 'OUT.tflite'], /no --calibration folder given/, 2],
  ['no output', ['--calibration', 'photos'], /no -o OUT given/, 2],
  [
    'an unknown kind of output',
    ['--calibration', 'photos', '-o', 'x.onnx'],
    /OUT must end in \.thimble or \.tflite/,
    2,
  ],
  [
    'a folder that is missing',
    ['--calibration', 'nowhere', '-o', 'OUT.tflite'],
    /nowhere can't be read: no such file/,
    2,
  ],
  ['a folder without photos', ['--calibration', 'empty', '-o', 'OUT.tflite'], /no images in .*empty/, 2],
  ['a file that is no photo', ['--calibration', 'tiny.tflite', '-o', 'OUT.tflite'], /tiny\.tflite: /, 1],
  [
    'an unknown preprocessing',
    ['--calibration', 'photos', '--preprocess', 'caffe', '-o', 'OUT.tflite'],
    /--preprocess is not usable.*imagenet, signed, unit, raw/,
    2,
  ],
  [
    'a mean of two numbers',
    ['--calibration', 'photos', '--mean', '1,2', '-o', 'OUT.tflite'],
    /--mean is not usable/,
    2,
  ],
  ['a deviation of 0', ['--calibration', 'photos', '--std', '0', '-o', 'OUT.tflite'], /--std is not usable/, 2],
  [
    'an unknown kind of report',
    ['--calibration', 'photos', '-o', 'OUT.tflite', '--report', 'r.pdf'],
    /--report must end in/,
    2,
  ],
]
for (const [what, args, message, code] of REFUSED) {
  test(`refused: ${what}`, async () => {
    const paths = args.map((a) => (['photos', 'nowhere', 'empty', 'tiny.tflite', 'OUT.tflite'].includes(a) ? at(a) : a))
    const result = await thimble(['quantize', at('tiny.tflite'), ...paths])
    assert.match(result.err, message)
    assert.is(result.err.trim().split('\n').length, 1)
    assert.equal([result.code, result.out, existsSync(at('OUT.tflite'))], [code, '', false])
  })
}

test('refused: a model that is quantized already', async () => {
  writeFileSync(at('int8.tflite'), writeTflite(quantize(tinyNet(1), calibration).graph))
  const { code, err } = await thimble([
    'quantize',
    at('int8.tflite'),
    '--calibration',
    at('photos'),
    '-o',
    at('OUT.tflite'),
  ])
  assert.match(err, /is quantized already/)
  assert.is(code, 1)
})

test.run()
