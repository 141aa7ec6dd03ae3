/**
 * The linker's parts against the WebAssembly specification, byte by byte: integers, instructions, sections, what is
 * removed, merged and left out; the C header and the command's configuration, field by field.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ErrorCode } from '../src/base/errors.ts'
import { ABI_VERSION, LAYOUT } from '../src/generated/layout.ts'
import * as W from '../src/generated/wasi-config.ts'
import type { Graph, Metadata, Preprocess } from '../src/graph/graph.ts'
import { inputTable } from '../src/image/preprocess.ts'
import { PROGRAM_BASE } from '../src/base/memory.ts'
import { packedMeta } from '../src/engine/packed-module.ts'
import { Reader, Writer } from '../src/pack/bytes.ts'
import { cHeader, macroPrefix, SIGNED_DOT } from '../src/pack/header.ts'
import { cutRuntime, linkModule, type LinkOptions } from '../src/pack/link.ts'
import { moduleMeta, type MetaInput } from '../src/pack/meta.ts'
import { headerBytes, packGraph } from '../src/pack/pack.ts'
import { wasiCommand } from '../src/pack/wasi.ts'
import { encodeModule, parseModule, rewriteBody, walkBody, type IndexSpace, type WasmModule } from '../src/pack/wasm.ts'
import type { Program } from '../src/plan/compile.ts'
import { runtimeBytes } from '../src/engine/runtime.ts'
import type { Kernels } from '../src/graph/types.ts'
import { GraphBuilder, smallModels } from './small-models.ts'
import { equalBytes, errorCode, refusal } from './util.ts'

const test = suite('pack parts')
const PLAIN: Preprocess = { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [0], std: [1] }

async function refused(body: () => Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  let error: { code?: string; message?: string } = {}
  try {
    await body()
  } catch (caught) {
    error = caught as typeof error
  }
  assert.is(error.code, code, error.message ?? 'was not refused')
  assert.match(error.message!, message)
}

// Integers --------------------------------------------------------------------

test('LEB128: the shortest form, to the bit', () => {
  for (const [value, bytes] of [
    [0, [0]],
    [127, [0x7f]],
    [128, [0x80, 1]],
    [300, [0xac, 2]],
    [16384, [0x80, 0x80, 1]],
    [2 ** 32 - 1, [0xff, 0xff, 0xff, 0xff, 0x0f]],
  ] as const) {
    assert.equal(Array.from(new Writer().u32(value).finish()), bytes, `${value}`)
    assert.is(new Reader(Uint8Array.from(bytes)).u32(), value)
  }
  for (const [value, bytes] of [
    [0, [0]],
    [63, [0x3f]],
    [64, [0xc0, 0]],
    [-1, [0x7f]],
    [-64, [0x40]],
    [-65, [0xbf, 0x7f]],
    [-128, [0x80, 0x7f]],
    [128, [0x80, 1]],
    [-123456, [0xc0, 0xbb, 0x78]],
    [2 ** 31 - 1, [0xff, 0xff, 0xff, 0xff, 7]],
    [-(2 ** 31), [0x80, 0x80, 0x80, 0x80, 0x78]],
  ] as const) {
    assert.equal(Array.from(new Writer().s33(value).finish()), bytes, `${value}`)
    assert.is(new Reader(Uint8Array.from(bytes)).s33(), value)
  }
})

test('what is no integer, or ends early, is refused where it is', () => {
  const at = (bytes: number[], read: (r: Reader) => unknown): string =>
    refusal(() => void read(new Reader(Uint8Array.from(bytes)))).message
  assert.match(
    at([0xff, 0xff, 0xff, 0xff, 0x10], (r) => r.u32()),
    /integer over 32 bits at byte 5/,
  )
  assert.match(
    at([0x80, 0x80, 0x80, 0x80, 0x80, 0], (r) => r.u32()),
    /integer over 32 bits at byte 5/,
  )
  assert.match(
    at([0x80, 0x80, 0x80, 0x80, 0x80, 0], (r) => r.s33()),
    /integer over 33 bits at byte 5/,
  )
  assert.match(
    at(new Array<number>(11).fill(0x80), (r) => r.skipLeb()),
    /integer over 64 bits at byte 10/,
  )
  assert.match(
    at([0x80], (r) => r.u32()),
    /unexpected end at byte 1; the file is truncated or not/,
  )
  assert.match(
    at([], (r) => r.u8()),
    /unexpected end at byte 0/,
  )
  assert.match(
    at([1, 2], (r) => r.skip(3)),
    /unexpected end at byte 0/,
  )
  assert.match(
    at([3, 0x61, 0x62], (r) => r.name()),
    /unexpected end at byte 1/,
  )
  assert.match(
    at([4, 1, 2, 3], (r) => r.list(() => r.u8())),
    /list of 4 items at byte 1/,
  )
  const r = new Reader(
    Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 7, 2, 0xc3, 0xa9, 2, 5, 6),
  )
  r.skipLeb()
  assert.is(r.at, 10)
  assert.is(r.u8(), 7)
  assert.is(r.name(), 'é')
  assert.equal(
    r.list((i) => r.u8() * 10 + i),
    [50, 61],
  )
  assert.ok(r.done)
  const part = new Reader(Uint8Array.of(1, 2, 3, 4), 1, 3)
  assert.equal(Array.from(part.take(2)), [2, 3])
  assert.is(
    errorCode(() => void part.u8()),
    'format/wasm',
  )
})

test('a writer grows to whatever is written', () => {
  const w = new Writer()
  const want: number[] = []
  for (let i = 0; i < 40; i++) {
    const bytes = Uint8Array.from({ length: i * 11 }, (_, k) => (i * k) & 255)
    w.bytes(bytes).u8(i, i + 1)
    want.push(...bytes, i, i + 1)
    assert.is(w.length, want.length)
  }
  equalBytes(w.finish(), Uint8Array.from(want), 'written')
  assert.equal(
    Array.from(
      new Writer()
        .name('é')
        .list([1, 2], () => {})
        .block((b) => b.u8(9))
        .finish(),
    ),
    [2, 0xc3, 0xa9, 2, 1, 9],
  )
  const exact = new Writer().bytes(new Uint8Array(256).fill(3))
  assert.is(exact.u8(4).finish()[256], 4)
})

// Instructions ----------------------------------------------------------------

type Visit = [space: IndexSpace, index: number, signed: boolean]
/** Each instruction's bytes, by the specification's chapter on the binary format, and the indices in it. */
function instructions(): { bytes: number[]; op: number; visits: Visit[] }[] {
  const out: { bytes: number[]; op: number; visits: Visit[] }[] = []
  const add = (bytes: number[], visits: Visit[] = [], op = bytes[0]!): void => void out.push({ bytes, op, visits })
  // Two bytes of LEB128 each, so that widths matter.
  const big = [0xac, 2]
  for (const op of [0x00, 0x01, 0x05, 0x0f, 0x1a, 0x1b, 0xd1]) add([op])
  for (const op of [0x02, 0x03, 0x04]) {
    add([op, 0x40])
    add([op, 0x7f])
    add([op, ...big], [['type', 300, true]])
  }
  for (const op of [0x0c, 0x0d, 0x20, 0x21, 0x22]) add([op, ...big])
  add([0x41, 0xc0, 0xbb, 0x78])
  add([0x42, ...new Array<number>(9).fill(0x80), 0x7f])
  add([0xd0, 0x70])
  add([0x0e, 2, ...big, 5, ...big])
  add([0x0e, 0, 0])
  add([0x10, ...big], [['func', 300, false]])
  add([0xd2, ...big], [['func', 300, false]])
  add(
    [0x11, ...big, 1],
    [
      ['type', 300, false],
      ['table', 1, false],
    ],
  )
  add([0x1c, 1, 0x7f])
  for (const op of [0x23, 0x24]) add([op, ...big], [['global', 300, false]])
  for (const op of [0x25, 0x26]) add([op, ...big], [['table', 300, false]])
  for (const op of [0x3f, 0x40]) add([op, 0])
  for (let op = 0x28; op <= 0x3e; op++) add([op, 2, ...big])
  add([0x43, 0x0b, 0x0b, 0x0b, 0x0b])
  add([0x44, ...new Array<number>(8).fill(0x0b)])
  for (let op = 0x45; op <= 0xc4; op++) add([op])
  const leb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, n >> 7])
  const fc = (n: number, more: number[] = [], visits: Visit[] = []): void =>
    add([0xfc, ...leb(n), ...more], visits, 0xfc0000 | n)
  for (let n = 0; n <= 7; n++) fc(n)
  fc(8, [...big, 0])
  fc(10, [0, 0])
  fc(11, [0])
  for (const n of [15, 16, 17]) fc(n, big, [['table', 300, false]])
  const fd = (n: number, more: number[] = []): void => add([0xfd, ...leb(n), ...more], [], 0xfd0000 | n)
  for (let n = 0; n <= 0x113; n++) {
    if (n <= 11 || n === 92 || n === 93) fd(n, [4, ...big])
    else if (n <= 13) fd(n, new Array<number>(16).fill(0x0b))
    else if (n >= 21 && n <= 34) fd(n, [7])
    else if (n >= 84 && n <= 91) fd(n, [4, ...big, 3])
    else fd(n)
  }
  return out
}

test('every instruction: its opcode, where it ends, the indices in it; each can be renumbered', () => {
  for (const { bytes, op, visits } of instructions()) {
    // Behind it one whose parts would be other instructions if its neighbour were read too short or too long.
    const body = Uint8Array.from([1, ...[0xac, 2], 0x7f, ...bytes, 0x41, 0x0b, 0x0b])
    const shown = `opcode ${op.toString(16)}`
    const seen: Visit[] = []
    const ops: number[] = []
    const ends: number[] = []
    walkBody(
      body,
      (space, index, { from, to, signed }) => {
        seen.push([space, index, signed])
        assert.equal(Array.from(body.subarray(from, to)), index < 128 ? [index] : [0xac, 2], shown)
      },
      (o, end) => {
        ops.push(o)
        ends.push(end)
      },
    )
    assert.equal(ops, [op, 0x41, 0x0b], shown)
    assert.equal(ends, [4 + bytes.length, 6 + bytes.length, 7 + bytes.length], shown)
    assert.equal(seen, visits, shown)
    // The same number again, and another one.
    assert.equal(
      rewriteBody(body, (_, i) => i),
      body,
      shown,
    )
    const moved = rewriteBody(body, (space, i) => (space === 'table' ? i : i + 40))
    const found: Visit[] = []
    walkBody(moved, (space, index, { signed }) => found.push([space, index, signed]))
    assert.equal(
      found,
      visits.map(([space, i, s]): Visit => [space, space === 'table' ? i : i + 40, s]),
      shown,
    )
  }
})

test('block types are signed numbers: index 64 takes two bytes, as a function it takes one', () => {
  const code = (body: number[]): number[] =>
    Array.from(rewriteBody(Uint8Array.from([0, ...body, 0x0b]), () => 64)).slice(1, -1)
  assert.equal(code([0x02, 3]), [0x02, 0xc0, 0])
  assert.equal(code([0x10, 3]), [0x10, 64])
  assert.equal(code([0x02, 0x40]), [0x02, 0x40])
})

test('instructions beyond what engines of this project take are refused', () => {
  for (const [bytes, what] of [
    [[0x06], /opcode 0x6 at byte 1, which the linker does not handle/],
    [[0xc5], /opcode 0xc5 at byte 1/],
    [[0x27], /opcode 0x27/],
    [[0xd3], /opcode 0xd3/],
    [[0xfb, 0], /opcode 0xfb/],
    [[0xfe, 0], /opcode 0xfe/],
    [[0xfc, 9], /opcode 0xfc 9/],
    [[0xfc, 12], /opcode 0xfc 12/],
    [[0xfc, 14], /opcode 0xfc 14/],
    [[0xfc, 18], /opcode 0xfc 18/],
    [[0xfd, 0x94, 2], /opcode 0xfd 276/],
    [[0x28, 64, 0, 0], /a memory other than memory 0/],
    [[0x28, 32, 0], /a memory other than memory 0/],
  ] as const) {
    const error = refusal(() => walkBody(Uint8Array.from([0, ...bytes, 0x0b]), () => {}))
    assert.is(error.code, 'format/wasm')
    assert.match(error.message, what)
  }
  walkBody(Uint8Array.of(0, 0x28, 31, 0, 0x0b), () => {})
})

// Sections --------------------------------------------------------------------

const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
const section = (id: number, ...bytes: number[]): number[] => [id, bytes.length, ...bytes]
const moduleOf = (...sections: number[][]): Uint8Array => Uint8Array.from([...MAGIC, ...sections.flat()])
/** () -> (), two functions that do nothing, and a memory. */
const TYPES = section(1, 1, 0x60, 0, 0)
const FUNCTIONS = section(3, 2, 0, 0)
const MEMORY = section(5, 1, 0, 1)
const CODE = section(10, 2, 2, 0, 0x0b, 3, 0, 0x01, 0x0b)

test('sections: each as the specification has it, and written back to the byte', () => {
  const bytes = moduleOf(
    section(1, 2, 0x60, 0, 0, 0x60, 2, 0x7f, 0x7e, 1, 0x7d),
    section(2, 1, 3, 0x65, 0x6e, 0x76, 1, 0x66, 0, 1),
    section(3, 2, 0, 0),
    section(4, 1, 0x70, 1, 2, 5),
    section(5, 1, 1, 2, 3),
    section(6, 2, 0x7f, 0, 0x41, 5, 0x0b, 0x7e, 1, 0x42, 0x7f, 0x0b),
    section(7, 4, 1, 0x61, 0, 1, 1, 0x62, 1, 0, 1, 0x63, 2, 0, 1, 0x64, 3, 1),
    section(8, 2),
    section(9, 1, 0, 0x41, 1, 0x0b, 2, 0, 1),
    section(12, 2),
    section(10, 2, 2, 0, 0x0b, 3, 0, 0x01, 0x0b),
    section(11, 2, 1, 2, 8, 9, 0, 0x41, 0x10, 0x0b, 1, 7),
    section(0, 4, 0x6e, 0x61, 0x6d, 0x65, 42),
  )
  const m = parseModule(bytes)
  assert.equal(
    m.types.map((t) => Array.from(t)),
    [
      [0x60, 0, 0],
      [0x60, 2, 0x7f, 0x7e, 1, 0x7d],
    ],
  )
  assert.equal(m.imports, [{ module: 'env', name: 'f', type: 1 }])
  assert.equal(
    m.functions.map((f) => [f.type, ...f.body]),
    [
      [0, 0, 0x0b],
      [0, 0, 1, 0x0b],
    ],
  )
  assert.equal(m.table, { refType: 0x70, limits: { min: 2, max: 5 } })
  assert.equal(m.memory, { min: 2, max: 3 })
  assert.equal(
    m.globals.map((g) => [g.valueType, g.mutable, ...g.init]),
    [
      [0x7f, false, 0x41, 5, 0x0b],
      [0x7e, true, 0x42, 0x7f, 0x0b],
    ],
  )
  assert.equal(m.exports, [
    { name: 'a', kind: 'func', index: 1 },
    { name: 'b', kind: 'table', index: 0 },
    { name: 'c', kind: 'memory', index: 0 },
    { name: 'd', kind: 'global', index: 1 },
  ])
  assert.is(m.start, 2)
  assert.equal(m.elements, [{ offset: 1, functions: [0, 1] }])
  assert.equal(Array.from(m.passive!), [8, 9])
  assert.equal(
    m.data.map((d) => [d.address, ...d.bytes]),
    [[16, 7]],
  )
  assert.equal(
    m.customs.map((c) => [c.name, ...c.bytes]),
    [['name', 42]],
  )
  equalBytes(encodeModule(m), bytes, 'written again')
  // Addresses are unsigned in memory, signed in the file.
  const high = moduleOf(MEMORY, section(11, 1, 0, 0x41, 0x70, 0x0b, 1, 7))
  assert.is(parseModule(high).data[0]!.address, 2 ** 32 - 16)
  equalBytes(encodeModule(parseModule(high)), high, 'high address')
  assert.equal(encodeModule(parseModule(Uint8Array.from(MAGIC))), Uint8Array.from(MAGIC))
})

test('modules that are malformed, or more than the linker knows, are refused by name', () => {
  for (const [bytes, message] of [
    [Uint8Array.from(MAGIC.slice(0, 7)), /not a WebAssembly module; expected magic/],
    [Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0), /not a WebAssembly module/],
    [Uint8Array.of(0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0), /not a WebAssembly module/],
    [moduleOf([1, 9, 0]), /unexpected end/],
    [moduleOf(section(1, 0, 0)), /section 1 has 1 bytes too many/],
    [moduleOf(section(13, 0)), /section 13, which the linker does not handle/],
    [moduleOf(section(1, 1, 0x5f, 0, 0)), /a type that is not a function type/],
    [moduleOf(TYPES, section(2, 1, 0, 1, 0x6d, 2, 0, 1)), /import \.m that is not a function/],
    [moduleOf(section(4, 2, 0x70, 0, 0, 0x70, 0, 0)), /a second table/],
    [moduleOf(section(5, 2, 0, 1, 0, 1)), /a second memory/],
    [moduleOf(section(5, 1, 3, 1, 1)), /shared or 64-bit memory/],
    [moduleOf(section(5, 1, 2, 1)), /shared or 64-bit memory/],
    [moduleOf(MEMORY, section(7, 1, 1, 0x61, 4, 0)), /export a of an unknown kind/],
    [moduleOf(section(4, 1, 0x70, 0, 0), section(9, 1, 1, 0, 0)), /a passive or typed element segment/],
    [moduleOf(MEMORY, section(11, 1, 2, 0, 0x41, 0, 0x0b, 0)), /a passive data segment that is not the first/],
    [moduleOf(MEMORY, section(11, 2, 0, 0x41, 0, 0x0b, 0, 1, 0)), /a passive data segment that is not the first/],
    [moduleOf(MEMORY, section(11, 1, 0, 0x23, 0, 0x0b, 0)), /a segment whose address is not a constant/],
    [moduleOf(TYPES, FUNCTIONS), /a function without code/],
    [moduleOf(TYPES, FUNCTIONS, section(10, 1, 2, 0, 0x0b)), /function and code sections disagree; expected 2, got 1/],
    [moduleOf(TYPES, section(3, 1, 1), section(10, 1, 2, 0, 0x0b)), /type 1 is not there; expected below 1/],
    [moduleOf(TYPES, FUNCTIONS, section(7, 1, 1, 0x61, 0, 2), CODE), /func 2 is not there; expected below 2/],
    [moduleOf(section(7, 1, 1, 0x61, 2, 0)), /memory 0 is not there; expected below 0/],
    [moduleOf(MEMORY, section(7, 1, 1, 0x61, 2, 1)), /memory 1 is not there; expected below 1/],
    [moduleOf(section(7, 1, 1, 0x61, 1, 0)), /table 0 is not there/],
    [moduleOf(section(7, 1, 1, 0x61, 3, 0)), /global 0 is not there/],
    [moduleOf(TYPES, FUNCTIONS, section(8, 2), CODE), /func 2 is not there/],
    [moduleOf(TYPES, section(2, 1, 1, 0x6d, 1, 0x6e, 0, 1)), /type 1 is not there/],
    [moduleOf(TYPES, section(3, 1, 0), section(10, 1, 4, 0, 0x10, 1, 0x0b)), /func 1 is not there; expected below 1/],
    [moduleOf(TYPES, section(3, 1, 0), section(10, 1, 4, 0, 0x23, 0, 0x0b)), /global 0 is not there/],
  ] as const) {
    const error = refusal(() => void parseModule(bytes))
    assert.is(error.code, 'format/wasm')
    assert.match(error.message, message)
  }
})

// Linking ---------------------------------------------------------------------

const NOTHING = Uint8Array.of(0x60, 0, 0)
const NUMBER = Uint8Array.of(0x60, 0, 1, 0x7f)
const body = (...code: number[]): Uint8Array => Uint8Array.from([0, ...code, 0x0b])
const plain = (more: Partial<WasmModule> = {}): WasmModule => ({
  types: [NOTHING, NUMBER],
  imports: [],
  functions: [],
  memory: { min: 1 },
  globals: [],
  exports: [],
  elements: [],
  data: [],
  customs: [],
  ...more,
})
const link = (
  m: WasmModule,
  exports: readonly string[],
  more: Partial<LinkOptions> = {},
): WasmModule & { linked: ReturnType<typeof linkModule> } => {
  const linked = linkModule({ runtime: encodeModule(m), exports, data: [], memoryPages: 2, ...more })
  assert.ok(WebAssembly.validate(linked.wasm as Uint8Array<ArrayBuffer>))
  return { ...parseModule(linked.wasm), linked }
}

test('what no export reaches is gone, what stays is renumbered, in order', () => {
  const global = (value: number): WasmModule['globals'][number] => ({
    valueType: 0x7f,
    mutable: false,
    init: Uint8Array.of(0x41, value, 0x0b),
  })
  const m = plain({
    types: [Uint8Array.of(0x60, 1, 0x7f, 0), NOTHING, NUMBER],
    imports: [
      { module: 'a', name: 'unused', type: 0 },
      { module: 'a', name: 'used', type: 1 },
    ],
    functions: [
      { type: 2, body: body(0x41, 1) },
      { type: 2, body: body(0x10, 5) }, // 3: calls 5
      { type: 2, body: body(0x41, 2) },
      { type: 2, body: body(0x10, 1, 0x23, 2) }, // 5: calls import 1, reads global 2
    ],
    globals: [global(7), global(8), global(9)],
    exports: [
      { name: 'memory', kind: 'memory', index: 0 },
      { name: 'f', kind: 'func', index: 3 },
      { name: 'g', kind: 'func', index: 2 },
      { name: 'h', kind: 'global', index: 1 },
    ],
  })
  const out = link(m, ['f', 'h', 'memory'], { importModules: ['a'] })
  assert.equal(out.imports, [{ module: 'a', name: 'used', type: 0 }])
  assert.equal(
    out.functions.map((f) => [f.type, ...f.body]),
    [
      [1, 0, 0x10, 2, 0x0b],
      [1, 0, 0x10, 0, 0x23, 1, 0x0b],
    ],
  )
  assert.equal(
    out.types.map((t) => Array.from(t)),
    [
      [0x60, 0, 0],
      [0x60, 0, 1, 0x7f],
    ],
  )
  assert.equal(
    out.globals.map((g) => g.init[1]),
    [8, 9],
  )
  assert.equal(out.exports, [
    { name: 'f', kind: 'func', index: 1 },
    { name: 'h', kind: 'global', index: 0 },
    { name: 'memory', kind: 'memory', index: 0 },
  ])
  assert.equal(out.memory, { min: 2, max: 2 })
  assert.is(out.linked.functions, 2)
})

test('equal bodies of one type become one, also those that are equal only then', () => {
  const m = plain({
    functions: [
      { type: 1, body: body(0x41, 5) },
      { type: 1, body: body(0x41, 5) },
      { type: 0, body: body(0x10, 0, 0x1a) },
      { type: 0, body: body(0x10, 1, 0x1a) },
      { type: 0, body: body(0x41, 5, 0x1a) },
    ],
    exports: [2, 3, 4].map((index) => ({ name: `f${index}`, kind: 'func' as const, index })),
  })
  const out = link(m, ['f2', 'f3', 'f4'])
  assert.is(out.functions.length, 3)
  assert.equal(
    out.exports.map((e) => e.index),
    [1, 1, 2],
  )
  assert.equal(Array.from(out.functions[1]!.body), [0, 0x10, 0, 0x1a, 0x0b])
  // The same bytes with another type are another function.
  const two = plain({
    types: [NOTHING, Uint8Array.of(0x60, 1, 0x7f, 0)],
    functions: [
      { type: 0, body: body() },
      { type: 1, body: body() },
    ],
    exports: [0, 1].map((index) => ({ name: `f${index}`, kind: 'func' as const, index })),
  })
  assert.equal(
    link(two, ['f0', 'f1']).exports.map((e) => e.index),
    [0, 1],
  )
})

test('tables keep what they hold while code uses them, and go with it', () => {
  const m = (call: boolean): WasmModule =>
    plain({
      functions: [
        { type: 0, body: call ? body(0x41, 0, 0x11, 0, 0) : body() },
        { type: 1, body: body(0x41, 3) },
        { type: 0, body: body(0x01) },
        { type: 0, body: body(0x01) },
      ],
      table: { refType: 0x70, limits: { min: 3 } },
      elements: [{ offset: 1, functions: [2, 3] }],
      exports: [{ name: 'f', kind: 'func', index: 0 }],
    })
  const used = link(m(true), ['f'])
  assert.equal(used.elements, [{ offset: 1, functions: [1, 1] }])
  assert.equal(used.table, { refType: 0x70, limits: { min: 3 } })
  const without = link(m(false), ['f'])
  assert.equal([without.table, without.elements, without.functions.length], [undefined, [], 1])
})

test('stubs trap; imports are none to stub', () => {
  const m = plain({
    imports: [{ module: 'a', name: 'i', type: 0 }],
    functions: [
      { type: 0, body: body(0x10, 0) },
      { type: 0, body: body(0x10, 1) },
    ],
    exports: [
      { name: 'kernel_1', kind: 'func', index: 1 },
      { name: 'run', kind: 'func', index: 2 },
      { name: 'same', kind: 'func', index: 0 },
    ],
  })
  const out = link(m, ['run'], { stubs: ['kernel_1'] })
  assert.equal(
    [out.imports.length, out.functions.map((f) => Array.from(f.body))],
    [
      0,
      [
        [0, 0, 0x0b],
        [0, 0x10, 0, 0x0b],
      ],
    ],
  )
  const kept = link(m, ['run'], { stubs: ['same'], importModules: ['a'] })
  assert.is(kept.imports.length, 1)
  for (const [stubs, exports, message] of [
    [['kernel_2'], ['run'], /the runtime does not export function kernel_2/],
    [[], ['missing'], /the runtime does not export missing; runtime and linker are of different versions/],
    [[], ['run'], /the runtime imports a\.i; expected no imports/],
  ] as const) {
    const error = refusal(() => void link(m, exports, { stubs }))
    assert.is(error.code, 'format/wasm')
    assert.match(error.message, message)
  }
})

test('runtimes that start by themselves, grow, or have no memory are refused', () => {
  const f = (code: number[], more: Partial<WasmModule> = {}): WasmModule =>
    plain({ functions: [{ type: 0, body: body(...code) }], exports: [{ name: 'f', kind: 'func', index: 0 }], ...more })
  const said = (m: WasmModule, more: Partial<LinkOptions> = {}): string =>
    refusal(() => void link(m, ['f'], more)).message
  assert.match(said(f([], { start: 0 })), /the runtime has a start function/)
  assert.match(said(f([0x41, 1, 0x40, 0, 0x1a])), /the runtime grows its memory; expected no memory.grow/)
  assert.match(said(f([], { memory: undefined })), /the runtime has no memory/)
  const grows = link(f([0x41, 1, 0x40, 0, 0x1a]), ['f'], { maxPages: 9 })
  assert.equal(grows.memory, { min: 2, max: 9 })
  link(f([0x3f, 0, 0x1a]), ['f'])
})

test('the image: zeros of 24 bytes and more are left out, shorter ones are not; no part over another or the end', () => {
  const m = plain({ exports: [{ name: 'memory', kind: 'memory', index: 0 }] })
  const image = (zeros: number): Uint8Array => Uint8Array.from([0, 0, 1, ...new Array<number>(zeros).fill(0), 2, 0])
  const parts = (...data: [number, Uint8Array][]): [number, number][] =>
    link(m, ['memory'], { data: data.map(([address, bytes]) => ({ address, bytes })) }).data.map((d) => [
      d.address,
      d.bytes.length,
    ])
  assert.equal(parts([64, image(23)]), [[66, 25]])
  assert.equal(parts([64, image(24)]), [
    [66, 1],
    [91, 1],
  ])
  assert.equal(parts([64, image(200)]), [
    [66, 1],
    [267, 1],
  ])
  // Zeros are counted anew behind every other byte.
  const gaps = (...counts: number[]): Uint8Array =>
    Uint8Array.from([1, ...counts.flatMap((n) => [...new Array<number>(n).fill(0), 1])])
  assert.equal(parts([64, gaps(23, 23, 23)]), [[64, 73]])
  assert.equal(parts([64, gaps(23, 24, 1)]), [
    [64, 25],
    [113, 3],
  ])
  assert.equal(parts([64, new Uint8Array(90)]), [])
  assert.equal(
    parts([500, Uint8Array.of(1)], [64, Uint8Array.of(2)]),
    [
      [64, 1],
      [500, 1],
    ],
    'sorted',
  )
  assert.equal(
    parts([64, Uint8Array.of(1, 2)], [66, Uint8Array.of(3)]),
    [
      [64, 2],
      [66, 1],
    ],
    'side by side',
  )
  // Thousands of parts: short zeros are written instead.
  const many = new Uint8Array(5000 * 25)
  for (let i = 0; i < 5000; i++) many[i * 25] = 1
  assert.equal(parts([64, many]), [[64, 4999 * 25 + 1]])
  const few = many.slice(0, 4096 * 25)
  assert.is(parts([64, few]).length, 4096)
  const said = (...data: [number, Uint8Array][]): string => {
    const error = refusal(() => void parts(...data))
    assert.is(error.code, 'plan/memory')
    return error.message
  }
  assert.match(
    said([131071, Uint8Array.of(1, 2)]),
    /does not fit the module's memory; expected at most 131072 bytes, got 131073/,
  )
  assert.equal(parts([131071, Uint8Array.of(1)]), [[131071, 1]])
  assert.match(said([64, Uint8Array.of(1, 2)], [65, Uint8Array.of(3)]), /two parts of the image overlap at address 65/)
})

test('globals and custom sections are added, sizes add up', () => {
  const m = plain({
    exports: [{ name: 'memory', kind: 'memory', index: 0 }],
    data: [{ address: 8, bytes: Uint8Array.of(1) }],
  })
  const out = link(m, ['memory'], {
    globals: { high: 0xfffffff0, low: 5 },
    customs: { text: 'é', bytes: Uint8Array.of(1, 2, 3) },
    data: [{ address: 100, bytes: Uint8Array.of(9, 9) }],
  })
  const instance = new WebAssembly.Instance(new WebAssembly.Module(out.linked.wasm as Uint8Array<ArrayBuffer>))
    .exports as Record<string, WebAssembly.Global>
  assert.equal([instance.high!.value, instance.low!.value], [-16, 5])
  assert.ok(out.globals.every((g) => !g.mutable))
  assert.equal(
    out.customs.map((c) => [c.name, ...c.bytes]),
    [
      ['text', 0xc3, 0xa9],
      ['bytes', 1, 2, 3],
    ],
  )
  const { wasm, codeBytes, dataBytes, metaBytes, functions } = out.linked
  assert.is(codeBytes + dataBytes + metaBytes, wasm.length)
  assert.is(dataBytes, 2 + 1 + (4 + 1 + 1) + (4 + 1 + 1 + 2), 'a section of two segments')
  assert.is(metaBytes, 2 + 5 + 2 + (2 + 6 + 3))
  assert.is(functions, 0)
  const empty = link(plain({ exports: m.exports }), ['memory'])
  assert.equal(
    [empty.linked.dataBytes, empty.linked.metaBytes, empty.linked.codeBytes],
    [0, 0, empty.linked.wasm.length],
  )
})

test('flash: copies become reads of the passive segment, entries those of slices; both copies must be there', () => {
  const copy = [0x41, 0, 0x41, 1, 0x41, 2, 0xfc, 10, 0, 0]
  const m = (...code: number[]): WasmModule =>
    plain({
      functions: [
        { type: 0, body: body(...code) },
        { type: 0, body: body(0x10, 0) },
        { type: 0, body: body(0x10, 0, 0x01) },
        { type: 0, body: body(0x01, 0x01) },
        { type: 0, body: body(0x01, 0x01, 0x01) },
      ],
      exports: ['flash_slices', 'flash_invoke', 'flash_reset', 'thimble_invoke', 'thimble_reset'].map(
        (name, index) => ({ name, kind: 'func', index }),
      ),
    })
  const flash = Uint8Array.of(5, 6, 7)
  const out = link(m(...copy, 0x01, ...copy), ['thimble_invoke', 'thimble_reset'], { flash })
  assert.equal(Array.from(out.passive!), [5, 6, 7])
  const init = [0x41, 0, 0x41, 1, 0x41, 2, 0xfc, 8, 0, 0]
  assert.equal(
    out.functions.map((f) => Array.from(f.body)),
    [
      [0, ...init, 0x01, ...init, 0x0b],
      [0, 0x10, 0, 0x0b],
      [0, 0x10, 0, 0x01, 0x0b],
    ],
  )
  assert.equal(
    out.exports.map((e) => e.index),
    [1, 2],
  )
  for (const [code, n] of [
    [copy, 1],
    [[...copy, ...copy, ...copy], 3],
    [[], 0],
  ] as const) {
    assert.match(
      refusal(() => void link(m(...code), ['thimble_invoke'], { flash })).message,
      new RegExp(`copies in ${n} places, not in two`),
    )
  }
  const unnamed = m(...copy, ...copy)
  unnamed.exports = unnamed.exports.filter((e) => e.name !== 'flash_invoke')
  assert.match(refusal(() => void link(unnamed, ['thimble_invoke'], { flash })).message, /does not export flash_invoke/)
})

test('a runtime is cut to the kernels that are asked for, marks for the linker go', () => {
  const m = plain({
    functions: [
      { type: 0, body: body(0x10, 1, 0x10, 2, 0x10, 3) },
      { type: 0, body: body(0x01) },
      { type: 0, body: body(0x01, 0x01) },
      { type: 0, body: body(0x01, 0x01, 0x01) },
      { type: 0, body: body(0x01, 0x01, 0x01, 0x01) },
    ],
    exports: [
      { name: 'memory', kind: 'memory', index: 0 },
      { name: 'run', kind: 'func', index: 0 },
      ...['kernel_1', 'kernel_20', 'gemm_1', 'flash_slices'].map((name, i) => ({
        name,
        kind: 'func' as const,
        index: i + 1,
      })),
    ],
    customs: [{ name: 'name', bytes: Uint8Array.of(0) }],
  })
  const out = parseModule(cutRuntime(encodeModule(m), (opcode) => opcode === 20))
  assert.equal(
    out.exports.map((e) => e.name),
    ['memory', 'run'],
  )
  assert.equal(
    out.functions.map((f) => Array.from(f.body)),
    [
      [0, 0x10, 1, 0x10, 2, 0x10, 3, 0x0b],
      [0, 0, 0x0b],
      [0, 1, 1, 0x0b],
      [0, 1, 1, 1, 0x0b],
    ],
  )
  assert.equal(out.customs, [])
})

// Packing ---------------------------------------------------------------------

test('options that do not go together are refused with what does', async () => {
  const { graph } = smallModels()[0]!
  const pack = (options: object) => () => packGraph(graph, options)
  await refused(
    pack({ weights: 'flash', target: 'wasi' }),
    'usage/weights',
    /expected target "core", got target "wasi"; leave out/,
  )
  await packGraph(graph, { weights: 'flash', target: 'core' })
  for (const [options, got] of [
    [{ ram: 5000 }, 'weights "memory" and 5000'],
    [{ weights: 'memory', ram: 5000 }, 'weights "memory" and 5000'],
    [{ weights: 'flash', ram: 0 }, 'weights "flash" and 0'],
    [{ weights: 'flash', ram: 1.5 }, 'weights "flash" and 1.5'],
    [{ weights: 'flash', ram: NaN }, 'weights "flash" and NaN'],
  ] as const) {
    await refused(pack(options), 'usage/ram', new RegExp(`got ${got}$`))
  }
  await refused(
    pack({ weights: 'flash', ram: 1 }),
    'plan/memory',
    /does not run in so little memory; expected at most 1 bytes/,
  )
  await refused(pack({ kernels: 'x86-vnni' }), 'usage/kernels', /expected generic, x86, arm or arm-dot, got x86-vnni/)
  await refused(pack({ kernels: 'arm-dot' }), 'usage/kernels', /expected variant "relaxed", got variant "simd"/)
})

test('what is said of a packed module is what it is', async () => {
  const { graph } = smallModels()[0]!
  for (const variant of ['simd', 'scalar'] as const) {
    for (const weights of ['memory', 'flash'] as const) {
      const { wasm, meta, sizes, header, signedDot } = await packGraph(graph, {
        variant,
        weights,
        name: 'n',
        prefix: 'p',
        file: 'f.wasm',
      })
      const m = parseModule(wasm)
      assert.is(signedDot, false)
      assert.equal(m.memory, { min: sizes.memoryPages, max: sizes.memoryPages })
      assert.is(sizes.fileBytes, wasm.length)
      assert.is(sizes.functions, m.functions.length)
      assert.is(sizes.codeBytes + sizes.dataBytes + sizes.metaBytes, wasm.length)
      const { staticBytes, planBytes, weightBytes, stateBytes, arenaBytes, marginBytes, memoryBytes } = sizes
      assert.is(staticBytes + planBytes + weightBytes + stateBytes + arenaBytes + marginBytes, memoryBytes)
      assert.ok([planBytes, arenaBytes].every((n) => n > 0) && marginBytes >= 128 && marginBytes < 128 + 16)
      assert.ok(memoryBytes <= sizes.memoryPages * 65536 && memoryBytes > (sizes.memoryPages - 1) * 65536)
      assert.is(sizes.flashBytes, m.passive?.length ?? 0)
      assert.is(sizes.flashBytes > 0, weights === 'flash')
      if (weights === 'memory') assert.ok(staticBytes === PROGRAM_BASE && weightBytes > 0)
      else assert.is(weightBytes, 0)
      assert.equal(
        packedMeta(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)),
        JSON.parse(JSON.stringify(meta)),
      )
      const e = new WebAssembly.Instance(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)).exports as Record<
        string,
        any
      >
      assert.is(e.__heap_base.value, memoryBytes)
      assert.is(e.__data_end.value, memoryBytes - marginBytes - arenaBytes)
      assert.equal([meta.name, meta.variant, meta.kernels, meta.abi], ['n', variant, 'generic', ABI_VERSION])
      assert.equal([meta.arenaBytes, meta.memoryBytes, meta.memoryPages], [arenaBytes, memoryBytes, sizes.memoryPages])
      // 5x5x8 outputs of 3x3x3, of 3x3 and of 8 inputs; then 8 inputs to 10.
      assert.is(meta.macs, 200 * 27 + 200 * 9 + 200 * 8 + 80)
      assert.equal(
        [e.thimble_input_bytes(0), e.thimble_output_bytes(0)],
        [meta.inputs[0]!.bytes, meta.outputs[0]!.bytes],
      )
      assert.match(header, /^\/\* n: (simd|scalar) module f\.wasm\n[^]*#ifndef THIMBLE_P_H\n/)
      if (weights === 'flash') {
        const { bytes, slices, largestSlice, readBytes } = meta.flash!
        assert.is(bytes, sizes.flashBytes)
        assert.ok(slices >= 1 && largestSlice <= arenaBytes && readBytes >= bytes - 64 * slices)
      } else assert.is(meta.flash, undefined)
    }
  }
  // Where nothing is asked for, scalar modules take the plan that needs less memory.
  for (const { graph: g } of smallModels()) {
    const bytes = async (plan?: 'speed' | 'size'): Promise<number> => {
      const { sizes } = await packGraph(g, { variant: 'scalar', plan })
      return sizes.memoryBytes
    }
    const [either, speed, size] = [await bytes(), await bytes('speed'), await bytes('size')]
    assert.is(either, Math.min(speed, size))
  }
  const fields = Object.fromEntries(LAYOUT.Header.fields.map((f, i) => [f, i + 0x80000000]))
  const bytes = headerBytes({ header: fields } as unknown as Program)
  assert.is(bytes.length, LAYOUT.Header.size)
  LAYOUT.Header.fields.forEach((_, i) => assert.is(new DataView(bytes.buffer).getUint32(4 * i, true), i + 0x80000000))
})

test('weights are 8 bits wide where that is estimated to cost at most 3 % of the time', async () => {
  /** A convolution of so many channels each way, and the bytes of weights that each plan of it has. */
  const weightBytes = async (of: { c: number; k: number; dtype: 'int8' | 'uint8'; kernels: Kernels }) => {
    const { c, k, dtype, kernels } = of
    const b = new GraphBuilder(1)
    const x = b.input([1, 20, 20, c], dtype)
    const y = b.op(
      'CONV_2D',
      [x, b.weights([c, k, k, c], undefined, dtype), b.bias(c, 1)],
      [b.tensor([1, 20, 20, c], dtype, 0.9, 3)],
      {
        ...{ padding: 'SAME', activation: 'RELU', strideH: 1, strideW: 1, dilationH: 1, dilationW: 1 },
      },
    )
    const graph = b.done(y)
    const [none, speed, size] = await Promise.all(
      [undefined, 'speed' as const, 'size' as const].map((plan) => packGraph(graph, { kernels, plan })),
    )
    const bytes = [none, speed, size].map((p) => p!.sizes.weightBytes)
    assert.ok(bytes[2]! < bytes[1]!)
    return bytes[0] === bytes[2] ? 'size' : bytes[0] === bytes[1] ? 'speed' : 'neither'
  }
  const pointwise = { c: 32, k: 1, dtype: 'int8', kernels: 'generic' } as const
  assert.is(await weightBytes(pointwise), 'size')
  assert.is(await weightBytes({ ...pointwise, kernels: 'x86' }), 'size')
  // A zero point of the weights is taken off every sum: little in large layers, where nothing else costs.
  assert.is(await weightBytes({ ...pointwise, dtype: 'uint8' }), 'speed')
  assert.is(await weightBytes({ ...pointwise, c: 128, dtype: 'uint8', kernels: 'x86' }), 'size')
  assert.is(await weightBytes({ ...pointwise, c: 128, dtype: 'uint8' }), 'speed')
  // Winograd's weights take four times the memory and half the time.
  assert.is(await weightBytes({ ...pointwise, c: 64, k: 3 }), 'size')
  assert.is(await weightBytes({ ...pointwise, c: 64, k: 3, kernels: 'x86' }), 'speed')
})

const META: MetaInput = {
  name: 'Net 1',
  variant: 'scalar',
  kernels: 'generic',
  arenaBytes: 10,
  memoryBytes: 20,
  weightBytes: 5,
  memoryPages: 1,
  macs: 7,
  inputs: [{ name: 'x', shape: [1, 2, 3], dtype: 'uint8', scale: 0.5, zeroPoint: 128 }],
  outputs: [{ name: 'y', shape: [1, 2], dtype: 'float32', scale: 0, zeroPoint: 0 }],
  metadata: {},
}

test('metadata: tensors with their bytes, the head that the outputs were recognised as, nothing else', () => {
  assert.equal(moduleMeta(META), {
    abi: ABI_VERSION,
    name: 'Net 1',
    variant: 'scalar',
    kernels: 'generic',
    inputs: [{ name: 'x', shape: [1, 2, 3], dtype: 'uint8', scale: 0.5, zeroPoint: 128, bytes: 6 }],
    outputs: [{ name: 'y', shape: [1, 2], dtype: 'float32', scale: 0, zeroPoint: 0, bytes: 8 }],
    arenaBytes: 10,
    memoryBytes: 20,
    weightBytes: 5,
    memoryPages: 1,
    macs: 7,
  })
  const flash = { bytes: 1, slices: 2, largestSlice: 3, readBytes: 4 }
  assert.equal(moduleMeta({ ...META, flash }).flash, flash)
  const picture = { ...META.inputs[0]!, shape: [1, 64, 64, 3] }
  const pose = { ...META.outputs[0]!, shape: [1, 1, 17, 3] }
  const recognised = moduleMeta({ ...META, inputs: [picture], outputs: [pose], metadata: { extra: { more: 1 } } })
  assert.is((recognised.extra!.head as { kind: string }).kind, 'movenet')
  assert.is(recognised.extra!.more, 1)
  const own = { kind: 'movenet', output: 0, scoreThreshold: 0.9, iouThreshold: 0.4 }
  const said = moduleMeta({ ...META, inputs: [picture], outputs: [pose], metadata: { extra: { head: own } } })
  assert.equal(said.extra, { head: own })
})

/** All that a header can say of a model, with what C would read otherwise. */
const DESCRIBED = moduleMeta({
  ...META,
  metadata: {
    description: 'tells\nthings */ apart /* \\',
    license: 'MIT',
    source: 'https://x.y',
    labels: ['a"b\\c??', 'é'],
    preprocess: { fit: 'crop', method: 'area', channels: 'bgr', mean: [1, 2, 3], std: [4] },
  },
})

test('the C header, line by line', () => {
  const text = cHeader(DESCRIBED, 'net.wasm')
  const lines = text.split('\n')
  const block = (first: string, count: number): string[] =>
    lines.slice(lines.indexOf(first), lines.indexOf(first) + count)
  assert.equal(lines.slice(0, 6), [
    '/* Net 1: scalar module net.wasm',
    '   tells things * / apart / *',
    '   Licence of the weights: MIT',
    '   Source: https://x.y',
    '',
    '   One inference, whatever the engine:',
  ])
  assert.equal(block('#ifndef THIMBLE_NET_1_H', 4), [
    '#ifndef THIMBLE_NET_1_H',
    '#define THIMBLE_NET_1_H',
    '',
    '#include <stdint.h>',
  ])
  assert.equal(block('#define NET_1_MEMORY_PAGES 1u', 8), [
    '#define NET_1_MEMORY_PAGES 1u',
    '#define NET_1_MEMORY_BYTES 20u',
    '#define NET_1_WEIGHT_BYTES 5u',
    '#define NET_1_ARENA_BYTES 10u',
    '',
    '#define NET_1_INPUT_COUNT 1',
    '#define NET_1_OUTPUT_COUNT 1',
    '',
  ])
  assert.equal(block('/* x: uint8 [1, 2, 3], real = scale * (q - zero point) */', 12), [
    '/* x: uint8 [1, 2, 3], real = scale * (q - zero point) */',
    '#define NET_1_INPUT0_BYTES 6u',
    '#define NET_1_INPUT0_ELEMENTS 6u',
    '#define NET_1_INPUT0_TYPE uint8_t',
    '#define NET_1_INPUT0_RANK 3',
    '#define NET_1_INPUT0_SHAPE {1, 2, 3}',
    '#define NET_1_INPUT0_DIM0 1',
    '#define NET_1_INPUT0_DIM1 2',
    '#define NET_1_INPUT0_DIM2 3',
    '#define NET_1_INPUT0_SCALE 0.5f',
    '#define NET_1_INPUT0_ZERO_POINT (128)',
    '',
  ])
  assert.equal(block('/* y: float32 [1, 2] */', 9), [
    '/* y: float32 [1, 2] */',
    '#define NET_1_OUTPUT0_BYTES 8u',
    '#define NET_1_OUTPUT0_ELEMENTS 2u',
    '#define NET_1_OUTPUT0_TYPE float',
    '#define NET_1_OUTPUT0_RANK 2',
    '#define NET_1_OUTPUT0_SHAPE {1, 2}',
    '#define NET_1_OUTPUT0_DIM0 1',
    '#define NET_1_OUTPUT0_DIM1 2',
    '',
  ])
  assert.equal(lines.slice(lines.indexOf('/* y: float32 [1, 2] */') + 9), [
    '/* Preprocessing: crop, area, bgr; real = (pixel - mean) / std with mean 1 2 3, std 4;',
    '   then q = real / scale + zero point. */',
    '',
    '#define NET_1_LABEL_COUNT 2',
    '#ifdef NET_1_WANT_LABELS /* define before including: the table takes flash */',
    'static const char *const net_1_labels[NET_1_LABEL_COUNT] = {',
    '  "a\\042b\\134c\\077\\077",',
    '  "\\303\\251",',
    '};',
    '#endif',
    '',
    '#endif',
    '',
  ])
  for (const code of [...'01245']) {
    assert.ok(lines.some((l) => l.startsWith('#define THIMBLE_') && l.endsWith(` ${code}`)))
  }
})

test('the C header without what a model does not say, under another name, with a warning', () => {
  const bare = cHeader(moduleMeta(META), 'net.wasm', 'other name', true)
  assert.match(bare, `\n   WARNING: ${SIGNED_DOT}\n`)
  assert.match(bare, '#ifndef THIMBLE_OTHER_NAME_H')
  assert.not.match(bare, /Preprocessing|LABEL|Licence of|Source:/)
  assert.not.match(cHeader(moduleMeta(META), 'net.wasm'), /WARNING/)
})

test('the C header: scales as floats that read back the same, the C type of every kind of number', () => {
  const scale = (s: number): string => {
    const m = moduleMeta({ ...META, inputs: [{ ...META.inputs[0]!, scale: s }] })
    return /INPUT0_SCALE (.*)/.exec(cHeader(m, 'x'))![1]!
  }
  for (const s of [1, 0.1, 1e-8, 3e38, 1 / 3, 0.0078125]) {
    assert.match(scale(s), /[.e].*f$/)
    assert.is(Math.fround(Number(scale(s).slice(0, -1))), Math.fround(s))
  }
  const types = {
    int8: 'int8_t',
    bool: 'uint8_t',
    int16: 'int16_t',
    uint16: 'uint16_t',
    int32: 'int32_t',
    uint32: 'uint32_t',
    int64: 'int64_t',
    uint64: 'uint64_t',
    float64: 'double',
    float16: 'uint16_t',
  } as const
  for (const [dtype, c] of Object.entries(types)) {
    const m = moduleMeta({ ...META, inputs: [{ ...META.inputs[0]!, dtype: dtype as keyof typeof types }] })
    assert.match(cHeader(m, 'x'), `INPUT0_TYPE ${c}\n`, dtype)
  }
})

test('macro names: letters and digits, one underscore between words, foreign letters by their checksum', () => {
  for (const [name, want] of [
    ['a-b__c', 'A_B_C'],
    ['__a__', 'A'],
    ['9lives', 'MODEL_9LIVES'],
    ['', 'MODEL'],
    ['---', 'MODEL'],
    ['Zz', 'ZZ'],
  ] as const) {
    assert.is(macroPrefix(name), want)
  }
  const [one, other] = [macroPrefix('Katze é'), macroPrefix('Katze è')]
  assert.match(one, /^KATZE_[0-9A-F]{8}$/)
  assert.is.not(one, other)
})

// The command -----------------------------------------------------------------

/** A network of a picture and outputs of these shapes, which nobody runs. */
function heads(
  shapes: readonly (readonly number[])[],
  metadata: Metadata,
  side = 32,
  dtype: 'int8' | 'float32' = 'int8',
): Graph {
  const b = new GraphBuilder(1)
  b.input([1, side, side, 3], 'uint8', 1 / 255, 0)
  const outputs = shapes.map((shape) => b.tensor(shape, dtype, dtype === 'int8' ? 1 / 256 : undefined, -128))
  outputs.forEach((t, i) => (b.graph.tensors[t]!.name = `o${i}`))
  const graph = b.done(...outputs)
  graph.metadata = metadata
  return graph
}

/** The configuration's fields by name, with the blob that addresses point into. */
function configOf(graph: Graph, base = 4096): { f: Record<string, number>; at: DataView; head: number; base: number } {
  const { blob, config, head } = wasiCommand(graph, 'the é model', base)
  const bytes = config(123456, 789012)
  assert.is(bytes.length, W.CONFIG_LAYOUT.Config.size)
  const view = new DataView(bytes.buffer)
  const f = Object.fromEntries(W.CONFIG_LAYOUT.Config.fields.map((name, i) => [name, view.getInt32(4 * i, true)]))
  assert.equal([f.heap, f.memoryEnd], [123456, 789012])
  return { f, at: new DataView(blob.buffer, blob.byteOffset, blob.byteLength), head, base }
}
type Config = ReturnType<typeof configOf>
const pick = ({ f }: Config, ...names: string[]): number[] => names.map((n) => f[n]!)
function texts({ at, base }: Config, list: number, count: number): string[] {
  const where = (i: number): number => at.getUint32(list - base + 4 * i, true)
  return Array.from({ length: count }, (_, i) =>
    new TextDecoder().decode(new Uint8Array(at.buffer, at.byteOffset + where(i) - base, where(i + 1) - where(i))),
  )
}
const thresholds = ({ f, at, base }: Config): number[] =>
  [0, 8].map((o) => at.getFloat64(f.thresholds! - base + o, true))
const reads = ({ f, at, base }: Config): number[] =>
  Array.from({ length: f.outputCount! }, (_, i) => at.getInt32(f.outputList! - base + 4 * i, true))

test('the command of a classifier: input, tables, names, and how scores become probabilities', () => {
  const how = {
    fit: 'crop',
    shorterSide: 40,
    method: 'area',
    channels: 'bgr',
    mean: [1, 2, 3],
    std: [10, 20, 30],
  } as const
  const labels = ['cat', 'dög', '', 'x']
  const graph = heads([[1, 4]], { labels, preprocess: how })
  const c = configOf(graph)
  assert.equal(pick(c, 'inputWidth', 'inputHeight', 'inputChannels', 'nchw', 'inputBytes'), [32, 32, 3, 0, 1])
  assert.equal(pick(c, 'fit', 'shorterSide', 'method', 'bgr', 'gray', 'framing'), [
    W.FIT_CROP,
    40,
    W.METHOD_AREA,
    1,
    0,
    W.FRAMING_FIT,
  ])
  assert.equal(pick(c, 'head', 'output0', 'classes', 'scores'), [W.HEAD_SCORES, 0, 4, W.SCORES_IDENTITY])
  assert.is(c.head, W.HEAD_SCORES)
  assert.equal(texts(c, c.f.labels!, c.f.labelCount!), labels)
  assert.is(c.f.pointNameCount, 0)
  assert.equal(thresholds(c), [0, 0])
  assert.equal(reads(c), [0])
  assert.is(
    new TextDecoder().decode(new Uint8Array(c.at.buffer, c.at.byteOffset + c.f.name! - c.base, c.f.nameBytes)),
    'the é model',
  )
  const input = { name: 'i', shape: [1, 32, 32, 3], dtype: 'uint8', scale: Math.fround(1 / 255), zeroPoint: 0 } as const
  for (let k = 0; k < 3; k++) {
    const table = inputTable(input, how.mean[k]!, how.std[k]!)
    equalBytes(new Uint8Array(c.at.buffer, c.at.byteOffset + c.f.tables! - c.base + 256 * k, 256), table, `table ${k}`)
  }
  // Outputs as the command knows them.
  const info = W.CONFIG_LAYOUT.OutputInfo.fields.map((name, i) => {
    const place = c.f.outputs! - c.base + 4 * i
    return name === 'scale' ? c.at.getFloat32(place, true) : c.at.getInt32(place, true)
  })
  assert.equal(
    info,
    W.CONFIG_LAYOUT.OutputInfo.fields.map(
      (n) => ({ type: W.DTYPE_INT8, count: 4, scale: 1 / 256, zeroPoint: -128 })[n],
    ),
  )
  for (const [name, value] of [
    ['thresholds', 8],
    ['outputs', 4],
    ['outputList', 4],
    ['labels', 4],
  ] as const) {
    assert.is(c.f[name]! % value, 0, name)
  }
  for (const [change, want] of [
    [{ fit: 'stretch' }, [W.FIT_STRETCH, 0, W.METHOD_BILINEAR, 0, 0]],
    [{ fit: 'fit', method: 'nearest' }, [W.FIT_LETTERBOX, 0, W.METHOD_NEAREST, 0, 0]],
    [{ fit: 'crop', method: 'bilinear-fast', channels: 'gray' }, [W.FIT_CROP, 0, W.METHOD_BILINEAR_FAST, 0, 1]],
  ] as const) {
    const preprocess: Preprocess = { ...PLAIN, ...change }
    assert.equal(pick(configOf(heads([[1, 4]], { preprocess })), 'fit', 'shorterSide', 'method', 'bgr', 'gray'), want)
  }
  for (const [scores, want] of [
    ['softmax', W.SCORES_SOFTMAX],
    ['sigmoid', W.SCORES_SIGMOID],
    ['identity', W.SCORES_IDENTITY],
  ] as const) {
    assert.is(configOf(heads([[1, 4]], { scores })).f.scores, want)
  }
  // One score is p and 1 - p; a softmax of one value says nothing.
  const one = configOf(heads([[1, 1]], { scores: 'softmax' }))
  assert.equal(pick(one, 'classes', 'scores'), [2, W.SCORES_IDENTITY])
  assert.is(configOf(heads([[1, 1]], { scores: 'sigmoid' })).f.scores, W.SCORES_SIGMOID)
  assert.is(configOf(heads([[1, 4]], {}, 32, 'float32')).f.scores, W.SCORES_AUTO)
})

const COMMON = { scoreThreshold: 0.25, iouThreshold: 0.75 }
const headConfig = (
  shapes: readonly (readonly number[])[],
  h: object,
  dtype: 'int8' | 'float32' = 'int8',
  more: Metadata = {},
): Config => configOf(heads(shapes, { ...more, extra: { head: { ...COMMON, ...h } } }, 32, dtype))
const yoloConfig = (shape: number[], h: object): Config =>
  headConfig([shape], { output: 0, layout: 'rows', coordinates: 'shares', classes: 3, ...h })

test('the command of a YOLO: where its numbers lie', () => {
  const fields = [
    'head',
    'rows',
    'rowStep',
    'valueStep',
    'classes',
    'objectness',
    'percent',
    'coordinates',
    'points',
    'pointValues',
  ]
  const five = yoloConfig([1, 40, 8], { kind: 'yolo5' })
  assert.equal(pick(five, ...fields), [W.HEAD_YOLO, 40, 8, 1, 3, 1, 0, W.COORDINATES_SHARES, 0, 3])
  assert.equal(thresholds(five), [0.25, 0.75])
  const eight = yoloConfig([1, 7, 40], { kind: 'yolo8', layout: 'columns', coordinates: 'pixels', percent: true })
  assert.equal(pick(eight, ...fields), [W.HEAD_YOLO, 40, 1, 40, 3, 0, 1, W.COORDINATES_PIXELS, 0, 3])
  const pose = yoloConfig([1, 40, 4 + 1 + 51], { kind: 'yolo8-pose', classes: 1, points: 17, pointValues: 3 })
  assert.equal(pick(pose, ...fields), [W.HEAD_YOLO, 40, 56, 1, 1, 0, 0, W.COORDINATES_SHARES, 17, 3])
  assert.is(texts(pose, pose.f.pointNames!, pose.f.pointNameCount!)[0], 'nose')
  assert.is(pose.f.pointNameCount, 17)
  for (const [framing, want] of [
    ['letterbox', W.FRAMING_LETTERBOX],
    ['corner', W.FRAMING_CORNER],
    ['square', W.FRAMING_SQUARE],
  ] as const) {
    assert.equal(pick(yoloConfig([1, 40, 8], { kind: 'yolo5', framing }), 'framing', 'fit', 'shorterSide'), [
      want,
      W.FIT_STRETCH,
      0,
    ])
  }
})

test('the command of each other head: where its numbers lie', () => {
  const fomo = headConfig([[1, 4, 8, 3]], { kind: 'fomo', output: 0, scores: 'softmax' })
  assert.equal(pick(fomo, 'head', 'rows', 'columns', 'classes', 'scores'), [W.HEAD_FOMO, 4, 8, 3, W.SCORES_SOFTMAX])
  assert.is(headConfig([[1, 4, 8, 3]], { kind: 'fomo', output: 0, scores: 'identity' }).f.scores, W.SCORES_IDENTITY)
  const move = headConfig([[1, 1, 17, 3]], { kind: 'movenet', output: 0 })
  assert.equal(pick(move, 'head', 'points', 'pointValues', 'output0'), [W.HEAD_MOVENET, 17, 3, 0])
  const post = headConfig(
    [[1, 9], [1, 9, 4], [1], [1, 9]],
    { kind: 'postprocess', boxes: 1, classes: 3, scores: 0, count: 2 },
    'float32',
  )
  assert.equal(pick(post, 'head', 'rows', 'output0', 'output1', 'output2', 'output3'), [
    W.HEAD_POSTPROCESS,
    9,
    1,
    3,
    0,
    2,
  ])
  assert.equal(reads(post), [1, 3, 0, 2])
  const uncounted = headConfig(
    [
      [1, 9],
      [1, 9, 4],
      [1, 9],
    ],
    { kind: 'postprocess', boxes: 1, classes: 2, scores: 0 },
    'float32',
  )
  assert.equal(pick(uncounted, 'output3'), [-1])
  assert.equal(reads(uncounted), [1, 2, 0])
  for (const [h, shape, want] of [
    [{ form: 'last' }, [1, 4, 8, 5], [W.FORM_LAST, 4, 8, 5, 5, 1]],
    [{ form: 'first' }, [1, 5, 4, 8], [W.FORM_FIRST, 4, 8, 5, 1, 32]],
    [{ form: 'mask' }, [1, 4, 8, 1], [W.FORM_MASK, 4, 8, 1, 1, 1]],
    [{ form: 'mask', logits: true }, [1, 4, 8, 1], [W.FORM_MASK_LOGITS, 4, 8, 1, 1, 1]],
  ] as const) {
    const c = headConfig([shape], { kind: 'segmentation', outputs: [0], ...h })
    assert.equal(pick(c, 'form', 'rows', 'columns', 'classes', 'rowStep', 'valueStep'), want, h.form)
    assert.is(c.head, W.HEAD_PLANES)
    assert.equal(texts(c, c.f.labels!, c.f.labelCount!), ['background'])
  }
  const labelled = headConfig([[1, 4, 8, 3]], { kind: 'fomo', output: 0, scores: 'softmax' }, 'int8', {
    labels: ['a', 'b', 'c'],
  })
  assert.equal(texts(labelled, labelled.f.labels!, labelled.f.labelCount!), ['a', 'b', 'c'])
})

test('models that no command can be made of are refused', () => {
  const two = heads([[1, 4]], {})
  two.inputs = [...two.inputs, ...two.inputs]
  for (const [graph, code, message] of [
    [two, 'usage/not-a-classifier', /takes several inputs; expected 1, got 2; pack it with --target core/],
    [
      heads(
        [
          [1, 896, 16],
          [1, 896, 1],
        ],
        {
          extra: {
            head: {
              kind: 'blazeface',
              scoreThreshold: 0.5,
              iouThreshold: 0.3,
              maps: [
                [8, 2],
                [16, 6],
              ],
              points: 6,
            },
          },
        },
        128,
      ),
      'usage/head',
      /does not read blazeface heads; expected .*; pack it with --target core/,
    ],
  ] as const) {
    const error = refusal(() => void wasiCommand(graph, 'n', 4096))
    assert.is(error.code, code, error.message)
    assert.match(error.message, message)
  }
})

test('the runtimes export the constants that a linker asks for', async () => {
  for (const variant of ['simd', 'scalar', 'relaxed'] as const) {
    const m = parseModule(await runtimeBytes(variant))
    assert.ok(m.data.every((d) => d.address + d.bytes.length <= PROGRAM_BASE))
  }
})

test.run()
