/**
 * Linker: a compiled runtime + a memory image -> one self-contained module, without a compiler.
 *
 * Kernels that a model does not use are still called from the executor's switch, so the caller names them: their bodies
 * become one `unreachable` before reachability is computed. What is then unreachable is removed and every index space
 * is renumbered, equal bodies are merged, zero runs of the image are left out (wasm memory starts as zeros).
 * Same input, same bytes.
 */
import { ThimbleError } from '../base/errors.ts'
import { Writer } from './bytes.ts'
import {
  encodeModule,
  parseModule,
  rewriteBody,
  walkBody,
  type DataSegment,
  type IndexSpace,
  type WasmModule,
} from './wasm.ts'

export interface LinkOptions {
  /** The compiled runtime. */
  runtime: Uint8Array
  /** Exports of the runtime that stay, in this order. */
  exports: readonly string[]
  /** Exported functions that this program never calls. */
  stubs?: readonly string[]
  /** The memory image: bytes at absolute addresses; may not overlap each other or the runtime's own static data. */
  data: readonly DataSegment[]
  /**
   * Bytes that stay out of memory, as a passive segment: `thimble_invoke` and `thimble_reset` are then those of
   * programs in slices (assembly/exec.ts).
   */
  flash?: Uint8Array | undefined
  /** Where the memory comes from, where the module does not have it for itself: it is imported then, not exported. */
  memoryFrom?: { module: string; name: string } | undefined
  /** 64 KiB pages of linear memory: fixed unless `maxPages` is larger. */
  memoryPages: number
  maxPages?: number
  /** Declares the memory as that many pages of one byte instead (custom-page-sizes proposal). */
  exactBytes?: number | undefined
  /** Immutable i32 globals to export. */
  globals?: Readonly<Record<string, number>>
  /** Custom sections: name and text or bytes. */
  customs?: Readonly<Record<string, string | Uint8Array>>
  /** Import modules that may remain; default none. */
  importModules?: readonly string[]
}

export interface Linked {
  wasm: Uint8Array
  /** Everything but the data section and the custom sections. */
  codeBytes: number
  /** Data section: weights, plan, tables. */
  dataBytes: number
  metaBytes: number
  functions: number
}

/**
 * Exports that are there for the linker alone: of kernels, GEMM forms, slices and, where pictures are read, heads and
 * outputs.
 */
export const LINKER_EXPORT = /^(kernel|gemm|head|sink)_(\d+)$|^relaxed_dot_is_signed$|^flash_/

/** The function that brings slices of a program into memory. */
export const FLASH_SLICES = 'flash_slices'

const STUB = Uint8Array.of(0, 0x00, 0x0b)
const MEMORY_GROW = 0x40
const PAGE = 65536

/**
 * Links; throws `format/wasm` for a runtime that breaks the packed module's rules, `plan/…` for an image that does not
 * fit.
 */
export function linkModule(options: LinkOptions): Linked {
  const m = parseModule(options.runtime)
  stubFunctions(m, options.stubs ?? [])
  if (options.flash) readFlash(m, options.flash)
  keepExports(m, options.exports)
  removeUnused(m)
  while (mergeEqualFunctions(m)) removeUnused(m)
  if (!m.memory) throw new ThimbleError('format/wasm', 'the runtime has no memory')
  const { memoryPages, maxPages = memoryPages, exactBytes } = options
  m.memory =
    exactBytes === undefined ? { min: memoryPages, max: maxPages } : { min: exactBytes, max: exactBytes, pageLog2: 0 }
  if (options.memoryFrom) {
    m.memoryFrom = options.memoryFrom
    m.exports = m.exports.filter((e) => e.kind !== 'memory')
  }
  m.data = layImage([...m.data, ...options.data], exactBytes ?? memoryPages * PAGE)
  for (const [name, value] of Object.entries(options.globals ?? {})) {
    m.exports.push({ name, kind: 'global', index: m.globals.length })
    m.globals.push({
      valueType: 0x7f,
      mutable: false,
      init: new Writer()
        .u8(0x41)
        .s33(value | 0)
        .u8(0x0b)
        .finish(),
    })
  }
  m.customs = []
  checkModule(m, options)
  return measure(m, options.customs ?? {})
}

/**
 * A runtime with those kernels only whose opcodes `keeps` takes, without the exports that tell a linker where each is:
 * a module for hosts that load what they run into it.
 */
export function cutRuntime(
  runtime: Uint8Array,
  keeps: (opcode: number) => boolean,
  without: readonly string[] = [],
): Uint8Array {
  const m = parseModule(runtime)
  const marked = m.exports.map(({ name }) => name).filter((name) => LINKER_EXPORT.test(name))
  const gone = marked.filter(
    (name) => name === FLASH_SLICES || (name.startsWith('kernel_') && !keeps(Number(name.slice(7)))),
  )
  stubFunctions(m, gone)
  m.exports = m.exports.filter(({ name }) => !marked.includes(name) && !without.includes(name))
  removeUnused(m)
  while (mergeEqualFunctions(m)) removeUnused(m)
  m.customs = []
  return encodeModule(m)
}

function measure(m: WasmModule, customs: Readonly<Record<string, string | Uint8Array>>): Linked {
  const withoutData = encodeModule({ ...m, data: [], passive: undefined }).length
  const withData = encodeModule(m).length
  m.customs = Object.entries(customs).map(([name, content]) => ({
    name,
    bytes: typeof content === 'string' ? new TextEncoder().encode(content) : content,
  }))
  const wasm = encodeModule(m)
  return {
    wasm,
    codeBytes: withoutData,
    dataBytes: withData - withoutData,
    metaBytes: wasm.length - withData,
    functions: m.functions.length,
  }
}

const MEMORY_COPY = 0xfc000a
/** As its opcode and what follows: from data segment 0 into memory 0, where copying names two memories. */
const MEMORY_INIT = Uint8Array.of(0xfc, 0x08, 0, 0)

/** The executor's copies become reads of the passive segment, and its entries those for slices. */
function readFlash(m: WasmModule, flash: Uint8Array): void {
  m.passive = flash
  const at = (name: string): number =>
    m.exports.find((e) => e.name === name && e.kind === 'func')?.index ?? missing(name)
  const { body } = m.functions[at(FLASH_SLICES) - m.imports.length]!
  let copies = 0
  walkBody(
    body,
    () => {},
    (op, end) => {
      if (op !== MEMORY_COPY) return
      body.set(MEMORY_INIT, end - MEMORY_INIT.length)
      copies++
    },
  )
  if (copies !== 2) throw new ThimbleError('format/wasm', `${FLASH_SLICES} copies in ${copies} places, not in two`)
  for (const what of ['invoke', 'reset']) {
    const index = at(`flash_${what}`)
    for (const e of m.exports) if (e.name === `thimble_${what}`) e.index = index
  }
}

function stubFunctions(m: WasmModule, stubs: readonly string[]): void {
  for (const name of stubs) {
    const found = m.exports.find((e) => e.name === name && e.kind === 'func')
    if (!found) throw new ThimbleError('format/wasm', `the runtime does not export function ${name}`)
    if (found.index >= m.imports.length) m.functions[found.index - m.imports.length]!.body = STUB
  }
}

function keepExports(m: WasmModule, names: readonly string[]): void {
  m.exports = names.map((name) => m.exports.find((e) => e.name === name) ?? missing(name))
}

const missing = (name: string): never => {
  throw new ThimbleError('format/wasm', `the runtime does not export ${name}`, {
    hint: 'runtime and linker are of different versions',
  })
}

/** Marks what exports and the start function reach; drops and renumbers the rest. */
function removeUnused(m: WasmModule): void {
  const used: Record<IndexSpace, Set<number>> = {
    func: new Set(),
    type: new Set(),
    global: new Set(),
    table: new Set(),
  }
  const queue: number[] = []
  const use = (space: IndexSpace, index: number): void => {
    if (used[space].has(index)) return
    used[space].add(index)
    if (space === 'func') queue.push(index)
    if (space === 'table') for (const e of m.elements) e.functions.forEach((f) => use('func', f))
  }
  for (const e of m.exports) if (e.kind !== 'memory') use(e.kind, e.index)
  for (let f = queue.pop(); f !== undefined; f = queue.pop()) {
    if (f < m.imports.length) {
      use('type', m.imports[f]!.type)
      continue
    }
    const { type, body } = m.functions[f - m.imports.length]!
    use('type', type)
    walkBody(body, use)
  }
  renumber(m, used)
}

function renumber(m: WasmModule, used: Record<IndexSpace, Set<number>>): void {
  const order = (space: IndexSpace): Map<number, number> =>
    new Map([...used[space]].sort((a, b) => a - b).map((old, i) => [old, i]))
  const maps = { func: order('func'), type: order('type'), global: order('global'), table: order('table') }
  const map = (space: IndexSpace, index: number): number => maps[space].get(index) ?? index
  const imports = m.imports.length
  m.imports = m.imports.filter((_, i) => used.func.has(i)).map((i) => ({ ...i, type: map('type', i.type) }))
  m.functions = m.functions
    .filter((_, i) => used.func.has(i + imports))
    .map((f) => ({ type: map('type', f.type), body: rewriteBody(f.body, map) }))
  m.types = m.types.filter((_, i) => used.type.has(i))
  m.globals = m.globals.filter((_, i) => used.global.has(i))
  if (!used.table.size) {
    m.table = undefined
    m.elements = []
  }
  m.elements = m.elements.map((e) => ({ ...e, functions: e.functions.map((f) => map('func', f)) }))
  m.exports = m.exports.map((e) => (e.kind === 'memory' ? e : { ...e, index: map(e.kind, e.index) }))
}

/** Points every reference to a repeated body at its first copy. True if anything changed. */
function mergeEqualFunctions(m: WasmModule): boolean {
  const first = new Map<string, number>()
  const canonical = new Map<number, number>()
  m.functions.forEach((f, i) => {
    const key = `${f.type}:${f.body.join()}`
    const index = i + m.imports.length
    const known = first.get(key)
    if (known === undefined) first.set(key, index)
    else canonical.set(index, known)
  })
  if (!canonical.size) return false
  const map = (space: IndexSpace, index: number): number => (space === 'func' ? (canonical.get(index) ?? index) : index)
  for (const f of m.functions) f.body = rewriteBody(f.body, map)
  for (const e of m.exports) if (e.kind === 'func') e.index = map('func', e.index)
  for (const e of m.elements) e.functions = e.functions.map((f) => map('func', f))
  return true
}

/**
 * A segment costs about 10 bytes of file (and some 40 of code in wasm2c output) besides its content: shorter zero runs
 * stay inside.
 */
const MIN_ZERO_RUN = 24
/** Engines cap the number of segments, and each takes RAM on small ones. */
const MAX_SEGMENTS = 4096

/** Sorted non-zero extents of the image, checked against each other and against the memory's size. */
function layImage(segments: readonly DataSegment[], memoryBytes: number): DataSegment[] {
  let run = MIN_ZERO_RUN
  let out = trimAll(segments, run)
  while (out.length > MAX_SEGMENTS) out = trimAll(segments, (run *= 2))
  out.sort((a, b) => a.address - b.address)
  out.forEach((s, i) => {
    const end = s.address + s.bytes.length
    if (end > memoryBytes) {
      throw new ThimbleError('plan/memory', "the image does not fit the module's memory", {
        expected: `at most ${memoryBytes} bytes`,
        got: end,
      })
    }
    const next = out[i + 1]
    if (next && next.address < end) {
      throw new ThimbleError('plan/memory', `two parts of the image overlap at address ${next.address}`)
    }
  })
  return out
}

function trimAll(segments: readonly DataSegment[], minRun: number): DataSegment[] {
  const out: DataSegment[] = []
  for (const { address, bytes } of segments) {
    let from = 0
    while (from < bytes.length) {
      while (from < bytes.length && bytes[from] === 0) from++
      if (from === bytes.length) break
      let end = from + 1
      for (let i = end, zeros = 0; i < bytes.length && zeros < minRun; i++) {
        if (bytes[i] === 0) zeros++
        else {
          zeros = 0
          end = i + 1
        }
      }
      out.push({ address: address + from, bytes: bytes.subarray(from, end) })
      from = end
    }
  }
  return out
}

/** The rules every packed module keeps. */
function checkModule(m: WasmModule, options: LinkOptions): void {
  const foreign = m.imports.find((i) => !options.importModules?.includes(i.module))
  if (foreign) {
    throw new ThimbleError('format/wasm', `the runtime imports ${foreign.module}.${foreign.name}`, {
      expected: 'no imports',
    })
  }
  if (m.start !== undefined) throw new ThimbleError('format/wasm', 'the runtime has a start function')
  const fixed = m.memory?.min === m.memory?.max
  for (const f of m.functions) {
    walkBody(
      f.body,
      () => {},
      (op) => {
        if (fixed && op === MEMORY_GROW) {
          throw new ThimbleError('format/wasm', 'the runtime grows its memory', { expected: 'no memory.grow' })
        }
      },
    )
  }
}
