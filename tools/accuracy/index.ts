/**
 * How often a classifier is right on labelled photos, and how often its int8 form says what its float original says.
 *
 * Usage: npm run accuracy -- DIR [--model M] [--float F] [--json]   (see --help)
 *   DIR  photos named by WordNet id (n01440764_….JPEG), or one folder a class, named by label, index or WordNet id
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { elements } from '../../src/graph/graph.ts'
import { flag, helpText, parseCommandLine, text, whole } from '../../src/cli/args.ts'
import { classifierOf, command as classify, openNamed } from '../../src/cli/classify.ts'
import type { Args, Command } from '../../src/cli/command.ts'
import { imagesIn, isFolder, writeFiles } from '../../src/cli/files.ts'
import { stages } from '../../src/cli/progress.ts'
import { stopQuietlyOnClosedPipe } from '../../src/cli/pipe.ts'
import { note, report } from '../../src/cli/report.ts'
import { openSource } from '../../src/cli/source-model.ts'
import { ThimbleError } from '../../src/base/errors.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { MODELS } from '../zoo/models.ts'
import { openSides } from './sides.ts'
import { type Answered, differences, summarize, summaryText } from './summary.ts'
import { classFolders, type Labelled, labelledPhotos } from './truth.ts'
import type { Question, Reply, Start } from './worker.ts'

/** The float graph that `--float` names, or a shipped network's own. Errors: those of the readers. */
async function floatGraph(args: Args, model: string): Promise<Graph | undefined> {
  const path = text(args, 'float')
  if (path === 'none') return undefined
  if (path !== undefined) return (await openSource({ positionals: [], options: {} }, path)).graph
  return MODELS.find((m) => m.name === model)?.float()
}

interface Failed {
  file: string
  error: string
}

/** Answers for all photos on `jobs` threads, in the photos' order. */
async function compareAll(photos: readonly Labelled[], jobs: number, start: Start): Promise<(Answered | Failed)[]> {
  const show = stages()
  const results = new Array<Answered | Failed>(photos.length)
  let [asked, done] = [0, 0]
  const settle = (id: number, reply: Reply): void => {
    const { file, truth } = photos[id]!
    results[id] = 'error' in reply ? { file, error: reply.error } : { file, truth, ...reply.compared }
    show.at('photos', ++done, photos.length)
  }
  if (jobs === 1) {
    const compare = await openSides(start.args, start.float)
    photos.forEach(({ file }, id) => {
      try {
        settle(id, { id, compared: compare(file) })
      } catch (error) {
        settle(id, { id, error: error instanceof Error ? error.message : String(error) })
      }
    })
  } else {
    await Promise.all(
      Array.from(
        { length: jobs },
        () =>
          new Promise<void>((resolve, reject) => {
            const worker = new Worker(new URL('./thread.mjs', import.meta.url), { workerData: start })
            const next = (): void => {
              if (asked === photos.length) {
                void worker.terminate().then(() => resolve())
                return
              }
              const id = asked++
              worker.postMessage({ id, file: photos[id]!.file } satisfies Question)
            }
            worker.on('message', (reply: Reply) => {
              settle(reply.id, reply)
              next()
            })
            worker.on('error', reject)
            next()
          }),
      ),
    )
  }
  show.clear()
  return results
}

/** Every `n`-th photo, so that `limit` are left, evenly over the classes. */
const thinned = (photos: readonly Labelled[], limit: number): Labelled[] =>
  photos.length <= limit
    ? [...photos]
    : Array.from({ length: limit }, (_, i) => photos[Math.floor((i * photos.length) / limit)]!)

async function run(args: Args): Promise<number> {
  const [folder, ...more] = args.positionals
  if (folder === undefined || more.length || !isFolder(folder)) {
    throw new ThimbleError('usage/file', folder === undefined ? 'no DIR given' : `${folder} is no folder`, {
      expected: 'one folder of labelled photos',
      hint: `usage: npm run ${command.usage}`,
    })
  }
  const model = openNamed(args)
  const classifier = await classifierOf(args, model)
  classifier.notes.forEach(note)
  const float = await floatGraph(args, model.shipped?.name ?? model.name)
  if (!float && text(args, 'float') === undefined) note('no float original is known: give one with --float')
  const count = classifier.model.outputs.map((o) => Math.max(2, elements(o.shape)))[0]!
  const scores = float && elements(float.tensors[float.outputs[0]!]!.shape)
  if (scores !== undefined && Math.max(2, scores) !== count) {
    throw new ThimbleError('usage/model', "the float model's classes are not the int8 model's", {
      expected: count,
      got: scores,
    })
  }
  const skipped: string[] = []
  const files = imagesIn(folder, skipped)
  if (skipped.length) note(`${skipped.length} pictures of kinds that are not read are left out`)
  if (files.length === 0) throw new ThimbleError('usage/file', `no images in ${folder}`)
  const { photos, how } = labelledPhotos(folder, files, {
    count,
    labels: classifier.labels,
    folders: classFolders(folder),
  })
  const chosen = thinned(photos, whole(args, 'limit', photos.length))
  const jobs = Math.min(chosen.length, whole(args, 'jobs', availableParallelism(), { min: 1, max: 64 }))
  const results = await compareAll(chosen, jobs, { args, float })
  const failed = results.filter((r): r is Failed => 'error' in r)
  const answers = results.filter((r): r is Answered => !('error' in r))
  failed.forEach(({ file, error }) => note(`${file} is left out: ${error}`))
  if (answers.length === 0) throw new ThimbleError('usage/file', 'no photo could be read', { got: failed[0]!.error })
  const summary = summarize(answers)
  const json = (): string =>
    `${JSON.stringify(
      {
        model: model.name,
        float: float ? (text(args, 'float') ?? 'as the zoo reads it') : null,
        folder,
        classesBy: how,
        preprocess: classifier.preprocess,
        failed,
        ...summary,
        answers: answers.map(({ file, truth, int8, float: f }) => ({ file, truth, int8, ...(f ? { float: f } : {}) })),
      },
      null,
      1,
    )}\n`
  const out = text(args, 'out')
  if (out !== undefined) writeFiles([{ path: out, bytes: json() }])
  if (flag(args, 'json')) process.stdout.write(json())
  else {
    const listed = flag(args, 'differences') ? differences(answers, classifier.labels) : []
    process.stdout.write(
      `${[`${model.name}: classes by ${how}; ${classifier.assumed}`, summaryText(summary), ...listed].join('\n')}\n`,
    )
  }
  return failed.length ? 1 : 0
}

const { model, labels, scores, preprocess, mean, std, fit, bgr } = classify.options
const command: Command = {
  name: 'accuracy',
  summary: 'How often a classifier is right on labelled photos, int8 and float, and how often both say the same.',
  usage: 'accuracy -- DIR [--model M] [--float F] [--json] [--out FILE.json]',
  options: {
    model: model!,
    float: {
      type: 'string',
      value: 'F',
      help: "the float model, of any kind that convert reads; none: int8 alone (default: a shipped network's own)",
    },
    labels: labels!,
    scores: scores!,
    ...{ preprocess: preprocess!, mean: mean!, std: std!, fit: fit!, bgr: bgr! },
    limit: { type: 'string', value: 'N', help: 'take N photos, evenly spread over the list (default: all)' },
    jobs: { type: 'string', short: 'j', value: 'N', help: 'threads (default: the cores)' },
    differences: { type: 'boolean', help: 'also list the photos on which int8 and float differ' },
    json: { type: 'boolean', help: 'print JSON, with the five best classes of each photo' },
    out: { type: 'string', short: 'o', value: 'FILE', help: 'also write that JSON to a file' },
  },
  notes:
    'DIR: photos whose names begin with a WordNet id (n01440764_tench.JPEG), or one folder a class, named by the\n' +
    "model's label, its index or a WordNet id. Both models get the same pixels, prepared as the int8 model says.",
  run,
}

stopQuietlyOnClosedPipe()
try {
  const args = parseCommandLine(command, process.argv.slice(2))
  if (args.options.help) process.stdout.write(helpText(command).replaceAll('thimble accuracy', 'npm run accuracy'))
  else process.exitCode = await run(args)
} catch (error) {
  process.exitCode = report(error)
}
