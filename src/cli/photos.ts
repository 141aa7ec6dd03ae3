/** What `detect`, `pose`, `segment` and `faces` share: photos in, one answer each, as text, JSON and pictures. */
import { existsSync, mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ThimbleError } from '../base/errors.ts'
import { decodeImage } from '../image/decode.ts'
import type { Model, PixelImage } from '../graph/types.ts'
import type { Box } from '../vision/boxes.ts'
import { type DetectorOptions } from '../vision/detector.ts'
import { cropBox, cropImage } from '../vision/crop.ts'
import { headKinds, headOf } from '../vision/recognise.ts'
import { choice, share, text, whole } from './args.ts'
import type { Args, Command, OptionSpec } from './command.ts'
import { fileError, isFolder, labelFile, writeFiles } from './files.ts'
import { load, loadOptions, RUN_OPTIONS } from './models.ts'
import { modelFor, type ModelFile } from './shipped.ts'
import { answerEach, photoBytes, photosNamed } from './photo-list.ts'
import { changedPreprocess, maxPixels, MEGAPIXELS_OPTION, PREPROCESS_OPTIONS } from './preprocessing.ts'
import { printable } from '../base/markup.ts'
import { encodePng } from './tensor-picture.ts'
import { ms } from './text.ts'
import { familyPreprocess } from '../vision/network.ts'
import { rounded } from '../vision/printed.ts'

/** One photo's answer. */
export interface PhotoAnswer {
  /** What JSON says of it beside file, model, size and timings. */
  json: Record<string, unknown>
  /** What people are told, a line each. */
  lines: string[]
  timings: object
  /** The photo with what was found on it. */
  picture(): PixelImage
  /** What `--crop` cuts out. */
  crops?: readonly { box: Box; label: string }[]
  /** What `--mask` writes. */
  mask?(): Uint8Array
}

export const PHOTO_OPTIONS: Record<string, OptionSpec> = {
  out: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    help: 'write the photo with what was found drawn on it (.png); for several photos, a folder',
  },
  ...MEGAPIXELS_OPTION,
  json: { type: 'boolean', help: 'print JSON; boxes and points are in pixels of the photo' },
}

export const CROP_OPTION: Record<string, OptionSpec> = {
  crop: { type: 'string', value: 'DIR', help: 'write what was found as pictures of their own into this folder' },
}

/** Options of commands that read a network's head. */
export const HEAD_OPTIONS: Record<string, OptionSpec> = {
  labels: {
    type: 'string',
    short: 'l',
    value: 'FILE',
    help: 'class names: one per line, "index name" lines, or JSON',
  },
  threshold: {
    type: 'string',
    value: 'SCORE',
    help: "leave out what scores below this, 0 to 1 (default: the head's own)",
    check: headOptions,
  },
  iou: {
    type: 'string',
    value: 'IOU',
    help: "boxes of one class that overlap more than this are one (default: the head's own)",
    check: headOptions,
  },
  head: {
    type: 'string',
    value: 'KIND',
    help: 'what the outputs mean: yolo5, yolo8, ssd, fomo, movenet, … (default: recognised; docs/heads.md)',
    check: headOptions,
  },
  anchors: {
    type: 'string',
    value: 'W,H,…',
    help: 'anchors of a yolo-grid head in pixels of its input, finest grid first',
    check: anchorNumbers,
  },
  top: { type: 'string', short: 'n', value: 'N', help: 'most findings per photo (default: 100)', check: headOptions },
  ...PREPROCESS_OPTIONS,
  ...RUN_OPTIONS,
}

export const PHOTO_NOTES =
  'PHOTO is a .jpg, .png, .bmp, .ppm or .pgm file, a folder (its images and those below it), or - for stdin.\n' +
  "Without one, the model's sample photo is used."

const headKindOf = (args: Args): (typeof headKinds)[number] | undefined => choice(args, 'head', headKinds)

/** What is left out of the findings. Errors: `usage/option`. */
export function limits(args: Args): Pick<DetectorOptions, 'scoreThreshold' | 'maxDetections'> {
  return {
    ...share(args, 'threshold', 'scoreThreshold'),
    maxDetections: whole(args, 'top', 100, { min: 1, max: 10_000 }),
  }
}

/** What the call says of a head and of what it finds. Errors: `usage/option`. */
function headOptions(args: Args): Pick<DetectorOptions, 'head' | 'scoreThreshold' | 'iouThreshold' | 'maxDetections'> {
  const kind = headKindOf(args)
  return {
    ...(kind ? { head: kind } : {}),
    ...share(args, 'iou', 'iouThreshold'),
    ...limits(args),
  }
}

const badAnchors = (args: Args, expected: string): never => {
  throw new ThimbleError('usage/option', '--anchors is not usable', {
    expected,
    got: JSON.stringify(text(args, 'anchors')),
  })
}

/** `--anchors` as numbers. Errors: `usage/option`. */
function anchorNumbers(args: Args): number[] | undefined {
  const numbers = text(args, 'anchors')?.split(',').map(Number)
  if (numbers && (numbers.length % 2 !== 0 || !numbers.every((n) => n > 0 && n < 1e5))) {
    return badAnchors(args, 'widths and heights in turn')
  }
  return numbers
}

/** Pairs of them for each of a head's grids. Errors: `usage/option`. */
function anchorsFor(args: Args, grids: number, numbers: readonly number[]): [number, number][][] {
  const each = numbers.length / 2 / grids
  if (!Number.isInteger(each)) badAnchors(args, `widths and heights in turn, as many for each of ${grids} grids`)
  const pairs = Array.from({ length: numbers.length / 2 }, (_, i): [number, number] => [
    numbers[2 * i]!,
    numbers[2 * i + 1]!,
  ])
  return Array.from({ length: grids }, (_, g) => pairs.slice(g * each, (g + 1) * each))
}

/** Loads a model and reads what the call says of its head. */
export async function openVision(args: Args, file: ModelFile): Promise<{ model: Model; options: DetectorOptions }> {
  const model = await load(file, loadOptions(args))
  const labels = labelFile(args)
  const changes = Object.keys(PREPROCESS_OPTIONS).some((name) => args.options[name] !== undefined)
  const input = model.inputs[0]!
  const options: DetectorOptions = {
    ...(labels ? { labels } : {}),
    ...headOptions(args),
  }
  const kind = headKindOf(args)
  const anchors = anchorNumbers(args)
  if (anchors !== undefined || changes) {
    const head = headOf(model, kind)
    if (changes) options.preprocess = changedPreprocess(args, familyPreprocess(input, model, head ?? {}), input)
    if (anchors !== undefined) {
      if (head?.kind !== 'yolo-grid') {
        throw new ThimbleError('usage/option', '--anchors is for yolo-grid heads', { got: head?.kind ?? 'no head' })
      }
      const each = anchorsFor(args, head.grids.length, anchors)
      options.head = {
        ...head,
        unit: 'pixels',
        grids: head.grids.map(({ output }, i) => ({ output, anchors: each[i]! })),
      }
    }
  }
  return { model, options }
}

/** `  face   98.0 %  106 x 121 at 170, 60  and more`. */
export function boxLine(
  { label, score, box }: { label: string; score: number; box?: Box },
  widest: number,
  more = '',
): string {
  const where = box
    ? `  ${Math.round(box.width)} x ${Math.round(box.height)} at ${Math.round(box.x)}, ${Math.round(box.y)}`
    : ''
  return `  ${printable(label).padEnd(widest)}  ${(score * 100).toFixed(1).padStart(5)} %${where}${more ? `  ${more}` : ''}`
}

const stemOf = (photo: string): string => (photo === '-' ? 'stdin' : basename(photo).replace(/\.\w+$/, ''))

/** Path for each photo of what an option wants written; undefined without it. Errors: `usage/output`. */
function outputs(args: Args, option: string, photos: readonly string[]): string[] | undefined {
  const out = text(args, option)
  if (out === undefined) return undefined
  if (photos.length === 1 && !isFolder(out)) {
    if (!/\.png$/i.test(out)) {
      throw new ThimbleError('usage/output', `the kind of file ${out} is meant to be is unknown`, {
        expected: 'a name ending in .png',
      })
    }
    return [out]
  }
  makeFolder(out, 'for several photos')
  const used = new Map<string, number>()
  return photos.map((photo) => {
    const stem = stemOf(photo)
    const n = (used.get(stem) ?? 0) + 1
    used.set(stem, n)
    return join(out, `${stem}${n > 1 ? `-${n}` : ''}.png`)
  })
}

/** Errors: `usage/output`. */
function makeFolder(path: string, why: string): void {
  if (existsSync(path) && !isFolder(path)) {
    throw new ThimbleError('usage/output', `${path} is a file`, { expected: `a folder, ${why}`, got: path })
  }
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    throw fileError(error, path, 'written')
  }
}

/** Writes what was found as pictures of their own. */
function writeCrops(folder: string, stem: string, image: PixelImage, { crops = [] }: PhotoAnswer): void {
  crops.forEach(({ box, label }, i) => {
    const whole = cropBox(box, image)
    if (!whole) return
    const name = `${stem}-${i + 1}-${label.replace(/[^\p{L}\p{N}]+/gu, '_')}.png`
    writeFiles([{ path: join(folder, name), bytes: encodePng(opaque(cropImage(image, whole))) }])
  })
}

/** Pixels without alpha. */
function opaque(image: PixelImage): PixelImage {
  if (image.channels !== 4) return image
  const data = new Uint8Array((image.data.length / 4) * 3)
  for (let i = 0, o = 0; i < image.data.length; i += 4) for (let c = 0; c < 3; c++) data[o++] = image.data[i + c]!
  return { ...image, data, channels: 3 }
}

function human(name: string, model: string, { lines }: PhotoAnswer, timings: Record<string, number>): string {
  const times = Object.entries(timings)
    .map(([key, value]) => `${key.replace(/Ms$/, '')} ${ms(value)} ms`)
    .join(', ')
  return `${printable(name)}\n${lines.join('\n')}\n  ${model}: ${times}\n`
}

/** Answers the photos of a call, see answerEach. */
export async function eachPhoto(
  args: Args,
  open: { command: Command; model: ModelFile },
  make: () => Promise<(image: PixelImage) => PhotoAnswer>,
): Promise<number> {
  const photos = photosNamed(args, open.command, 'PHOTO', open.model.shipped?.sample)
  const pictures = outputs(args, 'out', photos)
  const masks = outputs(args, 'mask', photos)
  const crops = text(args, 'crop')
  if (crops !== undefined) makeFolder(crops, 'for the crops')
  const decoding = { maxPixels: maxPixels(args) }
  const answer = await make()
  return answerEach(args, photos, async (file, i) => {
    const bytes = await photoBytes(file)
    const start = performance.now()
    const image = decodeImage(bytes, decoding)
    const decodeMs = performance.now() - start
    const got = answer(image)
    const timings = Object.fromEntries(
      Object.entries({ decodeMs, ...got.timings } as Record<string, number>).map(([k, v]) => [k, rounded(v, 3)]),
    )
    if (pictures) writeFiles([{ path: pictures[i]!, bytes: encodePng(got.picture()) }])
    if (masks && got.mask) writeFiles([{ path: masks[i]!, bytes: got.mask() }])
    if (crops !== undefined) writeCrops(crops, stemOf(file), image, got)
    return {
      json: { file, model: open.model.name, width: image.width, height: image.height, ...got.json, timings },
      human: (name) => human(name, open.model.name, got, timings),
    }
  })
}

/** A command that answers photos with what one network finds in them. */
export function visionCommand({
  name,
  task,
  open,
  modelHelp,
  more = {},
  notes,
  ...words
}: Pick<Command, 'name' | 'summary' | 'usage'> & {
  /** Whose shipped model is used where `--model` names none. */
  task: string
  open: (model: Model, options: DetectorOptions, args: Args) => Promise<(image: PixelImage) => PhotoAnswer>
  modelHelp: string
  /** Options of this command alone. */
  more?: Record<string, OptionSpec>
  notes?: string
}): Command {
  const command: Command = {
    name,
    ...words,
    options: {
      model: { type: 'string', short: 'm', value: 'MODEL', help: modelHelp },
      ...more,
      ...HEAD_OPTIONS,
      ...PHOTO_OPTIONS,
      ...CROP_OPTION,
    },
    notes: notes === undefined ? PHOTO_NOTES : `${PHOTO_NOTES}\n${notes}`,
    run: (args) => {
      const file = modelFor(text(args, 'model'), task)
      return eachPhoto(args, { command, model: file }, async () => {
        const { model, options } = await openVision(args, file)
        return open(model, options, args)
      })
    },
  }
  return command
}
