/**
 * A worker thread of a threaded model: instantiates the runtime on the shared memory, then sleeps until the host bumps
 * the generation word, runs its op table, and sleeps again. Runs as a Node worker thread and as a browser Worker.
 */

import { nodeProcess } from './node-process.ts'
import { FINISHED, GENERATION, RELEASE, STATUS, TRAPPED, type WorkerStart } from './worker-words.ts'

interface Port {
  postMessage(message: unknown): void
  onMessage(handler: (start: WorkerStart) => void): void
}

function port(): Port {
  const node = nodeProcess()
  if (node) {
    const { parentPort } = node.getBuiltinModule('node:worker_threads')
    return {
      postMessage: (m) => parentPort!.postMessage(m),
      onMessage: (handler) => {
        parentPort!.once('message', handler)
      },
    }
  }
  const scope = globalThis as unknown as {
    postMessage(m: unknown): void
    onmessage: ((e: MessageEvent) => void) | null
  }
  return {
    postMessage: (m) => scope.postMessage(m),
    onMessage: (handler) => {
      scope.onmessage = (e) => handler(e.data as WorkerStart)
    },
  }
}

/** Looks at the generation before sleeping, about 0.1 ms: in a row of runs the next one begins at once. */
const SPINS = 50_000

function serve({ module, memory, control, table, count, counter }: WorkerStart, ready: () => void): void {
  const instance = new WebAssembly.Instance(module, { env: { memory } })
  const runThread = instance.exports.thimble_thread as (table: number, count: number) => number
  const words = new Int32Array(control)
  const arrivals = new Int32Array(memory.buffer)
  let seen = Atomics.load(words, GENERATION)
  const share = (): number => {
    try {
      return runThread(table, count)
    } catch {
      return TRAPPED
    }
  }
  ready()
  for (;;) {
    for (let i = 0; i < SPINS; i++) if (Atomics.load(words, GENERATION) !== seen) break
    Atomics.wait(words, GENERATION, seen)
    const now = Atomics.load(words, GENERATION)
    if (now < 0) return
    if (now === seen) continue
    seen = now
    const status = share()
    if (status) {
      Atomics.compareExchange(words, STATUS, 0, status)
      // Whoever waits for this thread goes on, to an answer that is not used.
      Atomics.store(arrivals, counter >> 2, RELEASE)
      Atomics.notify(arrivals, counter >> 2)
    }
    Atomics.add(words, FINISHED, 1)
    Atomics.notify(words, FINISHED)
  }
}

const { postMessage, onMessage } = port()
onMessage((start) => serve(start, () => postMessage('ready')))
postMessage('started')
