/** Raw frames, one after the other without a header. */
import type { PixelFormat, RawFrame } from '../image/source.ts'
import { ByteQueue } from './byte-queue.ts'
import type { Demuxer, Found } from './demuxer.ts'

/** Names of ffmpeg, GStreamer and libcamera, and what they are here. */
export const RAW_FORMATS = {
  yuv420: 'yuv420',
  yuv420p: 'yuv420',
  nv12: 'nv12',
  nv21: 'nv21',
  yuv422p: 'yuv422',
  yuv444p: 'yuv444',
  yuyv422: 'yuyv',
  uyvy422: 'uyvy',
  rgb24: 'rgb',
  bgr24: 'bgr',
  rgba: 'rgba',
  bgra: 'bgra',
  gray: 'gray',
} as const
export type RawName = keyof typeof RAW_FORMATS

export interface RawLayout {
  width: number
  height: number
  format: PixelFormat
  /** YUV: luma from 0 to 255 instead of 16 to 235. */
  fullRange?: boolean
}

/** Bytes of a frame without gaps. */
export function frameBytes({ width, height, format }: RawLayout): number {
  const pixels = width * height
  const [halfWidth, halfHeight] = [(width + 1) >> 1, (height + 1) >> 1]
  switch (format) {
    case 'gray':
      return pixels
    case 'rgb':
    case 'bgr':
    case 'yuv444':
      return 3 * pixels
    case 'rgba':
    case 'bgra':
      return 4 * pixels
    case 'yuyv':
    case 'uyvy':
      return 4 * halfWidth * height
    case 'yuv422':
      return pixels + 2 * halfWidth * height
    default:
      return pixels + 2 * halfWidth * halfHeight
  }
}

export class RawDemuxer implements Demuxer {
  private readonly queue = new ByteQueue()
  private readonly layout: RawLayout
  private readonly size: number

  constructor(layout: RawLayout) {
    this.layout = layout
    this.size = frameBytes(layout)
  }

  push(bytes: Uint8Array): Found[] {
    this.queue.push(bytes)
    const found: Found[] = []
    while (this.queue.length >= this.size) {
      const frame: RawFrame = { ...this.layout, data: this.queue.take(this.size) }
      found.push({ frame })
    }
    return found
  }

  end(): string | undefined {
    return this.queue.length ? `${this.queue.length} of ${this.size} bytes of a frame` : undefined
  }
}
