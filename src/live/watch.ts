/** Frames of a source, answered in their order; a few of them at once where there are threads for that. */
import { ThimbleError } from '../base/errors.ts'
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

/** What brings the frames of a source needs of the options. */
type Bringing = Pick<WatchOptions<unknown>, 'demuxer' | 'stallMs' | 'every' | 'fault' | 'note'>

/** Frames of a source as they arrive: the newest waits to be taken. */
class Frames {
  readonly newest = new Newest<Taken>()
  /** Frames that were there. */
  seen = 0
  /** Nobody wants any more. */
  done = false
  private size = ''
  private readonly source: ByteSource
  private readonly options: Bringing

  constructor(source: ByteSource, options: Bringing) {
    this.source = source
    this.options = options
  }

  stop(): void {
    this.done = true
    this.newest.end()
    this.source.close()
  }

  /** Reads the source to its end. Errors: `runtime/stalled`, `image/truncated`, those of the source and the demuxer. */
  async read(): Promise<void> {
    const { source, options, newest } = this
    const { demuxer, stallMs } = options
    const waits = !source.live || options.every === true
    const chunks = source.chunks[Symbol.asyncIterator]()
    let latest = performance.now()
    while (!this.done) {
      const left = stallMs > 0 && source.live ? Math.max(1, latest + stallMs - performance.now()) : 0
      const { value, done: ended } = await within(chunks.next(), left, () => this.stalled())
      if (ended || this.done) break
      for (const found of demuxer.push(value)) {
        if (this.done) break
        if (waits) await newest.free()
        this.bring(found)
        latest = performance.now()
      }
    }
    const rest = this.done ? undefined : demuxer.end()
    if (rest !== undefined) {
      throw new ThimbleError('image/truncated', `${source.name} ended within frame ${this.seen}`, { got: rest })
    }
  }

  private bring(found: Found): void {
    const { options } = this
    if ('damage' in found) {
      return options.fault(
        `${this.seen > 0 ? `after frame ${this.seen - 1}` : 'before the first frame'}: ${found.damage}`,
      )
    }
    if (this.done) return
    const { frame } = found
    const size = `${frame.width}x${frame.height}`
    if (this.size !== '' && size !== this.size) {
      options.note(`frames are ${size} from frame ${this.seen} on, not ${this.size}`)
    }
    this.size = size
    this.newest.put({ frame, index: this.seen++, time: Date.now(), arrived: performance.now() })
  }

  private stalled(): ThimbleError {
    const { source, options } = this
    return new ThimbleError('runtime/stalled', `${source.name} has sent no frame for ${options.stallMs / 1000} s`, {
      hint: 'check the camera, or allow more with --stall',
    })
  }
}

/**
 * Watches until the source ends or `most` frames are answered. What arrived is answered before an error is thrown.
 * Errors: `runtime/stalled`, `image/truncated`, `image/empty`, `format/fetch`, and those of the demuxer, `ask` and
 * `tell`.
 */
export async function watch<Answer>(source: ByteSource, options: WatchOptions<Answer>): Promise<Watched> {
  const { signal, atOnce = 1 } = options
  const frames = new Frames(source, options)
  const { newest } = frames
  const stop = (): void => frames.stop()
  signal?.addEventListener('abort', stop, { once: true })
  // Its error waits until what came before it is answered.
  const read = frames.read().then(
    () => undefined,
    (error: unknown) => (frames.done ? undefined : { error: readable(error, source.name) }),
  )
  void read.then(() => newest.end())
  let answered = 0
  let dropped = 0
  try {
    const under: Promise<void>[] = []
    let told: Promise<void> = Promise.resolve()
    for (let asked = 0; asked < options.most; asked++) {
      // The newest frame is taken when there is someone to ask.
      if (under.length >= atOnce) await under.shift()
      const taken = await newest.take()
      if (!taken) break
      const before = newest.dropped
      const answer = options.ask(taken)
      answer.catch(() => {})
      told = told.then(async () => {
        await options.tell(taken, await answer, before)
        dropped = before
        answered++
      })
      told.catch(() => {})
      under.push(told)
    }
    await told
    if (answered < options.most) {
      const failed = await read
      if (failed) throw failed.error
      if (!frames.done && frames.seen === 0) {
        throw new ThimbleError('image/empty', `${source.name} ended without a frame`, {
          expected: 'MJPEG, Y4M or raw frames',
        })
      }
    }
  } finally {
    signal?.removeEventListener('abort', stop)
    stop()
  }
  return { frames: frames.seen, answered, dropped }
}

/** A broken connection or file as one line. */
function readable(error: unknown, name: string): unknown {
  if (error instanceof ThimbleError) return error
  const { message, cause } = error as Error
  const why = cause instanceof Error ? cause.message || message : message
  return new ThimbleError('format/fetch', `${name} broke off: ${why}`, { cause: error })
}
