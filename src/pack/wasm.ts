/**
 * WebAssembly modules as plain data: binary -> WasmModule -> binary, and a walker over function bodies that finds
 * every index an instruction holds. Covers what asc emits and the engines of this project take: MVP, mutable globals,
 * sign extension, saturating float conversion, bulk memory, reference types, multi-value, SIMD and relaxed SIMD.
 * Names, producers and other custom sections are kept in `customs`; the caller decides.
 * Source: WebAssembly core specification 2.0, chapter 5; relaxed SIMD opcodes 0xFD 0x100 to 0x113.
 */
import { ThimbleError } from '../base/errors.ts'
import { Reader, Writer } from './bytes.ts'

export type ExternalKind = 'func' | 'table' | 'memory' | 'global'
const KINDS: readonly ExternalKind[] = ['func', 'table', 'memory', 'global']

export interface Limits {
  min: number
  max?: number
  /** Of a memory: log2 of a page's bytes, 0 or 16 (default 16). */
  pageLog2?: number
}
export interface FunctionImport {
  module: string
  name: string
  type: number
}
/** `init` is a constant expression with its final `end`. */
export interface Global {
  valueType: number
  mutable: boolean
  init: Uint8Array
}
export interface Export {
  name: string
  kind: ExternalKind
  index: number
}
/** Active segment of memory 0 at a constant address. */
export interface DataSegment {
  address: number
  bytes: Uint8Array
}
/** Active segment of table 0: functions from a constant offset. */
export interface ElementSegment {
  offset: number
  functions: number[]
}
export interface CustomSection {
  name: string
  bytes: Uint8Array
}

export interface WasmModule {
  /** Function types as their encoded bytes (0x60 ...). */
  types: Uint8Array[]
  /** Functions only: runtimes import nothing else. They come first in the function index space. */
  imports: FunctionImport[]
  /** Type index and body (local declarations and code) of each defined function. */
  functions: { type: number; body: Uint8Array }[]
  table?: { refType: number; limits: Limits } | undefined
  memory?: Limits | undefined
  /** Written only: the memory is imported from there. */
  memoryFrom?: { module: string; name: string }
  globals: Global[]
  exports: Export[]
  start?: number
  elements: ElementSegment[]
  /** Passive segment: the first in the index space, read by `memory.init 0`. */
  passive?: Uint8Array | undefined
  data: DataSegment[]
  customs: CustomSection[]
}

const MAGIC = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)

/** Flags of limits; page sizes are those of the custom-page-sizes proposal. */
const HAS_MAX = 1
const HAS_PAGE_SIZE = 8

const unsupported = (what: string): never => {
  throw new ThimbleError('format/wasm', `${what}, which the linker does not handle`)
}

const limits = (r: Reader): Limits => {
  const flags = r.u8()
  if (flags & ~(HAS_MAX | HAS_PAGE_SIZE)) unsupported('shared or 64-bit memory')
  const min = r.u32()
  return {
    min,
    ...(flags & HAS_MAX ? { max: r.u32() } : {}),
    ...(flags & HAS_PAGE_SIZE ? { pageLog2: r.u32() } : {}),
  }
}

/** Bytes of a constant expression, `end` included. */
const constant = (r: Reader): Uint8Array => {
  const from = r.at
  while (walkOne(r, () => {}) !== 0x0b);
  return r.bytes.subarray(from, r.at)
}

/** Value of an `i32.const` expression. */
const constantI32 = (r: Reader): number => {
  const inner = new Reader(constant(r))
  if (inner.u8() !== 0x41) unsupported('a segment whose address is not a constant')
  return inner.s33()
}

const functype = (r: Reader): Uint8Array => {
  const from = r.at
  if (r.u8() !== 0x60) unsupported('a type that is not a function type')
  r.skip(r.u32())
  r.skip(r.u32())
  return r.bytes.slice(from, r.at)
}

/** Reads a module. Throws `format/wasm` on anything malformed or outside the supported features. */
export function parseModule(bytes: Uint8Array): WasmModule {
  if (bytes.length < 8 || MAGIC.some((b, i) => bytes[i] !== b)) {
    throw new ThimbleError('format/wasm', 'not a WebAssembly module', { expected: 'magic 00 61 73 6d, version 1' })
  }
  const m: WasmModule = {
    types: [],
    imports: [],
    functions: [],
    globals: [],
    exports: [],
    elements: [],
    data: [],
    customs: [],
  }
  const sections = new Reader(bytes, 8)
  while (!sections.done) {
    const id = sections.u8()
    const size = sections.u32()
    const from = sections.at
    sections.skip(size)
    const r = new Reader(bytes, from, from + size)
    readSection(m, id, r)
    if (!r.done) throw new ThimbleError('format/wasm', `section ${id} has ${r.end - r.at} bytes too many`)
  }
  checkIndices(m)
  return m
}

/** Every index must point at something that is there. */
function checkIndices(m: WasmModule): void {
  const counts: Record<IndexSpace | 'memory', number> = {
    func: m.imports.length + m.functions.length,
    type: m.types.length,
    global: m.globals.length,
    table: m.table ? 1 : 0,
    memory: m.memory ? 1 : 0,
  }
  const check = (space: IndexSpace | 'memory', index: number): void => {
    if (index >= counts[space]) {
      throw new ThimbleError('format/wasm', `${space} ${index} is not there`, { expected: `below ${counts[space]}` })
    }
  }
  for (const i of m.imports) check('type', i.type)
  for (const e of m.exports) check(e.kind, e.index)
  if (m.start !== undefined) check('func', m.start)
  for (const e of m.elements) {
    check('table', 0)
    for (const f of e.functions) check('func', f)
  }
  for (const f of m.functions) {
    check('type', f.type)
    if (f.body.length < 2) throw new ThimbleError('format/wasm', 'a function without code')
    walkBody(f.body, check)
  }
}

const atMostOne = <T>(list: T[], what: string): T | undefined =>
  list.length > 1 ? unsupported(`a second ${what}`) : list[0]

function readImport(r: Reader): FunctionImport {
  const module = r.name()
  const name = r.name()
  if (r.u8() !== 0) unsupported(`import ${module}.${name} that is not a function`)
  return { module, name, type: r.u32() }
}

function readExport(r: Reader): Export {
  const name = r.name()
  const kind = KINDS[r.u8()] ?? unsupported(`export ${name} of an unknown kind`)
  return { name, kind, index: r.u32() }
}

function readElements(r: Reader): ElementSegment {
  if (r.u32() !== 0) unsupported('a passive or typed element segment')
  return { offset: constantI32(r), functions: r.list(() => r.u32()) }
}

/** The bodies of the functions that the section before it has declared. */
function readBodies(m: WasmModule, r: Reader): void {
  const bodies = r.list(() => r.take(r.u32()).slice())
  if (bodies.length !== m.functions.length) {
    throw new ThimbleError('format/wasm', 'function and code sections disagree', {
      expected: m.functions.length,
      got: bodies.length,
    })
  }
  m.functions.forEach((f, i) => {
    f.body = bodies[i]!
  })
}

/** Active segments, and a passive one before them. */
function readData(m: WasmModule, r: Reader): void {
  const segments = r.list((i) => {
    const kind = r.u32()
    if (kind > 1 || (kind === 1 && i > 0)) unsupported('a passive data segment that is not the first')
    const address = kind ? undefined : constantI32(r) >>> 0
    const bytes = r.take(r.u32()).slice()
    if (address === undefined) m.passive = bytes
    return { address: address ?? 0, bytes }
  })
  m.data = segments.slice(m.passive ? 1 : 0)
}

/** What reads each section, by its number. */
const SECTIONS: readonly ((m: WasmModule, r: Reader) => unknown)[] = [
  (m, r) => m.customs.push({ name: r.name(), bytes: r.take(r.end - r.at).slice() }),
  (m, r) => (m.types = r.list(() => functype(r))),
  (m, r) => (m.imports = r.list(() => readImport(r))),
  (m, r) => (m.functions = r.list(() => ({ type: r.u32(), body: new Uint8Array() }))),
  (m, r) =>
    (m.table = atMostOne(
      r.list(() => ({ refType: r.u8(), limits: limits(r) })),
      'table',
    )),
  (m, r) =>
    (m.memory = atMostOne(
      r.list(() => limits(r)),
      'memory',
    )),
  (m, r) => (m.globals = r.list(() => ({ valueType: r.u8(), mutable: r.u8() === 1, init: constant(r) }))),
  (m, r) => (m.exports = r.list(() => readExport(r))),
  (m, r) => (m.start = r.u32()),
  (m, r) => (m.elements = r.list(() => readElements(r))),
  readBodies,
  readData,
  // The number of data segments, for engines that want it ahead.
  (_, r) => r.u32(),
]

function readSection(m: WasmModule, id: number, r: Reader): void {
  const read = SECTIONS[id] ?? unsupported(`section ${id}`)
  read(m, r)
}

const section = (w: Writer, id: number, present: boolean, fill: (w: Writer) => void): void => {
  if (present) w.u8(id).block(fill)
}

const writeLimits = (w: Writer, l: Limits): void => {
  const { min, max, pageLog2 } = l
  w.u8((max === undefined ? 0 : HAS_MAX) | (pageLog2 === undefined ? 0 : HAS_PAGE_SIZE)).u32(min)
  if (max !== undefined) w.u32(max)
  if (pageLog2 !== undefined) w.u32(pageLog2)
}

/** Writes a module; the same module gives the same bytes. Custom sections come last. */
export function encodeModule(m: WasmModule): Uint8Array {
  const w = new Writer().bytes(MAGIC)
  section(w, 1, m.types.length > 0, (s) => s.list(m.types, (t) => s.bytes(t)))
  const { table, memory, memoryFrom, start } = m
  section(w, 2, m.imports.length > 0 || memoryFrom !== undefined, (s) => {
    s.u32(m.imports.length + (memoryFrom ? 1 : 0))
    for (const i of m.imports) s.name(i.module).name(i.name).u8(0).u32(i.type)
    if (memoryFrom && memory) writeLimits(s.name(memoryFrom.module).name(memoryFrom.name).u8(2), memory)
  })
  section(w, 3, m.functions.length > 0, (s) => s.list(m.functions, (f) => s.u32(f.type)))
  if (table) {
    section(w, 4, true, (s) => {
      s.u32(1).u8(table.refType)
      writeLimits(s, table.limits)
    })
  }
  if (memory && !memoryFrom) {
    section(w, 5, true, (s) => {
      s.u32(1)
      writeLimits(s, memory)
    })
  }
  section(w, 6, m.globals.length > 0, (s) =>
    s.list(m.globals, (g) => s.u8(g.valueType, g.mutable ? 1 : 0).bytes(g.init)),
  )
  section(w, 7, m.exports.length > 0, (s) =>
    s.list(m.exports, (e) => s.name(e.name).u8(KINDS.indexOf(e.kind)).u32(e.index)),
  )
  if (start !== undefined) section(w, 8, true, (s) => s.u32(start))
  section(w, 9, m.elements.length > 0, (s) =>
    s.list(m.elements, (e) =>
      s
        .u32(0)
        .u8(0x41)
        .s33(e.offset)
        .u8(0x0b)
        .list(e.functions, (f) => s.u32(f)),
    ),
  )
  const { passive } = m
  // Code that names segments needs their number ahead of it.
  section(w, 12, passive !== undefined, (s) => s.u32(m.data.length + 1))
  section(w, 10, m.functions.length > 0, (s) => s.list(m.functions, (f) => s.u32(f.body.length).bytes(f.body)))
  section(w, 11, passive !== undefined || m.data.length > 0, (s) => {
    s.u32(m.data.length + (passive ? 1 : 0))
    if (passive) s.u8(1).u32(passive.length).bytes(passive)
    for (const d of m.data) {
      s.u32(0)
        .u8(0x41)
        .s33(d.address | 0)
        .u8(0x0b)
        .u32(d.bytes.length)
        .bytes(d.bytes)
    }
  })
  for (const c of m.customs) section(w, 0, true, (s) => s.name(c.name).bytes(c.bytes))
  return w.finish()
}

/** What an index immediate refers to. */
export type IndexSpace = 'func' | 'type' | 'global' | 'table'
/** The bytes [from, to) of an index immediate; `type` indices of block types are signed there. */
export interface Immediate {
  from: number
  to: number
  signed: boolean
}
/** Called for each index immediate: its space, its value, where it is. */
export type IndexVisitor = (space: IndexSpace, index: number, at: Immediate) => void

/** What follows an opcode. */
type Immediates = (r: Reader, index: (space: IndexSpace) => void) => void

const none: Immediates = () => {}
const leb: Immediates = (r) => r.skipLeb()
const indexOf =
  (...spaces: IndexSpace[]): Immediates =>
  (_, index) =>
    spaces.forEach(index)
const skip =
  (n: number): Immediates =>
  (r) =>
    r.skip(n)

/** Opcodes by what follows them; those of blocks, and prefixes, are not here. */
const IMMEDIATES: readonly (Immediates | undefined)[] = /* @__PURE__ */ opcodes([
  // unreachable, nop, else, end, return, drop, select, ref.is_null, comparisons and arithmetic
  [none, 0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1, ...range(0x45, 0xc4)],
  // br, br_if, local.get, local.set, local.tee, i32.const, i64.const, ref.null
  [leb, 0x0c, 0x0d, 0x20, 0x21, 0x22, 0x41, 0x42, 0xd0],
  // br_table
  [
    (r) => {
      r.list(() => r.skipLeb())
      r.skipLeb()
    },
    0x0e,
  ],
  // call, ref.func; call_indirect; global.get, global.set; table.get, table.set
  [indexOf('func'), 0x10, 0xd2],
  [indexOf('type', 'table'), 0x11],
  [indexOf('global'), 0x23, 0x24],
  [indexOf('table'), 0x25, 0x26],
  // select with types
  [(r) => r.skip(r.u32()), 0x1c],
  // loads and stores
  [memoryArgument, ...range(0x28, 0x3e)],
  // memory.size, memory.grow; f32.const; f64.const
  [skip(1), 0x3f, 0x40],
  [skip(4), 0x43],
  [skip(8), 0x44],
])

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

function opcodes(rows: readonly (readonly [Immediates, ...number[]])[]): (Immediates | undefined)[] {
  const table = new Array<Immediates | undefined>(256).fill(undefined)
  for (const [what, ...ops] of rows) for (const op of ops) table[op] = what
  return table
}

/**
 * Steps over one instruction, reports its index immediates, returns its opcode (prefixed ones as prefix << 16 | op).
 */
function walkOne(r: Reader, visit: IndexVisitor): number {
  const op = r.u8()
  const index = (space: IndexSpace): void => {
    const from = r.at
    const value = r.u32()
    visit(space, value, { from, to: r.at, signed: false })
  }
  if (op === 0xfc) return 0xfc0000 | bulk(r, index)
  if (op === 0xfd) return 0xfd0000 | simd(r)
  if (op >= 0x02 && op <= 0x04) {
    // A block's type is a value type where it is negative.
    const from = r.at
    const value = r.s33()
    if (value >= 0) visit('type', value, { from, to: r.at, signed: true })
    return op
  }
  const immediates = IMMEDIATES[op] ?? unsupported(`opcode 0x${op.toString(16)} at byte ${r.at - 1}`)
  immediates(r, index)
  return op
}

function memoryArgument(r: Reader): void {
  if (r.u32() > 31) unsupported('a memory other than memory 0')
  r.skipLeb()
}

function bulk(r: Reader, index: (space: IndexSpace) => void): number {
  const op = r.u32()
  if (op <= 7) return op
  if (op === 10) r.skip(2)
  else if (op === 11) r.skip(1)
  else if (op === 8) {
    r.skipLeb()
    r.skip(1)
  } else if (op >= 15 && op <= 17) index('table')
  else unsupported(`opcode 0xfc ${op}`)
  return op
}

function simd(r: Reader): number {
  const op = r.u32()
  if (op <= 11 || op === 92 || op === 93) memoryArgument(r)
  else if (op === 12 || op === 13) r.skip(16)
  else if (op >= 21 && op <= 34) r.skip(1)
  else if (op >= 84 && op <= 91) {
    memoryArgument(r)
    r.skip(1)
  } else if (op > 0x113) unsupported(`opcode 0xfd ${op}`)
  return op
}

/**
 * Visits every instruction of a function body (local declarations included): `onOp` gets opcodes and where each
 * instruction ends, `visit` indices.
 */
export function walkBody(body: Uint8Array, visit: IndexVisitor, onOp?: (op: number, end: number) => void): void {
  const r = new Reader(body)
  r.list(() => {
    r.skipLeb()
    r.skip(1)
  })
  while (!r.done) {
    const op = walkOne(r, visit)
    onOp?.(op, r.at)
  }
}

/** The body with each index replaced by `map(space, index)`; shortest encodings. */
export function rewriteBody(body: Uint8Array, map: (space: IndexSpace, index: number) => number): Uint8Array {
  const w = new Writer()
  let copied = 0
  walkBody(body, (space, index, { from, to, signed }) => {
    w.bytes(body.subarray(copied, from))
    const value = map(space, index)
    if (signed) w.s33(value)
    else w.u32(value)
    copied = to
  })
  return w.bytes(body.subarray(copied)).finish()
}
