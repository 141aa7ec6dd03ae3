/** Import first: switches on relaxed SIMD in Node 20, which has it behind a flag. */
import { setFlagsFromString } from 'node:v8'

if (process.versions.v8.startsWith('11.')) setFlagsFromString('--experimental-wasm-relaxed-simd')
