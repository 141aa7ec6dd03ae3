/**
 * Runs inside arm64 Node: each model of the command line, with a getuid() before and after every counted inference,
 * which the plugin answers with a count (insn.c).
 * Usage: node thimble.mjs DIST RUNS MODEL...
 */
import { readFileSync, writeSync } from 'node:fs'
import type * as Thimble from '../../src/node.ts'

const [dist, runs, ...models] = process.argv.slice(2)
const { loadModel } = (await import(dist!)) as typeof Thimble
const mark = process.getuid!
const ARRAYS = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array }
/** Enough for V8 to have compiled the host's part of an inference. */
const WARM_UP = 30

for (const path of models) {
  const model = await loadModel(readFileSync(path))
  const inputs = model.inputs.map(({ dtype, shape }) => {
    const type = ARRAYS[dtype as keyof typeof ARRAYS]
    return new type(shape.reduce((a, b) => a * b, 1))
  })
  writeSync(2, `@model ${model.variant} ${model.kernels}\n`)
  for (let i = 0; i < WARM_UP; i++) model.run(inputs)
  for (let i = 0; i < Number(runs); i++) {
    mark()
    model.run(inputs)
    mark()
  }
  model.dispose()
}
