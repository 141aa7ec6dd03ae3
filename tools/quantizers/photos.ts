/** Folders of photos, or of one folder of them a class. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { imagesIn } from '../../src/cli/files.ts'
import { decodeImage } from '../../src/image/decode.ts'
import type { PixelImage } from '../../src/graph/types.ts'

export interface Labelled {
  name: string
  pixels: PixelImage
  /** Place of the photo's folder among the folders' names; undefined where the folder does not say. */
  truth?: number
}

/** `count` of a longer list, evenly spread. */
const thinned = <T>(all: readonly T[], count: number): T[] =>
  Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!)

/** Photos of a folder, at most `limit` of them, evenly spread. */
export function photosIn(folder: string, limit = Infinity): Labelled[] {
  const classes = readdirSync(folder, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name)
    .sort()
  const files = classes.length
    ? classes.flatMap((name, truth) => imagesIn(join(folder, name)).map((file) => ({ file, truth })))
    : imagesIn(folder).map((file) => ({ file }))
  const used = limit < files.length ? thinned(files, limit) : files
  return used.map(({ file, ...rest }) => ({ name: file, pixels: decodeImage(readFileSync(file)), ...rest }))
}
