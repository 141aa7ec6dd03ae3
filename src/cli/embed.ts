/** `thimble embed`: a network's description of photos as numbers, and how alike photos are by it. */
import { ThimbleError } from '../base/errors.ts'
import { cosineSimilarity, isEmbedding, normalized, realValues } from '../answers/vectors.ts'
import { text } from './args.ts'
import type { Args, Command } from './command.ts'
import { classifierOf } from './classify.ts'
import { RUN_OPTIONS } from './models.ts'
import { answerEach, photoBytes, photosNamed } from './photo-list.ts'
import { MEGAPIXELS_OPTION, PREPROCESS_OPTIONS } from './preprocessing.ts'
import { printable } from '../base/markup.ts'
import { openModel } from './shipped.ts'
import { ms } from './text.ts'

const DIGITS = 6

async function run(args: Args): Promise<number> {
  const name = text(args, 'model')
  if (name === undefined) {
    throw new ThimbleError('usage/model', 'no network that describes photos is shipped here', {
      expected: '--model MODEL',
      hint: 'MobileFaceNet, FaceNet or any image network without its last layer, as an 8-bit .tflite',
    })
  }
  const photos = photosNamed(args, command, 'PHOTO', undefined)
  const classifier = await classifierOf(args, openModel(name))
  const { outputs } = classifier.model
  const at = Math.max(0, outputs.findIndex(isEmbedding))
  let first: { file: string; embedding: number[] } | undefined
  return answerEach(args, photos, async (file) => {
    classifier.classify(await photoBytes(file))
    const embedding = normalized(realValues(classifier.raw[at]!, outputs[at]!))
    first ??= { file, embedding }
    const compared =
      first.file === file ? undefined : { to: first.file, similarity: cosineSimilarity(first.embedding, embedding) }
    const { decodeMs, preprocessMs, inferMs } = classifier.timings
    const shown = embedding.slice(0, 4).map((v) => v.toFixed(3))
    const times = `decode ${ms(decodeMs)} ms, preprocess ${ms(preprocessMs)} ms, inference ${ms(inferMs)} ms`
    return {
      json: {
        file,
        model: name,
        embedding: embedding.map((v) => Number(v.toFixed(DIGITS))),
        ...(compared && { compared }),
        timings: { decodeMs, preprocessMs, inferMs },
      },
      human: (label) =>
        [
          printable(label),
          `  ${embedding.length} numbers, length 1: ${shown.join(', ')}, ...`,
          ...(compared
            ? [`  as alike as ${compared.similarity.toFixed(3)} to ${printable(compared.to)} (1: the same)`]
            : []),
          `  ${name}: ${times}\n`,
        ].join('\n'),
    }
  })
}

export const command: Command = {
  name: 'embed',
  summary: 'Describes photos by numbers of a network, and says how alike each is to the first (cosine).',
  usage: 'embed PHOTO... --model MODEL [--json]',
  options: {
    model: { type: 'string', short: 'm', value: 'MODEL', help: 'a network whose output is compared, not named' },
    ...PREPROCESS_OPTIONS,
    ...MEGAPIXELS_OPTION,
    ...RUN_OPTIONS,
    json: { type: 'boolean', help: 'print [{ file, model, embedding, compared: { to, similarity }, timings }]' },
  },
  notes:
    "Faces: cut them out first (thimble faces --crop DIR); which similarity means the same person is the network's own.",
  run,
}
