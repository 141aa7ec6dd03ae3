/** `thimble learn`: a classifier of one's own classes from a folder of photos each. */
import { readdirSync, statSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { ThimbleError } from '../errors.ts'
import { readModel } from '../formats/index.ts'
import { decodeImage } from '../image/decode.ts'
import { createLearner, type LearnReport } from '../learn/learner.ts'
import { badCall, flag, text, whole } from './args.ts'
import type { Args, Command } from './command.ts'
import { imagesIn, isFolder, readFile, writeFiles } from './files.ts'
import { modelFor } from './shipped.ts'
import { note, printable } from './report.ts'
import { table } from './text.ts'

/** Class folders by name with their photos. Errors: `usage/photos`. */
function classFolders(folder: string): { label: string; photos: string[] }[] {
  if (!isFolder(folder)) throw new ThimbleError('usage/photos', `${folder} is not a folder`)
  const folders = readdirSync(folder)
    .filter((name) => !name.startsWith('.') && statSync(join(folder, name)).isDirectory())
    .sort()
  const found = folders.map((label) => ({ label, photos: imagesIn(join(folder, label)) }))
  const empty = found.find((f) => f.photos.length === 0)
  if (empty) {
    throw new ThimbleError('usage/photos', `no images in ${join(folder, empty.label)}`, {
      expected: 'files ending in .jpg, .png, .bmp or .ppm',
    })
  }
  if (found.length < 2) {
    throw new ThimbleError('usage/photos', `too few class folders in ${folder}`, {
      expected: 'at least 2 folders, each named for its class',
      got: found.length,
    })
  }
  return found
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

function human(report: LearnReport): string {
  const { labels, photos, confusion, crossValidation: crossed } = report
  const total = photos.reduce((a, b) => a + b, 0)
  const lines = [`${labels.length} classes, ${total} photos, trained in ${report.trainMs.toFixed(0)} ms`]
  lines.push(`leave-one-out: ${percent(report.leaveOneOut)} right (each photo asked of all the others)`)
  if (crossed) lines.push(`cross-validation: ${percent(crossed.accuracy)} right in ${crossed.folds} folds`)
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

async function run(args: Args): Promise<void> {
  const [folder, ...more] = args.positionals
  if (folder === undefined || more.length) {
    throw badCall(command, folder === undefined ? 'no DIR given' : 'more than one DIR given')
  }
  const output = text(args, 'output')
  const format = /\.(tflite|thimble)$/i.exec(output ?? '')?.[1]?.toLowerCase() as 'tflite' | 'thimble' | undefined
  if (output === undefined || !format) {
    throw badCall(command, output === undefined ? 'no -o OUT given' : 'OUT must end in .tflite or .thimble')
  }
  const seed = whole(args, 'seed', 1, 0)
  const folders = classFolders(folder)
  const base = modelFor(text(args, 'base'), 'classification')
  const learner = await createLearner(readModel(base.bytes, base.name), { decode: decodeImage })
  if (learner.assumed.startsWith('assumed')) note(`photos become the model's input by what is ${learner.assumed}`)
  const start = performance.now()
  for (const { label, photos } of folders) {
    for (const path of photos) {
      try {
        await learner.add(label, readFile(path), relative(folder, path))
      } catch (error) {
        if (!(error instanceof ThimbleError)) throw error
        throw new ThimbleError(error.code, `${path}: ${error.message.slice(error.code.length + 2)}`)
      }
    }
  }
  const featuresMs = performance.now() - start
  const report = await learner.train({ seed })
  const bytes = learner.export(format)
  learner.dispose()
  writeFiles([{ path: output, bytes }])
  process.stdout.write(
    flag(args, 'json')
      ? `${JSON.stringify({ file: output, bytes: bytes.length, base: base.name, seed, featuresMs, ...report }, null, 2)}\n`
      : `${human(report)}\n\n${output}: ${bytes.length} bytes, on ${basename(base.name)}; photos read in ${(featuresMs / 1000).toFixed(1)} s\n`,
  )
}

export const command: Command = {
  name: 'learn',
  summary: 'Makes a classifier of your own classes from a few photos of each: one folder a class.',
  usage: 'learn DIR -o OUT.tflite|OUT.thimble [--base MODEL] [--seed N] [--json]',
  options: {
    output: { type: 'string', short: 'o', value: 'FILE', help: '.thimble, or .tflite for LiteRT and others' },
    base: {
      type: 'string',
      short: 'b',
      value: 'MODEL',
      help: 'an 8-bit classifier or embedding model, a file or a shipped name (default: the default classifier)',
    },
    seed: {
      type: 'string',
      value: 'N',
      help: 'deals the photos to folds; the same seed gives the same bytes (default: 1)',
    },
    json: { type: 'boolean', help: 'print the report as JSON' },
  },
  notes:
    'DIR holds one folder a class, named for it, with 1 or more photos. The base model stays as it is up to its last\n' +
    'layer; a new one is trained on its features, quantized to int8 and joined. LiteRT gives the same bytes for the .tflite.',
  run,
}
