/**
 * JPEG, baseline and progressive, 8 bits: gray, YCbCr, RGB, CMYK and YCCK with any sampling factors. The pixels equal
 * libjpeg-turbo's default decoding, and so Pillow's; a file can be decoded at 1/2, 1/4 or 1/8 of its size for less
 * time.
 */
import type { PixelImage } from '../../types.ts'
import { orient, swapsAxes } from '../exif.ts'
import { checkSize, corrupt, type DecodeOptions } from '../limits.ts'
import { toPixels } from './colour.ts'
import { type Frame, Markers } from './frame.ts'
import { decodeScans, planeBytes, scanBytes } from './scan.ts'

/** Samples across a block for the smallest scale (8, 4, 2, 1 eighths) that still gives at least the wanted size. */
function chooseSize(frame: Frame, wanted: DecodeOptions['atLeast'], swapped: boolean): number {
  if (!wanted) return 8
  const { width, height } =
    typeof wanted !== 'function'
      ? wanted
      : swapped
        ? wanted(frame.height, frame.width)
        : wanted(frame.width, frame.height)
  const [w, h] = swapped ? [height, width] : [width, height]
  return (
    [1, 2, 4].find((size) => Math.ceil((frame.width * size) / 8) >= w && Math.ceil((frame.height * size) / 8) >= h) ?? 8
  )
}

/** When scaling down, chroma keeps more of its samples, up to the size of luma. Source: libjpeg's jdmaster. */
const componentSizes = (frame: Frame, minSize: number): number[] =>
  frame.components.map(({ h, v }) => {
    let size = minSize
    while (size < 8 && (frame.maxH * minSize) % (h * size * 2) === 0 && (frame.maxV * minSize) % (v * size * 2) === 0) {
      size *= 2
    }
    return size
  })

/** Errors: `image/truncated`, `image/corrupt`, `image/too-large`, `image/unsupported-format`. */
export function decodeJpeg(bytes: Uint8Array, options: DecodeOptions = {}): PixelImage {
  const markers = new Markers(bytes)
  const frame = markers.toFrame()
  const minSize = chooseSize(frame, options.atLeast, swapsAxes(markers.orientation))
  const sizes = componentSizes(frame, minSize)
  const outputs = markers.orientation > 1 ? 2 : 1
  const pixels =
    Math.ceil((frame.width * minSize) / 8) *
    Math.ceil((frame.height * minSize) / 8) *
    (frame.components.length === 1 ? 1 : 3)
  checkSize(
    'JPEG',
    frame.width,
    frame.height,
    Math.max(scanBytes(frame, sizes), planeBytes(frame, sizes) + pixels * outputs),
    options,
  )
  // A block costs a bit at least (one per component and scan); far fewer bytes than that can't be this image.
  const blocks = frame.components.reduce((sum, c) => sum + c.blocksWide * c.blocksHigh, 0)
  if (!frame.progressive && bytes.length * 8 < blocks * 2) {
    throw corrupt('JPEG', `${bytes.length} bytes can't hold a ${frame.width}x${frame.height} image`)
  }
  const image = toPixels(markers, frame, decodeScans(markers, frame, sizes), minSize)
  return orient(image, markers.orientation)
}
