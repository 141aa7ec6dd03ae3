/** Which photos a call names. */
import { relative } from 'node:path'
import { ThimbleError } from '../errors.ts'
import { badCall } from './args.ts'
import type { Args, Command } from './command.ts'
import { imagesIn, isFolder } from './files.ts'
import { weightsPath } from './models.ts'

/** Paths as given, folders as the images in them, `-` for stdin; none given: the sample. Errors: `usage/…`. */
export function photosNamed(args: Args, command: Command, what: string, sample: string | undefined): string[] {
  if (args.positionals.length === 0) {
    if (!sample) throw badCall(command, `no ${what} given`)
    const path = weightsPath(sample)
    const near = relative('', path)
    return [near.startsWith('..') ? path : near]
  }
  return args.positionals.flatMap((path) => {
    if (path === '-' || !isFolder(path)) return [path]
    const images = imagesIn(path)
    if (images.length === 0) throw new ThimbleError('usage/file', `no images in ${path}`, { expected: 'files ending in .jpg, .png, .bmp or .ppm' })
    return images
  })
}
