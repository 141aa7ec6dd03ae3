/**
 * `thimble/quantize`: from a float model's bytes and photos to the bytes of an 8-bit one, and what it says to bad
 * calls.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { createClassifier, loadModel } from '../src/node.ts'
import { quantizeModel, type QuantizeModelOptions } from '../src/quantize.ts'
import { random, variations } from '../src/quantize/augment.ts'
import { photoInput, pixelRange } from '../src/quantize/inputs.ts'
import { quantize } from '../src/quantize/quantize.ts'
import type { PixelImage } from '../src/graph/types.ts'
import { calibration, METADATA, picture, SIZE, tinyNet, unseen } from './tiny-net.ts'
import { equalBytes, refusal } from './util.ts'

const graph = tinyNet(1)
const float = writeTflite(graph)
const photos = Array.from({ length: 4 }, (_, i): PixelImage => ({
  data: Uint8Array.from(picture(i + 1), (v) => Math.round((v + 2) * 63)),
  width: SIZE,
  height: SIZE,
  channels: 3,
}))

/** The error of a call as `code: message`. */
async function refused(call: () => Promise<unknown>): Promise<string> {
  try {
    await call()
  } catch (error) {
    return refusal(() => {
      throw error as Error
    }).message
  }
  return 'nothing'
}

test('photos: what the quantizer makes of them and their variations, seed by seed', async () => {
  const stages = new Set<string>()
  const { bytes, preprocess, compared } = await quantizeModel(float, photos, {
    inputs: 6,
    seed: 3,
    compare: photos,
    preprocess: METADATA.preprocess!,
    labels: METADATA.labels!,
    progress: (stage, done, total) => stages.add(`${stage} ${done === total ? 'done' : 'begun'}`),
  })
  assert.equal(preprocess, METADATA.preprocess)
  for (const stage of ['observe', 'sensitivity', 'quantize', 'compare']) assert.ok(stages.has(`${stage} done`), stage)
  assert.is(compared!.inputs, 4)
  assert.ok(compared!.logitSqnr > 15, String(compared!.logitSqnr))
  const inputs = variations(photos, 6, random(3))
  const same = quantize(
    graph,
    inputs.map(({ pixels }) => photoInput(graph)(pixels)),
    {
      seed: 3,
      photoOf: inputs.map(({ photo }) => photo),
      inputRange: pixelRange(METADATA.preprocess!),
    },
  ).graph
  const [ours, theirs] = [await loadModel(bytes), await loadModel(writeTflite(same))]
  for (const x of unseen.slice(0, 2)) {
    const q = Int8Array.from(x, (v) => {
      const { scale, zeroPoint } = ours.inputs[0]!
      return Math.max(-128, Math.min(127, Math.round(v / scale) + zeroPoint))
    })
    equalBytes(ours.run(q)[0]!, theirs.run(q)[0]!, 'logits')
  }
  ours.dispose()
  theirs.dispose()
})

test('the .thimble it writes names classes as it is', async () => {
  const { bytes } = await quantizeModel(float, photos, {
    format: 'thimble',
    labels: METADATA.labels!,
    preprocess: METADATA.preprocess!,
  })
  const classifier = await createClassifier(await loadModel(bytes))
  assert.equal(classifier.labels, METADATA.labels)
  const [best] = classifier.classify(photos[0]!)
  assert.ok(best!.score > 0 && best!.score < 1, 'logits become probabilities')
  classifier.dispose()
})

test('arrays, also with 16-bit activations', async () => {
  const at = async (scheme: QuantizeModelOptions['scheme']): Promise<number> =>
    (await quantizeModel(float, calibration, { ...(scheme ? { scheme } : {}), compare: unseen })).compared!.logitSqnr
  const [int8, int16] = [await at(undefined), await at('int16x8')]
  assert.ok(int8 > 15 && int16 > int8 + 6, `${int8} ${int16}`)
})

test('what is no such call is said', async () => {
  const made = (await quantizeModel(float, calibration)).bytes
  const calls: [RegExp, () => Promise<unknown>][] = [
    [/^usage\/source: not a model source.*await it/, () => quantizeModel(Promise.resolve(float) as never, photos)],
    [/^lower\/quantization: the model is quantized already/, () => quantizeModel(made, photos)],
    [/^usage\/calibration: the calibration inputs .* photos, or of arrays/, () => quantizeModel(float, [])],
    [/^usage\/calibration: .*got photos and arrays/, () => quantizeModel(float, [photos[0]!, calibration[0]!])],
    [/^usage\/calibration: what is compared/, () => quantizeModel(float, photos, { compare: calibration })],
    [/^usage\/option: quantizeModel has no option fmt/, () => quantizeModel(float, photos, { fmt: 1 } as never)],
    [/^image\//, () => quantizeModel(float, [new Uint8Array(8)])],
    [/^format\//, () => quantizeModel(new Uint8Array(64), photos)],
  ]
  for (const [wanted, call] of calls) assert.match(await refused(call), wanted)
})

test.run()
