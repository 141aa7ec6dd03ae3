/**
 * Photos to calibration photos: random crops, mirror images and changes of light, drawn from a seed. Only integer and
 * basic float arithmetic, so that a seed gives the same pixels on every machine.
 */
import type { PixelImage } from '../graph/types.ts'

/** mulberry32: uniform numbers in [0, 1). */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** RGB pixels, whatever the source's channels. */
function rgb(image: PixelImage): { data: Uint8Array; width: number; height: number } {
  const { width, height } = image
  const channels = image.channels ?? 4
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) data[3 * i + c] = image.data[i * channels + (channels === 1 ? 0 : c)]!
  }
  return { data, width, height }
}

export interface AugmentRanges {
  /** Least share of the shorter side that a crop keeps. */
  minCrop: number
  /** Largest relative change of brightness, contrast and saturation. */
  light: number
}

/** One variation of a photo. */
export function augment(
  image: PixelImage,
  next: () => number,
  { minCrop, light }: AugmentRanges = { minCrop: 0.5, light: 0.25 },
): PixelImage {
  const source = rgb(image)
  const keep = minCrop + (1 - minCrop) * next()
  const width = Math.max(1, Math.round(source.width * keep))
  const height = Math.max(1, Math.round(source.height * keep))
  const left = Math.floor(next() * (source.width - width + 1))
  const top = Math.floor(next() * (source.height - height + 1))
  const mirrored = next() < 0.5
  const factor = (): number => 1 + light * (2 * next() - 1)
  const [brightness, contrast, saturation] = [factor(), factor(), factor()]
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = ((top + y) * source.width + left + (mirrored ? width - 1 - x : x)) * 3
      const [r, g, b] = [source.data[from]!, source.data[from + 1]!, source.data[from + 2]!]
      const gray = 0.299 * r + 0.587 * g + 0.114 * b
      const to = (y * width + x) * 3
      const v = [r, g, b]
      for (let c = 0; c < 3; c++) {
        const saturated = gray + (v[c]! - gray) * saturation
        const lit = ((saturated - 128) * contrast + 128) * brightness
        data[to + c] = Math.max(0, Math.min(255, Math.round(lit)))
      }
    }
  }
  return { data, width, height, channels: 3 }
}

/** A photo as it is, or a variation of it. `photo`: which one. */
export interface Variation {
  pixels: PixelImage
  photo: number
  varied: boolean
}

/**
 * `count` inputs from photos: each photo as it is, then variations, going round the list. More photos than `count` are
 * thinned evenly. The same photos, count and generator state give the same pixels.
 */
export function variations(photos: readonly PixelImage[], count: number, next: () => number): Variation[] {
  const used = Math.min(photos.length, count)
  return Array.from({ length: used ? count : 0 }, (_, i) => {
    const photo = Math.floor(((i % used) * photos.length) / used)
    const varied = i >= used
    return { pixels: varied ? augment(photos[photo]!, next) : photos[photo]!, photo, varied }
  })
}

/** At most `count` of a list, evenly spread. */
export const thinned = <T>(all: readonly T[], count: number): T[] =>
  all.length <= count ? [...all] : Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!)
