import { suite } from 'uvu'
import { registerEngines } from './register.ts'

const test = suite('engines: standalone')
registerEngines(test, (id) => /^(wasmtime|wazero.*|wasm3)$/.test(id))
test.run()
