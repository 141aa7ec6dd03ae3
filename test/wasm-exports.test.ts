/** Other names for exports: what names they get, and that nothing else changes. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { renameExports } from '../tools/wasm-exports.ts'
import { root } from './util.ts'

const runtime = readFileSync(`${root}build/thimble-scalar.wasm`)
const layout = readFileSync(`${root}assembly/layout.ts`, 'utf8')
const kernels = readFileSync(`${root}assembly/kernels/index.ts`, 'utf8')
const namesOf = (bytes: Uint8Array): string[] =>
  WebAssembly.Module.exports(new WebAssembly.Module(bytes as BufferSource)).map(({ name }) => name)

test('exports get other names of any length, all else stays', () => {
  assert.equal(
    renameExports(runtime, (name) => name),
    runtime,
  )
  const long = renameExports(runtime, (name) => `${name}${'-'.repeat(200)}`)
  assert.equal(
    namesOf(long),
    namesOf(runtime).map((name) => `${name}${'-'.repeat(200)}`),
  )
  assert.equal(
    renameExports(long, (name) => name.slice(0, -200)),
    runtime,
  )
})

test("every kernel is named after an opcode, whose number the built runtime has in the name's place", () => {
  const opcodes = new Map([...layout.matchAll(/OP_(\w+) = (\d+)/g)].map(([, name, n]) => [name!.toLowerCase(), n!]))
  const named = [...kernels.matchAll(/ as kernel_(\w+) /g)].map(([, name]) => name!)
  assert.ok(named.includes('conv'))
  assert.equal(
    namesOf(runtime).filter((name) => name.startsWith('kernel_')),
    named.map((name) => `kernel_${opcodes.get(name)}`),
  )
})

test.run()
