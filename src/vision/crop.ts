/** Cutting boxes out of photos, and turning what was found into regions. No dependencies. */
import { checkPixels } from '../image/preprocess.ts'
import type { PixelImage } from '../graph/types.ts'
import type { Box } from './boxes.ts'
import type { Region } from './frame.ts'

interface Point {
  x: number
  y: number
}

const TURN = 2 * Math.PI

/** The box around points. */
export function boxOfPoints(points: readonly Point[]): Box {
  const [xs, ys] = [points.map((p) => p.x), points.map((p) => p.y)]
  const [x, y] = [Math.min(...xs), Math.min(...ys)]
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y }
}

/** The square around a circle, given by its middle and a point on it. */
export function circleBox(middle: Point, edge: Point): Box {
  const reach = Math.hypot(edge.x - middle.x, edge.y - middle.y)
  return { x: middle.x - reach, y: middle.y - reach, width: 2 * reach, height: 2 * reach }
}

/** How a box becomes a region. */
export interface RegionOptions {
  /** Added around the box, as a share of it. */
  margin?: number
  square?: 'long' | 'short'
  /** The line between two points shall point to so many degrees, clockwise from the right. */
  direction?: { from: Point; to: Point; towards: number }
  /** Shares of the box's size, in the region's own directions. */
  shiftX?: number
  shiftY?: number
}

/** The region around a box; undefined where the box has no area. */
export function regionOf(box: Box, options: RegionOptions = {}): Region | undefined {
  const { margin = 0, square, direction: d, shiftX = 0, shiftY = 0 } = options
  if (!(box.width > 0 && box.height > 0)) return undefined
  const turned = d ? Math.atan2(d.to.y - d.from.y, d.to.x - d.from.x) - (d.towards * Math.PI) / 180 : 0
  const angle = turned - TURN * Math.floor((turned + Math.PI) / TURN)
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
  const [dx, dy] = [box.width * shiftX, box.height * shiftY]
  const side = square && (square === 'long' ? Math.max : Math.min)(box.width, box.height)
  return {
    x: box.x + box.width / 2 + dx * cos - dy * sin,
    y: box.y + box.height / 2 + dx * sin + dy * cos,
    width: (side ?? box.width) * (1 + margin),
    height: (side ?? box.height) * (1 + margin),
    angle,
  }
}

/** Whole pixels of the image that a box covers; undefined when it covers none. */
export function cropBox(box: Box, image: { width: number; height: number }): Box | undefined {
  const x = Math.max(0, Math.floor(box.x))
  const y = Math.max(0, Math.floor(box.y))
  const width = Math.floor(Math.min(box.x + box.width, image.width) - x)
  const height = Math.floor(Math.min(box.y + box.height, image.height) - y)
  return width >= 1 && height >= 1 ? { x, y, width, height } : undefined
}

/** The pixels within a box of whole numbers that lies inside the image, in `out` where that is long enough. */
export function cropImage(image: PixelImage, { x, y, width, height }: Box, out?: Uint8Array): PixelImage {
  const channels = checkPixels(image)
  const bytes = width * height * channels
  const data = out && out.length >= bytes ? out.subarray(0, bytes) : new Uint8Array(bytes)
  for (let row = 0; row < height; row++) {
    const from = ((y + row) * image.width + x) * channels
    data.set(image.data.subarray(from, from + width * channels), row * width * channels)
  }
  return { data, width, height, channels }
}
