/**
 * `pack --weights flash`: the same bytes as with weights in memory, in the memory that was promised, on plain engines.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import { readModel } from '../src/formats/index.ts'
import type { Graph } from '../src/graph/graph.ts'
import { packGraph, type PackedModel, type PackOptions } from '../src/pack/pack.ts'
import { encodeModule, parseModule } from '../src/pack/wasm.ts'
import { LATER_EXPORTS, loadPackedModule, loadWasm, PACKED_EXPORTS } from '../src/engine/packed-module.ts'
import type { RuntimeExports } from '../src/engine/runtime.ts'
import type { ModelReport, Variant } from '../src/graph/types.ts'
import { GraphBuilder, smallModels } from './small-models.ts'
import { lines, type OpCase } from './op-cases.ts'
import { recordedNetworks } from './recorded.ts'
import { equalBytes, need, rng, root } from './util.ts'

const test = suite('flash')
const dir = mkdtempSync(join(tmpdir(), 'thimble-flash-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))
const VARIANTS: Variant[] = ['scalar', 'simd']

type Exports = RuntimeExports & { thimble_reset(): number }
const compiled = ({ wasm }: PackedModel): WebAssembly.Module => new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)
const instance = (packed: PackedModel): Exports =>
  new WebAssembly.Instance(compiled(packed)).exports as unknown as Exports
const flash = (graph: Graph, variant: Variant, more: PackOptions = {}): Promise<PackedModel> =>
  packGraph(graph, { variant, name: 'm', weights: 'flash', ...more })

/** Writes the inputs, runs, and copies the outputs; a status other than 0 is the answer. */
function invoke(e: Exports, { meta }: PackedModel, inputs: readonly Uint8Array[]): Uint8Array[] {
  inputs.forEach((x, i) => new Uint8Array(e.memory.buffer).set(x, e.thimble_input_ptr(i)))
  const status = e.thimble_invoke()
  if (status) return [Uint8Array.of(status)]
  return meta.outputs.map((o, i) => new Uint8Array(e.memory.buffer).slice(e.thimble_output_ptr(i)).subarray(0, o.bytes))
}

const randomInputs = ({ meta }: PackedModel, seed: number): Uint8Array[] => {
  const r = rng(seed)
  return meta.inputs.map(({ bytes }) => Uint8Array.from({ length: bytes }, () => r.int(256)))
}

/** Several inferences, with a reset among them: state and what a run leaves behind must not matter. */
function equalRuns(a: PackedModel, b: PackedModel, what: string): void {
  const [x, y] = [instance(a), instance(b)]
  for (let k = 0; k < 4; k++) {
    const inputs = randomInputs(a, k)
    const want = invoke(x, a, inputs)
    invoke(y, b, inputs).forEach((o, i) => equalBytes(o, want[i]!, `${what}, run ${k}, output ${i}`))
    if (k === 2) assert.equal([x.thimble_reset(), y.thimble_reset()], [0, 0])
  }
}

async function rejection(body: () => Promise<unknown>): Promise<ThimbleError> {
  try {
    await body()
  } catch (error) {
    assert.instance(error, ThimbleError)
    return error as ThimbleError
  }
  throw new Error('was not refused')
}

/** 1 x 1, 3 x 3, depthwise and strided convolutions, some far larger than a slice, then a fully connected layer. */
function network(seed: number): Graph {
  const r = rng(seed)
  const b = new GraphBuilder(seed)
  const unsigned = seed % 3 === 2
  const dtype = unsigned ? 'uint8' : 'int8'
  let [h, w, c] = [8 + r.int(9), 8 + r.int(9), 1 + r.int(4)]
  let x = b.input([1, h, w, c], dtype, 0.05, unsigned ? 120 : 3)
  const layers = 4 + r.int(4)
  for (let i = 0; i < layers; i++) {
    const stride = r.int(4) === 0 ? 2 : 1
    const kernel = [1, 1, 3][r.int(3)]!
    const depthwise = c > 1 && r.int(3) === 0
    const o = depthwise ? c : [3, 8, 20, 33, 64, 100][r.int(6)]!
    ;[h, w] = [Math.ceil(h / stride), Math.ceil(w / stride)]
    const y = b.tensor([1, h, w, o], dtype, 0.05 + 0.03 * c, unsigned ? 110 : -5)
    const attrs = { padding: 'SAME', strideH: stride, strideW: stride, dilationH: 1, dilationW: 1 } as const
    const activation = (['NONE', 'RELU', 'RELU6'] as const)[r.int(3)]!
    const axis = unsigned ? undefined : depthwise ? 3 : 0
    const scales = unsigned ? 1 : o
    if (depthwise) {
      b.op('DEPTHWISE_CONV_2D', [x, b.weights([1, kernel, kernel, o], axis, dtype), b.bias(o, scales)], [y], {
        ...attrs,
        activation,
        depthMultiplier: 1,
      })
    } else {
      b.op('CONV_2D', [x, b.weights([o, kernel, kernel, c], axis, dtype), b.bias(o, scales)], [y], {
        ...attrs,
        activation,
      })
    }
    ;[x, c] = [y, o]
  }
  const f = b.tensor([1, 10], dtype, 0.5, unsigned ? 100 : 2)
  b.op('FULLY_CONNECTED', [x, b.weights([10, h * w * c], undefined, dtype), b.bias(10, 1)], [f], {
    activation: 'NONE',
    keepNumDims: false,
  })
  return b.done(f)
}

for (const variant of VARIANTS) {
  test(`random networks, ${variant}: the bytes of the module with weights in memory, in a fraction of its memory`, async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const graph = network(seed)
      const ordinary = await packGraph(graph, { variant, name: 'm' })
      const least = await flash(graph, variant)
      equalRuns(ordinary, least, `network ${seed}, least memory`)
      assert.ok(least.meta.flash!.slices > 1)
      const weights = ordinary.sizes.weightBytes + ordinary.sizes.planBytes
      assert.ok(
        least.meta.memoryBytes < ordinary.meta.memoryBytes - weights / 2 + 4096,
        `network ${seed}: ${least.meta.memoryBytes} bytes, with weights in memory ${ordinary.meta.memoryBytes}`,
      )
      for (const factor of [seed % 2 ? 1.1 : 1.6]) {
        const ram = Math.floor(least.meta.memoryBytes * factor)
        const within = await flash(graph, variant, { ram })
        assert.ok(within.meta.memoryBytes <= ram, `network ${seed}: ${within.meta.memoryBytes} bytes of ${ram}`)
        equalRuns(ordinary, within, `network ${seed}, ${ram} bytes`)
      }
    }
  })

  test(`every op of the small models and of LiteRT's records, ${variant}`, async () => {
    for (const { name, graph } of smallModels()) {
      equalRuns(await packGraph(graph, { variant }), await flash(graph, variant), name)
    }
    const folder = join(root, 'test/goldens/ops')
    for (const file of readdirSync(folder)) {
      const all = lines(join(folder, file))
      const { model, runs } = JSON.parse(all[variant === 'simd' ? 0 : all.length >> 1]!) as OpCase
      const packed = await flash(readModel(Buffer.from(model, 'base64'), file), variant)
      const e = instance(packed)
      for (const { inputs, outputs } of runs) {
        const bytes = inputs.map((x) => Buffer.from(x, 'base64'))
        const out = invoke(e, packed, bytes)
        outputs.forEach((o, i) => equalBytes(out[i]!, Buffer.from(o.data, 'base64'), `${file}, output ${i}`))
      }
    }
  })
}

test('the ABI of every packed module: no imports, fixed memory, weights in one passive segment', async () => {
  const packed = await flash(network(5), 'scalar')
  const module = compiled(packed)
  assert.equal(WebAssembly.Module.imports(module), [])
  assert.equal(
    WebAssembly.Module.exports(module).map((e) => e.name),
    [...PACKED_EXPORTS, ...LATER_EXPORTS, '__heap_base', '__data_end'],
  )
  const m = parseModule(packed.wasm)
  assert.is(m.passive!.length, packed.sizes.flashBytes)
  assert.is(m.memory!.min, m.memory!.max)
  // What memory holds from the start: runtime tables, port tables, no weights.
  assert.ok(m.data.reduce((a, d) => a + d.bytes.length, 0) < 600)
  const e = instance(packed)
  assert.is((e as unknown as { __heap_base: WebAssembly.Global }).__heap_base.value, packed.meta.memoryBytes)
  assert.is(e.memory.buffer.byteLength, packed.meta.memoryPages * 65536)
  // Nothing behind __heap_base is ever written.
  invoke(e, packed, randomInputs(packed, 1))
  assert.ok(new Uint8Array(e.memory.buffer, packed.meta.memoryBytes).every((b) => b === 0))
  // The package loads it like any other.
  const model = loadPackedModule(module)
  const [input] = randomInputs(packed, 2)
  const answer = model.run(model.inputs[0]!.dtype === 'uint8' ? input! : new Int8Array(input!.buffer))
  equalBytes(answer[0]!, invoke(e, packed, [input!])[0]!, 'loaded by the package')
})

test('packing is deterministic, and a model without weights is a module like any other', async () => {
  const graph = network(7)
  equalBytes((await flash(graph, 'simd')).wasm, (await flash(graph, 'simd')).wasm, 'second time')
  const b = new GraphBuilder(1)
  const x = b.input([1, 4, 4, 2])
  const y = b.op('RESHAPE', [x, b.ints([1, 32])], [b.tensor([1, 32], 'int8', 0.05, 3)], {})
  const bare = b.done(y)
  equalRuns(await packGraph(bare), await flash(bare, 'simd'), 'a reshape')
})

test('a limit that is too small is refused with what it takes; options that do not go together, too', async () => {
  const graph = network(3)
  const { meta } = await flash(graph, 'scalar')
  const error = await rejection(() => flash(graph, 'scalar', { ram: meta.memoryBytes - 64 }))
  assert.is(error.code, 'plan/memory')
  assert.match(String(error.got), /^\d+ bytes/)
  assert.is((await rejection(() => flash(graph, 'scalar', { ram: 0.5 }))).code, 'usage/ram')
  assert.is((await rejection(() => packGraph(graph, { ram: 65536 }))).code, 'usage/ram')
  assert.is((await rejection(() => flash(graph, 'scalar', { target: 'wasi' }))).code, 'usage/weights')
})

/** Bytes of linear memory that scalar modules take at most. */
/** Linear memory in all of scalar modules, in KiB. */
const LIMITS: Readonly<Record<string, number>> = {
  vww_96_int8: 32,
  kws_ref_model: 15,
  pretrainedResnet_quant: 40,
  'mobilenet_v1_0.25_128_quant': 54,
  ad01_int8: 5,
  separable_96: 32,
  spotter_49x10: 15,
  residual_32: 40,
  legacy_64: 46,
}
for (const { name, path, cases } of recordedNetworks) {
  const limit = LIMITS[name]
  if (limit === undefined) continue
  test(`${name} in ${limit} KiB, as recorded`, async () => {
    const graph = readModel(new Uint8Array(readFileSync(path)), name)
    for (const variant of VARIANTS) {
      const packed = await flash(graph, variant)
      if (variant === 'scalar') {
        assert.ok(packed.meta.memoryBytes <= limit * 1024, `${packed.meta.memoryBytes} bytes`)
        assert.is(packed.meta.memoryPages, 1)
      }
      const e = instance(packed)
      for (const c of cases.slice(0, 2)) {
        const out = invoke(e, packed, c.inputs)
        out.forEach((o, i) => c.check(o, i, `${name} ${variant} ${c.name}`))
      }
    }
  })
}

const TOOLS = ['/usr/bin/wasm2c', '/usr/bin/gcc']
need(
  test,
  'as C of wasm2c: memory.init reads a constant of the program',
  { resource: TOOLS.every((path) => existsSync(path)) ? TOOLS : undefined, missing: 'wabt or gcc is missing' },
  async ([wasm2c, gcc]) => {
    const graph = network(4)
    const packed = await flash(graph, 'scalar')
    const inputs = randomInputs(packed, 9)
    const want = invoke(instance(packed), packed, inputs)
    const file = (name: string): string => join(dir, name)
    writeFileSync(file('m.wasm'), packed.wasm)
    writeFileSync(file('input.bin'), inputs[0]!)
    writeFileSync(
      file('main.c'),
      `#include <stdio.h>
#include "m.h"
static Z_m_instance_t m;
int main(void) {
  wasm_rt_init();
  Z_m_init_module();
  Z_m_instantiate(&m);
  uint8_t *memory = Z_mZ_memory(&m)->data;
  if (fread(memory + Z_mZ_thimble_input_ptr(&m, 0), 1, Z_mZ_thimble_input_bytes(&m, 0), stdin) == 0) return 2;
  if (Z_mZ_thimble_invoke(&m)) return 1;
  fwrite(memory + Z_mZ_thimble_output_ptr(&m, 0), 1, Z_mZ_thimble_output_bytes(&m, 0), stdout);
  return 0;
}
`,
    )
    const run = (command: string, args: string[], input?: Uint8Array): Buffer => {
      const r = spawnSync(command, args, { cwd: dir, ...(input ? { input } : {}), timeout: 100_000 })
      assert.is(r.status, 0, String(r.stderr))
      return r.stdout
    }
    run(wasm2c!, ['m.wasm', '-n', 'm', '-o', 'm.c'])
    assert.match(readFileSync(file('m.c'), 'utf8'), /static const u8 data_segment_data_\w*d0\[\]/)
    const wabt = '/usr/share/wabt/wasm2c'
    run(gcc!, ['-O1', '-w', `-I${wabt}`, 'main.c', 'm.c', `${wabt}/wasm-rt-impl.c`, '-lm', '-o', 'm'])
    equalBytes(run('./m', [], inputs[0]), want[0]!, 'wasm2c')
  },
)

test('thimble pack --weights flash says where the bytes are', () => {
  const model = join(root, 'weights/face_expression_112.thimble')
  const out = join(dir, 'face.wasm')
  const pack = (...more: string[]) =>
    spawnSync(process.execPath, ['--import', 'tsx', join(root, 'src/cli.ts'), 'pack', model, '-o', out, ...more], {
      encoding: 'utf8',
      cwd: root,
    })
  const r = pack('--variant', 'scalar', '--weights', 'flash', '--ram', '512K')
  assert.is(r.status, 0, r.stderr)
  assert.match(r.stdout, /weights in flash: \d+ slices of at most \d+ bytes, \d+ bytes copied an inference/)
  const bytes = Number(/^memory: (\d+) bytes/m.exec(r.stdout)![1])
  assert.ok(bytes <= 512 * 1024)
  const bad = pack('--weights', 'flash', '--ram', 'much')
  assert.is(bad.status, 2)
  assert.match(bad.stderr, /--ram takes bytes, such as 64K/)
})

test('a page size of 1: memory is declared to the byte, and nothing else changes', async () => {
  const graph = network(4)
  for (const options of [{ variant: 'scalar', weights: 'flash' }, { variant: 'simd' }] as const) {
    const [pages, bytes] = [await packGraph(graph, options), await packGraph(graph, { ...options, pageSize: 1 })]
    const { memory, customs, ...exact } = parseModule(bytes.wasm)
    const { memoryBytes } = bytes.meta
    assert.equal(memory, { min: memoryBytes, max: memoryBytes, pageLog2: 0 })
    assert.is(memoryBytes, pages.meta.memoryBytes)
    assert.equal(encodeModule({ ...exact, memory, customs }), bytes.wasm)
    const usual = parseModule(pages.wasm)
    assert.equal(encodeModule({ ...exact, memory: usual.memory, customs: usual.customs }), pages.wasm)
    // Engines without the proposal say so in one error.
    if (WebAssembly.validate(bytes.wasm as Uint8Array<ArrayBuffer>)) continue
    const error = await rejection(() => loadWasm(bytes.wasm))
    assert.is(error.code, 'format/wasm')
    assert.match(error.message, /no --page-size/)
  }
  assert.is((await rejection(() => packGraph(graph, { pageSize: 1, target: 'component' }))).code, 'usage/page-size')
  assert.is((await rejection(() => packGraph(graph, { pageSize: 4096 as 1 }))).code, 'usage/page-size')
})

test('what is read again is what groups in bands bring in after their first band', async () => {
  let most = 0
  for (let seed = 1; seed <= 6; seed++) {
    const { program } = await flash(network(seed), 'scalar')
    const { units, read, slices, largest, bytes } = program.flash!
    const total = (of: 'slices' | 'read' | 'again'): number => units.reduce((a, u) => a + u[of], 0)
    assert.equal([total('slices'), total('read'), total('read') - total('again')], [slices, read, bytes.length])
    assert.is(Math.max(...units.map((u) => u.largest)), largest)
    for (const u of units) assert.ok(u.again === 0 || u.lastOp > u.firstOp || u.slices > 1)
    most = Math.max(most, total('again'))
  }
  assert.ok(most > 0)
})

test('inspect draws what is copied from flash, and says it of a packed module', () => {
  const thimble = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', join(root, 'src/cli.ts'), ...args],
      { encoding: 'utf8', cwd: root, timeout: 60_000 },
    )
    assert.is(status, 0, stderr)
    return stdout
  }
  const model = join(root, 'weights/face_landmarks_68_tiny_112.thimble')
  const wasm = join(dir, 'inspected.wasm')
  const how = ['--weights', 'flash', '--variant', 'scalar']
  thimble('pack', model, '-o', wasm, ...how)
  const report = JSON.parse(thimble('inspect', model, '--json', ...how)) as ModelReport
  const packed = JSON.parse(thimble('inspect', wasm, '--json')) as ModelReport
  const module = new WebAssembly.Module(readFileSync(wasm))
  const { memory, __heap_base } = new WebAssembly.Instance(module).exports as Record<string, any>
  assert.is(report.memoryBytes, __heap_base.value)
  assert.is(packed.memoryBytes, memory.buffer.byteLength)
  const { units, ...flash } = report.flash!
  assert.equal(packed.flash, flash)
  assert.is(flash.bytes, parseModule(readFileSync(wasm)).passive!.length)
  const total = (of: 'slices' | 'read' | 'again'): number => units!.reduce((a, u) => a + u[of], 0)
  assert.is(total('slices'), flash.slices)
  assert.is(total('read'), flash.readBytes)
  assert.is(total('read') - total('again'), flash.bytes)
  assert.is(Math.max(...units!.map((u) => u.largest)), flash.largestSlice)
  const text = thimble('inspect', model, ...how)
  const rows = text.slice(text.indexOf('Copied from flash')).trim().split('\n').slice(2)
  assert.is(rows.length, units!.length)
  assert.is(rows.filter((r) => r.includes('#'.repeat(24))).length > 0, true)
  assert.match(
    thimble('inspect', wasm),
    new RegExp(`flash +${flash.bytes.toLocaleString('en')} bytes .*${flash.slices} slices`),
  )
})

test.run()
