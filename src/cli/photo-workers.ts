/** Worker threads that classify photos side by side; their script is photo-worker.ts. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type ErrorCode, ThimbleError } from '../errors.ts'
import type { Prediction } from '../types.ts'
import type { Args } from './command.ts'

export interface Answer {
  file: string
  model: string
  predictions: Prediction[]
  /** With --decode fast: that, and that the photo was decoded at 1/reduced of its size. */
  decode?: 'fast'
  reduced?: number
  timings: { decodeMs: number; preprocessMs: number; inferMs: number }
}

/** What a worker is started with, asked and answers. */
export interface WorkerStart {
  args: Args
  model: string
}
export interface Question {
  id: number
  file: string
}
export type Reply = { id: number } & ({ answer: Answer } | { code: ErrorCode; message: string })

const SCRIPT = new URL('../cli/photo-worker.js', import.meta.url)

/** Whether the script is there: it is in the built package. */
export const hasWorkers = (): boolean => existsSync(fileURLToPath(SCRIPT))

interface Waiting {
  worker: Worker
  resolve(answer: Answer): void
  reject(error: Error): void
}

/** `jobs` workers with a model each; questions go to them in turn. */
export class PhotoWorkers {
  private readonly workers: Worker[]
  private readonly waiting = new Map<number, Waiting>()
  private next = 0

  constructor(jobs: number, start: WorkerStart) {
    this.workers = Array.from({ length: jobs }, () => new Worker(SCRIPT, { workerData: start }))
    for (const worker of this.workers) {
      worker.on('message', (reply: Reply) => this.settle(reply))
      worker.on('error', (error) => this.lose(worker, error))
      worker.on('exit', () => this.lose(worker, new Error('a worker thread ended')))
      // They end with the command.
      worker.unref()
    }
  }

  classify(file: string): Promise<Answer> {
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

  private settle(reply: Reply): void {
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
