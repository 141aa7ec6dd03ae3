/** What the host and its worker threads agree on. */

/** What the host sends once. */
export interface WorkerStart {
  module: WebAssembly.Module
  memory: WebAssembly.Memory
  control: SharedArrayBuffer
  /** The worker's op table: address and entries. */
  table: number
  count: number
}

/**
 * Words of `control`: the generation, negative to quit; the first non-zero status that a worker met; shares finished in
 * all.
 */
export const GENERATION = 0
export const STATUS = 1
export const FINISHED = 2
export const CONTROL_WORDS = 4
