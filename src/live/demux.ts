/** Which demuxer a stream of bytes is for. */
import { ThimbleError } from '../base/errors.ts'
import { sniffOther } from '../image/sniff.ts'
import type { Demuxer, Found } from './demuxer.ts'
import { MjpegDemuxer } from './mjpeg.ts'
import { RawDemuxer, type RawLayout } from './raw.ts'
import { Y4mDemuxer } from './y4m.ts'

const SNIFFED = 16
/** Tab, line feed, carriage return, space. */
const BLANKS = [9, 10, 13, 32]

const starts = (bytes: Uint8Array, text: string): boolean =>
  bytes.length >= text.length && [...text].every((c, i) => bytes[i] === c.charCodeAt(0))

/** What a stream is that no demuxer reads. */
function otherStream(b: Uint8Array): string {
  if (b[0] === 0 && b[1] === 0 && (b[2] === 1 || (b[2] === 0 && b[3] === 1))) return 'an H.264, H.265 or MPEG stream'
  if (b[0] === 0x1a && b[1] === 0x45 && b[2] === 0xdf && b[3] === 0xa3) return 'Matroska or WebM'
  if (starts(b, 'FLV')) return 'FLV'
  if (b[0] === 0x89 && b[1] === 0x50) return 'PNG'
  if (b[0] === 0x47) return 'an MPEG transport stream'
  const known = sniffOther(b)
  return known ?? `bytes ${Array.from(b.subarray(0, 4), (v) => v.toString(16).padStart(2, '0')).join(' ')}`
}

/** Finds out by the first bytes what a stream is, unless `layout` says that it is raw. */
export class StreamDemuxer implements Demuxer {
  private demuxer: Demuxer | undefined
  private head = new Uint8Array(0)

  constructor(layout?: RawLayout) {
    if (layout) this.demuxer = new RawDemuxer(layout)
  }

  /** Errors: `image/unknown-format`, and those of the stream's own demuxer. */
  push(bytes: Uint8Array): Found[] {
    if (this.demuxer) return this.demuxer.push(bytes)
    // Empty lines before the first boundary say nothing, however many there are.
    const from = this.head.length > 0 ? 0 : bytes.findIndex((b) => !BLANKS.includes(b))
    if (from < 0) return []
    const head = new Uint8Array(this.head.length + bytes.length - from)
    head.set(this.head)
    head.set(bytes.subarray(from), this.head.length)
    this.head = head
    if (head.length < SNIFFED) return []
    // The same bytes decide, however many have come.
    this.demuxer = chosen(head.subarray(0, SNIFFED))
    this.head = new Uint8Array(0)
    return this.demuxer.push(head)
  }

  end(): string | undefined {
    return this.demuxer ? this.demuxer.end() : this.head.length ? `${this.head.length} bytes` : undefined
  }
}

function chosen(head: Uint8Array): Demuxer {
  if (starts(head, 'YUV4MPEG2')) return new Y4mDemuxer()
  const jpeg = head[0] === 0xff && head[1] === 0xd8
  // A boundary, or the header fields of a part whose boundary was read by someone else.
  const text = new TextDecoder('latin1').decode(head)
  if (jpeg || /^--[\w'()+,\-./:=?]/.test(text) || /^content-/i.test(text)) return new MjpegDemuxer()
  throw new ThimbleError('image/unknown-format', 'the stream is of no kind that is read', {
    expected: 'MJPEG, multipart MJPEG or Y4M; raw frames with --size and --format',
    got: otherStream(head),
    hint: 'ffmpeg -i SOURCE -f mjpeg - makes one of most others',
  })
}
