/** `thimble classify`: names what is in photos. */
import { type Classifier, type ClassifierOptions, createClassifier, type DecodePolicy } from '../classify/classifier.ts'
import { imageDecoder } from '../image/decode.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { choice, share, text, whole } from './args.ts'
import type { Args, Command } from './command.ts'
import { labelBytes } from './files.ts'
import { load, loadOptions, RUN_OPTIONS } from './models.ts'
import { modelFor, type ModelFile, shippedModels } from './shipped.ts'
import { answerEach, photoBytes, photosNamed, type PhotoText } from './photo-list.ts'
import { jobsAsked, jobsFor, PhotoWorkers, type Answer } from './photo-workers.ts'
import { changedPreprocess, maxPixels, MEGAPIXELS_OPTION, PREPROCESS_OPTIONS } from './preprocessing.ts'
import { printable } from '../base/markup.ts'
import { note } from './report.ts'
import { type Group, groupsOf } from '../answers/vectors.ts'
import { bar, cut, ms } from './text.ts'

/** The model that a call names, or the default one. */
export const openNamed = (args: Args): ModelFile => modelFor(text(args, 'model'), 'classification')

/** Which classes are named, and how outputs become their scores. Errors: `usage/option`. */
const scoring = (args: Args): Pick<ClassifierOptions, 'topK' | 'scoreThreshold' | 'scores'> => ({
  topK: whole(args, 'top', 5),
  ...share(args, 'threshold', 'scoreThreshold'),
  scores: choice(args, 'scores', ['auto', 'softmax', 'sigmoid', 'identity'] as const) ?? 'auto',
})

export async function classifierOf(args: Args, model: ModelFile): Promise<Classifier> {
  const labels = labelBytes(args)
  const loaded = await load(model, loadOptions(args))
  const decoder = imageDecoder({ decode: decodePolicy(args), maxPixels: maxPixels(args) })
  const changes = Object.keys(PREPROCESS_OPTIONS).some((name) => args.options[name] !== undefined)
  return createClassifier(loaded, {
    ...(labels ? { labels } : {}),
    ...(changes
      ? {
          preprocess: changedPreprocess(
            args,
            defaultPreprocess(loaded.inputs[0]!, loaded.metadata).preprocess,
            loaded.inputs[0]!,
          ),
        }
      : {}),
    ...scoring(args),
    prepare: (encoded, input, how, out) => decoder.prepare(encoded, input, how, out),
    prepareFrame: (frame, input, how, out) => decoder.prepareFrame(frame, input, how, out),
  })
}

/** The classifier; what was decided in reading the labels is said on stderr. */
async function opened(args: Args, model: ModelFile): Promise<Classifier> {
  const classifier = await classifierOf(args, model)
  classifier.notes.forEach(note)
  return classifier
}

const decodePolicy = (args: Args): DecodePolicy => choice(args, 'decode', ['exact', 'fast'] as const) ?? 'exact'

export function classifyBytes(
  classifier: Classifier,
  bytes: Uint8Array,
  about: Pick<Answer, 'file' | 'model'>,
  args: Args,
): Answer {
  const predictions = classifier.classify(bytes)
  const { decodeMs, preprocessMs, inferMs, reduced } = classifier.timings
  const groups = groupsOf(classifier.model, classifier.raw)
  const round = (n: number): number => Math.round(n * 1000) / 1000
  return {
    ...about,
    predictions,
    ...(groups && { groups }),
    ...(decodePolicy(args) === 'fast' ? { decode: 'fast', reduced } : {}),
    timings: { decodeMs: round(decodeMs), preprocessMs: round(preprocessMs), inferMs: round(inferMs) },
  }
}

/** Labels with scores and bars. */
function predictionLines(predictions: Answer['predictions']): string[] {
  const widest = Math.min(40, Math.max(10, ...predictions.map((p) => [...p.label].length)))
  return predictions.map((p) => {
    const label = cut(p.label, widest)
    return `  ${label + ' '.repeat(widest - [...label].length)}  ${(p.score * 100).toFixed(1).padStart(5)} %  ${bar(p.score, 30)}`.trimEnd()
  })
}

/** What one of several outputs says. */
function groupLines(group: Group): string[] {
  const name = `  ${printable(group.name)}:`
  if ('predictions' in group) return [name, ...predictionLines(group.predictions)]
  if ('value' in group) return [`${name} ${group.value.toFixed(3)}`]
  if ('values' in group) return [`${name} ${group.values.map((v) => v.toFixed(3)).join(', ')}`]
  return [`${name} ${group.embedding.length} numbers to compare (--json, thimble embed)`]
}

/** Top scores with bars, e.g. `  espresso   98.7 %  ████████`. */
function humanAnswer(answer: Answer, name = answer.file): string {
  const { model, groups, predictions, reduced, timings } = answer
  const lines = groups ? groups.flatMap(groupLines) : predictionLines(predictions)
  if (lines.length === 0) lines.push('  nothing reaches the threshold')
  const part = reduced === undefined ? '' : reduced === 1 ? ' (fast, at full size)' : ` (fast, at 1/${reduced})`
  const times = `decode ${ms(timings.decodeMs)} ms${part}, preprocess ${ms(timings.preprocessMs)} ms, inference ${ms(timings.inferMs)} ms`
  return `${printable(name)}\n${lines.join('\n')}\n  ${model}: ${times}\n`
}

/** Threads to classify `images` with; 1: this one alone. */
const jobsOf = (args: Args, images: readonly string[]): number =>
  images.includes('-') ? 1 : jobsFor(jobsAsked(args), images.length)

async function run(args: Args): Promise<number> {
  const model = openNamed(args)
  const images = photosNamed(
    args,
    command,
    'IMAGE',
    model.shipped?.sample ?? shippedModels().find((m) => m.sample)?.sample,
  )
  const said = (answer: Answer): PhotoText => ({ json: answer, human: (name) => humanAnswer(answer, name) })
  const jobs = jobsOf(args, images)
  if (jobs > 1) return runJobs(args, { model, images, jobs, said })
  const classifier = await opened(args, model)
  return answerEach(args, images, async (file) =>
    said(classifyBytes(classifier, await photoBytes(file), { file, model: model.name }, args)),
  )
}

interface Jobs {
  model: ModelFile
  images: readonly string[]
  jobs: number
  said(answer: Answer): PhotoText
}

/** On several threads: what is wrong with the call is said once, before they start. */
async function runJobs(args: Args, { model, images, jobs, said }: Jobs): Promise<number> {
  await opened(args, model)
  const workers = new PhotoWorkers(jobs, { task: 'classify', args, model: model.name })
  try {
    return await answerEach(args, images, async (file) => said(await workers.ask(file)), { ahead: 3 * jobs })
  } finally {
    await workers.end()
  }
}

export const command: Command = {
  name: 'classify',
  summary: 'Names what is in photos: the best classes of each, with their probabilities.',
  usage: 'classify [IMAGE...] [--model MODEL] [--top N] [--labels FILE] [--json]',
  options: {
    model: {
      type: 'string',
      short: 'm',
      value: 'MODEL',
      help: "a .tflite, .thimble or packed .wasm file, or a shipped model's name",
    },
    top: { type: 'string', short: 'n', value: 'N', help: 'how many classes to show (default: 5)', check: scoring },
    threshold: {
      type: 'string',
      value: 'SCORE',
      help: 'leave out classes below this score, 0 to 1 (default: 0)',
      check: scoring,
    },
    labels: {
      type: 'string',
      short: 'l',
      value: 'FILE',
      help: 'class names: one per line, "index name" lines, or JSON',
    },
    scores: {
      type: 'string',
      value: 'HOW',
      help: 'auto, softmax, sigmoid or identity: how outputs become scores (default: auto)',
      check: scoring,
    },
    ...PREPROCESS_OPTIONS,
    decode: {
      type: 'string',
      value: 'HOW',
      help: 'exact, or fast: JPEGs at 1/2, 1/4 or 1/8 where the model needs no more; scores differ a little (default: exact)',
      check: decodePolicy,
    },
    ...MEGAPIXELS_OPTION,
    jobs: {
      type: 'string',
      short: 'j',
      value: 'N',
      help: 'photos classified side by side, each on a thread with its own model (default: the cores, for folders)',
      check: jobsAsked,
    },
    ...RUN_OPTIONS,
    json: { type: 'boolean', help: 'print [{ file, model, predictions, timings }]' },
  },
  notes:
    'IMAGE is a .jpg, .png, .bmp, .ppm or .pgm file, a folder (its images and those below it), or - for stdin.\n' +
    "Without one, a sample photo is classified. An image that can't be read gives a line on stderr and exit code 1;\nthe others are still answered.",
  run,
}
