/** Packed modules that anyone may have made: what `loadModel` refuses, and what refuses to run. */
import './relaxed.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType } from '../src/engine/engine.ts'
import { STATUS_INEXACT } from '../src/generated/layout.ts'
import { elements } from '../src/graph/graph.ts'
import { engineFeatures } from '../src/kernels/kernels.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadPackedModule, META_SECTION, PACKED_EXPORTS } from '../src/engine/packed-module.ts'
import { linkModule } from '../src/pack/link.ts'
import { packGraph } from '../src/pack/pack.ts'
import { encodeModule, parseModule } from '../src/pack/wasm.ts'
import type { RuntimeExports } from '../src/engine/runtime.ts'
import type { Model, TypedArray } from '../src/graph/types.ts'
import { smallModels } from './small-models.ts'
import { equalBytes, errorCode, refusal } from './util.ts'

const test = suite('packed module')

const signedDot = engineFeatures().signedDot

test('a module with relaxed dot products: right, or refused as it is loaded and as it runs; one without never is', async () => {
  let needing = 0
  for (const { name, graph } of smallModels()) {
    const input = (m: Model): TypedArray[] =>
      m.inputs.map((t) => new (arrayType(t.dtype))(elements(t.shape)).fill(3 as never) as TypedArray)
    const reference = await loadGraph(graph)
    const want = reference.run(input(reference))
    for (const kernels of ['generic', 'arm-dot'] as const) {
      const { wasm, header, signedDot: needed } = await packGraph(graph, { variant: 'relaxed', kernels })
      assert.is(needed && kernels === 'generic', false, name)
      assert.is(/WARNING.*signed/.test(header), needed)
      needing += Number(needed)
      const module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)
      if (kernels === 'generic' || signedDot) {
        const model = loadPackedModule(module)
        model.run(input(model)).forEach((o, i) => equalBytes(o, want[i]!, `${name}, ${kernels}`))
        continue
      }
      assert.is(
        errorCode(() => loadPackedModule(module)),
        'runtime/kernels',
        name,
      )
      const exports = new WebAssembly.Instance(module).exports as unknown as RuntimeExports
      if (needed) assert.is(exports.thimble_invoke(), STATUS_INEXACT, name)
    }
  }
  assert.ok(needing > 0, 'no model has a relaxed dot product')
})

/** A module with another `thimble.meta` section, and other functions where they are given. */
async function forged(
  change: (meta: any) => unknown,
  names: readonly string[] = PACKED_EXPORTS,
): Promise<WebAssembly.Module> {
  const { wasm, meta } = await packGraph(smallModels()[0]!.graph)
  const changed = change(JSON.parse(JSON.stringify(meta)))
  const text = typeof changed === 'string' ? changed : JSON.stringify(changed)
  const { wasm: out } = linkModule({
    runtime: wasm,
    exports: names,
    data: [],
    memoryPages: parseModule(wasm).memory!.min,
    customs: { [META_SECTION]: text },
  })
  return new WebAssembly.Module(out as Uint8Array<ArrayBuffer>)
}

test('modules that say wrong things about themselves are refused', async () => {
  const cases: [string, (meta: any) => unknown, RegExp][] = [
    ['format/packed-module', () => '{', /not JSON/],
    ['format/packed-module', () => 'null', /another version/],
    ['format/packed-module', (m) => ({ ...m, abi: 2 }), /expected abi 1, got abi 2/],
    ['format/packed-module', (m) => ({ ...m, inputs: [] }), /1 to 1024 tensors/],
    ['format/packed-module', (m) => ({ ...m, inputs: [null] }), /name, shape, dtype/],
    ['format/packed-module', (m) => ({ ...m, outputs: { length: 1 } }), /1 to 1024 tensors/],
    ['format/packed-module', (m) => ({ ...m, variant: 'avx' }), /simd, scalar or relaxed/],
    ['format/packed-module', (m) => ({ ...m, kernels: 'avx' }), /generic/],
    ['format/shape', (m) => ({ ...m, inputs: [{ ...m.inputs[0], shape: [-1] }] }), /dimension/],
    ['lower/dtype', (m) => ({ ...m, inputs: [{ ...m.inputs[0], dtype: 'string' }] }), /string/],
    ['runtime/abi', (m) => ({ ...m, inputs: [{ ...m.inputs[0], shape: [1e6, 100] }] }), /place of a tensor/],
    ['runtime/abi', (m) => ({ ...m, inputs: [...m.inputs, ...m.inputs] }), /place of a tensor/],
    ['format/metadata', (m) => ({ ...m, labels: [1] }), /labels/],
  ]
  for (const [code, change, message] of cases) {
    const module = await forged(change)
    const error = refusal(() => loadPackedModule(module))
    assert.is(error.code, code, error.message)
    assert.match(error.message, message)
  }
  for (const name of PACKED_EXPORTS.filter((n) => n !== 'memory')) {
    const module = await forged(
      (m) => m,
      PACKED_EXPORTS.filter((n) => n !== name),
    )
    assert.match(refusal(() => loadPackedModule(module)).message, new RegExp(`no function ${name} is exported`))
  }
})

test('a module of another ABI than it says is refused', async () => {
  const { wasm } = await packGraph(smallModels()[0]!.graph)
  const parsed = parseModule(wasm)
  const abi = parsed.exports.find((e) => e.name === 'thimble_abi')!
  // i32.const 2 where i32.const 1 was.
  parsed.functions[abi.index - parsed.imports.length]!.body = Uint8Array.of(0, 0x41, 2, 0x0b)
  const module = new WebAssembly.Module(encodeModule(parsed) as Uint8Array<ArrayBuffer>)
  const error = refusal(() => loadPackedModule(module))
  assert.is(error.code, 'runtime/abi')
  assert.match(error.message, /expected abi 1, got abi 2/)
})

test('a command is no module to load', async () => {
  const { wasm } = await packGraph(smallModels().find((m) => m.graph.outputs.length === 1)!.graph, { target: 'wasi' })
  const error = refusal(() => loadPackedModule(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)))
  assert.is(error.code, 'format/packed-module')
  assert.match(error.message, /WASI command/)
})

test.run()
