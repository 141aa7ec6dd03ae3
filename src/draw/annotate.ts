/** Detections and faces drawn onto their photo. */
import type { Box } from '../vision/boxes.ts'
import type { Detection } from '../vision/detector.ts'
import type { Face, Point } from '../vision/faces.ts'
import type { PixelImage } from '../types.ts'
import { Canvas, type Colour } from './canvas.ts'
import { layout, ROWS } from './font.ts'

/** Told apart also by those who see fewer colours (Okabe and Ito). */
const PALETTE: readonly Colour[] = [
  [0, 158, 115],
  [230, 159, 0],
  [86, 180, 233],
  [213, 94, 0],
  [204, 121, 167],
  [0, 114, 178],
  [240, 228, 66],
]
const DARK: Colour = [16, 16, 16]
const LIGHT: Colour = [255, 255, 255]

/** Lines of the 68 points: jaw, brows, nose, eyes and mouth; the last two are closed. */
const LINES: readonly (readonly [from: number, to: number, closed: boolean])[] = [
  [0, 16, false],
  [17, 21, false],
  [22, 26, false],
  [27, 30, false],
  [31, 35, false],
  [36, 41, true],
  [42, 47, true],
  [48, 59, true],
  [60, 67, true],
]

/** Sizes in pixels, from the photo's. */
interface Style {
  line: number
  cell: number
}
const styleOf = ({ width, height }: { width: number; height: number }): Style => {
  const size = Math.max(width, height)
  return { line: Math.max(2, size / 320), cell: Math.max(1.6, size / 420) }
}

const percent = (score: number): string => `${Math.round(score * 100)}%`

/** What is written at a box: a line each. */
export function captions(d: Detection | Face): string[] {
  const face = d as Face
  if (face.gender === undefined && face.age === undefined && face.expression === undefined) {
    return [`${d.label} ${percent(d.score)}`]
  }
  const who = [face.gender?.label, face.age === undefined ? undefined : `${Math.round(face.age)}`]
    .filter(Boolean)
    .join(', ')
  return [who, face.expression?.label ?? ''].filter((s) => s !== '')
}

const luminance = ([r, g, b]: Colour): number => 0.299 * r + 0.587 * g + 0.114 * b

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

/** Where a label covers least of what is drawn already: above its box, below it, or within; always inside the photo. */
function place(
  size: { width: number; height: number },
  box: Box,
  edge: number,
  canvas: Canvas,
  taken: readonly Box[],
): Box {
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

function drawPoints(canvas: Canvas, points: readonly Point[], face: Box): void {
  const size = Math.max(face.width, face.height)
  const radius = Math.max(0.9, size / 130)
  for (const [from, to, closed] of LINES) {
    for (let i = from; i < to + (closed ? 1 : 0); i++) {
      const [a, b] = [points[i]!, points[i === to ? from : i + 1]!]
      canvas.line(a[0], a[1], b[0], b[1], radius, LIGHT, 0.45)
    }
  }
  for (const [x, y] of points) {
    canvas.disc(x, y, radius + 0.7, DARK)
    canvas.disc(x, y, radius, [255, 230, 80])
  }
}

/** A copy of the photo with boxes, points and labels. The best detection is drawn last, on top. */
export function annotate(image: PixelImage, found: readonly (Detection | Face)[]): PixelImage {
  const canvas = new Canvas(image)
  const { line, cell } = styleOf(image)
  const colours = new Map<number, Colour>()
  for (const d of found) if (!colours.has(d.index)) colours.set(d.index, PALETTE[colours.size % PALETTE.length]!)
  for (const d of [...found].reverse()) {
    const { x, y, width, height } = d.box
    canvas.strokeRect(x, y, width, height, line + 2, DARK)
    canvas.strokeRect(x, y, width, height, line, colours.get(d.index)!)
  }
  for (const d of found) if ('points' in d && d.points) drawPoints(canvas, d.points, d.box)
  const taken: Box[] = []
  const labels = found.map((d) => {
    const pad = 2 * cell
    const texts = captions(d).map((t) => fitText(t, (canvas.width - 2 * pad) / cell))
    const size = {
      width: Math.max(...texts.map((t) => layout(t).width)) * cell + 2 * pad,
      height: texts.length * (ROWS + 1.5) * cell + 2 * pad - 1.5 * cell,
    }
    const at = place(size, d.box, line / 2, canvas, [...taken, ...taken, ...found.map((o) => o.box)])
    taken.push(at)
    return { d, texts, at, pad }
  })
  for (const { d, texts, at, pad } of labels.reverse()) {
    const colour = colours.get(d.index)!
    canvas.fillRect(at.x, at.y, at.width, at.height, colour, 0.92)
    texts.forEach((t, i) =>
      canvas.text(t, at.x + pad, at.y + pad + i * (ROWS + 1.5) * cell, cell, luminance(colour) > 140 ? DARK : LIGHT),
    )
  }
  return { data: canvas.data, width: canvas.width, height: canvas.height, channels: 3 }
}
