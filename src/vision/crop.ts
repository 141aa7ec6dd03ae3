/** Cutting boxes out of photos. No dependencies. */
import { checkPixels } from '../image/preprocess.ts'
import type { PixelImage } from '../types.ts'
import type { Box } from './boxes.ts'

/** Whole pixels of the image that a box covers; undefined when it covers none. */
export function cropBox(box: Box, image: { width: number; height: number }): Box | undefined {
  const x = Math.max(0, Math.floor(box.x))
  const y = Math.max(0, Math.floor(box.y))
  const width = Math.floor(Math.min(box.x + box.width, image.width) - x)
  const height = Math.floor(Math.min(box.y + box.height, image.height) - y)
  return width >= 1 && height >= 1 ? { x, y, width, height } : undefined
}

/** The pixels within a box of whole numbers that lies inside the image. */
export function cropImage(image: PixelImage, { x, y, width, height }: Box): PixelImage {
  const channels = checkPixels(image)
  const data = new Uint8Array(width * height * channels)
  for (let row = 0; row < height; row++) {
    const from = ((y + row) * image.width + x) * channels
    data.set(image.data.subarray(from, from + width * channels), row * width * channels)
  }
  return { data, width, height, channels }
}
