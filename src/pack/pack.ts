/** Graph -> self-contained module: compiles the model for a variant and links it with that variant's runtime. */
import { align } from '../base/words.ts'
import { tensorInfo } from '../engine/engine.ts'
import { ThimbleError } from '../base/errors.ts'
import { FORM_DOT, LAYOUT, OP_DEPTHWISE3X3_DOT } from '../generated/layout.ts'
import { settle } from '../fold/index.ts'
import type { Graph } from '../graph/graph.ts'
import type { Lowered } from '../lower/index.ts'
import { PAGE, PROGRAM_BASE } from '../base/memory.ts'
import { LATER_EXPORTS, META_SECTION, PACKED_EXPORTS } from '../engine/packed-module.ts'
import { SPEED_TOLERANCE } from '../plan/bands.ts'
import { estimatedNs } from '../plan/candidates.ts'
import { assemble, compileModel, lowerModel, type Program, type ProgramPort } from '../plan/compile.ts'
import { compileFlash } from '../plan/flash.ts'
import type { Flash } from '../plan/slices.ts'
import { PLAIN, runtimeBytes } from '../engine/runtime.ts'
import { taskOf } from '../answers/task.ts'
import type { Kernels, Variant } from '../graph/types.ts'
import { Reader } from './bytes.ts'
import { cHeader } from './header.ts'
import { FLASH_SLICES, type Linked, LINKER_EXPORT, linkModule, type LinkOptions } from './link.ts'
import { type Port } from './component/glue.ts'
import { HTTP_CALLS, HTTP_MEMORY, httpComponent } from './component/http.ts'
import { modelComponent } from './component/index.ts'
import { moduleMeta, type ModuleMeta, sized } from './meta.ts'
import { type PictureTask, wasiCommand, wasiRuntimeBytes } from './wasi.ts'
import { parseModule, type WasmModule } from './wasm.ts'

export const TARGETS = ['core', 'wasi', 'component', 'http'] as const
export type Target = (typeof TARGETS)[number]

export interface PackOptions {
  /**
   * `core` (default): no imports. `wasi`: a command. `component`: a component that exports `thimble:vision/model`.
   * `http`: one that exports `wasi:http/incoming-handler`.
   */
  target?: Target
  /** With `component`: raw tensors alone, even where the model is one for pictures. */
  raw?: boolean
  variant?: Variant
  /**
   * What to choose kernels for; default `generic`. `arm-dot` gives right answers only on engines whose relaxed dot
   * product is signed (V8 on arm64, with or without the dot product instruction): elsewhere the module refuses to run.
   */
  kernels?: Kernels | undefined
  /**
   * `size`: 8-bit weights and the smallest arena. `speed`: whatever is fastest. Default: for scalar whichever takes
   * less memory; for the SIMD variants 8-bit weights where they are estimated to cost at most 3 % of the time, and the
   * arena of `speed`.
   */
  plan?: 'speed' | 'size' | undefined
  /**
   * `memory` (default): linear memory holds them. `flash`: they stay in a passive data segment, from which the module
   * copies what it needs at a time; engines need bulk memory operations (wasm3 has them not).
   */
  weights?: 'memory' | 'flash' | undefined
  /** With `flash`: bytes of linear memory that the module may use. Default: as few as possible. */
  ram?: number | undefined
  /**
   * Bytes of a page of memory. 1: memory is declared to the byte, for engines that have the custom-page-sizes proposal
   * (a core module only). Default 65536.
   */
  pageSize?: 1 | 65536 | undefined
  /** Model name for the metadata. */
  name?: string
  /** What the C header's macros begin with, default the model's name. */
  prefix?: string
  /** File name of the module, for the header's usage comment. */
  file?: string
}

/** Where the bytes of a packed module and of its memory go. */
export interface PackSizes {
  /** Of the file. */
  codeBytes: number
  dataBytes: number
  metaBytes: number
  /** What makes a component of a module. */
  shellBytes: number
  fileBytes: number
  functions: number
  /** Records and constants that are no part of linear memory; slices of them are, in the arena. */
  flashBytes: number
  /**
   * Of linear memory: static data below the program, op records, weights and tables, state, arena, over-read margin.
   */
  staticBytes: number
  planBytes: number
  weightBytes: number
  stateBytes: number
  arenaBytes: number
  marginBytes: number
  /** A component's own. */
  shellMemoryBytes: number
  memoryBytes: number
  memoryPages: number
}

export interface PackedModel {
  wasm: Uint8Array
  meta: ModuleMeta
  sizes: PackSizes
  program: Program
  /** C header text of a core module; empty for others. */
  header: string
  /** The interface of a component that exports `thimble:vision/model`, as text. */
  wit?: string
  /** It computes by relaxed dot products: right only on engines where they are signed, elsewhere it refuses to run. */
  signedDot: boolean
}

/** Value of an exported immutable i32 global, or of an exported function that does nothing but return a constant. */
function exportedConstant(runtime: WasmModule, name: string): number {
  const found = runtime.exports.find((e) => e.name === name)
  const code =
    found?.kind === 'global'
      ? runtime.globals[found.index]!.init
      : found?.kind === 'func'
        ? runtime.functions[found.index - runtime.imports.length]?.body.subarray(1)
        : undefined
  const reader = code && new Reader(code)
  if (!reader || reader.u8() !== 0x41) {
    throw new ThimbleError('format/wasm', `the runtime does not export the constant ${name}`)
  }
  return reader.s33() >>> 0
}

/** What the metadata says about weights that stay out of memory. */
const flashMeta = ({ bytes, slices, largest, read }: Flash): NonNullable<ModuleMeta['flash']> => ({
  bytes: bytes.length,
  slices,
  largestSlice: largest,
  readBytes: read,
})

/** The first address behind the runtime's static data. */
const dataEnd = ({ data }: WasmModule, header: number): number =>
  align(
    data.reduce((end, d) => Math.max(end, d.address + d.bytes.length), header + LAYOUT.Header.size),
    16,
  )

/** Errors: `usage/weights`, `usage/ram` for options that do not go together. */
function checkFlash({ weights, target, ram }: PackOptions): void {
  if (weights === 'flash' && target !== undefined && target !== 'core') {
    throw new ThimbleError('usage/weights', 'weights stay in flash in modules for microcontrollers only', {
      expected: 'target "core"',
      got: `target "${target}"`,
      hint: 'leave out one of the two',
    })
  }
  if (ram === undefined) return
  if (weights !== 'flash' || !Number.isSafeInteger(ram) || ram < 1) {
    throw new ThimbleError('usage/ram', 'a limit on memory needs weights that stay in flash', {
      expected: 'weights "flash" and a whole number of bytes',
      got: `weights "${weights ?? 'memory'}" and ${ram}`,
    })
  }
}

/** Errors: `usage/page-size`. */
function checkPageSize({ pageSize, target = 'core' }: PackOptions): void {
  if (pageSize === undefined || pageSize === PAGE) return
  if (pageSize !== 1 || target !== 'core') {
    throw new ThimbleError('usage/page-size', 'memory is declared to the byte in core modules only', {
      expected: 'a page size of 65536, or of 1 and target "core"',
      got: `${String(pageSize)} and target "${target}"`,
      hint: 'leave out the page size: memory that grows comes in pages of 64 KiB',
    })
  }
}

/** The program's header as bytes. */
export function headerBytes(program: Program): Uint8Array {
  const view = new DataView(new ArrayBuffer(LAYOUT.Header.size))
  LAYOUT.Header.fields.forEach((field, i) => view.setUint32(i * 4, program.header[field]!, true))
  return new Uint8Array(view.buffer)
}

/** Whether a program computes by relaxed dot products, which are right only where they are signed. */
const needsSignedDot = ({ usedForms, usedOpcodes }: Program): boolean =>
  usedForms.includes(FORM_DOT) || usedOpcodes.includes(OP_DEPTHWISE3X3_DOT)

/**
 * Exported kernels and GEMM forms that the program never runs, heads that the command never reads, and the probe that
 * only some need.
 */
const unusedKernels = (
  runtime: WasmModule,
  program: Program,
  { head, sink }: { head?: number | undefined; sink?: number | undefined },
): string[] => {
  const used: Record<string, readonly (number | undefined)[]> = {
    kernel: program.usedOpcodes,
    gemm: program.usedForms,
    head: [head],
    sink: [sink],
  }
  return runtime.exports
    .map((e) => e.name)
    .filter((name) => {
      if (name === 'relaxed_dot_is_signed') return !needsSignedDot(program)
      const [, kind, id] = name.match(LINKER_EXPORT) ?? []
      return kind !== undefined && !used[kind]!.includes(Number(id))
    })
}

/** Tensors of the graph and where the program has them. */
const placed = (graph: Graph, indices: readonly number[], ports: readonly ProgramPort[]): Port[] =>
  indices.map((index, i) => ({ ...sized(tensorInfo(graph.tensors[index]!)), address: ports[i]!.address }))

const PLANS = ['speed', 'size'] as const

/**
 * The planned program. Where no plan was asked for, a scalar one is planned both ways and the smaller memory wins; SIMD
 * ones take the weights of plan `size` where the estimated time is within 3 % of plan `speed`, and its arena.
 */
function compileFor(
  graph: Graph,
  { variant, kernels, base }: { variant: Variant; kernels: Kernels; base: number },
  plan?: 'speed' | 'size',
): Program {
  const target = { variant, kernels, base }
  if (plan) return compileModel(graph, { ...target, plan })
  if (variant === 'scalar') {
    const [speed, size] = PLANS.map((each) => compileModel(graph, { ...target, plan: each })) as [Program, Program]
    const bytes = (p: Program): number => p.arenaAddress + p.arenaBytes
    return bytes(size) < bytes(speed) ? size : speed
  }
  const [speed, size] = PLANS.map((each) => lowerModel(graph, { ...target, plan: each })) as [Lowered, Lowered]
  const within = estimatedNs(size.steps) <= (1 + SPEED_TOLERANCE) * estimatedNs(speed.steps)
  return assemble(within ? size : speed, { ...target, plan: 'speed' })
}

/** Pages that the memory of commands and components may grow to, for pictures and other large questions: 1 GiB. */
const MAX_PAGES = 16384

/**
 * What a module that reads pictures answers; undefined for a module of tensors alone. Errors: as those of wasiCommand.
 */
function picturesOf(graph: Graph, { target = 'core', raw = false }: PackOptions): PictureTask | undefined {
  if (target === 'core' || raw) return undefined
  const task = (): PictureTask => wasiCommand(graph, '', 0).task
  if (target !== 'component') return task()
  const [inputs, outputs] = [graph.inputs, graph.outputs].map((list) => list.map((i) => tensorInfo(graph.tensors[i]!)))
  if (taskOf({ inputs: inputs!, outputs: outputs!, metadata: graph.metadata }).command === 'run') return undefined
  try {
    return task()
  } catch (error) {
    // Heads that such modules do not read: raw tensors remain.
    if (error instanceof ThimbleError) return undefined
    throw error
  }
}

/** Where a target's text goes: the number of the runtime's export that writes it. */
const SINKS: Partial<Record<Target, number>> = { wasi: 1, http: 2 }

/** Names that a target's core module exports. */
function exportsOf(target: Target, images: PictureTask | undefined): string[] {
  if (target === 'wasi') return ['memory', '_start']
  if (target === 'http') return ['memory', 'http_handle']
  return [
    'memory',
    ...PACKED_EXPORTS.slice(1),
    ...LATER_EXPORTS,
    ...(images ? ['image_realloc', `image_${images}`] : []),
  ]
}

/** Kernels that packed modules run. Errors: `usage/kernels`. */
function checkKernels(kernels: Kernels, variant: Variant): void {
  if (kernels === 'x86-vnni') {
    throw new ThimbleError('usage/kernels', 'packed modules do not ask the engine for these kernels', {
      expected: 'generic, x86, arm or arm-dot',
      got: kernels,
      hint: 'load the model file instead',
    })
  }
  if (PLAIN[kernels] && variant !== 'relaxed') {
    throw new ThimbleError('usage/kernels', 'these kernels are in the relaxed variant only', {
      expected: 'variant "relaxed"',
      got: `variant "${variant}"`,
    })
  }
}

/** A runtime and what the linker has to know of it. */
interface Runtime {
  bytes: Uint8Array
  module: WasmModule
  /** Address of the program's header. */
  header: number
  /** The first address that a program, or a command before it, may take. */
  staticEnd: number
}

/** Errors: `plan/memory`. */
async function runtimeFor(variant: Variant, images: PictureTask | undefined): Promise<Runtime> {
  const bytes = images ? await wasiRuntimeBytes(variant) : await runtimeBytes(variant)
  const module = parseModule(bytes)
  const header = exportedConstant(module, 'header')
  const staticEnd = images ? align(exportedConstant(module, 'static_end'), 16) : PROGRAM_BASE
  if (header + LAYOUT.Header.size > staticEnd) {
    throw new ThimbleError('plan/memory', "the runtime's static data reaches into the program")
  }
  return { bytes, module, header, staticEnd }
}

/** Where things end in the memory of a module. */
interface Extent {
  /** Behind the program, its arena and its margin. */
  heapBase: number
  /** Behind what a component's shell has there. */
  used: number
  pages: number
  maxPages: number
}

const heapBaseOf = ({ memoryBytes, arenaAddress, arenaBytes, slackBytes }: Program): number =>
  Math.min(memoryBytes, align(arenaAddress + arenaBytes + slackBytes, 16))

function extentOf(program: Program, shellBytes: number): Extent {
  const heapBase = heapBaseOf(program)
  const used = align(heapBase + shellBytes, 16)
  const pages = Math.max(program.memoryBytes, align(used, PAGE)) / PAGE
  return { heapBase, used, pages, maxPages: Math.max(pages, MAX_PAGES) }
}

/** What only some targets ask of the linker. */
function linkOptions(target: Target, program: Program, { heapBase, maxPages }: Extent): Partial<LinkOptions> {
  const heap = { globals: { __heap_base: heapBase, __data_end: program.arenaAddress } }
  switch (target) {
    case 'core':
      return heap
    case 'component':
      return { maxPages, ...heap }
    case 'wasi':
      return { maxPages, importModules: ['wasi_snapshot_preview1'] }
    case 'http':
      return { maxPages, importModules: [HTTP_CALLS], memoryFrom: HTTP_MEMORY }
  }
}

/** What a packed module is made of. */
interface Parts {
  program: Program
  extent: Extent
  linked: Linked
  /** The module, or the component around it. */
  wasm: Uint8Array
  shellMemoryBytes: number
}

function sizesOf({ program, extent, linked, wasm, shellMemoryBytes }: Parts): PackSizes {
  const start = program.image[0]!.address
  return {
    codeBytes: linked.codeBytes,
    dataBytes: linked.dataBytes,
    metaBytes: linked.metaBytes,
    shellBytes: wasm.length - linked.wasm.length,
    fileBytes: wasm.length,
    functions: linked.functions,
    flashBytes: program.flash?.bytes.length ?? 0,
    staticBytes: start,
    planBytes: program.planBytes,
    weightBytes: program.arenaAddress - start - program.planBytes - program.stateBytes,
    stateBytes: program.stateBytes,
    arenaBytes: program.arenaBytes,
    marginBytes: extent.heapBase - program.arenaAddress - program.arenaBytes,
    shellMemoryBytes,
    memoryBytes: extent.heapBase + shellMemoryBytes,
    memoryPages: extent.pages,
  }
}

/**
 * Packs a graph: for target `core` as a module of the packed ABI (no imports, fixed memory, only the kernels it uses),
 * for `wasi` as a command (imports wasi_snapshot_preview1 only, memory grows for pictures), for `component` and `http`
 * as components.
 * Errors: `lower/…`, `plan/…`; `usage/target`; for wasi and http `usage/not-a-classifier`, `usage/head`,
 * `image/unsupported-input`.
 */
export async function packGraph(source: Graph, options: PackOptions = {}): Promise<PackedModel> {
  const graph = settle(source)
  const { variant = 'simd', target = 'core', kernels = 'generic', plan, ram } = options
  const name = options.name ?? graph.metadata.name ?? 'model'
  const flash = options.weights === 'flash'
  checkFlash(options)
  checkPageSize(options)
  checkKernels(kernels, variant)
  const images = picturesOf(graph, options)
  const { bytes: runtime, module, header, staticEnd } = await runtimeFor(variant, images)
  const command = images ? wasiCommand(graph, name, staticEnd) : undefined
  const base = staticEnd + align(command?.blob.length ?? 0, 16)
  const program = flash
    ? compileFlash(graph, { variant, kernels, base: dataEnd(module, header), ram, plan })
    : compileFor(graph, { variant, kernels, base }, plan)
  const shell =
    target === 'component'
      ? modelComponent({
          name,
          inputs: placed(graph, graph.inputs, program.inputs),
          outputs: placed(graph, graph.outputs, program.outputs),
          state: program.stateBytes > 0,
          images,
          base: heapBaseOf(program),
        })
      : undefined
  const shellMemoryBytes = shell?.staticBytes ?? 0
  const extent = extentOf(program, shellMemoryBytes)
  const { heapBase, used, pages, maxPages } = extent
  const meta = moduleMeta({
    name,
    variant,
    kernels,
    metadata: graph.metadata,
    inputs: graph.inputs.map((i) => tensorInfo(graph.tensors[i]!)),
    outputs: graph.outputs.map((i) => tensorInfo(graph.tensors[i]!)),
    arenaBytes: program.arenaBytes,
    memoryBytes: heapBase,
    weightBytes: program.weightBytes,
    memoryPages: pages,
    ...(options.pageSize === 1 ? { pageSize: 1 as const } : {}),
    macs: program.entries.reduce((a, e) => a + e.macs, 0),
    ...(program.flash ? { flash: flashMeta(program.flash) } : {}),
  })
  const data = [{ address: header, bytes: headerBytes(program) }, ...program.image]
  if (command) {
    data.push(
      { address: exportedConstant(module, 'config'), bytes: command.config(used, pages * PAGE) },
      { address: staticEnd, bytes: command.blob },
    )
  }
  const unused = unusedKernels(module, program, { head: command?.head, sink: SINKS[target] })
  const linked = linkModule({
    runtime,
    flash: program.flash?.bytes,
    exports: exportsOf(target, images),
    stubs: flash ? unused : [...unused, FLASH_SLICES],
    data,
    memoryPages: pages,
    exactBytes: options.pageSize === 1 ? heapBase : undefined,
    customs: { [META_SECTION]: JSON.stringify(meta) },
    ...linkOptions(target, program, extent),
  })
  const signedDot = needsSignedDot(program)
  const wasm =
    target === 'http'
      ? httpComponent(linked.wasm, { pages, maxPages, room: exportedConstant(module, 'http_room') })
      : (shell?.wrap(linked.wasm) ?? linked.wasm)
  return {
    wasm,
    meta,
    header: target === 'core' ? cHeader(meta, options.file ?? `${meta.name}.wasm`, options.prefix, signedDot) : '',
    ...(shell ? { wit: shell.wit } : {}),
    signedDot,
    program,
    sizes: sizesOf({ program, extent, linked, wasm, shellMemoryBytes }),
  }
}
