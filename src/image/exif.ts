/**
 * EXIF orientation: reading the tag and turning the pixels.
 * Source: Exif 2.32, 4.6.4 A (tag 0x0112) and TIFF 6.0, section 2.
 */
import type { PixelImage } from '../types.ts'

/**
 * 1 = upright (also when the tag is absent or out of range); 2 to 8 as in the standard. `tiff` starts at the byte-order
 * mark.
 */
export function readOrientation(tiff: Uint8Array): number {
  if (tiff.length < 14) return 1
  const little = tiff[0] === 0x49 && tiff[1] === 0x49
  if (!little && !(tiff[0] === 0x4d && tiff[1] === 0x4d)) return 1
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength)
  if (view.getUint16(2, little) !== 42) return 1
  const ifd = view.getUint32(4, little)
  if (ifd + 2 > tiff.length) return 1
  const entries = view.getUint16(ifd, little)
  for (let i = 0; i < entries; i++) {
    const at = ifd + 2 + i * 12
    if (at + 12 > tiff.length) return 1
    if (view.getUint16(at, little) !== 0x0112) continue
    // SHORT by the standard; some writers store LONG.
    const type = view.getUint16(at + 2, little)
    const value = type === 3 ? view.getUint16(at + 8, little) : type === 4 ? view.getUint32(at + 8, little) : 1
    return value >= 1 && value <= 8 ? value : 1
  }
  return 1
}

/** True when width and height change places. */
export const swapsAxes = (orientation: number): boolean => orientation >= 5

/** The upright image. Orientation 1 gives `image` itself. */
export function orient(image: PixelImage, orientation: number): PixelImage {
  if (orientation <= 1 || orientation > 8) return image
  const { data, width, height, channels = 3 } = image
  const swap = swapsAxes(orientation)
  const w = swap ? height : width
  const h = swap ? width : height
  // Source index of the output's (0, 0) and the steps to its right and lower neighbour, in pixels.
  const right = width - 1
  const bottom = (height - 1) * width
  const [start, dx, dy] = [
    [right, -1, width], // 2: mirrored left-right
    [right + bottom, -1, -width], // 3: turned by 180
    [bottom, 1, -width], // 4: mirrored top-bottom
    [0, width, 1], // 5: transposed
    [bottom, -width, 1], // 6: needs a quarter turn clockwise
    [right + bottom, -width, -1], // 7: transversed
    [right, width, -1], // 8: needs a quarter turn counter-clockwise
  ][orientation - 2] as [number, number, number]
  const out = new Uint8Array(w * h * channels)
  let o = 0
  for (let y = 0; y < h; y++) {
    let i = (start + y * dy) * channels
    for (let x = 0; x < w; x++, i += dx * channels) {
      for (let c = 0; c < channels; c++) out[o++] = data[i + c]!
    }
  }
  return { data: out, width: w, height: h, channels }
}
