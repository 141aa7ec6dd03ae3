/** Frames out of streams of bytes: what the demuxers have in common. */
import type { RawFrame } from '../image/source.ts'

/** One picture: an encoded file, or pixels. `width` and `height` are what its header says, 0 where that is missing. */
export type LiveFrame = { encoded: Uint8Array; width: number; height: number } | RawFrame
/** What a demuxer finds: a frame, or that something was damaged and left out. */
export type Found = { frame: LiveFrame } | { damage: string }

/** Bytes in, frames out: no clock, no input and output, the same result however the bytes are split. */
export interface Demuxer {
  /** Errors: `image/…` where the stream can't be read on. */
  push(bytes: Uint8Array): Found[]
  /** What of a frame was left when the stream ended, in words; undefined where it ended between two. */
  end(): string | undefined
}

/** Largest frame that is waited for. */
export const MAX_FRAME_BYTES = 128 * 1024 * 1024
