/** Questions answered on worker threads, one at a time on each, with a bounded queue before them. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type ErrorCode, ThimbleError } from '../base/errors.ts'
import type { Answer, Answers, Question } from '../serve/questions.ts'
import { Answerer } from './answers.ts'
import type { Args } from './command.ts'

/** What a worker is asked and says. */
export interface Asked {
  id: number
  question: Question
}
export type Reply = { id: number } & ({ answer: Answer } | { code: ErrorCode; message: string })

const SCRIPT = new URL('../cli/answer-worker.js', import.meta.url)

/** Whether the script is there: it is in the built package. */
const hasWorkers = (): boolean => existsSync(fileURLToPath(SCRIPT))

interface Job {
  question: Question
  resolve(answer: Answer): void
  reject(error: Error): void
  timer?: NodeJS.Timeout
}

interface Thread {
  worker: Worker
  job?: Job
  /** Ended on purpose: its question took too long. */
  givenUp?: true
}

/** Threads that may end by themselves, one after the other, with no answer between them. */
const MAX_LOSSES = 5

export interface PoolOptions {
  threads: number
  /** Questions that may wait. */
  queue: number
  /** Milliseconds after which a question is given up. 0: never. */
  timeoutMs: number
  /** What each thread runs. Default: answers with the models of the command line. */
  script?: URL
}

/** Of one thread, or in this one where the package is not built. */
export const answersOf = (args: Args, options: PoolOptions): Answers =>
  hasWorkers() ? new AnswerPool(args, options) : new AnswersHere(args)

/** In this thread. */
class AnswersHere implements Answers {
  readonly waiting = 0
  busy = 0
  private readonly answerer: Answerer

  constructor(args: Args) {
    this.answerer = new Answerer(args)
  }

  answer = (async (question: Question) => {
    this.busy++
    try {
      return await this.answerer.answer(question)
    } finally {
      this.busy--
    }
  }) as Answers['answer']

  async end(): Promise<void> {}
}

/** Every array of a question that can move to its thread instead of being copied. */
function movable(question: Question): ArrayBuffer[] {
  const views: (Uint8Array | Uint8ClampedArray)[] = []
  if ('picture' in question) {
    views.push(question.picture instanceof Uint8Array ? question.picture : question.picture.data)
  }
  // A part of a larger buffer is copied: the rest is someone else's.
  return views
    .filter((v) => v.byteLength === v.buffer.byteLength && !(v instanceof Buffer))
    .map((v) => v.buffer as ArrayBuffer)
}

export class AnswerPool implements Answers {
  private readonly args: Args
  private readonly options: PoolOptions
  private readonly threads: Thread[]
  private readonly queue: Job[] = []
  private ended = false
  private losses = 0
  /** Why no thread is started any more. */
  private broken: ThimbleError | undefined

  constructor(args: Args, options: PoolOptions) {
    // What parseArgs makes has no prototype, which would be lost on the way.
    this.args = { positionals: args.positionals, options: { ...args.options } }
    this.options = options
    this.threads = Array.from({ length: options.threads }, () => this.start())
  }

  get busy(): number {
    return this.threads.filter((t) => t.job).length
  }

  get waiting(): number {
    return this.queue.length
  }

  /** Errors: `runtime/busy`, `runtime/timeout`, `runtime/threads`, and those of the answer. */
  answer = ((question: Question): Promise<Answer> =>
    new Promise((resolve, reject) => {
      if (this.ended) return reject(new ThimbleError('runtime/busy', 'the program is ending'))
      if (this.broken) return reject(this.broken)
      const idle = this.threads.find((t) => !t.job)
      if (!idle && this.queue.length >= this.options.queue) {
        return reject(
          new ThimbleError('runtime/busy', 'too many questions wait', {
            expected: `at most ${this.options.queue}`,
            hint: 'try again later',
          }),
        )
      }
      const job: Job = { question, resolve, reject }
      const { timeoutMs } = this.options
      if (timeoutMs > 0) job.timer = setTimeout(() => this.giveUp(job), timeoutMs)
      if (idle) this.assign(idle, job)
      else this.queue.push(job)
    })) as Answers['answer']

  async end(): Promise<void> {
    this.ended = true
    for (const job of this.queue.splice(0)) this.fail(job, new ThimbleError('runtime/busy', 'the program is ending'))
    await Promise.all(this.threads.map(({ worker }) => worker.terminate()))
  }

  private start(): Thread {
    const worker = new Worker(this.options.script ?? SCRIPT, { workerData: this.args })
    const thread: Thread = { worker }
    worker.on('message', (reply: Reply) => this.settle(thread, reply))
    worker.on('error', (error) => this.lose(thread, error))
    worker.on('exit', () => this.lose(thread))
    worker.unref()
    return thread
  }

  private assign(thread: Thread, job: Job): void {
    thread.job = job
    thread.worker.ref()
    thread.worker.postMessage({ id: 0, question: job.question } satisfies Asked, movable(job.question))
  }

  private settle(thread: Thread, reply: Reply): void {
    const { job } = thread
    this.losses = 0
    delete thread.job
    thread.worker.unref()
    if (job) {
      clearTimeout(job.timer)
      if ('answer' in reply) job.resolve(reply.answer)
      else job.reject(asError(reply.code, reply.message))
    }
    this.next(thread)
  }

  private next(thread: Thread): void {
    const job = this.queue.shift()
    if (job) this.assign(thread, job)
  }

  private fail(job: Job, error: Error): void {
    clearTimeout(job.timer)
    job.reject(error)
  }

  /** A question that takes too long: its thread is ended, another takes its place. */
  private giveUp(job: Job): void {
    const error = new ThimbleError('runtime/timeout', 'the answer took too long', {
      expected: `at most ${this.options.timeoutMs} ms`,
    })
    const at = this.queue.indexOf(job)
    if (at >= 0) this.queue.splice(at, 1)
    this.fail(job, error)
    const thread = this.threads.find((t) => t.job === job)
    if (!thread) return
    delete thread.job
    thread.givenUp = true
    void thread.worker.terminate()
  }

  /** A thread that ended is replaced, unless threads end again and again: then whoever asks is told. */
  private lose(thread: Thread, error?: Error): void {
    const at = this.threads.indexOf(thread)
    if (at < 0 || this.ended) {
      if (thread.job) this.fail(thread.job, new ThimbleError('runtime/busy', 'the program is ending'))
      return
    }
    const { job } = thread
    delete thread.job
    if (job) {
      this.fail(job, new ThimbleError('runtime/threads', `a worker thread ended: ${error?.message ?? 'no reason'}`))
    }
    if (!thread.givenUp && ++this.losses > MAX_LOSSES) return this.stop(error)
    const replacement = this.start()
    this.threads[at] = replacement
    this.next(replacement)
  }

  /** No more threads: what waits and what comes is refused. */
  private stop(error?: Error): void {
    this.broken = new ThimbleError(
      'runtime/threads',
      `worker threads end again and again: ${error?.message ?? 'no reason'}`,
      {
        hint: 'the model or its options may be at fault; start the program again',
      },
    )
    const threads = this.threads.splice(0)
    for (const { job, worker } of threads) {
      if (job) this.fail(job, this.broken)
      void worker.terminate()
    }
    for (const job of this.queue.splice(0)) this.fail(job, this.broken)
  }
}

/** The thread's error again, with the line that it had. */
function asError(code: ErrorCode, message: string): ThimbleError {
  const error = new ThimbleError(code, message)
  error.message = message
  return error
}
