/** Worker threads that look at photos side by side; their script is photo-worker.ts. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type ErrorCode, ThimbleError } from '../base/errors.ts'
import type { Group } from '../answers/vectors.ts'
import type { Prediction } from '../graph/types.ts'
import { whole } from './args.ts'
import type { Args } from './command.ts'

export interface Answer {
  file: string
  model: string
  predictions: Prediction[]
  /** What each output says, where they are several vectors. */
  groups?: Group[]
  /** With --decode fast: that, and that the photo was decoded at 1/reduced of its size. */
  decode?: 'fast'
  reduced?: number
  timings: { decodeMs: number; preprocessMs: number; inferMs: number }
}

/** To classify photos as a call of `classify` says. */
export interface ClassifyStart {
  task: 'classify'
  args: Args
  model: string
}
/** To take the features of photos by a base that `learn` goes on from: a model file's bytes. */
export interface FeaturesStart {
  task: 'features'
  base: Uint8Array
  name: string
}

/** What a worker is started with, asked and answers: an `Answer`, or the int8 features of a photo's views. */
export type WorkerStart = ClassifyStart | FeaturesStart
export interface Question {
  id: number
  file: string
}
export type Reply<T = Answer | Int8Array> = { id: number } & ({ answer: T } | { code: ErrorCode; message: string })

const SCRIPT = new URL('../cli/photo-worker.js', import.meta.url)

/** Whether the script is there: it is in the built package. */
const hasWorkers = (): boolean => existsSync(fileURLToPath(SCRIPT))

/** A small nursery: pixels that nobody needs are found, and their memory freed, soon. */
const LIMITS = { maxYoungGenerationSizeMb: 2 }

/** Photos that one more thread should have to do, so that loading the model once more pays. */
const PHOTOS_A_JOB = 4

/** Threads to look at so many photos with, `asked` or (0) as many as pay; 1: the calling one alone. */
/** `--jobs`, 0 where it is not given. Errors: `usage/option`. */
export const jobsAsked = (args: Args): number => whole(args, 'jobs', 0, { min: 0, max: 64 })

export const jobsFor = (asked: number, photos: number): number =>
  hasWorkers() ? Math.min(photos, asked || Math.min(availableParallelism(), Math.floor(photos / PHOTOS_A_JOB))) : 1

interface Waiting<T> {
  worker: Worker
  resolve(answer: T): void
  reject(error: Error): void
}

/** `jobs` workers with a model each; questions go to them in turn. */
export class PhotoWorkers<Start extends WorkerStart, T = Start extends ClassifyStart ? Answer : Int8Array> {
  private readonly workers: Worker[]
  private readonly waiting = new Map<number, Waiting<T>>()
  private next = 0

  constructor(jobs: number, start: Start) {
    this.workers = Array.from({ length: jobs }, () => new Worker(SCRIPT, { workerData: start, resourceLimits: LIMITS }))
    for (const worker of this.workers) {
      worker.on('message', (reply: Reply<T>) => this.settle(reply))
      worker.on('error', (error) => this.lose(worker, error))
      worker.on('exit', () => this.lose(worker, new Error('a worker thread ended')))
      // They end with the command.
      worker.unref()
    }
  }

  /** What a worker says of a photo. Errors: a ThimbleError with the worker's words. */
  ask(file: string): Promise<T> {
    const id = this.next++
    const worker = this.workers[id % this.workers.length]!
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { worker, resolve, reject })
      worker.ref()
      worker.postMessage({ id, file } satisfies Question)
    })
  }

  async end(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()))
  }

  private settle(reply: Reply<T>): void {
    const waiting = this.waiting.get(reply.id)
    this.waiting.delete(reply.id)
    if ('answer' in reply) waiting?.resolve(reply.answer)
    else waiting?.reject(asError(reply.code, reply.message))
  }

  private lose(worker: Worker, error: Error): void {
    for (const [id, waiting] of this.waiting) {
      if (waiting.worker !== worker) continue
      this.waiting.delete(id)
      waiting.reject(error)
    }
  }
}

/** The worker's error again, with the line that it had. */
function asError(code: ErrorCode, message: string): ThimbleError {
  const error = new ThimbleError(code, message)
  error.message = message
  return error
}
