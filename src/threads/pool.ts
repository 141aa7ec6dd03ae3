/** Starts the worker threads of one model and wakes them for every run. */
import { ThimbleError } from '../errors.ts'
import { MOST_THREADS } from '../load-options.ts'
import type { Program } from '../plan/compile.ts'
import { CONTROL_WORDS, FINISHED, GENERATION, STATUS, type WorkerStart } from './worker-words.ts'

interface Handle {
  post(message: WorkerStart): void
  next(): Promise<unknown>
  terminate(): void
}

const isNode = (): boolean => typeof process !== 'undefined' && process.versions?.node !== undefined

/** Checks the request against what this engine offers, before anything is compiled. */
export function checkThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS) {
    throw new ThimbleError('usage/threads', 'number of threads', { expected: `1 to ${MOST_THREADS}`, got: threads })
  }
  if (threads === 1) return
  if (isNode() && !process.getBuiltinModule) {
    throw new ThimbleError('runtime/threads', 'threads need Node 20.16 or newer', {
      got: process.version,
      hint: 'update Node, or use one thread',
    })
  }
  if (typeof SharedArrayBuffer === 'undefined') {
    throw new ThimbleError('runtime/threads', 'threads need shared memory', {
      got: 'an engine without SharedArrayBuffer',
      hint: 'serve the page cross-origin isolated (COOP and COEP headers), or use one thread',
    })
  }
}

async function startWorker(): Promise<Handle> {
  if (isNode()) {
    // No import: bundlers for the browser would look for the module.
    const { Worker } = process.getBuiltinModule('node:worker_threads')
    // Run from the sources (tests, tools), the worker is the built one: Node's workers do not load TypeScript.
    const source = import.meta.url.endsWith('.ts') ? '../../dist/threads/worker.js' : '../threads/worker.js'
    const worker = new Worker(new URL(source, import.meta.url))
    worker.unref()
    return {
      post: (m) => worker.postMessage(m),
      next: () =>
        new Promise((resolve, reject) => {
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
      terminate: () => void worker.terminate(),
    }
  }
  const worker = new Worker(new URL('../threads/worker.js', import.meta.url), { type: 'module' })
  return {
    post: (m) => worker.postMessage(m),
    next: () =>
      new Promise((resolve, reject) => {
        worker.onmessage = (e) => resolve(e.data)
        worker.onerror = (e) => reject(new Error(e.message))
      }),
    terminate: () => worker.terminate(),
  }
}

/** Worker threads bound to one program in one shared memory. */
export class ThreadPool {
  readonly #workers: Handle[]
  readonly #words: Int32Array
  readonly #counter: Int32Array
  readonly #counterIndex: number
  #expected = 0

  private constructor(workers: Handle[], words: Int32Array, memory: WebAssembly.Memory, counter: number) {
    this.#workers = workers
    this.#words = words
    this.#counter = new Int32Array(memory.buffer)
    this.#counterIndex = counter >> 2
  }

  /**
   * Every worker has instantiated the module when this resolves; the caller then writes the program into the memory.
   */
  static async start(module: WebAssembly.Module, memory: WebAssembly.Memory, program: Program): Promise<ThreadPool> {
    const control = new SharedArrayBuffer(CONTROL_WORDS * 4)
    const workers: Handle[] = []
    try {
      await Promise.all(
        program.workers.map(async ({ table, count }) => {
          const worker = await startWorker()
          workers.push(worker)
          await worker.next()
          const ready = worker.next()
          worker.post({ module, memory, control, table, count })
          await ready
        }),
      )
    } catch (error) {
      for (const worker of workers) worker.terminate()
      throw new ThimbleError('runtime/threads', 'a worker thread did not start', {
        got: (error as Error).message || 'no worker script',
        hint: 'serve threads/worker.js of the package beside the bundle (a bundler that does not follow new URL(…, import.meta.url) leaves it out), or use one thread',
      })
    }
    return new ThreadPool(workers, new Int32Array(control), memory, program.barrierCounter)
  }

  /**
   * Lets the workers begin their share of one inference; the caller then runs its own, which meets them at the
   * barriers.
   */
  wake(): void {
    // A worker may still be leaving the last barrier of the run before: its counter must not be reset under it.
    while (Atomics.load(this.#words, FINISHED) !== this.#expected);
    this.#expected = (this.#expected + this.#workers.length) | 0
    Atomics.store(this.#counter, this.#counterIndex, 0)
    Atomics.store(this.#words, STATUS, 0)
    const next = (Atomics.load(this.#words, GENERATION) + 1) & 0x3fffffff
    Atomics.store(this.#words, GENERATION, next)
    Atomics.notify(this.#words, GENERATION)
  }

  /** First error status of a worker, 0 for none. */
  get status(): number {
    return Atomics.load(this.#words, STATUS)
  }

  stop(): void {
    Atomics.store(this.#words, GENERATION, -1)
    Atomics.notify(this.#words, GENERATION)
    for (const worker of this.#workers) worker.terminate()
  }
}
