/**
 * Motion JPEG: pictures one after the other, in a multipart stream or not. Pictures are found by their markers (ITU-T
 * T.81, B.1), segments jumped over by their lengths, so that a thumbnail within one is not taken for a picture; what
 * lies between pictures, as the boundaries of a multipart stream do, is left out.
 */
import { ByteQueue } from './byte-queue.ts'
import { type Demuxer, type Found, MAX_FRAME_BYTES } from './demuxer.ts'

const [SOI, EOI, SOS] = [0xd8, 0xd9, 0xda]
/** Markers without a length: TEM and RST0 to RST7. */
const isBare = (marker: number): boolean => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)
/** SOF0 to SOF15 without DHT, JPG and DAC. */
const isFrameHeader = (m: number): boolean => m >= 0xc0 && m <= 0xcf && m !== 0xc4 && m !== 0xc8 && m !== 0xcc

export class MjpegDemuxer implements Demuxer {
  private readonly queue = new ByteQueue()
  /** Where reading goes on; the picture that is being read starts at 0. */
  private at = 0
  private state: 'between' | 'segments' | 'scan' = 'between'
  private width = 0
  private height = 0

  push(bytes: Uint8Array): Found[] {
    this.queue.push(bytes)
    const found: Found[] = []
    while (this.step(found));
    return found
  }

  end(): string | undefined {
    return this.state === 'between' ? undefined : `${this.queue.length} bytes of a picture`
  }

  /** One step; false when it needs more bytes. */
  private step(found: Found[]): boolean {
    if (this.state === 'between') return this.seek()
    if (this.queue.length > MAX_FRAME_BYTES) return this.damaged(found, 'a picture without an end', 2)
    return this.state === 'segments' ? this.segment(found) : this.scan(found)
  }

  /** To the next start of a picture. */
  private seek(): boolean {
    const { bytes } = this.queue
    let i = bytes.indexOf(0xff)
    while (i >= 0 && i + 2 < bytes.length && !(bytes[i + 1] === SOI && bytes[i + 2] === 0xff)) {
      i = bytes.indexOf(0xff, i + 1)
    }
    this.queue.drop(i < 0 ? bytes.length : i)
    if (i < 0 || i + 2 >= bytes.length) return false
    this.begin()
    return true
  }

  private begin(): void {
    this.at = 2
    this.state = 'segments'
    this.width = 0
    this.height = 0
  }

  /** A marker and the segment behind it. */
  private segment(found: Found[]): boolean {
    const { bytes } = this.queue
    if (this.at + 1 >= bytes.length) return false
    if (bytes[this.at] !== 0xff) return this.damaged(found, 'a picture whose header is damaged', 2)
    const marker = bytes[this.at + 1]!
    if (marker === 0xff) {
      this.at++
      return true
    }
    if (marker === EOI) return this.complete(found)
    if (marker === SOI) return this.damaged(found, 'half a picture', this.at)
    if (isBare(marker)) {
      this.at += 2
      return true
    }
    if (this.at + (isFrameHeader(marker) ? 9 : 4) > bytes.length) return false
    const length = (bytes[this.at + 2]! << 8) | bytes[this.at + 3]!
    if (length < 2) return this.damaged(found, 'a picture whose header is damaged', 2)
    if (isFrameHeader(marker)) {
      this.height = (bytes[this.at + 5]! << 8) | bytes[this.at + 6]!
      this.width = (bytes[this.at + 7]! << 8) | bytes[this.at + 8]!
    }
    this.at += 2 + length
    if (marker === SOS) this.state = 'scan'
    return true
  }

  /** Through entropy-coded bytes to the marker behind them. */
  private scan(found: Found[]): boolean {
    const { bytes } = this.queue
    if (this.at >= bytes.length) return false
    const i = bytes.indexOf(0xff, this.at)
    this.at = i < 0 ? bytes.length : i
    if (i < 0 || i + 1 >= bytes.length) return false
    const marker = bytes[i + 1]!
    if (marker === EOI) return this.complete(found)
    if (marker === SOI) return this.damaged(found, 'half a picture', i)
    if (marker === 0xff) this.at++
    else if (marker === 0 || isBare(marker)) this.at += 2
    else this.state = 'segments'
    return true
  }

  private complete(found: Found[]): boolean {
    const { width, height } = this
    found.push({ frame: { encoded: this.queue.take(this.at + 2), width, height } })
    this.state = 'between'
    return true
  }

  /** Goes on behind the `dropped` bytes. */
  private damaged(found: Found[], damage: string, dropped: number): boolean {
    found.push({ damage })
    this.queue.drop(dropped)
    this.state = 'between'
    return true
  }
}
