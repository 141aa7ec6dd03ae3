/** The photos that a call names, and going through them. */
import { relative } from 'node:path'
import { ThimbleError } from '../errors.ts'
import { badCall, flag } from './args.ts'
import type { Args, Command } from './command.ts'
import { imagesIn, isFolder, readFile, readStdin } from './files.ts'
import { weightsPath } from './models.ts'
import { progress } from './progress.ts'
import { printable, report } from './report.ts'

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

/**
 * Prints an answer for each photo, JSON after the last. One that can't be read gives a line on stderr and exit code 1;
 * the others are still answered.
 */
export async function answerEach(
  args: Args,
  photos: readonly string[],
  answer: (bytes: Uint8Array, file: string, index: number) => PhotoText,
): Promise<number> {
  const json = flag(args, 'json')
  const line = progress(photos.length)
  const answers: object[] = []
  let code = 0
  let done = 0
  for (const [i, file] of photos.entries()) {
    line.at(i, file)
    const name = file === '-' ? 'stdin' : file
    try {
      const said = answer(file === '-' ? await readStdin() : readFile(file), file, i)
      if (json) answers.push(said.json)
      else {
        line.clear()
        process.stdout.write(
          (done++ > 0 ? '\n' : '') + said.human(args.positionals.length === 0 ? `${file} (sample photo)` : name),
        )
      }
    } catch (error) {
      line.clear()
      code = Math.max(code, report(error, name))
    }
  }
  line.clear()
  if (json && answers.length > 0) process.stdout.write(`${jsonText(answers)}\n`)
  return code
}
