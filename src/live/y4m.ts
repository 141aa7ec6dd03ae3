/** YUV4MPEG2 (mjpegtools' yuv4mpeg.5): a header line with the size, then a line `FRAME` and planes for each picture. */
import { ThimbleError } from '../base/errors.ts'
import type { PixelFormat } from '../image/source.ts'
import { ByteQueue } from './byte-queue.ts'
import { type Demuxer, type Found, MAX_FRAME_BYTES } from './demuxer.ts'
import { frameBytes, type RawLayout } from './raw.ts'

const MAGIC = 'YUV4MPEG2'
/** Longest header or frame line; ffmpeg's own limit is 80 and 256. */
const MAX_LINE = 1024
const NEWLINE = 10
/** Kinds of colour, as the header says them after a C. */
const FORMATS: Readonly<Record<string, PixelFormat>> = {
  '420': 'yuv420',
  '420jpeg': 'yuv420',
  '420mpeg2': 'yuv420',
  '420paldv': 'yuv420',
  '422': 'yuv422',
  '444': 'yuv444',
  mono: 'gray',
}

const corrupt = (what: string, got: string): ThimbleError =>
  new ThimbleError('image/corrupt', `Y4M: ${what}`, { got: JSON.stringify(got.slice(0, 60)) })

/** What the header line says. Errors: `image/corrupt`, `image/unsupported-format`, `image/too-large`. */
function layoutOf(line: string): RawLayout {
  const fields = line.split(' ').slice(1)
  const value = (tag: string): string | undefined => fields.find((f) => f.startsWith(tag))?.slice(1)
  const [width, height] = [value('W'), value('H')].map((v) => (/^[1-9]\d{0,4}$/.test(v ?? '') ? Number(v) : 0))
  if (!width || !height) throw corrupt('the header gives no size', line)
  const colour = value('C') ?? '420'
  const format = FORMATS[colour]
  if (!format) {
    throw new ThimbleError('image/unsupported-format', `Y4M frames of kind C${colour} are not read`, {
      expected: Object.keys(FORMATS)
        .map((kind) => `C${kind}`)
        .join(', '),
      hint: 'ffmpeg -pix_fmt yuv420p makes them',
    })
  }
  const layout = { width, height, format, fullRange: fields.includes('XCOLORRANGE=FULL') } as const
  if (frameBytes(layout) > MAX_FRAME_BYTES) {
    throw new ThimbleError('image/too-large', `Y4M frames of ${width}x${height}`, {
      expected: `at most ${MAX_FRAME_BYTES} bytes a frame`,
      got: frameBytes(layout),
    })
  }
  return layout
}

export class Y4mDemuxer implements Demuxer {
  private readonly queue = new ByteQueue()
  private layout: RawLayout | undefined
  /** The frame's line was read, its planes come next. */
  private inFrame = false

  /** Errors: `image/corrupt`, `image/unsupported-format`, `image/too-large`. */
  push(bytes: Uint8Array): Found[] {
    this.queue.push(bytes)
    const found: Found[] = []
    while (this.step(found));
    return found
  }

  end(): string | undefined {
    if (this.inFrame) return `${this.queue.length} of ${frameBytes(this.layout!)} bytes of a frame`
    return this.queue.length ? `${this.queue.length} bytes of a line` : undefined
  }

  /** One line or one frame; false when more bytes are needed. */
  private step(found: Found[]): boolean {
    if (this.inFrame) {
      const layout = this.layout!
      if (this.queue.length < frameBytes(layout)) return false
      found.push({ frame: { ...layout, data: this.queue.take(frameBytes(layout)) } })
      this.inFrame = false
      return true
    }
    const line = this.line()
    if (line === undefined) return false
    // Streams that were joined have a header each.
    if (line === MAGIC || line.startsWith(`${MAGIC} `)) this.layout = layoutOf(line)
    else if (this.layout && (line === 'FRAME' || line.startsWith('FRAME '))) this.inFrame = true
    else throw corrupt('FRAME was expected: bytes are missing or too many', line)
    return true
  }

  private line(): string | undefined {
    const { bytes } = this.queue
    const end = bytes.subarray(0, MAX_LINE).indexOf(NEWLINE)
    if (end >= 0) return new TextDecoder('latin1').decode(this.queue.take(end + 1).subarray(0, end))
    if (bytes.length >= MAX_LINE) throw corrupt('a line has no end', new TextDecoder('latin1').decode(bytes))
    return undefined
  }
}
