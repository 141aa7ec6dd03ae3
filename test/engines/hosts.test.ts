/** examples/hosts: programs in several languages give the same bytes for the same tensor. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HOSTS, modules, ready, run } from '../../examples/hosts/table.ts'
import { equalBytes, root, shared, skip } from '../util.ts'

const test = suite('engines: hosts')
const [model, golden] = [shared('models/vww_96_int8.tflite'), shared('goldens/vww_96_int8')]

/** Sources that people copy. */
const SOURCES = [
  'c/wasm2c.c',
  'c/wamr.c',
  'go/main.go',
  'java/src/Host.java',
  'javascript/host.mjs',
  'python/host.py',
  'rust/src/main.rs',
]
test('every program is at most 40 lines', () => {
  for (const path of SOURCES) {
    const lines = readFileSync(join(root, 'examples/hosts', path), 'utf8')
      .trimEnd()
      .split('\n').length
    assert.ok(lines <= 40, `${path}: ${lines} lines`)
  }
})

if (model === undefined || golden === undefined) skip('hosts', 'no ../shared with models and recorded answers')
else {
  const paths = await modules(model)
  for (const host of HOSTS) {
    // Nothing that takes minutes is built here: examples/hosts/table.ts does that.
    const wasm = paths[host.variant]
    if (!ready(host, wasm, false)) {
      skip(host.name, 'not built; tsx examples/hosts/table.ts MODEL INPUT builds it')
      continue
    }
    test(`${host.name}: LiteRT's bytes`, () => {
      const { output, said } = run(host, wasm, join(golden, 'cat.in0.bin'))
      equalBytes(output, readFileSync(join(golden, 'cat.out0.bin')), host.name)
      assert.match(said, /^\d+\.\d\d ms/)
    })
  }
}

test.run()
