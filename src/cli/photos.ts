/** What `detect` and `faces` share: photos in, one answer each, as text or JSON, and annotated pictures. */
import { existsSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Detection } from '../vision/detector.ts'
import type { Box } from '../vision/boxes.ts'
import type { Face } from '../vision/faces.ts'
import { ThimbleError } from '../errors.ts'
import { decodeImage } from '../image/decode.ts'
import type { PixelImage } from '../types.ts'
import { number, text } from './args.ts'
import type { Args, Command, OptionSpec } from './command.ts'
import { isFolder, writeFiles } from './files.ts'
import type { ModelFile } from './models.ts'
import { answerEach, photoBytes, photosNamed } from './photo-list.ts'
import { printable } from './report.ts'
import { encodePng } from './tensor-picture.ts'
import { ms } from './text.ts'

/** One photo's answer. */
export interface PhotoAnswer {
  found: (Detection | Face)[]
  timings: Record<string, number>
}

export const PHOTO_OPTIONS: Record<string, OptionSpec> = {
  out: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    help: 'write the photo with what was found drawn on it (.png); for several photos, a folder',
  },
  'max-megapixels': { type: 'string', value: 'N', help: 'largest image decoded (default: 50)' },
  json: { type: 'boolean', help: 'print JSON; boxes and points are in pixels of the photo' },
}

export const PHOTO_NOTES =
  'PHOTO is a .jpg, .png, .bmp, .ppm or .pgm file, a folder (its images and those below it), or - for stdin.\n' +
  "Without one, the model's sample photo is used."

/** Rounds for printing: coordinates to a tenth of a pixel, scores to four digits. */
const rounded = (n: number, digits: number): number => Number(n.toFixed(digits))
const boxOf = (b: Box): Box => ({
  x: rounded(b.x, 1),
  y: rounded(b.y, 1),
  width: rounded(b.width, 1),
  height: rounded(b.height, 1),
})

/** A detection or face as JSON prints it. */
export function printed(d: Detection | Face): Record<string, unknown> {
  const f = d as Face
  const scored = (a: { label: string; score: number }): object => ({ label: a.label, score: rounded(a.score, 4) })
  return {
    box: boxOf(d.box),
    score: rounded(d.score, 4),
    label: d.label,
    index: d.index,
    ...(f.points ? { points: f.points.map(([x, y]) => [rounded(x, 1), rounded(y, 1)]) } : {}),
    ...(f.age === undefined ? {} : { age: rounded(f.age, 1) }),
    ...(f.gender ? { gender: scored(f.gender) } : {}),
    ...(f.expression ? { expression: scored(f.expression) } : {}),
  }
}

/** Path of the annotated picture of each photo; undefined without --out. Errors: `usage/output`. */
function outputs(args: Args, photos: readonly string[]): string[] | undefined {
  const out = text(args, 'out')
  if (out === undefined) return undefined
  if (photos.length === 1 && !isFolder(out)) {
    if (!/\.png$/i.test(out)) {
      throw new ThimbleError('usage/output', `the kind of file ${out} is meant to be is unknown`, {
        expected: 'a name ending in .png',
      })
    }
    return [out]
  }
  if (existsSync(out) && !isFolder(out)) {
    throw new ThimbleError('usage/output', `${out} is a file`, { expected: 'a folder, for several photos', got: out })
  }
  mkdirSync(out, { recursive: true })
  const used = new Map<string, number>()
  return photos.map((photo) => {
    const stem = photo === '-' ? 'stdin' : basename(photo).replace(/\.\w+$/, '')
    const n = (used.get(stem) ?? 0) + 1
    used.set(stem, n)
    return join(out, `${stem}${n > 1 ? `-${n}` : ''}.png`)
  })
}

/** Lines of a detection for people: `  face  98 %  at 170, 60, 106 x 121   female 30, happy`. */
function humanLine(d: Detection | Face, widest: number): string {
  const f = d as Face
  const { x, y, width, height } = d.box
  const about = [
    f.gender ? `${f.gender.label} ${Math.round(f.gender.score * 100)} %` : '',
    f.age === undefined ? '' : `age ${Math.round(f.age)}`,
    f.expression ? `${f.expression.label} ${Math.round(f.expression.score * 100)} %` : '',
  ]
    .filter(Boolean)
    .join(', ')
  return `  ${printable(d.label).padEnd(widest)}  ${(d.score * 100).toFixed(1).padStart(5)} %  ${Math.round(width)} x ${Math.round(height)} at ${Math.round(x)}, ${Math.round(y)}${about ? `  ${about}` : ''}`
}

function human(name: string, nothing: string, model: string, { found, timings }: PhotoAnswer): string {
  const widest = Math.max(0, ...found.map((d) => printable(d.label).length))
  const lines = found.length ? found.map((d) => humanLine(d, widest)) : [`  ${nothing}`]
  const times = Object.entries(timings)
    .map(([key, value]) => `${key.replace(/Ms$/, '')} ${ms(value)} ms`)
    .join(', ')
  return `${printable(name)}\n${lines.join('\n')}\n  ${model}: ${times}\n`
}

export interface PhotoCommand {
  command: Command
  model: ModelFile
  /** Key of the list of findings in the JSON. */
  key: 'detections' | 'faces'
  /** Printed when a photo has none. */
  nothing: string
  answer(image: PixelImage): PhotoAnswer
  annotate(image: PixelImage, found: readonly (Detection | Face)[]): PixelImage
}

/** Answers the photos of a call, see answerEach. */
export async function eachPhoto(
  args: Args,
  open: { command: Command; model: ModelFile },
  make: () => Promise<Omit<PhotoCommand, 'command' | 'model'>>,
): Promise<number> {
  const maxPixels = number(args, 'max-megapixels', 50, 0.001, 1000) * 1e6
  const photos = photosNamed(args, open.command, 'PHOTO', open.model.shipped?.sample)
  const pictures = outputs(args, photos)
  const { key, nothing, answer, annotate } = await make()
  return answerEach(args, photos, async (file, i) => {
    const bytes = await photoBytes(file)
    const start = performance.now()
    const image = decodeImage(bytes, { maxPixels })
    const decodeMs = performance.now() - start
    const got = answer(image)
    const timings = Object.fromEntries(Object.entries({ decodeMs, ...got.timings }).map(([k, v]) => [k, rounded(v, 3)]))
    if (pictures) writeFiles([{ path: pictures[i]!, bytes: encodePng(annotate(image, got.found)) }])
    return {
      json: {
        file,
        model: open.model.name,
        width: image.width,
        height: image.height,
        [key]: got.found.map(printed),
        timings,
      },
      human: (name) => human(name, nothing, open.model.name, { ...got, timings }),
    }
  })
}
