/** examples/hosts: programs in several languages give the same bytes for the same tensor. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { HOSTS, modules, ready, run } from '../../examples/hosts/table.ts'
import { recordedNetworks } from '../recorded.ts'
import { root, skip } from '../util.ts'

const test = suite('engines: hosts')
const network = recordedNetworks.find(({ macs }) => macs > 5e6)!

/** Sources that people copy. */
const SOURCES = [
  'c/wasm2c.c',
  'c/wamr.c',
  'c/wasm3.c',
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

const dir = mkdtempSync(join(tmpdir(), 'thimble-hosts-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))
const input = join(dir, 'input.bin')
const [first] = network.cases
writeFileSync(input, first!.inputs[0]!)
const paths = await modules(network.path)
for (const host of HOSTS) {
  // Nothing that takes minutes is built here: examples/hosts/table.ts does that.
  const wasm = paths[host.variant]
  if (!ready(host, wasm, false)) {
    skip(host.name, 'not built; tsx examples/hosts/table.ts MODEL INPUT builds it')
    continue
  }
  test(`${host.name}: LiteRT's bytes`, () => {
    const { output, said } = run(host, wasm, input)
    first!.check(output, 0, host.name)
    assert.match(said, /^\d+\.\d\d ms/)
  })
}

test.run()
