/** `thimble watch`: answers about the frames of a camera or a stream. */
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { ThimbleError } from '../base/errors.ts'
import { StreamDemuxer } from '../live/demux.ts'
import type { LiveFrame } from '../live/demuxer.ts'
import { RAW_FORMATS, type RawLayout, type RawName } from '../live/raw.ts'
import { openSource } from '../live/source.ts'
import { type Taken, watch } from '../live/watch.ts'
import type { RawFrame } from '../image/source.ts'
import { type Answers, type PictureAnswer, type PictureQuestion, TASKS } from '../serve/questions.ts'
import { answersOf } from './answer-pool.ts'
import { MEGAPIXELS_OPTION } from './preprocessing.ts'
import { badCall, choice, flag, number, share, text, whole } from './args.ts'
import type { Args, Command } from './command.ts'
import { openModel } from './shipped.ts'
import { HEAD_OPTIONS } from './photos.ts'
import { note, report } from './report.ts'
import { ms } from './text.ts'
import { LiveView } from './live-view.ts'
import { EVENT_OPTIONS, outputsOf } from './watch-events.ts'

const MAX_SIDE = 16_384
/** Damaged frames that are told of one by one. */
const FAULTS_TOLD = 10

/** What --size and --format say. Errors: `usage/option`, `usage/arguments`. */
function layoutOf(args: Args): RawLayout | undefined {
  const [size, format] = [text(args, 'size'), choice(args, 'format', Object.keys(RAW_FORMATS) as RawName[])]
  if (size === undefined && format === undefined) return undefined
  if (size === undefined || format === undefined) throw badCall(command, 'raw frames need --size and --format')
  const [width = 0, height = 0] = (/^(\d{1,5})x(\d{1,5})$/i.exec(size) ?? []).slice(1).map(Number)
  if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE) {
    throw new ThimbleError('usage/option', '--size is not usable', {
      expected: 'WIDTHxHEIGHT, e.g. 640x480',
      got: JSON.stringify(size),
    })
  }
  return { width, height, format: RAW_FORMATS[format], fullRange: flag(args, 'full-range') }
}

/** A frame as a question has it, which moves to another thread; `kept`: its bytes are needed here too. */
function pictureOf(frame: LiveFrame, kept: boolean): Uint8Array | RawFrame {
  if ('encoded' in frame) return kept ? frame.encoded.slice() : frame.encoded
  return kept ? { ...frame, data: frame.data.slice() } : frame
}
const rounded = (n: number): number => Math.round(n * 1000) / 1000

/** Everything that is known of one frame. */
export function recordOf(taken: Taken, answer: PictureAnswer, times: { waitMs: number; dropped: number }): object {
  const { frame, index, time } = taken
  const width = answer.width ?? frame.width
  const height = answer.height ?? frame.height
  return {
    frame: index,
    time: new Date(time).toISOString(),
    ...(width > 0 && { width, height }),
    ...answer.fields,
    timings: {
      waitMs: rounded(times.waitMs),
      decodeMs: rounded(answer.timings.decodeMs),
      preprocessMs: rounded(answer.timings.preprocessMs),
      inferMs: rounded(answer.timings.inferMs),
    },
    dropped: times.dropped,
  }
}

function lineOf({ index, time }: Taken, answer: PictureAnswer, dropped: number): string {
  const { decodeMs, preprocessMs, inferMs } = answer.timings
  const clock = new Date(time).toTimeString().slice(0, 8)
  const left = dropped ? `, ${dropped} dropped` : ''
  return `${clock}  #${index}  ${answer.words}  (${ms(decodeMs + preprocessMs + inferMs)} ms${left})`
}

/** Prints a line, and waits where its reader is slower. */
async function print(line: string): Promise<void> {
  if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain')
}

/** What every frame is asked. */
function questionOf(args: Args): Omit<PictureQuestion, 'picture'> {
  const task = choice(args, 'task', TASKS)
  const model = text(args, 'model')
  if (model !== undefined) openModel(model)
  return {
    ...(task ? { task } : {}),
    ...(model === undefined ? {} : { model }),
    ...(text(args, 'top') === undefined ? {} : { top: whole(args, 'top', 5) }),
    ...share(args, 'threshold', 'threshold'),
  }
}

/** `--jobs`. Errors: `usage/option`. */
const threadsOf = (args: Args): number => whole(args, 'jobs', Math.min(2, availableParallelism()), { max: 64 })

async function run(args: Args): Promise<number> {
  if (args.positionals.length !== 1) {
    throw badCall(command, args.positionals.length ? 'more than one SOURCE given' : 'no SOURCE given')
  }
  const stallMs = number(args, 'stall', 10, { min: 0, max: 86_400 }) * 1000
  const most =
    text(args, 'frames') === undefined ? Infinity : whole(args, 'frames', 1, { min: 1, max: Number.MAX_SAFE_INTEGER })
  const demuxer = new StreamDemuxer(layoutOf(args))
  const question = questionOf(args)
  const json = flag(args, 'json')
  const outputs = await outputsOf(args)
  const threads = threadsOf(args)
  const answers = answersOf(args, { threads, queue: threads, timeoutMs: 0 })
  const view = !json && !flag(args, 'lines') && process.stdout.isTTY ? new LiveView(process.stdout) : undefined
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  let code = 0
  let faults = 0
  const fault = (error: unknown): void => {
    code = 1
    if (++faults <= FAULTS_TOLD) report(error)
    else if (faults === FAULTS_TOLD + 1) note('more damaged frames follow; they are only counted')
  }
  try {
    const source = await openSource(args.positionals[0]!, stallMs)
    const watched = watch(source, {
      demuxer,
      stallMs,
      most,
      every: flag(args, 'every'),
      signal: stop.signal,
      note,
      fault: (what) => fault(new ThimbleError('image/corrupt', `${source.name}: ${what}`)),
      atOnce: threads,
      ask: async (taken) => {
        const waitMs = performance.now() - taken.arrived
        const picture = pictureOf(taken.frame, outputs.needsFrames)
        return { waitMs, answer: await answerOf(answers, { ...question, picture }, taken, fault) }
      },
      tell: async (taken, { waitMs, answer }, dropped) => {
        if (!answer) return
        const record = recordOf(taken, answer, { waitMs, dropped })
        if (view) view.show(source.name, taken, answer, dropped)
        else await print(json ? JSON.stringify(record) : lineOf(taken, answer, dropped))
        outputs.seen(taken, answer, record)
      },
    })
    watched.catch(() => {})
    const seen = await Promise.race([watched, outputs.refused])
    if (faults > FAULTS_TOLD) note(`${faults} damaged frames in all`)
    if (!json) note(`${seen.frames} frames, ${seen.answered} answered, ${seen.dropped} dropped`)
  } finally {
    process.removeListener('SIGINT', onSignal).removeListener('SIGTERM', onSignal)
    stop.abort()
    view?.end()
    await Promise.all([answers.end(), outputs.end()])
  }
  return code
}

/**
 * The answer; undefined where the frame is at fault, which is told. Errors: what is wrong with the call or the model.
 */
async function answerOf(
  answers: Answers,
  question: PictureQuestion,
  { index }: Taken,
  fault: (error: unknown) => void,
): Promise<PictureAnswer | undefined> {
  try {
    return await answers.answer(question)
  } catch (error) {
    if (
      !(error instanceof ThimbleError) ||
      !error.code.startsWith('image/') ||
      error.code === 'image/unsupported-input'
    ) {
      throw error
    }
    error.message = error.message.replace(/^([a-z]+\/[a-z0-9-]+): /, `$1: frame ${index}: `)
    fault(error)
    return undefined
  }
}

export const command: Command = {
  name: 'watch',
  summary: 'Answers about a camera or a stream, frame by frame; the newest frame wins, older ones are dropped.',
  usage: 'watch SOURCE [--task TASK] [--model MODEL] [--size WxH --format F] [--json] [--frames N]',
  options: {
    task: { type: 'string', short: 't', value: 'TASK', help: `${TASKS.join(', ')} (default: what the model is for)` },
    model: { type: 'string', short: 'm', value: 'MODEL', help: "a model's path or shipped name (default: the task's)" },
    ...HEAD_OPTIONS,
    size: { type: 'string', value: 'WxH', help: 'of raw frames, e.g. 640x480' },
    format: { type: 'string', value: 'F', help: `of raw frames: ${Object.keys(RAW_FORMATS).join(', ')}` },
    'full-range': { type: 'boolean', help: 'raw YUV goes from 0 to 255 (default: 16 to 235)' },
    frames: { type: 'string', value: 'N', help: 'end after N answers' },
    jobs: {
      type: 'string',
      short: 'j',
      value: 'N',
      help: 'threads, each with the model (default: 2 where there are as many cores): one decodes while another infers',
      check: threadsOf,
    },
    every: { type: 'boolean', help: 'drop nothing: the source waits (files always do)' },
    stall: { type: 'string', value: 'S', help: 'seconds without a frame that end the watch (default: 10; 0: never)' },
    json: { type: 'boolean', help: 'JSON Lines: { frame, time, …, timings, dropped }' },
    lines: { type: 'boolean', help: 'on a terminal too: a line a frame instead of a view that is drawn again' },
    ...EVENT_OPTIONS,
    ...MEGAPIXELS_OPTION,
  },
  notes:
    'SOURCE is - for stdin, a file or an http address with MJPEG, multipart MJPEG, Y4M, or raw frames (--size, --format).\n' +
    'Ctrl-C ends it. A frame that is damaged gives a line on stderr and exit code 1 at the end; the others are answered.\n' +
    'rpicam-vid -t 0 --codec mjpeg -o - | thimble watch - --task detect --model MODEL',
  run,
}
