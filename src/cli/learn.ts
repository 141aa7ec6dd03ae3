/** `thimble learn`: a classifier of one's own classes from a folder of photos each. */
import { readdirSync } from 'node:fs'
import { basename, extname, join, relative } from 'node:path'
import { ThimbleError } from '../base/errors.ts'
import { readModel } from '../formats/index.ts'
import { learnedFile } from '../learn/keep.ts'
import { type LearnReport, type OpenLearner, openLearner } from '../learn/learner.ts'
import { UNKNOWN } from '../learn/teach.ts'
import { VIEWS } from '../learn/views.ts'
import { packGraph } from '../pack/pack.ts'
import { badCall, flag, number, text, whole } from './args.ts'
import { fileFeatures } from './base-features.ts'
import type { Args, Command } from './command.ts'
import { imagesIn, isFolder, readFile, writeFiles } from './files.ts'
import { modelFor, openModel, type ModelFile } from './shipped.ts'
import { printable } from '../base/markup.ts'
import { jobsAsked, jobsFor, PhotoWorkers } from './photo-workers.ts'
import { note } from './report.ts'
import { table } from './text.ts'

interface ClassFolder {
  label: string
  photos: string[]
}

/** Class folders by name with their photos. Errors: `usage/photos`. */
function classFolders(folder: string, least: number): ClassFolder[] {
  if (!isFolder(folder)) throw new ThimbleError('usage/photos', `${folder} is not a folder`)
  const folders = readdirSync(folder)
    .filter((name) => !name.startsWith('.') && isFolder(join(folder, name)))
    .sort()
  const found = folders.map((label) => ({ label, photos: imagesIn(join(folder, label)) }))
  const empty = found.find((f) => f.photos.length === 0)
  if (empty) {
    throw new ThimbleError('usage/photos', `no images in ${join(folder, empty.label)}`, {
      expected: 'files ending in .jpg, .png, .bmp or .ppm',
    })
  }
  if (found.length < least) {
    throw new ThimbleError('usage/photos', `too few class folders in ${folder}`, {
      expected: `at least ${least} folder${least > 1 ? 's, each' : ','} named for its class`,
      got: found.length,
    })
  }
  return found
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

function unknownLine({ unknown }: LearnReport, keep: number): string {
  if (!unknown) return 'unknown: never said (--unknown 0)'
  const { from, kept, none, strangers } = unknown
  if (from === 'classes') {
    return `${UNKNOWN}: a first guess, from how near the photos of different classes are; 2 photos of a class make it a measured one`
  }
  return [
    `${UNKNOWN}: ${percent(kept)} of the photos are recognised when left out (wanted: ${percent(keep)})`,
    ...(none === undefined ? [] : [`${percent(none)} of those in none are not`]),
    ...(strangers === undefined ? [] : [`${percent(strangers)} are not when their whole class is left out`]),
  ].join(', ')
}

function human(report: LearnReport, keep: number): string {
  const { labels, photos, confusion, crossValidation: crossed } = report
  const total = photos.reduce((a, b) => a + b, 0)
  const lines = [`${labels.length} classes, ${total} photos, trained in ${report.trainMs.toFixed(0)} ms`]
  lines.push(`leave-one-out: ${percent(report.leaveOneOut)} right (each photo asked of all the others)`)
  if (crossed) lines.push(`cross-validation: ${percent(crossed.accuracy)} right in ${crossed.folds} folds`)
  lines.push(unknownLine(report, keep))
  const names = labels.map(printable)
  const head = ['class \\ said', ...names]
  const rows = confusion.map((row, c) => [names[c]!, ...row.map(String)])
  lines.push(
    '',
    table(
      [head, ...rows],
      names.map((_, i) => i + 1),
    ).trimEnd(),
  )
  for (const { name, label, looksLike } of report.mislabelled) {
    lines.push(`look at ${printable(name)}: in ${printable(label)}, looks like ${printable(looksLike)}`)
  }
  for (const { a, b } of report.doubles) lines.push(`nearly the same: ${printable(a)} and ${printable(b)}`)
  return lines.join('\n')
}

const FORMATS = ['.tflite', '.thimble', '.wasm'] as const

/** What was asked for, checked before anything is read. */
function asked(args: Args) {
  const [folder, ...more] = args.positionals
  const add = text(args, 'add')
  const remove = (args.options.remove ?? []) as string[]
  if (more.length) throw badCall(command, 'more than one DIR given')
  if (folder === undefined && !(add !== undefined && (remove.length || flag(args, 'forget-photos')))) {
    throw badCall(command, 'no DIR given')
  }
  if (remove.length && add === undefined) {
    throw badCall(command, '--remove goes with --add, the file that has the class')
  }
  if (add !== undefined && text(args, 'base') !== undefined) {
    throw badCall(command, '--base and --add exclude each other: a learned file brings its base along')
  }
  const output = text(args, 'output')
  if (output === undefined) throw badCall(command, 'no -o OUT given')
  const format = FORMATS.find((end) => extname(output).toLowerCase() === end)
  if (!format) throw badCall(command, 'OUT must end in .tflite, .thimble or .wasm')
  return {
    folder,
    add,
    remove,
    output,
    format,
    seed: whole(args, 'seed', 1, { min: 0 }),
    keep: number(args, 'unknown', 0.95, { min: 0, max: 1 }),
    forget: flag(args, 'forget-photos'),
  }
}

/** The file to go on with. Errors: `usage/base` where it keeps no photos. */
function learnedBefore(path: string): ModelFile {
  const file = openModel(path)
  const learned = learnedFile(readModel(file.bytes, file.name))
  if (learned?.taught) return file
  throw new ThimbleError('usage/base', `${path} can't be taught more: it keeps no photos`, {
    expected: 'a .tflite or .thimble file that thimble learn made',
    got: learned ? 'one made with --forget-photos' : 'another model',
    hint: learned ? 'learn again from the photos' : 'to begin with it, give it as --base',
  })
}

/** A photo to teach with. */
interface Shown {
  label: string
  path: string
}

/** Features of photos by path, and how to end. On worker threads where that pays. */
interface Looking {
  jobs: number
  features(path: string): Promise<Int8Array>
  end(): Promise<void>
}

/** The file in memory that all threads read; what it was in is nobody's then. */
function shared({ bytes, ...file }: ModelFile): ModelFile {
  const out = new Uint8Array(new SharedArrayBuffer(bytes.length))
  out.set(bytes)
  return { ...file, bytes: out }
}

async function lookingAt(photos: readonly Shown[], base: ModelFile, args: Args): Promise<Looking> {
  const jobs = jobsFor(jobsAsked(args), photos.length)
  if (jobs > 1) {
    const workers = new PhotoWorkers(jobs, { task: 'features', base: base.bytes, name: base.name })
    return { jobs, features: (path) => workers.ask(path), end: () => workers.end() }
  }
  const features = photos.length > 0 ? await fileFeatures(base.bytes, base.name) : undefined
  return { jobs: 1, features: async (path) => features!(readFile(path)), end: () => Promise.resolve() }
}

/** Teaches photos in their order. */
async function teachAll({ teach }: OpenLearner, photos: readonly Shown[], folder: string, looking: Looking) {
  const ahead = 3 * looking.jobs
  const started: Promise<Int8Array>[] = []
  for (const [i, { label, path }] of photos.entries()) {
    while (started.length < Math.min(photos.length, i + ahead)) {
      const next = looking.features(photos[started.length]!.path)
      // Whoever waits for it is told.
      next.catch(() => undefined)
      started.push(next)
    }
    try {
      teach(label, await started[i]!, relative(folder, path))
    } catch (error) {
      if (!(error instanceof ThimbleError)) throw error
      throw new ThimbleError(error.code, `${path}: ${error.message.slice(error.code.length + 2)}`)
    }
  }
}

async function run(args: Args): Promise<void> {
  const { folder, add, remove, output, format, seed, keep, forget } = asked(args)
  const folders = folder === undefined ? [] : classFolders(folder, add === undefined ? 2 : 1)
  const base = shared(add === undefined ? modelFor(text(args, 'base'), 'classification') : learnedBefore(add))
  const photos = folders.flatMap((f) => f.photos.map((path) => ({ label: f.label, path })))
  const open = await openLearner(readModel(base.bytes, base.name))
  const { learner } = open
  const looking = await lookingAt(photos, base, args)
  try {
    if (learner.assumed.startsWith('assumed')) note(`photos become the model's input by what is ${learner.assumed}`)
    const start = performance.now()
    remove.forEach((label) => learner.remove(label))
    if (folder !== undefined) await teachAll(open, photos, folder, looking)
    await looking.end()
    const featuresMs = performance.now() - start
    const report = await learner.train({ seed, unknown: keep })
    const model = learner.export(format === '.tflite' ? 'tflite' : 'thimble', { photos: !forget })
    const bytes = format === '.wasm' ? (await packGraph(readModel(model), { name: 'learned' })).wasm : model
    writeFiles([{ path: output, bytes }])
    const photoBytes = forget || format === '.wasm' ? 0 : learner.photoBytes
    const inferences = VIEWS * photos.length
    const facts = { file: output, bytes: bytes.length, photoBytes, base: base.name, seed, featuresMs, inferences }
    const keeps = photoBytes
      ? `, of which ${photoBytes} are the photos' features (--forget-photos leaves them out; --add needs them)`
      : ', without the photos'
    process.stdout.write(
      flag(args, 'json')
        ? `${JSON.stringify({ ...facts, ...report }, null, 2)}\n`
        : `${human(report, keep)}\n\n${output}: ${bytes.length} bytes${keeps}; on ${basename(base.name)}; ` +
            `${inferences} inferences in ${(featuresMs / 1000).toFixed(1)} s\n`,
    )
  } finally {
    await looking.end()
    learner.dispose()
  }
}

export const command: Command = {
  name: 'learn',
  summary: 'Makes a classifier of your own classes from a few photos of each: one folder a class.',
  usage:
    'learn [DIR] -o OUT.tflite|OUT.thimble|OUT.wasm [--base MODEL | --add LEARNED [--remove NAME]] [--unknown SHARE]',
  options: {
    output: {
      type: 'string',
      short: 'o',
      value: 'FILE',
      help: '.thimble, .tflite for LiteRT and others, or a packed .wasm',
    },
    base: {
      type: 'string',
      short: 'b',
      value: 'MODEL',
      help: 'an 8-bit classifier or embedding model, a file or a shipped name (default: the default classifier)',
    },
    add: {
      type: 'string',
      short: 'a',
      value: 'LEARNED',
      help: 'a file learned before: the photos of DIR are added to what it was taught, nothing old is run again',
    },
    remove: { type: 'string', multiple: true, value: 'NAME', help: 'a class of that file to forget' },
    unknown: {
      type: 'string',
      short: 'u',
      value: 'SHARE',
      help: 'share of things taught that must still be recognised; what is farther away is "unknown"; 0: never (default: 0.95)',
    },
    'forget-photos': {
      type: 'boolean',
      help: "leave the photos' features out of the file, which can't be taught more then",
    },
    seed: {
      type: 'string',
      value: 'N',
      help: 'deals the photos to folds; the same seed gives the same bytes (default: 1)',
    },
    jobs: {
      type: 'string',
      short: 'j',
      value: 'N',
      help: 'photos looked at side by side, each on a thread with its own model (default: the cores)',
      check: jobsAsked,
    },
    json: { type: 'boolean', help: 'print the report as JSON' },
  },
  notes:
    'DIR holds one folder a class, named for it, with 1 or more photos. The base model stays as it is up to its last\n' +
    'layer; a new one is trained on its features, quantized to int8 and joined. LiteRT gives the same bytes for the .tflite.\n' +
    'A folder "none" holds pictures of nothing that is taught: what looks like them is called "unknown".',
  run,
}
