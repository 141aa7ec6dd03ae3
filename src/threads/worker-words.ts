/** What the host and its worker threads agree on. */

/** What the host sends once. */
export interface WorkerStart {
  module: WebAssembly.Module
  memory: WebAssembly.Memory
  control: SharedArrayBuffer
  /** The worker's op table: address and entries. */
  table: number
  count: number
  /** Address of the word that counts arrivals at barriers. */
  counter: number
}

/**
 * Words of `control`: the generation, negative to quit; the first non-zero status that a worker met; shares finished in
 * all.
 */
export const GENERATION = 0
export const STATUS = 1
export const FINISHED = 2
export const CONTROL_WORDS = 4

/** STATUS of a worker whose share trapped. */
export const TRAPPED = -1
/** What a worker that gives up sets the counter to, so that nobody waits for it: more than any barrier's target. */
export const RELEASE = 0x3fffffff
