/** Smooth drawing on RGB pixels: rectangles, lines, discs, text. */
import type { PixelImage } from '../types.ts'
import { layout, ROWS } from './font.ts'

export type Colour = readonly [red: number, green: number, blue: number]

/** Distance of a point from a line between two points. */
function distance(x: number, y: number, x0: number, y0: number, x1: number, y1: number): number {
  const [dx, dy] = [x1 - x0, y1 - y0]
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
  private each(
    left: number,
    top: number,
    right: number,
    bottom: number,
    colour: Colour,
    cover: (x: number, y: number) => number,
  ): void {
    for (let y = Math.max(0, Math.floor(top)); y < Math.min(this.height, Math.ceil(bottom)); y++) {
      for (let x = Math.max(0, Math.floor(left)); x < Math.min(this.width, Math.ceil(right)); x++) {
        const c = Math.max(0, Math.min(1, cover(x + 0.5, y + 0.5)))
        if (c > 0) this.blend(x, y, colour, c)
      }
    }
  }

  fillRect(x: number, y: number, width: number, height: number, colour: Colour, opacity = 1): void {
    this.each(
      x,
      y,
      x + width,
      y + height,
      colour,
      (px, py) =>
        opacity * Math.min(1, px + 0.5 - x, x + width - px + 0.5) * Math.min(1, py + 0.5 - y, y + height - py + 0.5),
    )
  }

  /** An outline of the given thickness, centred on the rectangle's edge. */
  strokeRect(x: number, y: number, width: number, height: number, thickness: number, colour: Colour): void {
    const h = thickness / 2
    this.fillRect(x - h, y - h, width + thickness, thickness, colour)
    this.fillRect(x - h, y + height - h, width + thickness, thickness, colour)
    this.fillRect(x - h, y + h, thickness, height - thickness, colour)
    this.fillRect(x + width - h, y + h, thickness, height - thickness, colour)
  }

  line(x0: number, y0: number, x1: number, y1: number, thickness: number, colour: Colour, opacity = 1): void {
    const h = thickness / 2
    this.each(
      Math.min(x0, x1) - h - 1,
      Math.min(y0, y1) - h - 1,
      Math.max(x0, x1) + h + 1,
      Math.max(y0, y1) + h + 1,
      colour,
      (x, y) => opacity * Math.min(1, h + 0.5 - distance(x, y, x0, y0, x1, y1)),
    )
  }

  disc(x: number, y: number, radius: number, colour: Colour): void {
    this.line(x, y, x, y, 2 * radius, colour)
  }

  /** Text with its upper left corner at (x, y); `scale` is the size of a font cell in pixels. */
  text(text: string, x: number, y: number, scale: number, colour: Colour): void {
    const h = 0.55 * scale
    for (const { glyph, x: at } of layout(text).glyphs) {
      const left = x + at * scale
      const strokes = glyph.strokes.map((s) => s.map((v, i) => (i % 2 ? y : left) + (v + 0.5) * scale))
      this.each(left - 1, y - 1, left + glyph.width * scale + 1, y + ROWS * scale + 1, colour, (px, py) => {
        let near = Infinity
        for (const [x0, y0, x1, y1] of strokes) near = Math.min(near, distance(px, py, x0!, y0!, x1!, y1!))
        return h + 0.5 - near
      })
    }
  }
}
