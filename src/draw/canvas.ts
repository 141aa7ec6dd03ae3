/** Smooth drawing on RGB pixels: rectangles, lines, discs, text. */
import type { PixelImage } from '../graph/types.ts'
import { layout, ROWS } from './font.ts'

export type Colour = readonly [red: number, green: number, blue: number]

export interface Point {
  x: number
  y: number
}
export interface Segment {
  from: Point
  to: Point
}
export interface Rect extends Point {
  width: number
  height: number
}
/** `width` in pixels; `opacity` from 0 to 1, 1 where it is left out. */
export interface Pen {
  width: number
  colour: Colour
  opacity?: number
}

/** Distance of a point from a line between two points. */
function distance(x: number, y: number, { from: { x: x0, y: y0 }, to }: Segment): number {
  const [dx, dy] = [to.x - x0, to.y - y0]
  const length = dx * dx + dy * dy
  const t = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / length))
  return Math.hypot(x - x0 - t * dx, y - y0 - t * dy)
}

export class Canvas {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels = 3

  /** A copy of the picture, in colour. */
  constructor(image: PixelImage) {
    const { width, height } = image
    const channels = image.channels ?? 4
    this.width = width
    this.height = height
    this.data = new Uint8Array(width * height * 3)
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) this.data[3 * i + c] = image.data[i * channels + (channels === 1 ? 0 : c)]!
    }
  }

  /** Mixes a colour into a pixel; `cover` is its share. */
  private blend(x: number, y: number, colour: Colour, cover: number): void {
    const i = (y * this.width + x) * 3
    for (let c = 0; c < 3; c++) {
      this.data[i + c] = Math.round(this.data[i + c]! + (colour[c]! - this.data[i + c]!) * cover)
    }
  }

  /**
   * Calls `cover` for the pixels of a region (widened to whole pixels, cut at the borders); pixel centres lie at .5.
   */
  private each({ from, to }: Segment, colour: Colour, cover: (x: number, y: number) => number): void {
    for (let y = Math.max(0, Math.floor(from.y)); y < Math.min(this.height, Math.ceil(to.y)); y++) {
      for (let x = Math.max(0, Math.floor(from.x)); x < Math.min(this.width, Math.ceil(to.x)); x++) {
        const c = Math.max(0, Math.min(1, cover(x + 0.5, y + 0.5)))
        if (c > 0) this.blend(x, y, colour, c)
      }
    }
  }

  fillRect({ x, y, width, height }: Rect, colour: Colour, opacity = 1): void {
    const [right, bottom] = [x + width, y + height]
    this.each(
      { from: { x, y }, to: { x: right, y: bottom } },
      colour,
      (px, py) => opacity * Math.min(1, px + 0.5 - x, right - px + 0.5) * Math.min(1, py + 0.5 - y, bottom - py + 0.5),
    )
  }

  /** An outline, centred on the rectangle's edge. */
  strokeRect({ x, y, width, height }: Rect, { width: thickness, colour, opacity }: Pen): void {
    const h = thickness / 2
    const across = { x: x - h, width: width + thickness, height: thickness }
    const down = { y: y + h, width: thickness, height: height - thickness }
    this.fillRect({ ...across, y: y - h }, colour, opacity)
    this.fillRect({ ...across, y: y + height - h }, colour, opacity)
    this.fillRect({ ...down, x: x - h }, colour, opacity)
    this.fillRect({ ...down, x: x + width - h }, colour, opacity)
  }

  line(segment: Segment, { width, colour, opacity = 1 }: Pen): void {
    const { from: a, to: b } = segment
    const h = width / 2
    const region = {
      from: { x: Math.min(a.x, b.x) - h - 1, y: Math.min(a.y, b.y) - h - 1 },
      to: { x: Math.max(a.x, b.x) + h + 1, y: Math.max(a.y, b.y) + h + 1 },
    }
    this.each(region, colour, (x, y) => opacity * Math.min(1, h + 0.5 - distance(x, y, segment)))
  }

  disc(centre: Point, radius: number, colour: Colour): void {
    this.line({ from: centre, to: centre }, { width: 2 * radius, colour })
  }

  /** Text whose upper left corner is `at`; `scale` is the size of a font cell in pixels. */
  text(text: string, at: Point, scale: number, colour: Colour): void {
    const h = 0.55 * scale
    for (const { glyph, x } of layout(text).glyphs) {
      const left = at.x + x * scale
      const point = (cellX: number, cellY: number): Point => ({
        x: left + (cellX + 0.5) * scale,
        y: at.y + (cellY + 0.5) * scale,
      })
      const strokes = glyph.strokes.map(([x0, y0, x1, y1]) => ({ from: point(x0, y0), to: point(x1, y1) }))
      const region = {
        from: { x: left - 1, y: at.y - 1 },
        to: { x: left + glyph.width * scale + 1, y: at.y + ROWS * scale + 1 },
      }
      this.each(region, colour, (px, py) => {
        let near = Infinity
        for (const stroke of strokes) near = Math.min(near, distance(px, py, stroke))
        return h + 0.5 - near
      })
    }
  }
}
