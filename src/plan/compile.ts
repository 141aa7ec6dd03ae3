/**
 * Graph to program: lower, band, plan, encode. The result is a memory image (op records and constants at absolute
 * addresses) plus the numbers a host, the linker and `inspect` need. Pure: nothing here touches wasm.
 */
import { ThimbleError } from '../base/errors.ts'
import { ABI_VERSION } from '../generated/layout.ts'
import type { Graph } from '../graph/graph.ts'
import { settle } from '../fold/index.ts'
import { refuseBlockers } from '../lower/blockers.ts'
import { lower, type Lowered, type Port } from '../lower/index.ts'
import type { Convolution } from '../lower/context.ts'
import type { Buffer, Recipe, Step } from '../lower/program.ts'
import type { Loader } from '../kernels/packers.ts'
import { align, littleEndian } from '../base/words.ts'
import type { Kernels, Variant } from '../graph/types.ts'
import { arrange } from './arrange.ts'
import { layOutTables, makeTables, opcodeOf, plainTable, writePorts, writeTables, type TableItem } from './encode.ts'
import type { Flash } from './slices.ts'
import type { Unit } from './unit.ts'
import { PAGE, PROGRAM_BASE } from '../base/memory.ts'
import { refuseFloat } from '../graph/float-model.ts'
import { stages } from '../base/stages.ts'

export interface CompileOptions {
  variant: Variant
  plan: 'speed' | 'size'
  /** What to choose kernels for. Default `generic`. */
  kernels?: Kernels
  /** See LowerOptions. */
  convolution?: Convolution
  /** Threads that share the work. Default 1. */
  threads?: number
  /** First address of the program, a multiple of 16. Default PROGRAM_BASE. */
  base?: number
}

/** Bytes that any kernel may read past the end of the last buffer; steps that may read further say so. */
const SLACK = 128
/** wasm32's limit on linear memory, less a page. */
const MEMORY_LIMIT = 2 ** 32 - PAGE

export interface ProgramPort {
  tensorIndex: number
  address: number
  bytes: number
}

/** One table entry, for profiles and reports. */
export interface Entry {
  opIndex: number
  kernel: string
  opcode: number
  macs: number
  group?: number | undefined
}

/**
 * Bytes at an address. Those of packed weights are computed when they are asked for; `load` has the runtime compute
 * them.
 */
export interface ImagePart {
  address: number
  readonly bytes: Uint8Array
  load?: (loader: Loader) => boolean
}

/** A constant that is computed when it is needed. */
class LazyPart implements ImagePart {
  readonly address: number
  private readonly recipe: Recipe

  constructor(address: number, recipe: Recipe) {
    this.address = address
    this.recipe = recipe
  }

  get bytes(): Uint8Array {
    return littleEndian(this.recipe.make())
  }
  load(loader: Loader): boolean {
    return this.recipe.load(loader, this.address)
  }
}

export function imagePart({ address, constant }: Buffer): ImagePart {
  return !constant || constant instanceof Uint8Array
    ? { address, bytes: constant ?? new Uint8Array(0) }
    : new LazyPart(address, constant)
}

export interface Program {
  variant: Variant
  plan: 'speed' | 'size'
  /** Initial memory contents; everything else is zero. */
  image: ImagePart[]
  /** What stays out of memory, in programs whose constants do. */
  flash?: Flash
  /** Fields of the header that the runtime exports the address of. */
  header: Record<string, number>
  /** Bytes of linear memory needed, a whole number of pages. */
  memoryBytes: number
  arenaAddress: number
  arenaBytes: number
  /** Bytes behind the arena that kernels may read. */
  slackBytes: number
  weightBytes: number
  /** Tensors that outlive a run lie together behind the weights. */
  stateAddress: number
  stateBytes: number
  planBytes: number
  inputs: ProgramPort[]
  outputs: ProgramPort[]
  /** The op table: one entry per record, group records included. */
  entries: Entry[]
  arena: { name: string; offset: number; bytes: number; firstOp: number; lastOp: number }[]
  usedOpcodes: number[]
  /** GEMM forms of its convolutions. */
  usedForms: number[]
  /** Op tables of the worker threads 1.., empty without threads. */
  workers: { table: number; count: number }[]
  /** Address of the word that counts arrivals at barriers; the host zeroes it before every run. 0 without threads. */
  barrierCounter: number
}

export function ports(list: readonly Port[]): ProgramPort[] {
  return list.map((p) => ({ tensorIndex: p.tensorIndex, address: p.buffer.address, bytes: p.bytes }))
}

/** Errors: `lower/…`. */
export function lowerModel(graph: Graph, options: Omit<CompileOptions, 'threads' | 'base'>): Lowered {
  refuseFloat(graph)
  const { variant, kernels = 'generic', plan, convolution } = options
  stages.begin?.('settle shapes')
  const settled = settle(graph)
  stages.begin?.('lower')
  const lowered = lower(settled, { variant, kernels, compact: plan === 'size', convolution })
  refuseBlockers(lowered.unsupported)
  return lowered
}

export function compileModel(graph: Graph, options: CompileOptions): Program {
  const lowered = lowerModel(graph, options)
  stages.begin?.('plan')
  return assemble(lowered, options)
}

/** Gives buffers addresses one after the other; returns the first one behind them. */
export const placeAll = (buffers: readonly Buffer[], from: number): number =>
  buffers.reduce((at, b) => {
    b.address = at
    return align(at + b.bytes, 16)
  }, from)

/** Bytes behind the last buffer that kernels may read. */
export const slackOf = (steps: readonly Step[]): number =>
  steps.reduce((most, s) => Math.max(most, s.overread ?? 0), SLACK)

export const formsOf = (steps: readonly Step[]): number[] =>
  [...new Set(steps.flatMap((s) => s.form ?? []))].sort((a, b) => a - b)

/** The buffers of the arena, by the graph's ops instead of units. */
export function arenaOf(units: readonly Unit[], live: readonly Buffer[], offsets: readonly number[]): Program['arena'] {
  const firstOp = (i: number): number =>
    i < 0 ? -1 : i >= units.length ? (units.at(-1)?.steps.at(-1)?.opIndex ?? 0) : units[i]!.steps[0]!.opIndex
  const lastOp = (i: number): number => (i < 0 ? -1 : units[Math.min(i, units.length - 1)]!.steps.at(-1)!.opIndex)
  return live
    .map((b, i) => ({
      name: b.name,
      offset: offsets[i]!,
      bytes: b.room ?? b.bytes,
      firstOp: firstOp(b.first),
      lastOp: lastOp(b.last),
    }))
    .filter((b) => b.bytes > 0)
}

/** Places and encodes a lowered graph. */
export function assemble(lowered: Lowered, options: CompileOptions): Program {
  const { units, scratch, live, placement } = arrange(lowered, options)
  const threads = options.threads ?? 1
  const needed = (b: Buffer): boolean => b.last >= b.first
  const reset = lowered.reset.filter((s) => s.writes.every(needed))
  const restored = new Set(reset.flatMap((s) => s.reads))
  const tables = makeTables(units, threads)
  // The table that resets state comes last, and is no thread's.
  const allTables = reset.length ? [...tables, plainTable(reset)] : tables
  const opTable = options.base ?? PROGRAM_BASE
  const sizes = layOutTables(allTables, opTable)
  const inputTable = sizes.end
  const outputTable = inputTable + lowered.inputs.length * 8
  const barrierCounter = align(outputTable + lowered.outputs.length * 8, 64)
  const planEnd = threads > 1 ? barrierCounter + 64 : align(outputTable + lowered.outputs.length * 8, 16)

  const present = lowered.buffers.filter((b) => b.constant && (needed(b) || restored.has(b)))
  const constants = present.filter((b) => !b.state)
  const states = present.filter((b) => b.state)
  const stateAddress = placeAll(constants, planEnd)
  const stateEnd = placeAll(states, stateAddress)
  const arenaAddress = align(stateEnd, 64)
  live.forEach((b, i) => {
    b.address = arenaAddress + placement.offsets[i]!
  })
  for (const [b, owner] of scratch) b.address = owner.address
  const arenaBytes = placement.peak + (threads - 1) * sizes.privateBytes
  const slackBytes = slackOf(lowered.steps)
  const memoryBytes = align(arenaAddress + arenaBytes + slackBytes, PAGE)
  if (memoryBytes > MEMORY_LIMIT) {
    throw new ThimbleError('plan/memory', 'the model does not fit into 32-bit linear memory', {
      expected: `at most ${MEMORY_LIMIT} bytes`,
      got: memoryBytes,
    })
  }

  const plan = new Uint8Array(planEnd - opTable)
  const view = new DataView(plan.buffer)
  const privateAddress = arenaAddress + placement.peak
  writeTables(view, opTable, { tables: allTables, sizes, barrierCounter, privateAddress })
  const inputs = ports(lowered.inputs)
  const outputs = ports(lowered.outputs)
  writePorts(view, inputTable - opTable, inputs)
  writePorts(view, outputTable - opTable, outputs)
  return {
    variant: options.variant,
    plan: options.plan,
    image: [{ address: opTable, bytes: plan }, ...[...constants, ...states].map(imagePart)],
    header: {
      abiVersion: ABI_VERSION,
      opCount: tables[0]!.length,
      opTable,
      inputCount: inputs.length,
      inputTable,
      outputCount: outputs.length,
      outputTable,
      resetCount: reset.length,
      resetTable: reset.length ? sizes.tables[threads]! : 0,
    },
    memoryBytes,
    arenaAddress,
    arenaBytes,
    slackBytes,
    weightBytes: constants.reduce((a, b) => a + b.bytes, 0),
    stateAddress,
    stateBytes: stateEnd - stateAddress,
    planBytes: planEnd - opTable,
    inputs,
    outputs,
    entries: tables[0]!.map(entryOf),
    arena: arenaOf(units, live, placement.offsets),
    usedOpcodes: [...new Set(allTables.flat().map(opcodeOf))].sort((a, b) => a - b),
    usedForms: formsOf(lowered.steps),
    workers: tables.slice(1).map((t, i) => ({ table: sizes.tables[i + 1]!, count: t.length })),
    barrierCounter: threads > 1 ? barrierCounter : 0,
  }
}

export function entryOf(item: TableItem): Entry {
  if (item.kind === 'step') {
    return {
      opIndex: item.step.opIndex,
      kernel: item.step.kernel,
      opcode: item.step.op,
      macs: item.step.macs ?? 0,
      group: item.group,
    }
  }
  return {
    opIndex: item.opIndex,
    kernel: item.kind,
    opcode: opcodeOf(item),
    macs: 0,
    group: item.kind === 'group' ? item.index : undefined,
  }
}
