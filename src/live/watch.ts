/** Frames of a source, answered in their order; a few of them at once where there are threads for that. */
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

export interface WatchOptions<Answer> {
  demuxer: Demuxer
  /** Milliseconds without a frame after which a live source has stalled. 0: never. */
  stallMs: number
  /** Frames to answer. */
  most: number
  /** Every frame is answered: the source waits. Files always do. */
  every?: boolean
  signal?: AbortSignal
  /** Frames that are asked about at once (1): the next is decoded while one is inferred. */
  atOnce?: number
  /** What a frame shows. */
  ask(taken: Taken): Promise<Answer>
  /** Tells it, one frame after the other; `dropped` frames were left out before it. */
  tell(taken: Taken, answer: Answer, dropped: number): Promise<void>
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
 * Errors: `runtime/stalled`, `image/truncated`, `image/empty`, `format/fetch`, and those of the demuxer, `ask` and `tell`.
 */
export async function watch<Answer>(source: ByteSource, options: WatchOptions<Answer>): Promise<Watched> {
  const { demuxer, signal, atOnce = 1 } = options
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
    const under: Promise<void>[] = []
    let told: Promise<void> = Promise.resolve()
    for (let asked = 0; asked < options.most; asked++) {
      // The newest frame is taken when there is someone to ask.
      if (under.length >= atOnce) await under.shift()
      const taken = await newest.take()
      if (!taken) break
      const { dropped } = newest
      const answer = options.ask(taken)
      answer.catch(() => {})
      told = told.then(async () => {
        await options.tell(taken, await answer, dropped)
        seen.dropped = dropped
        seen.answered++
      })
      told.catch(() => {})
      under.push(told)
    }
    await told
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
