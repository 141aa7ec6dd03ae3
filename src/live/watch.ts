/** Frames of a source, each answered before the next is taken. */
import { ThimbleError } from '../errors.ts'
import type { Demuxer, Found, LiveFrame } from './demuxer.ts'
import { Newest } from './newest.ts'
import type { ByteSource } from './source.ts'

export interface Taken {
  frame: LiveFrame
  /** Of the source's frames, from 0 on. */
  index: number
  /** Milliseconds since 1970 when its last byte was there. */
  time: number
  /** The same by performance.now(). */
  arrived: number
}

export interface WatchOptions {
  demuxer: Demuxer
  /** Milliseconds without a frame after which a live source has stalled. 0: never. */
  stallMs: number
  /** Frames to answer. */
  most: number
  /** Every frame is answered: the source waits. Files always do. */
  every?: boolean
  signal?: AbortSignal
  /** Answers a frame; `dropped` frames were left out so far. */
  answer(taken: Taken, dropped: number): Promise<void>
  /** What could not be read, and that frames have another size from here on: a clause each. */
  fault(what: string): void
  note(what: string): void
}

export interface Watched {
  frames: number
  answered: number
  dropped: number
}

const sizeOf = ({ width, height }: LiveFrame): string => `${width}x${height}`

/** The next piece of a stream, or an error after a while without one. */
async function within<T>(next: Promise<T>, ms: number, error: () => ThimbleError): Promise<T> {
  if (ms <= 0 || ms === Infinity) return next
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(error()), ms)
  })
  try {
    return await Promise.race([next, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Watches until the source ends or `most` frames are answered. What arrived is answered before an error is thrown.
 * Errors: `runtime/stalled`, `image/truncated`, `image/empty`, `format/fetch`, and those of the demuxer and `answer`.
 */
export async function watch(source: ByteSource, options: WatchOptions): Promise<Watched> {
  const { demuxer, signal } = options
  const newest = new Newest<Taken>()
  const waits = !source.live || options.every === true
  const seen: Watched = { frames: 0, answered: 0, dropped: 0 }
  let done = false
  let size = ''

  const bring = (found: Found): void => {
    if ('damage' in found) return options.fault(`after frame ${seen.frames - 1}: ${found.damage}`)
    if (done) return
    const { frame } = found
    if (size !== '' && sizeOf(frame) !== size) {
      options.note(`frames are ${sizeOf(frame)} from frame ${seen.frames} on, not ${size}`)
    }
    size = sizeOf(frame)
    newest.put({ frame, index: seen.frames++, time: Date.now(), arrived: performance.now() })
  }

  const produce = async (): Promise<void> => {
    const chunks = source.chunks[Symbol.asyncIterator]()
    let latest = performance.now()
    const stalled = (): ThimbleError =>
      new ThimbleError('runtime/stalled', `${source.name} has sent no frame for ${options.stallMs / 1000} s`, {
        hint: 'check the camera, or allow more with --stall',
      })
    while (!done) {
      const left = options.stallMs > 0 && source.live ? Math.max(1, latest + options.stallMs - performance.now()) : 0
      const { value, done: ended } = await within(chunks.next(), left, stalled)
      if (ended || done) break
      for (const found of demuxer.push(value)) {
        if (done) break
        if (waits) await newest.free()
        bring(found)
        latest = performance.now()
      }
    }
    const rest = done ? undefined : demuxer.end()
    if (rest !== undefined) {
      throw new ThimbleError('image/truncated', `${source.name} ended within frame ${seen.frames}`, { got: rest })
    }
  }

  const stop = (): void => {
    done = true
    newest.end()
    source.close()
  }
  signal?.addEventListener('abort', stop, { once: true })
  // Its error waits until what came before it is answered.
  const produced = produce().then(
    () => undefined,
    (error: unknown) => (done ? undefined : { error: readable(error, source.name) }),
  )
  void produced.then(() => newest.end())
  try {
    while (seen.answered < options.most) {
      const taken = await newest.take()
      if (!taken) break
      seen.dropped = newest.dropped
      await options.answer(taken, newest.dropped)
      seen.answered++
    }
    if (seen.answered < options.most) {
      const failed = await produced
      if (failed) throw failed.error
      if (!done && seen.frames === 0) {
        throw new ThimbleError('image/empty', `${source.name} ended without a frame`, {
          expected: 'MJPEG, Y4M or raw frames',
        })
      }
    }
  } finally {
    signal?.removeEventListener('abort', stop)
    stop()
  }
  return seen
}

/** A broken connection or file as one line. */
function readable(error: unknown, name: string): unknown {
  if (error instanceof ThimbleError) return error
  const { message, cause } = error as Error
  const why = cause instanceof Error ? cause.message || message : message
  return new ThimbleError('format/fetch', `${name} broke off: ${why}`, { cause: error })
}
