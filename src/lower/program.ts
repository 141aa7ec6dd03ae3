/**
 * What lowering produces: buffers without addresses, values (views of buffers) and steps (kernel calls whose fields are
 * computed once addresses are known). Plain data and closures; nothing here touches wasm.
 */
import type { LAYOUT } from '../generated/layout.ts'
import type { Tensor } from '../graph/graph.ts'
import type { Loader } from '../kernels/packers.ts'
import { littleEndian } from '../base/words.ts'

export type RecordName = Exclude<keyof typeof LAYOUT, 'Header' | 'Record' | 'GroupRecord' | 'Slice' | 'PartsRecord'>

/** A constant that is computed when it is needed. */
export interface Recipe {
  make(): ArrayBufferView
  /** Writes it to `address` with the runtime's packers; false: not with this runtime or memory. */
  load(loader: Loader, address: number): boolean
}

/** A run of bytes that the planner places: a constant, or arena memory. */
export interface Buffer {
  name: string
  bytes: number
  /** Constant contents, or how to get them. */
  constant?: Uint8Array | Recipe
  /** Memory of its own that outlives a run; `constant` is what it begins with. */
  state?: boolean
  /** For sizes that depend on layouts decided later: replaces `bytes` when the program is planned. */
  measure?: (() => number) | undefined
  /** Scratch of one kernel call: nothing in it outlives the call, so one unit's scratches share their memory. */
  transient?: boolean
  /** Transient: bytes that its kernel could make use of, and how many it got, gaps of the arena included. */
  useful?: number
  room?: number | undefined
  /** Absolute address, set by the planner. */
  address: number
  /** First and last top-level step that touches it; -1 before the first (inputs), Infinity to the end (outputs). */
  first: number
  last: number
}

/** Left and right padding inside each row of a value, in pixels; the padding holds `fill`. */
export interface Frame {
  left: number
  right: number
  fill: number
}

/**
 * An activation as kernels see it: int8 (uint8 tensors are kept minus 128), or raw bytes of other dtypes.
 * Spatial values are n images of h rows of w pixels of c bytes; everything else is one row.
 */
export class Value {
  readonly tensor: Tensor
  readonly n: number
  readonly h: number
  readonly w: number
  readonly c: number
  buffer: Buffer
  /** Another view of some other value's bytes: its layout can't be changed. */
  alias = false
  frame: Frame = { left: 0, right: 0, fill: 0 }
  /** Rows kept when this is a ring buffer inside a band group; 0: all rows. */
  ring = 0
  /** A uint8 graph output that its producer already writes in the file's own domain. */
  raw = false
  /** The step that writes it row by row, if one does. */
  producer?: Step | undefined
  /** Explicit zero padding of a PAD op folded into the consumer: this value is the unpadded one. */
  pad?: { top: number; bottom: number; left: number; right: number } | undefined

  constructor(tensor: Tensor, dims: { n: number; h: number; w: number; c: number }, buffer: Buffer) {
    this.tensor = tensor
    this.n = dims.n
    this.h = dims.h
    this.w = dims.w
    this.c = dims.c
    this.buffer = buffer
  }

  get rowBytes(): number {
    return this.w * this.c
  }
  get rowStride(): number {
    return (this.frame.left + this.w + this.frame.right) * this.c
  }
  get ringRows(): number {
    return this.ring || this.h
  }
  /** Bytes of one image as stored. */
  get imageBytes(): number {
    return this.h * this.rowStride
  }
  /** Bytes to reserve: rows kept, plus the left padding that the last row's fill runs into. */
  get bytes(): number {
    return this.n * this.ringRows * this.rowStride + this.frame.left * this.c
  }
  /** Address of row 0 including its left padding, for image `n`. */
  frameAddress(n = 0): number {
    return this.buffer.address + n * this.imageBytes
  }
  /** Address of pixel (0, 0) of image `n`. */
  address(n = 0): number {
    return this.frameAddress(n) + this.frame.left * this.c
  }
}

export interface Rows {
  rows: number
  strideH: number
  padTop: number
  windowH: number
  inRows: number
}

/** Row geometry of a kernel that maps row y to row y. */
export const rowwise = (rows: number): Rows => ({ rows, strideH: 1, padTop: 0, windowH: 1, inRows: rows })

/** One kernel call. */
export interface Step {
  record: RecordName
  op: number
  /** Kernel name for people. */
  kernel: string
  /** Index of the graph op this step belongs to. */
  opIndex: number
  rows: Rows
  reads: Buffer[]
  writes: Buffer[]
  /** Every field of the record but the common head; called when all addresses are known. */
  fields: () => Record<string, number>
  /**
   * Set when the step can run band by band: it reads `from` and writes `to` by rows. `order`: how reads and writes
   * interleave inside a row, which decides how far `to` may overlap `from` in memory: `element`: each element is read
   * before its result is written; `pixel`: `lag` pixels from the one being written on may still be read; default: any.
   */
  stream?: { from: Value; to: Value; order?: 'element' | 'pixel'; lag?: number } | undefined
  /** A second operand of the same shape that an elementwise step reads row by row. */
  side?: Value | undefined
  /** Steps that must run once before a band group that holds this one. */
  prologue?: Step[] | undefined
  macs?: number
  /** Time of them against that of the kernel whose weights are 16 bits wide; default 1. */
  effort?: number | undefined
  /** GEMM form of a convolution that uses one. */
  form?: number | undefined
  /** Output rows and columns that the kernel computes together; the default is one pixel. */
  block?: { rows: number; columns: number }
  /** Bytes that the kernel may read past the end of its buffers, when they are many. */
  overread?: number
  /** Set when the step may run in parts, each some of its output channels. */
  split?: Split | undefined
}

/**
 * A step's output channels in `blocks` blocks that each have an equal share of every one of the `constants`, in order.
 * `part`: the fields that differ in a record for blocks [from, to) with only their share of the constants, given the
 * whole step's.
 */
export interface Split {
  blocks: number
  constants: readonly Buffer[]
  part(fields: Readonly<Record<string, number>>, from: number, to: number): Record<string, number>
}

/**
 * Channels in panels of `nr`, one after the other in the output; where they are no multiple of it, the last panel has
 * the last `nr` channels, some of them again.
 */
export function splitPanels(channels: number, nr: number, constants: readonly Buffer[]): Split | undefined {
  if (channels < nr) return undefined
  const blocks = Math.ceil(channels / nr)
  const first = (block: number): number => Math.min(block * nr, channels - nr)
  return {
    blocks,
    constants,
    part: ({ output }, from, to) => ({
      output: output! + first(from),
      outC: Math.min(to * nr, channels) - first(from),
    }),
  }
}

export interface Group {
  steps: Step[]
  bandRows: number
}

/** Constants of at most this many bytes are deduplicated by content. */
export const SMALL = 64

/** Buffer factory. */
export class Buffers {
  readonly all: Buffer[] = []
  private readonly small = new Map<string, Buffer>()

  arena(name: string, bytes: number | (() => number)): Buffer {
    const fixed = typeof bytes === 'number'
    const buffer: Buffer = {
      name,
      bytes: fixed ? bytes : 0,
      measure: fixed ? undefined : bytes,
      address: 0,
      first: Infinity,
      last: -Infinity,
    }
    this.all.push(buffer)
    return buffer
  }

  constant(name: string, data: Uint8Array | Int8Array | Int16Array | Int32Array | Uint32Array | Float32Array): Buffer {
    const bytes = littleEndian(data)
    const key = bytes.length <= SMALL ? String.fromCharCode.apply(null, bytes as never) : undefined
    const known = key === undefined ? undefined : this.small.get(key)
    if (known) return known
    const buffer: Buffer = { name, bytes: bytes.length, constant: bytes, address: 0, first: Infinity, last: -Infinity }
    this.all.push(buffer)
    if (key !== undefined) this.small.set(key, buffer)
    return buffer
  }

  state(name: string, initial: Uint8Array): Buffer {
    const buffer: Buffer = {
      name,
      bytes: initial.length,
      constant: initial,
      state: true,
      address: 0,
      first: Infinity,
      last: -Infinity,
    }
    this.all.push(buffer)
    return buffer
  }

  lazy(name: string, bytes: number, recipe: Recipe): Buffer {
    const buffer: Buffer = { name, bytes, constant: recipe, address: 0, first: Infinity, last: -Infinity }
    this.all.push(buffer)
    return buffer
  }
}

/** The buffers that there are. */
export const present = (...buffers: (Buffer | undefined)[]): Buffer[] => buffers.filter((b) => b !== undefined)
