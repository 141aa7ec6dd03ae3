/** The accuracy tool: what names say, what is counted, and one run of the command. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { floatModel } from '../src/float/execute.ts'
import { quantize } from '../src/quantize/quantize.ts'
import { type Answered, differences, share, summarize } from '../tools/accuracy/summary.ts'
import { labelledPhotos } from '../tools/accuracy/truth.ts'
import { makePng } from './image-files.ts'
import { calibration, CLASSES, SIZE, tinyNet, unseen } from './tiny-net.ts'
import { errorCode, root } from './util.ts'

const truths = (files: string[], count: number, labels: string[] = []): number[] =>
  labelledPhotos('d', files, { count, labels }).photos.map((p) => p.truth)

test('WordNet ids: in file names and folder names, with and without a class for the background', () => {
  const files = ['d/n01440764_tench.JPEG', 'd/n15075141_x.JPEG', 'd/n02123045_1.JPEG']
  assert.equal(truths(files, 1000), [0, 999, 281])
  assert.equal(truths(files, 1001), [1, 1000, 282])
  assert.equal(truths(['d/n02123045-tabby/a.jpg', 'd/n01443537/b/c.jpg'], 1000), [281, 1])
})

test('folders: labels before indices before order; names differ in case and spaces only', () => {
  assert.equal(truths(['d/Hot_Dog/a.jpg', 'd/cat/a.jpg'], 3, ['bird', 'cat', 'hot dog']), [2, 1])
  assert.equal(truths(['d/1/a.jpg', 'd/0/a.jpg'], 2, ['1', '0']), [0, 1])
  assert.equal(truths(['d/10/a.jpg', 'd/2/a.jpg', 'd/003/a.jpg'], 20), [10, 2, 3])
  assert.equal(truths(['d/zebra/a.jpg', 'd/ant/a.jpg', 'd/ant/b.jpg'], 2), [1, 0, 0])
  // A folder that no photo is in has a place in the order, and only there.
  const folders = ['ant', 'bee', 'wasp nest', 'zebra']
  const [files, labels] = [['d/wasp nest/A.JPEG', 'd/zebra/a.jpg'], [] as string[]]
  const read = (count: number, names = labels): number[] =>
    labelledPhotos('d', files, { count, labels: names, folders }).photos.map((p) => p.truth)
  assert.equal(read(4), [2, 3])
  assert.equal(read(3, ['zebra', 'Wasp_Nest', 'ant']), [1, 0])
  assert.throws(() => read(2), /2 classes: wasp nest, zebra; 4 with folders that no photo is in/)
  // Dog breeds of Stanford Dogs: an id and a name, of a model that has the names.
  assert.equal(truths(['d/n02085620-Chihuahua/a.jpg'], 2, ['Pug', 'Chihuahua']), [1])
})

test('refused: photos that nothing is said of, classes that the model does not have', () => {
  assert.is(
    errorCode(() => truths(['d/cat/a.jpg', 'd/a.jpg'], 2)),
    'usage/labels',
  )
  assert.throws(() => truths(['d/cat/a.jpg', 'd/dog/a.jpg'], 3, ['x', 'cat', 'y']), /got 2 classes: dog/)
  assert.throws(() => truths(['d/7/a.jpg'], 3), /indices below 3/)
  assert.throws(() => truths(['d/n00000001_a.jpg'], 1000), /n00000001/)
})

const answered = (truth: number, float: number[], int8: number[]): Answered => ({
  file: `${truth}.jpg`,
  truth,
  float: { best: float, score: 1 },
  int8: { best: int8, score: 1 },
  signal: 100,
  noise: 1,
})

test('counts: right ones, equal ones, lost and won, signal to noise', () => {
  const answers = [
    answered(1, [1, 2], [1, 2]),
    answered(2, [2, 1], [1, 2]),
    answered(3, [1, 3], [3, 1]),
    answered(4, [5, 6], [6, 7]),
  ]
  const s = summarize(answers)
  assert.equal([s.float!.top1.count, s.float!.top5.count], [2, 3])
  assert.equal([s.int8.top1.count, s.int8.top5.count], [2, 3])
  assert.equal([s.agreement!.top1.count, s.agreement!.top5.count], [1, 3])
  assert.equal([s.lost, s.won, s.sqnr], [1, 1, 20])
  assert.equal(differences(answers, ['zero', 'one', 'two', 'three']), [
    '2.jpg: float two (right), int8 one',
    '3.jpg: float one, int8 three (right)',
    '4.jpg: float class 5, int8 class 6',
  ])
  const [alone] = answers
  delete alone!.float
  assert.is(summarize([alone!]).agreement, undefined)
  // The Wilson interval of 839 of 1000.
  assert.equal(share(839, 1000), { count: 839, percent: 83.9, interval: [81.49, 86.05] })
})

test('the command: a folder a class, two threads, the float original; JSON', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-accuracy-'))
  const at = (name: string): string => join(folder, name)
  const float = tinyNet(1)
  writeFileSync(at('float.tflite'), writeTflite(float))
  writeFileSync(at('int8.tflite'), writeTflite(quantize(float, calibration, { inputRange: [-2, 2] }).graph))
  const model = floatModel(float)
  // Each photo is in the folder of the class that the float model has for it, but the last one.
  const best = (x: Float32Array): number => {
    const scores = model.run([x])[0]!
    return scores.indexOf(scores.reduce((a, b) => Math.max(a, b)))
  }
  const pixels = unseen.slice(0, 6).map((x) => x.map((v) => Math.round((v + 2) * 63)))
  const { mean, std } = float.metadata.preprocess!
  pixels.forEach((p, i) => {
    const seen = best(p.map((v, k) => (v - mean[k % mean.length]!) / std[k % std.length]!))
    const truth = i === 5 ? (seen + 1) % CLASSES : seen
    mkdirSync(at(`photos/${truth}`), { recursive: true })
    writeFileSync(
      at(`photos/${truth}/${i}.png`),
      makePng(SIZE, SIZE, (x, y, c) => p[3 * (y * SIZE + x) + c]!, { depth: 8, type: 2 }),
    )
  })
  writeFileSync(at('photos/0.png'), 'no photo')
  mkdirSync(at('photos/0'), { recursive: true })
  writeFileSync(at('photos/0/bad.png'), 'no photo')
  const call = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
    new Promise((resolve) => {
      execFile(
        process.execPath,
        ['--import', 'tsx', 'tools/accuracy/index.ts', ...args],
        { cwd: root, timeout: 150_000 },
        (error, out, err) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
      )
    })
  const args = [at('photos'), '--model', at('int8.tflite'), '--float', at('float.tflite'), '--jobs', '2']
  const loose = await call(...args)
  assert.match(loose.err, /nothing says what 1 of 8 photos show.*got 0\.png/)
  assert.is(loose.code, 2)
  rmSync(at('photos/0.png'))
  const { code, out, err } = await call(...args, '--json')
  assert.match(err, /bad\.png is left out: image\//)
  assert.is(code, 1)
  const said = JSON.parse(out) as ReturnType<typeof summarize> & { answers: unknown[]; classesBy: string }
  assert.equal([said.photos, said.answers.length, said.classesBy], [6, 6, 'indices'])
  assert.is(said.float!.top1.count, 5)
  assert.ok(said.agreement!.top1.count >= 4 && said.sqnr! > 10, `${said.agreement!.top1.count} ${said.sqnr}`)
  rmSync(at('photos/0/bad.png'))
  const one = await call(...args, '--jobs', '1')
  assert.match(one.out, /float top-1 +83\.3 %  \(5;/)
  rmSync(folder, { recursive: true })
})

test.run()
