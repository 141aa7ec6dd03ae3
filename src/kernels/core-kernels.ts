/**
 * Which kernels the core module of a variant has: those that classifiers and common detectors are made of. The full
 * module has every kernel and is loaded for graphs that need another. tools/build.ts cuts the core modules out of the
 * full ones by this list, so a new opcode is in the full ones until it is added here.
 */
import * as L from '../generated/layout.ts'

export const CORE_OPCODES: ReadonlySet<number> = new Set([
  L.OP_GROUP,
  L.OP_COPY,
  L.OP_FILL,
  L.OP_LUT,
  L.OP_CHANNEL_LUT,
  L.OP_STRIDED_COPY,
  L.OP_GATHER,
  L.OP_CONV,
  L.OP_CONV_DIRECT,
  L.OP_WINOGRAD,
  L.OP_DEPTHWISE,
  L.OP_DEPTHWISE3X3,
  L.OP_DEPTHWISE3X3_PRODUCTS,
  L.OP_DEPTHWISE3X3_DOT,
  L.OP_DEPTHWISE5X5,
  L.OP_FULLY_CONNECTED,
  L.OP_BINARY,
  L.OP_COMBINE,
  L.OP_AVERAGE_POOL,
  L.OP_MAX_POOL,
  L.OP_MEAN,
  L.OP_SOFTMAX,
  L.OP_RESIZE_BILINEAR,
  L.OP_QUANTIZE,
  L.OP_DEQUANTIZE,
  L.OP_DETECTION,
])

/** Packers that only other kernels' weights need. */
export const OTHER_PACKERS: readonly string[] = ['pack_polyphase']

/** Whether the core module runs a program of these opcodes. */
export const coreRuns = (opcodes: Iterable<number>): boolean => {
  for (const op of opcodes) if (!CORE_OPCODES.has(op)) return false
  return true
}
