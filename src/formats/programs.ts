/**
 * Programs as a `.thimble` file holds them: what brings an empty memory of the runtime into the state in which the
 * model runs. In the header, one for each kernel set:
 *
 * ```
 * "programs": [{ "for": "simd x86", "memoryBytes", "arenaAddress", "arenaBytes",
 *                "header": { "opCount": 66, … },                  fields of the runtime's header, assembly/layout.ts
 *                "steps": offset, "bytes": n, "count": n }, …]
 * ```
 * `bytes` of the data are `count` signed LEB128 numbers of 32 bits: steps, one after the other. A step is what to do,
 * how many numbers follow, and these.
 *
 * ```
 *  0  3      to  offset  bytes      copies bytes of the data to address `to`
 * -1  n + 1  to  words              writes n words there
 * -2  3      to  n  word           writes n times the same word there
 *  k  n      arguments              calls packer k of PACKERS (from 1)
 * ```
 * The arena is free until the last step is done, and all zeros afterwards.
 */
import { LAYOUT_ID } from '../generated/layout.ts'
import type { Graph } from '../graph/graph.ts'
import type { Loader, Packers } from '../kernels/packers.ts'
import { wordBytes } from '../base/words.ts'

/** The runtime's packers that a program may call. Only ever added to. */
export const PACKERS = [
  'pack_gemm_4x8',
  'fold_gemm_4x8',
  'pack_depthwise3x3',
  'fold_rows',
  'narrow_bytes',
  'flip_bytes',
  'requantize_scales',
  'pack_gemm_4x16c4',
  'pack_gemm_3x8c8',
  'pack_taps',
  'pack_pairs',
  'fold_taps',
  'pack_rows4',
  'pack_winograd',
  'pack_gemm_4x8c4',
  'pack_polyphase',
] as const satisfies (keyof Packers)[]

/**
 * Raise when programs of before would not run right though the layout of records is the same: a kernel takes a field
 * for something else, a packer another order.
 */
const REVISION = 4

/** What programs are made for; a build with another id passes them over. */
export const PROGRAMS_ID = Math.imul(LAYOUT_ID ^ REVISION, 0x9e3779b1) >>> 0

/** Bytes or words to an address, or a packer's call. */
export type LoadStep =
  | { to: number; bytes: Uint8Array }
  | { to: number; words: Int32Array }
  | { to: number; word: number; times: number }
  | { call: (typeof PACKERS)[number]; args: readonly number[] }

export interface ProgramHead {
  /** Variant and kernel set, e.g. `simd x86`. */
  for: string
  memoryBytes: number
  arenaAddress: number
  arenaBytes: number
  /** Fields of the runtime's header. */
  header: Readonly<Record<string, number>>
}

/** A program to write. */
export interface RecordedProgram extends ProgramHead {
  steps: readonly LoadStep[]
}

/** A graph and what plan/record.ts made of it, to be written along; readers give the graph alone. */
export interface ProgrammedGraph extends Graph {
  programs?: readonly RecordedProgram[]
}

/** A program of a file. */
export interface StoredProgram extends ProgramHead {
  steps: Int32Array
}

/** What variant and kernels are called in a file. */
export const targetName = (variant: string, kernels: string): string => `${variant} ${kernels}`

/** The steps as numbers. `place` says where in the data bytes are. */
export function encodeSteps(steps: readonly LoadStep[], place: (bytes: Uint8Array) => number): Int32Array {
  return Int32Array.from(
    steps.flatMap((s) =>
      'call' in s
        ? [1 + PACKERS.indexOf(s.call), s.args.length, ...s.args]
        : 'words' in s
          ? [-1, 1 + s.words.length, s.to, ...s.words]
          : 'word' in s
            ? [-2, 3, s.to, s.times, s.word]
            : [0, 3, s.to, place(s.bytes), s.bytes.length],
    ),
  )
}

/** Numbers as signed LEB128. */
export function toLeb128(numbers: Int32Array): Uint8Array {
  const out: number[] = []
  for (let n of numbers) {
    for (; n < -64 || n > 63; n >>= 7) out.push((n & 127) | 128)
    out.push(n & 127)
  }
  return Uint8Array.from(out)
}

/** `count` numbers from signed LEB128; bytes that end too early count as zeros. */
export function fromLeb128(bytes: Uint8Array, count: number): Int32Array {
  const out = new Int32Array(count)
  for (let i = 0, at = 0; i < count; i++) {
    let b = bytes[at++]!
    let n = b & 127
    let shift = 7
    for (; b > 127; shift += 7) {
      b = bytes[at++]!
      n |= (b & 127) << shift
    }
    out[i] = shift < 32 && b & 64 ? n | (-1 << shift) : n
  }
  return out
}

/** Does what the steps say. Errors: a RangeError for steps that no encoder wrote. */
export function runSteps(
  steps: Int32Array,
  data: Uint8Array,
  { runtime, memory }: Pick<Loader, 'runtime' | 'memory'>,
): void {
  const packers = PACKERS.map((name) => runtime[name] as ((...args: number[]) => void) | undefined)
  for (let i = 0; i < steps.length;) {
    const what = steps[i]!
    const count = steps[i + 1]!
    const at = i + 2
    i = at + count
    if (count < 0 || i > steps.length) throw new RangeError('steps end in the middle of one')
    if (what === 0) memory.set(data.subarray(steps[at + 1], steps[at + 1]! + steps[at + 2]!), steps[at])
    else if (what === -1) memory.set(wordBytes(steps.subarray(at + 1, i)), steps[at])
    else if (what === -2) memory.set(wordBytes(new Int32Array(steps[at + 1]!).fill(steps[at + 2]!)), steps[at])
    else {
      const packer = packers[what - 1]
      if (packer?.length !== count) throw new RangeError(`packer ${what} with ${count} numbers`)
      // Those that it has no parameter for are ignored.
      packer(
        steps[at]!,
        steps[at + 1]!,
        steps[at + 2]!,
        steps[at + 3]!,
        steps[at + 4]!,
        steps[at + 5]!,
        steps[at + 6]!,
        steps[at + 7]!,
      )
    }
  }
}
