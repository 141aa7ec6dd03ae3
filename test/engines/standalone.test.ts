import { suite } from 'uvu'
import { registerEngines } from './register.ts'

const test = suite('engines: standalone')
registerEngines(test, (id) =>
  /^(wasmtime|wasmtime-(winch|pulley|bytes-.*)|wazero.*|wasm3|(wasmi|wamr-.*)-.*)$/.test(id),
)
test.run()
