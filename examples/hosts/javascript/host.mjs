// A packed model in JavaScript without Thimble's package: node host.mjs MODULE.wasm INPUT OUTPUT
import { readFileSync, writeFileSync } from 'node:fs'

const [path, source, target] = process.argv.slice(2)
const { instance } = await WebAssembly.instantiate(readFileSync(path))
const model = instance.exports
const input = readFileSync(source)
if (input.length !== model.thimble_input_bytes(0)) throw new Error("the input has another size than the model's")
let best = Infinity
for (let i = 0; i < 50; i++) {
  // Inputs share memory with what comes after them: written before every run.
  new Uint8Array(model.memory.buffer).set(input, model.thimble_input_ptr(0))
  const start = performance.now()
  const status = model.thimble_invoke()
  best = Math.min(best, performance.now() - start)
  if (status !== 0) throw new Error(`thimble_invoke returned ${status}`)
}
writeFileSync(target, new Uint8Array(model.memory.buffer, model.thimble_output_ptr(0), model.thimble_output_bytes(0)))
console.log(`${best.toFixed(2)} ms, ${model.memory.buffer.byteLength} bytes`)
