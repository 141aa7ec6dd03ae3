/** What requantization ends with, in the kernels that multiply. */
import type { Context, Q } from './context.ts'
import type { Buffer } from './program.ts'

/** 1.5 * 2^23 as bits of f32: adding it rounds. */
const MAGIC = 0x4b400000

/** Rounding by MAGIC, the output's zero point, the limits minus the kernel domain's shift. */
export interface Epilogue {
  magicMinusZero: number
  outputZeroPoint: number
  actMin: number
  actMax: number
  /** 1: the limits exclude some int8. */
  clamped: number
}

/** The epilogue of a kernel that writes `out`; limits: of the file's own values. */
export function epilogueOf(out: Q, limits: [number, number]): Epilogue {
  const actMin = limits[0] - out.shift
  const actMax = limits[1] - out.shift
  return {
    magicMinusZero: MAGIC - out.zero,
    outputZeroPoint: out.zero,
    actMin,
    actMax,
    clamped: Number(actMin > -128 || actMax < 127),
  }
}

/** The numbers that a record has one by one. */
export const epilogueFields = ({
  magicMinusZero,
  actMin,
  actMax,
  outputZeroPoint,
}: Epilogue): Record<string, number> => ({ magic: MAGIC, magicMinusZero, actMin, actMax, outputZeroPoint })

/** The constants as vectors, 64 bytes: a load with an offset is cheaper than a broadcast. */
export function constantVectors(cx: Context, e: Epilogue): Buffer {
  const key = `${e.outputZeroPoint} ${e.actMin} ${e.actMax}`
  const known = cx.epilogues.get(key)
  if (known) return known
  const words = new Int32Array(16)
  const bytes = new Int8Array(words.buffer)
  words.fill(MAGIC, 0, 4).fill(e.magicMinusZero, 4, 8)
  bytes.fill(e.actMin, 32, 48).fill(e.actMax, 48, 64)
  const buffer = cx.buffers.constant('epilogue constants', words)
  cx.epilogues.set(key, buffer)
  return buffer
}
