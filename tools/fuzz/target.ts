/** What is fuzzed: a reader with the files it begins from, and what must hold for every input. */
import type { Dice } from '../../test/mutate.ts'

/** An input that is worked on, and what else is there to take from. */
export interface Work {
  bytes: Uint8Array
  dice: Dice
  /** Another input of the corpus. */
  other: Uint8Array
  /** Words that the readers compare with. */
  words: readonly Uint8Array[]
}

export interface FuzzTarget {
  name: string
  /** What reads the bytes, and what has to hold beyond the invariant. */
  about: string
  /** Whole files to begin with. */
  seeds(): Uint8Array[] | Promise<Uint8Array[]>
  /** Reads, and runs what was read. May throw a ThimbleError, nothing else. */
  run(bytes: Uint8Array): unknown
  /** A change that knows the format; undefined where it finds nothing to change. Half of all changes are such. */
  change?(work: Work): Uint8Array | undefined
  /** Brings checksums and lengths in order after a change; applied three times of four. */
  seal?(bytes: Uint8Array): Uint8Array
  /** Largest input; default 65,536 bytes. */
  maxBytes?: number
  /** Off: bytes are changed by `change` alone. */
  blind?: false
}

/** What one execution may use: time on an idle core, and memory in typed arrays and in objects. */
export const BOUNDS = { ms: 1000, arrayBytes: 256 * 2 ** 20, heapMegabytes: 512 } as const
