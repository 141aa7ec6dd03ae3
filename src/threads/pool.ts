/**
 * Starts the worker threads of one model and wakes them for every run. A pool that a worker has left (it died, or does
 * not answer within PATIENCE) is poisoned: every run from then on is refused at once.
 */
import { ThimbleError } from '../base/errors.ts'
import { MOST_THREADS } from '../options/load-options.ts'
import type { Program } from '../plan/compile.ts'
import { nodeProcess } from './node-process.ts'
import { CONTROL_WORDS, FINISHED, GENERATION, STATUS, TRAPPED, type WorkerStart } from './worker-words.ts'

/** Milliseconds that the workers have to start, and to leave the last barrier of a run. */
const START_PATIENCE = 20_000
const LEAVE_PATIENCE = 2_000
/** Looks at a word that is about to change, before waiting for it. */
const SPINS = 2000

interface Handle {
  post(message: WorkerStart): void
  next(): Promise<unknown>
  /** Called once, when the thread ends for whatever reason. */
  onEnd(handler: (why: string) => void): void
  terminate(): void
}

/** Whether this thread may block, which a page's main thread may not. */
function mayWait(): boolean {
  try {
    // The word is not what is waited for: this returns at once where waiting is allowed.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0)
    return true
  } catch {
    return false
  }
}

/** Checks the request against what this engine and this thread offer, before anything is compiled. */
export function checkThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new ThimbleError('usage/threads', 'number of threads', { expected: `1 to ${MOST_THREADS}`, got: threads })
  }
  if (threads === 1) return
  const node = nodeProcess()
  if (node && !node.getBuiltinModule) {
    throw new ThimbleError('runtime/threads', 'threads need Node 20.16 or newer', {
      got: node.version,
      hint: 'update Node, or use one thread',
    })
  }
  if (typeof SharedArrayBuffer === 'undefined') {
    throw new ThimbleError('runtime/threads', 'threads need shared memory', {
      got: 'an engine without SharedArrayBuffer',
      hint: 'serve the page cross-origin isolated (COOP and COEP headers), or use one thread',
    })
  }
  if (!mayWait()) {
    throw new ThimbleError('runtime/threads', 'threads need a thread that may wait for them', {
      got: "a page's main thread, which may not",
      hint: 'load and run the model in a Worker, or use one thread',
    })
  }
}

/** The worker's script. Run from the sources (tests, tools) it is the built one: workers do not load TypeScript. */
const scriptUrl = (): URL =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/threads/worker.js', import.meta.url)
    : new URL('../threads/worker.js', import.meta.url)

function startWorker(): Handle {
  const node = nodeProcess()
  if (node) {
    // No import: bundlers for the browser would look for the module.
    const { Worker } = node.getBuiltinModule('node:worker_threads')
    const worker = new Worker(scriptUrl())
    worker.unref()
    return {
      post: (m) => worker.postMessage(m),
      next: () =>
        new Promise((resolve, reject) => {
          worker.once('message', resolve)
          worker.once('error', reject)
          worker.once('exit', (code) => reject(new Error(`it ended with code ${code}`)))
        }),
      onEnd: (handler) => {
        worker.once('error', (error) => handler(error.message))
        worker.once('exit', (code) => handler(`it ended with code ${code}`))
      },
      terminate: () => void worker.terminate(),
    }
  }
  // Bundlers look for exactly this expression.
  const worker = new Worker(new URL('../threads/worker.js', import.meta.url), { type: 'module' })
  return {
    post: (m) => worker.postMessage(m),
    next: () =>
      new Promise((resolve, reject) => {
        worker.onmessage = (e) => resolve(e.data)
        worker.onerror = (e) => reject(new Error(e.message))
        worker.onmessageerror = () => reject(new Error('it got no message'))
      }),
    onEnd: (handler) => {
      worker.onerror = (e) => handler(e.message)
    },
    terminate: () => worker.terminate(),
  }
}

/** Rejects when `promise` takes longer than START_PATIENCE. */
async function soon(promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it does not answer within ${START_PATIENCE / 1000} s`)), START_PATIENCE)
  })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

const poolError = (why: string): ThimbleError =>
  new ThimbleError('runtime/threads', `the model's threads are of no use any more: ${why}`, {
    hint: 'dispose of the model and load it again, or use one thread',
  })

/** Worker threads bound to one program in one shared memory. */
export class ThreadPool {
  readonly #workers: Handle[]
  readonly #words: Int32Array
  readonly #counter: Int32Array
  readonly #counterIndex: number
  #expected = 0
  #poisoned: string | undefined

  private constructor(workers: Handle[], words: Int32Array, memory: WebAssembly.Memory, counter: number) {
    this.#workers = workers
    this.#words = words
    this.#counter = new Int32Array(memory.buffer)
    this.#counterIndex = counter >> 2
    for (const worker of workers) worker.onEnd((why) => void this.poison(`a worker thread died (${why})`))
  }

  /**
   * Every worker has instantiated the module when this resolves; the caller then writes the program into the memory.
   */
  static async start(module: WebAssembly.Module, memory: WebAssembly.Memory, program: Program): Promise<ThreadPool> {
    const control = new SharedArrayBuffer(CONTROL_WORDS * 4)
    const counter = program.barrierCounter
    const workers: Handle[] = []
    const started = await Promise.allSettled(
      program.workers.map(async ({ table, count }) => {
        const worker = startWorker()
        workers.push(worker)
        await soon(worker.next())
        const ready = worker.next()
        worker.post({ module, memory, control, table, count, counter })
        await soon(ready)
      }),
    )
    const failed = started.find((s) => s.status === 'rejected')
    if (failed) {
      for (const worker of workers) worker.terminate()
      const cause = failed.reason as Error
      throw new ThimbleError('runtime/threads', 'a worker thread did not start', {
        got: cause.message || 'no worker script',
        hint: `its script is looked for at ${scriptUrl().href}: put dist/threads/worker.js of the package beside the bundle there (a bundler that does not follow new URL(…, import.meta.url) leaves it out), or use one thread`,
        cause,
      })
    }
    return new ThreadPool(workers, new Int32Array(control), memory, counter)
  }

  /** Errors: `runtime/threads` for a pool that is poisoned. */
  check(): void {
    if (this.#poisoned !== undefined) throw poolError(this.#poisoned)
  }

  /** No run is possible from now on; gives the error that says why. The first reason stays. */
  poison(why: string): ThimbleError {
    this.#poisoned ??= why
    this.#terminate()
    return poolError(this.#poisoned)
  }

  /** Waits until all shares of the run before are done. Errors: `runtime/threads`. */
  #settle(): void {
    const words = this.#words
    for (let i = 0; i < SPINS; i++) if (Atomics.load(words, FINISHED) === this.#expected) return
    const end = performance.now() + LEAVE_PATIENCE
    for (;;) {
      const finished = Atomics.load(words, FINISHED)
      if (finished === this.#expected) return
      const left = end - performance.now()
      if (left <= 0) throw this.poison('a worker thread does not answer')
      Atomics.wait(words, FINISHED, finished, left)
    }
  }

  /**
   * Lets the workers begin their share of one inference; the caller then runs its own, which meets them at the
   * barriers. Errors: `runtime/threads`.
   */
  wake(): void {
    this.check()
    // A worker may still be leaving the last barrier of the run before: its counter must not be reset under it.
    this.#settle()
    this.#expected = (this.#expected + this.#workers.length) | 0
    Atomics.store(this.#counter, this.#counterIndex, 0)
    Atomics.store(this.#words, STATUS, 0)
    const next = (Atomics.load(this.#words, GENERATION) + 1) & 0x3fffffff
    Atomics.store(this.#words, GENERATION, next)
    Atomics.notify(this.#words, GENERATION)
  }

  /** First error status of a worker, 0 for none. Errors: `runtime/threads` where one trapped. */
  finish(): number {
    const status = Atomics.load(this.#words, STATUS)
    if (status === TRAPPED) throw this.poison("a worker thread's share failed")
    return status
  }

  #terminate(): void {
    Atomics.store(this.#words, GENERATION, -1)
    Atomics.notify(this.#words, GENERATION)
    for (const worker of this.#workers) worker.terminate()
  }

  /** Ends the threads. */
  stop(): void {
    this.poison('the model was disposed')
  }
}
