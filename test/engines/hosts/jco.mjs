// thimble:vision/model made into JavaScript by jco: node jco.mjs BINDGEN FOLDER COMPONENT CALL..., calls as in
// component_host.py.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [bindgen, folder, path, ...calls] = process.argv.slice(2)
const { $init, generate } = await import(pathToFileURL(bindgen).href)
await $init
const { files } = generate(new Uint8Array(readFileSync(path)), {
  name: 'model',
  tlaCompat: false,
  instantiation: { tag: 'sync' },
  map: [],
  noNodejsCompat: true,
  validLiftingOptimization: false,
  tracing: false,
  noNamespacedExports: false,
  multiMemory: false,
})
for (const [name, bytes] of files) {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name.replace(/\.js$/, '.mjs')), bytes)
}
const { instantiate } = await import(pathToFileURL(join(folder, 'model.mjs')).href)
const { model } = instantiate((name) => new WebAssembly.Module(readFileSync(join(folder, name))), {})
const ARRAYS = { b: Int8Array, B: Uint8Array, f: Float32Array }
const plain = (value) => (ArrayBuffer.isView(value) ? [...value] : value)

for (const call of calls) {
  const [, name, code, file] = /^(\w+)(?:=(?:(\w):)?(.+))?$/.exec(call)
  const bytes = file === undefined ? undefined : new Uint8Array(readFileSync(file))
  const args = !bytes ? [] : [code ? new ARRAYS[code](bytes.buffer) : bytes]
  let answer
  try {
    answer = plain(model[name](...args, ...(name === 'classify' ? [3] : [])))
  } catch (error) {
    if (!error.payload) throw error
    answer = { error: error.payload.tag, text: error.payload.val }
  }
  console.log(JSON.stringify(answer))
}
