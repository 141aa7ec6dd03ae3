/** Bytes to a ready model in Node: the runtime that nearly always runs is at hand, and `fast` is there. */
import type { Engine } from './engine.ts'
import type { FastRuntime } from './choice.ts'
import simdRuntime from '../generated/simd-core-raw.ts'
import { loadBytes as loadWith } from './load.ts'
import { checkLoadOptions } from '../options/load-options.ts'
import { embedRuntime } from './runtime.ts'
import { isWasm } from '../options/source.ts'
import type { LoadOptions } from '../graph/types.ts'

/** What `fast: true` runs on; loaded when it is asked for. */
export const fastRuntime = async (): Promise<FastRuntime> => (await import('../fast/runtime.ts')).fastRuntime()

/** Loads the bytes of a .tflite, .thimble or packed .wasm file, see `loadModel`; `name` is for messages. */
export async function loadBytes(bytes: Uint8Array, options: LoadOptions = {}, name?: string): Promise<Engine> {
  checkLoadOptions(options)
  if (isWasm(bytes)) return (await import('./packed-module.ts')).loadWasm(bytes, options, name)
  embedRuntime('simd-core', simdRuntime)
  return loadWith(bytes, options, name, fastRuntime)
}
