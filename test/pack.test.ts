/** The linker, the packed ABI, the C header, and `thimble pack` as a program. */
import './relaxed.ts'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import { readModel } from '../src/formats/index.ts'
import { LATER_EXPORTS, loadPackedModule, PACKED_EXPORTS, packedMeta } from '../src/engine/packed-module.ts'
import { Reader, Writer } from '../src/pack/bytes.ts'
import { BOARDS, needsOf, smallestBoard } from '../src/cli/boards.ts'
import { cHeader, macroPrefix } from '../src/pack/header.ts'
import { linkModule, type LinkOptions } from '../src/pack/link.ts'
import { moduleMeta } from '../src/pack/meta.ts'
import { packGraph } from '../src/pack/pack.ts'
import { encodeModule, parseModule, walkBody, type WasmModule } from '../src/pack/wasm.ts'
import { runtimeBytes } from '../src/engine/runtime.ts'
import type { Variant } from '../src/graph/types.ts'
import { GraphBuilder } from './small-models.ts'
import { checkCases, recordedNetworks } from './recorded.ts'
import { equalBytes, need, refusal, rng, root, shared } from './util.ts'

const test = suite('pack')
const VARIANTS: Variant[] = ['simd', 'scalar', 'relaxed']
const dir = mkdtempSync(join(tmpdir(), 'thimble-pack-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const ABI = [...PACKED_EXPORTS, ...LATER_EXPORTS, '__heap_base', '__data_end']
const link = async (change: Partial<LinkOptions> = {}) =>
  linkModule({
    runtime: await runtimeBytes('simd'),
    exports: [...PACKED_EXPORTS, ...LATER_EXPORTS],
    data: [],
    memoryPages: 1,
    ...change,
  })
const kernelNames = (m: WasmModule): string[] => m.exports.map((e) => e.name).filter((n) => /^(kernel|gemm)_/.test(n))

async function rejects(run: () => unknown, code: string): Promise<void> {
  try {
    await run()
  } catch (error) {
    assert.instance(error, ThimbleError)
    assert.is((error as ThimbleError).code, code, (error as Error).message)
    return
  }
  assert.unreachable(`expected ${code}`)
}

test('LEB128 round trips, shortest form', () => {
  const r = rng(1)
  const unsigned = [
    0,
    1,
    127,
    128,
    16383,
    16384,
    2 ** 31,
    2 ** 32 - 1,
    ...Array.from({ length: 200 }, () => Math.floor(2 ** (r() * 32))),
  ]
  for (const v of unsigned) {
    const bytes = new Writer().u32(v).finish()
    assert.is(new Reader(bytes).u32(), v)
    assert.is(bytes.length, Math.max(1, Math.ceil(Math.log2(v + 1) / 7)))
  }
  for (const v of [0, 63, 64, -64, -65, -1, 2 ** 31 - 1, -(2 ** 31), ...unsigned.map((u) => u | 0)]) {
    assert.is(new Reader(new Writer().s33(v).finish()).s33(), v)
  }
})

test('the runtimes survive parse and encode', async () => {
  for (const variant of VARIANTS) {
    const runtime = await runtimeBytes(variant)
    const m = parseModule(runtime)
    const again = encodeModule(m)
    assert.ok(WebAssembly.validate(again as Uint8Array<ArrayBuffer>), variant)
    assert.equal(parseModule(again), m)
    // Every body is walked to its last byte, and the last instruction is its end.
    for (const { body } of m.functions) {
      let last = -1
      walkBody(
        body,
        () => {},
        (op) => {
          last = op
        },
      )
      assert.is(last, 0x0b)
    }
  }
})

test('only the exports of the ABI, no imports, fixed memory', async () => {
  for (const variant of VARIANTS) {
    const { wasm } = await link({
      runtime: await runtimeBytes(variant),
      memoryPages: 3,
      globals: { __heap_base: 65536, __data_end: 4096 },
    })
    const module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)
    assert.equal(WebAssembly.Module.imports(module), [])
    assert.equal(
      WebAssembly.Module.exports(module).map((e) => e.name),
      ABI,
    )
    const e = new WebAssembly.Instance(module).exports as {
      memory: WebAssembly.Memory
      __heap_base: WebAssembly.Global
      thimble_abi(): number
      thimble_invoke(): number
    }
    assert.is(e.memory.buffer.byteLength, 3 * 65536)
    assert.throws(() => e.memory.grow(1))
    assert.is(e.__heap_base.value, 65536)
    assert.is(e.thimble_abi(), 1)
    assert.is(e.thimble_invoke(), 1) // No program in it.
  }
})

test('each kernel is removed when it alone is unused', async () => {
  const runtime = parseModule(await runtimeBytes('simd'))
  const names = kernelNames(runtime)
  const whole = (await link()).codeBytes
  assert.ok(names.length >= 15)
  const sizes = await Promise.all(
    names.map(async (name) => {
      const { codeBytes, wasm } = await link({ stubs: [name] })
      assert.ok(WebAssembly.validate(wasm as Uint8Array<ArrayBuffer>), name)
      // Kernels of a few instructions are inlined into the executor, where they stay.
      const { body } = runtime.functions[runtime.exports.find((e) => e.name === name)!.index]!
      assert.ok(codeBytes < whole || body.length < 128, `${name} of ${body.length} bytes left the size at ${codeBytes}`)
      return whole - codeBytes
    }),
  )
  const none = await link({ stubs: names })
  assert.ok(none.codeBytes < whole - Math.max(...sizes))
  assert.ok(none.functions < 16, `${none.functions} functions without any kernel`)
})

test('linking is deterministic, and linking a linked module changes nothing', async () => {
  const options = {
    stubs: ['kernel_4'],
    data: [{ address: 4096, bytes: Uint8Array.of(1, 2, 3) }],
    globals: { __heap_base: 9000 },
  }
  const first = await link(options)
  const second = await link(options)
  equalBytes(first.wasm, second.wasm, 'second link')
  equalBytes(
    linkModule({
      runtime: first.wasm,
      exports: [...PACKED_EXPORTS, ...LATER_EXPORTS, '__heap_base'],
      data: [],
      memoryPages: 1,
    }).wasm,
    first.wasm,
    'link of the link',
  )
})

test('the image appears in memory, zero runs take no file', async () => {
  const r = rng(3)
  for (let round = 0; round < 20; round++) {
    const bytes = new Uint8Array(3000)
    for (let at = r.int(100); at < bytes.length; at += r.int(120)) {
      for (let k = r.int(40); k > 0 && at < bytes.length; k--) bytes[at++] = r.int(4)
    }
    const { wasm } = await link({ data: [{ address: 2048, bytes }] })
    const { memory } = new WebAssembly.Instance(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)).exports as {
      memory: WebAssembly.Memory
    }
    equalBytes(new Uint8Array(memory.buffer, 2048, bytes.length), bytes, `round ${round}`)
  }
  const empty = await link()
  const zeros = await link({ data: [{ address: 0, bytes: new Uint8Array(60000) }] })
  assert.is(zeros.wasm.length, empty.wasm.length)
})

test('what breaks the rules is refused', async () => {
  const ones = (n: number): Uint8Array => new Uint8Array(n).fill(1)
  await rejects(() => link({ data: [{ address: 65530, bytes: ones(10) }] }), 'plan/memory')
  await rejects(
    () =>
      link({
        data: [
          { address: 2000, bytes: ones(10) },
          { address: 2005, bytes: ones(10) },
        ],
      }),
    'plan/memory',
  )
  await rejects(() => link({ stubs: ['kernel_999'] }), 'format/wasm')
  await rejects(() => link({ exports: ['memory', 'nothing'] }), 'format/wasm')
  await rejects(() => link({ runtime: Uint8Array.of(0, 0x61, 0x73) }), 'format/wasm')
  // (module (import "env" "abort" (func)) (memory (export "memory") 1) (func (export "f") ...))
  const module = (body: number[], withImport: boolean): Uint8Array =>
    encodeModule({
      types: [Uint8Array.of(0x60, 0, 0)],
      imports: withImport ? [{ module: 'env', name: 'abort', type: 0 }] : [],
      functions: [{ type: 0, body: Uint8Array.from([0, ...body, 0x0b]) }],
      memory: { min: 1 },
      globals: [],
      exports: [
        { name: 'memory', kind: 'memory', index: 0 },
        { name: 'f', kind: 'func', index: withImport ? 1 : 0 },
      ],
      elements: [],
      data: [],
      customs: [],
    })
  const exports = ['memory', 'f']
  await rejects(() => link({ runtime: module([0x10, 0], true), exports }), 'format/wasm') // calls the import
  await rejects(() => link({ runtime: module([0x41, 1, 0x40, 0, 0x1a], false), exports }), 'format/wasm') // memory.grow
  // an unused import is dropped
  assert.ok(WebAssembly.validate((await link({ runtime: module([], true), exports })).wasm as Uint8Array<ArrayBuffer>))
})

test('damaged modules end in an error, never in a hang or a wild read', async () => {
  const r = rng(5)
  const runtime = await runtimeBytes('simd')
  let refused = 0
  for (let round = 0; round < 400; round++) {
    const bytes = runtime.slice(0, round % 4 ? runtime.length : r.int(runtime.length))
    for (let k = 0; k <= r.int(4); k++) bytes[8 + r.int(Math.max(1, bytes.length - 8))] = r.int(256)
    try {
      linkModule({ runtime: bytes, exports: PACKED_EXPORTS, data: [], memoryPages: 1 })
    } catch (error) {
      refused++
      assert.instance(error, ThimbleError, String((error as Error).stack))
    }
  }
  assert.ok(refused > 100)
})

/** Most bytes of code. */
const CODE: Readonly<Partial<Record<Variant, number>>> = { simd: 16384, scalar: 12288 }
const SMALL = /^(kws_ref_model|vww_96_int8|mobilenet_v1_0\.25_128_quant|separable_96|spotter_49x10)$/
/** Most bytes of memory of a scalar module. */
const WAKE_WORDS = /^(vww_96_int8|separable_96)$/

interface Ports {
  memory: WebAssembly.Memory
  __heap_base: WebAssembly.Global
}

for (const network of recordedNetworks.filter(({ name }) => SMALL.test(name))) {
  for (const variant of ['simd', 'scalar'] as const) {
    test(`${network.name}, packed ${variant}: answers as recorded, within the size goals`, async () => {
      const { name, path } = network
      const graph = readModel(new Uint8Array(readFileSync(path)), name)
      const { wasm, sizes, meta } = await packGraph(graph, { variant, name })
      assert.ok(sizes.codeBytes <= CODE[variant]!, `code of ${sizes.codeBytes} bytes`)
      assert.is(sizes.fileBytes, sizes.codeBytes + sizes.dataBytes + sizes.metaBytes)
      const { staticBytes, planBytes, weightBytes, stateBytes, arenaBytes, marginBytes } = sizes
      assert.is(sizes.memoryBytes, staticBytes + planBytes + weightBytes + stateBytes + arenaBytes + marginBytes)
      if (WAKE_WORDS.test(name) && variant === 'scalar') {
        assert.ok(sizes.memoryBytes <= 448 * 1024, `${sizes.memoryBytes} bytes of memory`)
      }
      const module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)
      assert.equal(WebAssembly.Module.imports(module), [])
      assert.equal(
        WebAssembly.Module.exports(module).map((e) => e.name),
        ABI,
      )
      assert.equal(JSON.parse(JSON.stringify(packedMeta(module))), JSON.parse(JSON.stringify(meta)))
      const [input] = meta.inputs
      assert.is(
        input!.bytes,
        input!.shape.reduce((a, b) => a * b, 1),
      )
      checkCases(loadPackedModule(module), network)
      // Ports can be counted: beyond the last one there are 0 bytes.
      const ports = new WebAssembly.Instance(module).exports as Record<string, (i: number) => number>
      for (const i of [1, 2, 0x7fffffff, -0x80000000, -1]) {
        const beyond = ['input_ptr', 'input_bytes', 'output_ptr', 'output_bytes'].map((f) => ports[`thimble_${f}`]!(i))
        assert.equal(beyond, [0, 0, 0, 0])
      }
      // Nothing above __heap_base is touched: an embedder may cut the memory there.
      const { memory, __heap_base } = new WebAssembly.Instance(module).exports as unknown as Ports
      assert.is(__heap_base.value, sizes.memoryBytes)
      assert.ok(new Uint8Array(memory.buffer, sizes.memoryBytes).every((b) => b === 0))
    })
  }
}

const meta = moduleMeta({
  name: '2 cats */ "x"',
  variant: 'scalar',
  kernels: 'generic',
  arenaBytes: 10,
  memoryBytes: 20,
  weightBytes: 5,
  memoryPages: 1,
  macs: 1,
  inputs: [{ name: 'in*/put', shape: [1, 2, 2, 3], dtype: 'uint8', scale: Math.fround(0.1), zeroPoint: 128 }],
  outputs: [{ name: 'out', shape: [1, 3], dtype: 'int8', scale: 1 / 256, zeroPoint: -128 }],
  metadata: {
    labels: ['a "quoted" \\ label', 'Käse??=', 'tab\there\n'],
    license: 'Apache-2.0',
    preprocess: { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [127.5], std: [127.5] },
  },
})
const COMPILER = ['gcc', 'cc'].find((name) => spawnSync(name, ['--version']).status === 0)

need(
  test,
  'the C header compiles without warnings and says the right numbers',
  { resource: COMPILER, missing: 'no C compiler' },
  async (compiler) => {
    writeFileSync(join(dir, 'model.h'), cHeader(meta, 'model.wasm'))
    writeFileSync(
      join(dir, 'main.c'),
      `#define MODEL_2_CATS_X_WANT_LABELS
#include "model.h"
#include "model.h"
#include <stdio.h>
int main(void) {
  const int shape[MODEL_2_CATS_X_INPUT0_RANK] = MODEL_2_CATS_X_INPUT0_SHAPE;
  MODEL_2_CATS_X_INPUT0_TYPE input[MODEL_2_CATS_X_INPUT0_ELEMENTS] = {255};
  MODEL_2_CATS_X_OUTPUT0_TYPE output = MODEL_2_CATS_X_OUTPUT0_ZERO_POINT;
  printf("%d %d %u %a %d %d %a\\n", shape[3], input[0], (unsigned)sizeof input, MODEL_2_CATS_X_INPUT0_SCALE, MODEL_2_CATS_X_INPUT0_ZERO_POINT, output, MODEL_2_CATS_X_OUTPUT0_SCALE);
  for (int i = 0; i < MODEL_2_CATS_X_LABEL_COUNT; i++) printf("%s|", model_2_cats_x_labels[i]);
  return THIMBLE_OK;
}
`,
    )
    execFileSync(compiler, [
      '-std=c99',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-pedantic',
      join(dir, 'main.c'),
      '-o',
      join(dir, 'main'),
    ])
    const [numbers, ...labels] = execFileSync(join(dir, 'main')).toString().split('\n') as [string, string]
    const [channels, first, size, scale, zero, output, outScale] = numbers.split(' ') as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ]
    assert.equal([channels, first, size, zero, output], ['3', '255', '12', '128', '-128'])
    assert.equal([Number.parseFloat(String(hexFloat(scale))), hexFloat(outScale)], [Math.fround(0.1), 1 / 256])
    assert.is(labels.join('\n'), 'a "quoted" \\ label|Käse??=|tab\there\n|')
  },
)

/** Reads C's %a. */
function hexFloat(text: string): number {
  const [, lead, fraction, exponent] = /^0x(\d)(?:\.([0-9a-f]+))?p([+-]\d+)$/.exec(text)!
  return (Number(lead) + (fraction ? Number.parseInt(fraction, 16) / 16 ** fraction.length : 0)) * 2 ** Number(exponent)
}

test('modules with a table: read, written, and held to what is there', () => {
  const section = (id: number, ...bytes: number[]): number[] => [id, bytes.length, ...bytes]
  const module = (element: number, table = true): Uint8Array =>
    Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(1, 1, 0x60, 0, 0),
      ...section(3, 1, 0),
      ...(table ? section(4, 1, 0x70, 0, 2) : []),
      ...section(9, 1, 0, 0x41, 0, 0x0b, 1, element),
      // A call through the table.
      ...section(10, 1, 7, 0, 0x41, 0, 0x11, 0, 0, 0x0b),
    ])
  assert.equal(encodeModule(parseModule(module(0))), module(0))
  assert.ok(WebAssembly.validate(module(0) as Uint8Array<ArrayBuffer>))
  assert.match(refusal(() => parseModule(module(1))).message, /format\/wasm: func 1 is not there; expected below 1/)
  assert.match(refusal(() => parseModule(module(0, false))).message, /format\/wasm: table 0 is not there/)
})

test('macro names', () => {
  assert.is(macroPrefix('mobilenet_v1_0.25 (128)'), 'MOBILENET_V1_0_25_128')
  assert.is(macroPrefix('42'), 'MODEL_42')
  assert.match(macroPrefix('猫'), /^MODEL_[0-9A-F]{8}$/)
  assert.is.not(macroPrefix('猫'), macroPrefix('犬'))
})

const CLI = join(root, 'dist/cli.js')
need(
  test,
  'thimble pack: files, report, errors',
  { resource: existsSync(CLI) ? CLI : undefined, missing: 'not built' },
  async (cli) => {
    const run = (...args: string[]) => spawnSync(process.execPath, [cli, 'pack', ...args], { encoding: 'utf8' })
    const model = recordedNetworks.find(({ name }) => /^(kws|spotter)/.test(name))!.path
    const float = shared('models/vww_96_float.tflite')
    const out = join(dir, 'kws.wasm')
    const header = join(dir, 'kws.h')
    const good = run(model, '-o', out, '--variant', 'scalar', '--header', header)
    assert.is(good.status, 0, good.stderr)
    assert.match(
      good.stdout,
      /kws\.wasm: scalar, \d+ bytes = code \d+ \+ weights and plan \d+ \+ metadata \d+\nmemory: /,
    )
    assert.match(readFileSync(header, 'utf8'), /#define KWS_INPUT0_BYTES 490u/)
    run(model, '-o', out, '--header', header, '--name', 'My model')
    assert.match(readFileSync(header, 'utf8'), /#ifndef THIMBLE_MY_MODEL_H\n[^]*#define MY_MODEL_INPUT0_BYTES 490u/)
    run(model, '-o', out, '--variant', 'scalar', '--header', header)
    assert.ok(WebAssembly.validate(readFileSync(out)))
    const again = join(dir, 'again.wasm')
    run(model, '-o', again, '--variant', 'scalar', '--kernels', 'arm')
    equalBytes(
      readFileSync(again),
      readFileSync(out),
      'a header is for C, on 32-bit processors where nothing else is said',
    )
    run(model, '-o', out, '--variant', 'scalar', '--kernels', 'generic', '--header', header)
    run(model, '-o', again, '--variant', 'scalar')
    equalBytes(readFileSync(again), readFileSync(out), 'packed twice')
    const bad: [string[], number, RegExp][] = [
      [[model], 2, /usage\/arguments: no -o/],
      [[], 2, /usage\/arguments: no MODEL/],
      [[model, '-o', out, '--variant', 'fast'], 2, /usage\/option: --variant/],
      [[model, '-o', out, '--target', 'wasi', '--header', header], 2, /usage\/option: --header/],
      [[model, '-o', join(dir, 'no/such/folder.wasm')], 2, /usage\/output/],
      [[join(root, 'package.json'), '-o', out], 1, /format\//],
    ]
    if (float !== undefined) bad.push([[float, '-o', out], 1, /lower\//])
    for (const [args, status, message] of bad) {
      const r = run(...args)
      assert.is(r.status, status, `${args.join(' ')}: ${r.stderr}`)
      assert.match(r.stderr, message)
      assert.is(r.stdout, '')
    }
  },
)

test('the report names the smallest board that holds a module', () => {
  const at = (flash: number, ram: number): string | undefined => smallestBoard({ flash, ram })?.name
  assert.is(at(100_000, 40_000), 'STM32L432 Nucleo-32')
  assert.is(at(300_000, 40_000), 'STM32F401 Nucleo-64', 'too little flash')
  assert.is(at(1.5e6, 200_000), 'Raspberry Pi Pico (RP2040)')
  assert.is(at(1e6, 600_000), undefined)
  const order = BOARDS.map((b) => [b.ram, b.flash] as const)
  BOARDS.slice(1).forEach((b, i) => assert.ok(b.ram >= order[i]![0], b.name))
  assert.equal(needsOf({ code: 1000, data: 2000, memory: 3000 }), { flash: 14192, ram: 9144 })
})

test('an index outside of its tensor is THIMBLE_BAD_INDEX, and no trap', async () => {
  const b = new GraphBuilder(1)
  const x = b.input([4, 6], 'int8')
  const i = b.tensor([2, 1], 'int32')
  b.graph.inputs.push(i)
  const graph = b.done(b.op('GATHER_ND', [x, i], [b.tensor([2, 6], 'int8', 0.05, 3)], {}))
  for (const variant of ['simd', 'scalar'] as const) {
    const { wasm, header } = await packGraph(graph, { variant })
    const [, status] = /#define THIMBLE_BAD_INDEX (\d+)/.exec(header)!
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm.slice()))
    const e = exports as unknown as Record<string, (i?: number) => number> & { memory: WebAssembly.Memory }
    const rows = new Int32Array(e.memory.buffer, e.thimble_input_ptr!(1), 2)
    for (const [values, want] of [
      [[0, 3], 0],
      [[0, 4], Number(status)],
      [[-1, 0], Number(status)],
      [[3, 3], 0],
    ] as const) {
      rows.set(values)
      assert.is(e.thimble_invoke!(), want, `${variant} ${values.join()}`)
    }
  }
})

test.run()
