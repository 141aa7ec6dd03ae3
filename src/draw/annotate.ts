/** What was found, drawn onto its photo. */
import type { Box } from '../vision/boxes.ts'
import type { Detection } from '../vision/detector.ts'
import type { Face } from '../vision/faces.ts'
import type { Pose } from '../vision/pose.ts'
import type { Segmentation } from '../vision/segmenter.ts'
import type { PixelImage } from '../graph/types.ts'
import { Canvas, type Colour, type Pen } from './canvas.ts'
import { layout, ROWS } from './font.ts'
import { detectionMarks, type Mark, poseMarks } from './marks.ts'
import { luminance, paletteColour, rampColour } from './palette.ts'

export { captions } from './marks.ts'

const DARK: Colour = [16, 16, 16]
const LIGHT: Colour = [255, 255, 255]
const POINT: Colour = [255, 230, 80]

/** Sizes in pixels, from the photo's. */
interface Style {
  line: number
  /** What a line is wider by where a dark one lies under it. */
  rim: number
  cell: number
}
const styleOf = ({ width, height }: { width: number; height: number }): Style => {
  const size = Math.max(width, height)
  const line = Math.max(2, size / 256)
  return { line, rim: Math.max(2, line / 2), cell: Math.max(1.6, size / 420) }
}

/** Text needs this many pixels: smaller photos are enlarged by a whole factor. */
const LEGIBLE = 240

/** How much a photo is enlarged before it is drawn on. */
export const enlargement = ({ width, height }: { width: number; height: number }): number =>
  Math.ceil(LEGIBLE / Math.max(width, height))

function enlarged(image: PixelImage, factor: number): PixelImage {
  if (factor === 1) return image
  const channels = image.channels ?? 4
  const [width, height] = [image.width * factor, image.height * factor]
  const data = new Uint8Array(width * height * channels)
  for (let y = 0, o = 0; y < height; y++) {
    const row = Math.floor(y / factor) * image.width
    for (let x = 0; x < width; x++) {
      const from = (row + Math.floor(x / factor)) * channels
      for (let c = 0; c < channels; c++) data[o++] = image.data[from + c]!
    }
  }
  return { data, width, height, channels }
}

const scaledBox = (b: Box, f: number): Box => ({ x: b.x * f, y: b.y * f, width: b.width * f, height: b.height * f })
const scaled = (mark: Mark, f: number): Mark => ({
  ...mark,
  ...(mark.box && { box: scaledBox(mark.box, f) }),
  ...(mark.outline && { outline: mark.outline.map(([x, y]) => [x * f, y * f] as const) }),
  ...(mark.points && { points: mark.points.map((p) => ({ ...p, x: p.x * f, y: p.y * f })) }),
})

const overlap = (a: Box, b: Box): number =>
  Math.max(0, Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)) *
  Math.max(0, Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y))

/** Longest beginning of a text that is no wider than `cells`, with dots for the rest. */
function fitText(text: string, cells: number): string {
  if (layout(text).width <= cells) return text
  for (let n = text.length - 1; n > 0; n--) {
    const cut = `${text.slice(0, n).trimEnd()}...`
    if (layout(cut).width <= cells) return cut
  }
  return ''
}

/** A label to be placed: its size, the box that it names, and half the width of that box's line. */
interface Label {
  size: { width: number; height: number }
  box: Box
  edge: number
}

/** Where a label covers least of what is drawn already: above its box, below it, or within; always inside the photo. */
function place({ size, box, edge }: Label, canvas: Canvas, taken: readonly Box[]): Box {
  const x = Math.max(0, Math.min(box.x - edge, canvas.width - size.width))
  const spots = [
    box.y - edge - size.height,
    box.y + box.height + edge,
    box.y + edge,
    box.y + box.height - edge - size.height,
  ]
  const options = spots.map((y, i) => {
    const inside = Math.max(0, Math.min(y, canvas.height - size.height))
    const at = { x, y: inside, ...size }
    const moved = Math.abs(inside - y) * size.width
    return { at, cost: taken.reduce((sum, t) => sum + overlap(at, t), 0) + moved + i }
  })
  return options.reduce((a, b) => (b.cost < a.cost ? b : a)).at
}

/** Points and what joins them; as large as what they are on. */
function drawPoints(canvas: Canvas, { points = [], bones = [], box }: Mark, colour: Colour, few: boolean): void {
  const size = box ? Math.max(box.width, box.height) : Math.max(canvas.width, canvas.height) / 2
  const least = few ? styleOf(canvas).line : 0
  // Of many points each may cover a small share of the room that it has.
  const room = few ? Infinity : size / Math.sqrt(points.length) / 5
  const radius = Math.max(0.5, Math.min(Math.max(0.9, least, size / 130), room))
  const rim = Math.max(Math.min(0.7, radius / 2), radius / 5)
  for (const [a, b] of bones) {
    const [from, to] = [points[a], points[b]]
    if (!from || !to) continue
    if (few) canvas.line({ from, to }, { width: radius + styleOf(canvas).rim, colour: DARK, opacity: 0.8 })
    canvas.line({ from, to }, { width: radius, colour: few ? colour : LIGHT, opacity: few ? 1 : 0.45 })
  }
  for (const point of points) {
    if (point.faint) continue
    canvas.disc(point, radius + rim, DARK)
    canvas.disc(point, radius, POINT)
  }
}

/** A closed line through corners. */
const strokeOutline = (canvas: Canvas, corners: NonNullable<Mark['outline']>, pen: Pen): void =>
  corners.forEach(([x, y], i) => {
    const [toX, toY] = corners[(i + 1) % corners.length]!
    canvas.line({ from: { x, y }, to: { x: toX, y: toY } }, pen)
  })

/** A skeleton, as against the many points of a face. */
const FEW = 40

function drawMarks(canvas: Canvas, marks: readonly Mark[]): void {
  const { line, rim, cell } = styleOf(canvas)
  const colours = new Map<string, Colour>()
  for (const { key } of marks) if (!colours.has(key)) colours.set(key, paletteColour(colours.size))
  for (const { box, outline, key } of [...marks].reverse()) {
    if (!box) continue
    const stroke = (pen: Pen): void => (outline ? strokeOutline(canvas, outline, pen) : canvas.strokeRect(box, pen))
    stroke({ width: line + rim, colour: DARK })
    stroke({ width: line, colour: colours.get(key)! })
  }
  for (const mark of [...marks].reverse()) {
    if (mark.points) drawPoints(canvas, mark, colours.get(mark.key)!, mark.points.length < FEW)
  }
  const boxes = marks.flatMap(({ box }) => (box ? [box] : []))
  const taken: Box[] = []
  const labels = marks.flatMap(({ captions, box, key }) => {
    if (!box || captions.length === 0) return []
    const pad = 2 * cell
    const texts = captions.map((t) => fitText(t, (canvas.width - 2 * pad) / cell))
    const size = {
      width: Math.max(...texts.map((t) => layout(t).width)) * cell + 2 * pad,
      height: texts.length * (ROWS + 1.5) * cell + 2 * pad - 1.5 * cell,
    }
    const at = place({ size, box, edge: line / 2 }, canvas, [...taken, ...taken, ...boxes])
    taken.push(at)
    return [{ colour: colours.get(key)!, texts, at, pad }]
  })
  for (const { colour, texts, at, pad } of labels.reverse()) {
    canvas.fillRect(at, colour, 0.92)
    texts.forEach((t, i) => {
      const corner = { x: at.x + pad, y: at.y + pad + i * (ROWS + 1.5) * cell }
      canvas.text(t, corner, cell, luminance(colour) > 140 ? DARK : LIGHT)
    })
  }
}

const picture = (canvas: Canvas): PixelImage => ({
  data: canvas.data,
  width: canvas.width,
  height: canvas.height,
  channels: 3,
})

function marked(image: PixelImage, marks: readonly Mark[]): PixelImage {
  const factor = enlargement(image)
  const canvas = new Canvas(enlarged(image, factor))
  drawMarks(
    canvas,
    marks.map((m) => scaled(m, factor)),
  )
  return picture(canvas)
}

/**
 * A copy of the photo with boxes, points and labels; small photos are enlarged, so that labels can be read. The best
 * detection is drawn last, on top.
 */
export const annotate = (image: PixelImage, found: readonly (Detection | Face)[]): PixelImage =>
  marked(image, detectionMarks(found))

/** A copy of the photo with skeletons. */
export const annotatePoses = (image: PixelImage, poses: readonly Pose[]): PixelImage => marked(image, poseMarks(poses))

/** How much of a class' colour is in the pixels it covers. */
const TINT = 0.5

/** The colour of each value of a mask; undefined where nothing is painted. */
export function maskColours(
  { mask, offset }: Segmentation,
  background: boolean,
): (value: number) => Colour | undefined {
  const blank = offset || background
  const used = new Map<number, Colour>()
  const values = [...new Set(mask)].sort((a, b) => a - b).filter((v) => !(blank && v === 0))
  values.forEach((v, i) => used.set(v, paletteColour(i)))
  return (v) => used.get(v)
}

/** Edge of a class: a pixel whose right or lower neighbour is of another. */
function isEdge(mask: Uint16Array, i: number, width: number): boolean {
  const own = mask[i]!
  return ((i + 1) % width !== 0 && mask[i + 1] !== own) || (mask[i + width] ?? own) !== own
}

/** A copy of the photo with the classes blended over it, their edges drawn, and a legend of what is there. */
export function annotateSegmentation(image: PixelImage, found: Segmentation, background: boolean): PixelImage {
  if (found.map) return mapPicture(found, found.map)
  if (found.picture) return found.picture
  const colour = maskColours(found, background)
  const canvas = new Canvas(image)
  const { data } = canvas
  for (let i = 0; i < found.mask.length; i++) {
    const tint = colour(found.mask[i]!)
    const edge = isEdge(found.mask, i, found.width)
    if (!tint && !edge) continue
    const [over, part] = edge ? [tint ? LIGHT : DARK, 0.7] : [tint!, TINT]
    for (let c = 0; c < 3; c++) data[3 * i + c] = Math.round(data[3 * i + c]! * (1 - part) + over[c]! * part)
  }
  const factor = enlargement(image)
  const drawn = new Canvas(enlarged(picture(canvas), factor))
  if (found.instances) {
    drawMarks(
      drawn,
      detectionMarks(found.instances).map((m) => scaled(m, factor)),
    )
  } else legend(drawn, found, colour)
  return picture(drawn)
}

/** Names of the largest classes with their colours, in the lower left corner. */
function legend(canvas: Canvas, found: Segmentation, colour: (value: number) => Colour | undefined): void {
  const { cell } = styleOf(canvas)
  const pad = 2 * cell
  const row = (ROWS + 3) * cell
  const entries = found.classes
    .flatMap(({ label, index, share }) => {
      const c = colour(found.offset ? index + 1 : index)
      return c ? [{ text: `${label} ${share < 0.01 ? '<1' : Math.round(share * 100)}%`, c }] : []
    })
    .slice(0, Math.max(1, Math.floor((canvas.height - 2 * pad) / row)))
    .slice(0, 12)
  entries.forEach(({ text, c }, i) => {
    const fitted = fitText(text, (canvas.width - 4 * pad) / cell)
    const y = canvas.height - (entries.length - i) * row - pad
    canvas.fillRect({ x: pad, y, width: layout(fitted).width * cell + 2 * pad, height: row }, c, 0.92)
    canvas.text(fitted, { x: 2 * pad, y: y + 1.5 * cell }, cell, luminance(c) > 140 ? DARK : LIGHT)
  })
}

/** A map as a picture: dark is low, bright is high; gray is what the network did not see. */
export function mapPicture(
  size: { width: number; height: number },
  { data, min, max }: NonNullable<Segmentation['map']>,
): PixelImage {
  const out = new Uint8Array(size.width * size.height * 3)
  const ramp = Array.from({ length: 256 }, (_, i) => rampColour(i / 255))
  const scale = max > min ? 255 / (max - min) : 0
  for (let i = 0; i < data.length; i++) {
    const v = data[i]!
    const colour: Colour = Number.isNaN(v) ? [128, 128, 128] : ramp[Math.round((v - min) * scale)]!
    for (let c = 0; c < 3; c++) out[3 * i + c] = colour[c]!
  }
  return { data: out, width: size.width, height: size.height, channels: 3 }
}
