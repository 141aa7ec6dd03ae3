// A WASI command in Node's own WASI: node wasi.mjs COMMAND.wasm FOLDER ARGUMENT ...
import { readFileSync } from 'node:fs'
import { WASI } from 'node:wasi'

const [path, folder, ...args] = process.argv.slice(2)
const wasi = new WASI({ version: 'preview1', args: [path, ...args], preopens: { '.': folder } })
const { instance } = await WebAssembly.instantiate(readFileSync(path), { wasi_snapshot_preview1: wasi.wasiImport })
process.exitCode = wasi.start(instance)
