// Compiles and instantiates the wasm file named on the command line; run under `node --print-wasm-code` (v8-code.ts).
new WebAssembly.Instance(new WebAssembly.Module(require('node:fs').readFileSync(process.argv[2])))
