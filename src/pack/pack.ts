/** Graph -> self-contained module: compiles the model for a variant and links it with that variant's runtime. */
import { tensorInfo } from '../engine.ts'
import { ThimbleError } from '../errors.ts'
import { LAYOUT } from '../generated/layout.ts'
import type { Graph } from '../graph.ts'
import { META_SECTION } from '../packed-module.ts'
import { compileModel, PAGE, PROGRAM_BASE, SLACK, type Program } from '../plan/compile.ts'
import { runtimeBytes } from '../runtime.ts'
import type { Variant } from '../types.ts'
import { Reader } from './bytes.ts'
import { cHeader } from './header.ts'
import { linkModule } from './link.ts'
import { moduleMeta, type ModuleMeta } from './meta.ts'
import { parseModule, type WasmModule } from './wasm.ts'

/** Exports of a packed module besides the two globals (contract, section 3). */
export const PACKED_EXPORTS = [
  'memory', 'thimble_abi', 'thimble_input_ptr', 'thimble_input_bytes', 'thimble_output_ptr', 'thimble_output_bytes', 'thimble_invoke'
] as const

export interface PackOptions {
  /** `core` (default): no imports. `wasi`: a command. */
  target?: 'core' | 'wasi'
  variant?: Variant
  /** Default: whichever takes less memory for scalar, `speed` for the SIMD variants. */
  plan?: 'speed' | 'size'
  /** Model name for the metadata and the C header. */
  name?: string
  /** File name of the module, for the header's usage comment. */
  file?: string
}

/** Where the bytes of a packed module and of its memory go. */
export interface PackSizes {
  /** Of the file. */
  codeBytes: number
  dataBytes: number
  metaBytes: number
  fileBytes: number
  functions: number
  /** Of linear memory: static data below the program, op records, weights and tables, arena, over-read margin. */
  staticBytes: number
  planBytes: number
  weightBytes: number
  arenaBytes: number
  marginBytes: number
  memoryBytes: number
  memoryPages: number
}

export interface PackedModel {
  wasm: Uint8Array
  meta: ModuleMeta
  sizes: PackSizes
  /** C header text for this module. */
  header: string
}

/** Value of an exported immutable i32 global. */
export function exportedConstant(runtime: WasmModule, name: string): number {
  const found = runtime.exports.find((e) => e.name === name && e.kind === 'global')
  const init = found && new Reader(runtime.globals[found.index].init)
  if (!init || init.u8() !== 0x41) throw new ThimbleError('format/wasm', `the runtime does not export the constant ${name}`)
  return init.s33() >>> 0
}

/** The program's header as bytes. */
export function headerBytes(program: Program): Uint8Array {
  const view = new DataView(new ArrayBuffer(LAYOUT.Header.size))
  LAYOUT.Header.fields.forEach((field, i) => view.setUint32(i * 4, program.header[field], true))
  return new Uint8Array(view.buffer)
}

/** Exported kernels that the program never runs. */
export const unusedKernels = (runtime: WasmModule, program: Program): string[] =>
  runtime.exports.map((e) => e.name).filter((name) => /^kernel_\d+$/.test(name) && !program.usedOpcodes.includes(Number(name.slice(7))))

/** The planned program; where nothing was asked for, a scalar one is planned both ways and the smaller memory wins. */
export function compileFor(graph: Graph, variant: Variant, plan?: 'speed' | 'size'): Program {
  if (plan || variant !== 'scalar') return compileModel(graph, { variant, plan: plan ?? 'speed' })
  const speed = compileModel(graph, { variant, plan: 'speed' })
  const size = compileModel(graph, { variant, plan: 'size' })
  const bytes = (p: Program): number => p.arenaAddress + p.arenaBytes
  return bytes(size) < bytes(speed) ? size : speed
}

/** Packs a graph as a module of the packed ABI: no imports, fixed memory, only the kernels it uses. */
export async function packGraph(graph: Graph, options: PackOptions = {}): Promise<PackedModel> {
  const variant = options.variant ?? 'simd'
  const program = compileFor(graph, variant, options.plan)
  const runtime = await runtimeBytes(variant)
  const parsed = parseModule(runtime)
  const header = exportedConstant(parsed, 'header')
  if (header + LAYOUT.Header.size > PROGRAM_BASE) throw new ThimbleError('plan/memory', 'the runtime\'s static data reaches into the program')
  const dataEnd = program.arenaAddress
  const pages = program.memoryBytes / PAGE
  const heapBase = Math.min(program.memoryBytes, Math.ceil((program.arenaAddress + program.arenaBytes + SLACK) / 16) * 16)
  const meta = moduleMeta({
    name: options.name ?? graph.metadata.name ?? 'model', variant, metadata: graph.metadata,
    inputs: graph.inputs.map((i) => tensorInfo(graph, i)), outputs: graph.outputs.map((i) => tensorInfo(graph, i)),
    arenaBytes: program.arenaBytes, memoryBytes: heapBase, weightBytes: program.weightBytes, memoryPages: pages,
    macs: program.entries.reduce((a, e) => a + e.macs, 0)
  })
  const linked = linkModule({
    runtime, exports: PACKED_EXPORTS, stubs: unusedKernels(parsed, program),
    data: [{ address: header, bytes: headerBytes(program) }, ...program.image],
    memoryPages: pages, globals: { __heap_base: heapBase, __data_end: dataEnd }, customs: { [META_SECTION]: JSON.stringify(meta) }
  })
  return {
    wasm: linked.wasm, meta, header: cHeader(meta, options.file ?? `${meta.name}.wasm`),
    sizes: {
      codeBytes: linked.codeBytes, dataBytes: linked.dataBytes, metaBytes: linked.metaBytes, fileBytes: linked.wasm.length, functions: linked.functions,
      staticBytes: PROGRAM_BASE, planBytes: program.planBytes, weightBytes: program.arenaAddress - PROGRAM_BASE - program.planBytes,
      arenaBytes: program.arenaBytes, marginBytes: heapBase - program.arenaAddress - program.arenaBytes, memoryBytes: heapBase, memoryPages: pages
    }
  }
}
