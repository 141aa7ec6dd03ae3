/** The photos that a call names, and going through them. */
import { relative } from 'node:path'
import { ThimbleError } from '../base/errors.ts'
import { badCall, flag } from './args.ts'
import type { Args, Command } from './command.ts'
import { imagesIn, isFolder, readFile, readStdin } from './files.ts'
import { weightsPath } from './shipped.ts'
import { progress } from './progress.ts'
import { printable } from '../base/markup.ts'
import { report } from './report.ts'

/** Paths as given, folders as the images in them, `-` for stdin; none given: the sample. Errors: `usage/…`. */
export function photosNamed(args: Args, command: Command, what: string, sample: string | undefined): string[] {
  if (args.positionals.length === 0) {
    if (!sample) throw badCall(command, `no ${what} given`)
    const path = weightsPath(sample)
    const near = relative('', path)
    return [near.startsWith('..') ? path : near]
  }
  const skipped: string[] = []
  const photos = args.positionals.flatMap((path) => {
    if (path === '-' || !isFolder(path)) return [path]
    const images = imagesIn(path, skipped)
    if (images.length === 0) {
      throw new ThimbleError('usage/file', `no images in ${path}`, {
        expected: 'files ending in .jpg, .png, .bmp or .ppm',
        ...(skipped.length ? { got: named(skipped) } : {}),
      })
    }
    return images
  })
  if (skipped.length) {
    process.stderr.write(
      `thimble: skipped ${skipped.length} ${skipped.length === 1 ? 'picture of a kind that is' : 'pictures of kinds that are'} not read: ${printable(named(skipped))}\n`,
    )
  }
  return photos
}

/** The first of many files, and how many more there are. */
function named(files: readonly string[]): string {
  const most = 8
  return files.slice(0, most).join(', ') + (files.length > most ? ` and ${files.length - most} more` : '')
}

/** What is said of one photo: in JSON, and to people, who see it called `name`. */
export interface PhotoText {
  json: object
  human(name: string): string
}

/** Indented, with a point's two numbers on one line. */
const jsonText = (value: unknown): string =>
  JSON.stringify(value, null, 2).replace(/\[\s+(-?[\d.]+),\s+(-?[\d.]+)\s+\]/g, '[$1, $2]')

/** How answers come about: one after the other, or several under way at a time. */
export interface Answering {
  /** Answers that may be under way, the one to be printed next included. Default 1. */
  ahead?: number
}

/** Bytes of a photo: a file's, or those on stdin. */
export const photoBytes = async (file: string): Promise<Uint8Array> => (file === '-' ? readStdin() : readFile(file))

/**
 * Prints an answer for each photo in their order, JSON after the last. One that can't be read gives a line on stderr
 * and exit code 1; the others are still answered.
 */
export async function answerEach(
  args: Args,
  photos: readonly string[],
  answer: (file: string, index: number) => Promise<PhotoText>,
  { ahead = 1 }: Answering = {},
): Promise<number> {
  const json = flag(args, 'json')
  const line = progress(photos.length)
  const answers: object[] = []
  const started: Promise<PhotoText | { error: unknown }>[] = []
  let code = 0
  let done = 0
  for (const [i, file] of photos.entries()) {
    while (started.length < Math.min(photos.length, i + ahead)) {
      const next = started.length
      started.push(answer(photos[next]!, next).catch((error: unknown) => ({ error })))
    }
    line.at(i, file)
    const name = file === '-' ? 'stdin' : file
    const said = await started[i]!
    // What was printed is not kept.
    delete started[i]
    if ('error' in said) {
      line.clear()
      code = Math.max(code, report(said.error, name))
    } else if (json) answers.push(said.json)
    else {
      line.clear()
      process.stdout.write(
        (done++ > 0 ? '\n' : '') + said.human(args.positionals.length === 0 ? `${file} (sample photo)` : name),
      )
    }
  }
  line.clear()
  if (json && answers.length > 0) process.stdout.write(`${jsonText(answers)}\n`)
  return code
}
