/**
 * Graph to program: lower, band, plan, encode. The result is a memory image (op records and constants at absolute
 * addresses) plus the numbers a host, the linker and `inspect` need. Pure: nothing here touches wasm.
 */
import { ThimbleError } from '../errors.ts'
import { ABI_VERSION, LAYOUT, OP_GROUP } from '../generated/layout.ts'
import type { Graph } from '../graph.ts'
import { lower, type Lowered, type Port } from '../lower/index.ts'
import { rowwise, type Buffer, type Step } from '../lower/program.ts'
import type { Variant } from '../types.ts'
import { planArena, type Overlay, type Placement } from './arena.ts'
import { makeUnits, type Unit } from './bands.ts'

export interface CompileOptions { variant: Variant; plan: 'speed' | 'size' }

/** First address a program may use: the runtime's own static data lies below (checked when it is instantiated). */
export const PROGRAM_BASE = 1024
/** Bytes that kernels may read past the end of the last buffer. */
export const SLACK = 128
export const PAGE = 65536
/** wasm32's limit on linear memory, less a page. */
const MEMORY_LIMIT = 2 ** 32 - PAGE

export interface ProgramPort { tensorIndex: number; address: number; bytes: number }

/** One table entry, for profiles and reports. */
export interface Entry { opIndex: number; kernel: string; opcode: number; macs: number; group?: number }

export interface Program {
  variant: Variant
  plan: 'speed' | 'size'
  /** Initial memory contents; everything else is zero. */
  image: { address: number; bytes: Uint8Array }[]
  /** Fields of the header that the runtime exports the address of. */
  header: Record<string, number>
  /** Bytes of linear memory needed, a whole number of pages. */
  memoryBytes: number
  arenaAddress: number
  arenaBytes: number
  weightBytes: number
  planBytes: number
  inputs: ProgramPort[]
  outputs: ProgramPort[]
  /** The op table: one entry per record, group records included. */
  entries: Entry[]
  arena: { name: string; offset: number; bytes: number; firstOp: number; lastOp: number }[]
  usedOpcodes: number[]
}

const align = (n: number, to: number): number => Math.ceil(n / to) * to

/** Steps in table order, with group records where there are bands. */
type TableItem = { step: Step } | { unit: Unit }

function tableOf(units: readonly Unit[]): TableItem[] {
  const table: TableItem[] = []
  for (const unit of units) {
    for (const step of unit.prologue) table.push({ step })
    if (unit.steps.length > 1) table.push({ unit })
    for (const step of unit.steps) table.push({ step })
  }
  return table
}

function lifetimes(units: readonly Unit[], buffers: readonly Buffer[]): void {
  for (const b of buffers) if (b.measure) b.bytes = b.measure()
  units.forEach((unit, i) => {
    for (const step of [...unit.prologue, ...unit.steps]) {
      for (const b of [...step.reads, ...step.writes]) {
        b.first = Math.min(b.first, i)
        b.last = Math.max(b.last, i)
      }
    }
  })
}

/** Pairs of buffers whose memory may overlap because one is read away before the other is written. */
function overlaysOf(units: readonly Unit[], live: readonly Buffer[]): Overlay[] {
  return units.flatMap((unit, i) => unit.overlay && unit.overlay.from.last === i && unit.overlay.to.first === i
    ? [{ from: live.indexOf(unit.overlay.from), to: live.indexOf(unit.overlay.to), margin: unit.overlay.margin }]
    : []).filter(o => o.from >= 0 && o.to >= 0)
}

/** The scratches of one unit become views of its largest one. */
function shareScratch(units: number, buffers: readonly Buffer[]): Map<Buffer, Buffer> {
  const owners = new Array<Buffer | undefined>(units)
  const shared = new Map<Buffer, Buffer>()
  for (const b of buffers.filter(b => b.transient && b.first === b.last).sort((a, b) => b.bytes - a.bytes)) {
    const owner = owners[b.first]
    if (owner) shared.set(b, owner)
    else owners[b.first] = b
  }
  return shared
}

function writeRecord(view: DataView, at: number, name: keyof typeof LAYOUT, fields: Record<string, number>, label: string): void {
  const layout = LAYOUT[name] as { size: number; fields: readonly string[]; f32: readonly string[] }
  for (let i = 0; i < layout.fields.length; i++) {
    const field = layout.fields[i]!
    const value = fields[field]
    if (value === undefined || !Number.isFinite(value)) throw new ThimbleError('plan/internal', `record field ${name}.${field} is ${value}`, { op: label })
    if (layout.f32.includes(field)) view.setFloat32(at + i * 4, value, true)
    else view.setInt32(at + i * 4, value | 0, true)
  }
}

function recordFields(item: TableItem): { name: keyof typeof LAYOUT; fields: Record<string, number>; label: string } {
  if ('unit' in item) {
    const { steps, bandRows } = item.unit
    const last = steps[steps.length - 1]!
    return { name: 'GroupRecord', label: 'group', fields: { ...rowwise(last.rows.rows), op: OP_GROUP, done: 0, need: 0, count: steps.length, bandRows } }
  }
  const { step } = item
  const { rows, strideH, padTop, windowH, inRows } = step.rows
  return { name: step.record, label: `${step.kernel} of op ${step.opIndex}`, fields: { op: step.op, rows, strideH, padTop, windowH, inRows, done: 0, need: 0, ...step.fields() } }
}

function ports(list: readonly Port[]): ProgramPort[] {
  return list.map(p => ({ tensorIndex: p.tensorIndex, address: p.buffer.address, bytes: p.bytes }))
}

/** Throws `lower/unsupported-op` naming every op that Thimble can't run. */
export function refuseUnsupported(graph: Graph, unsupported: Lowered['unsupported']): void {
  if (!unsupported.length) return
  const used = [...graph.inputs.map(i => graph.tensors[i]!), ...graph.ops.flatMap(op => op.inputs.filter(i => i >= 0).map(i => graph.tensors[i]!))]
  const float = used.some(t => t.dtype === 'float32' && t.data) && !used.some(t => (t.dtype === 'int8' || t.dtype === 'uint8') && t.data)
  if (float) {
    throw new ThimbleError('lower/float-model', 'this is a float32 model, Thimble runs 8-bit ones', {
      expected: 'int8 or uint8 weights', got: 'float32 weights', hint: 'quantize it first: thimble quantize MODEL --calibration PHOTOS -o OUT'
    })
  }
  const first = unsupported.slice(0, 8).map(u => `${u.op} at op ${u.index} (${u.reason})`).join(', ')
  const more = unsupported.length > 8 ? ` and ${unsupported.length - 8} more` : ''
  throw new ThimbleError('lower/unsupported-op', `cannot run ${first}${more}`, { hint: 'see OPERATORS.md for what is supported' })
}

export function compileModel(graph: Graph, options: CompileOptions): Program {
  const lowered = lower(graph, options.variant)
  refuseUnsupported(graph, lowered.unsupported)
  return assemble(lowered, options)
}

interface Arrangement { units: Unit[]; scratch: Map<Buffer, Buffer>; live: Buffer[]; placement: Placement }

/** How far an arrangement may be above the bytes that its units need at least before another one is tried. */
const GOOD_ENOUGH = 1.03

/** Chooses bands and places the arena: the units are chosen by counted bytes, so the best of a few real placements wins. */
function arrange(lowered: Lowered, plan: 'speed' | 'size'): Arrangement {
  let best: { peak: number; largestMargin: number } | undefined
  for (const largestMargin of [0.5, 0.125, 0.03]) {
    const { units, placement } = arrangeWith(lowered, plan, largestMargin)
    if (!best || placement.peak < best.peak) best = { peak: placement.peak, largestMargin }
    if (placement.peak <= GOOD_ENOUGH * Math.max(...units.map(u => u.bytes), 1024)) break
  }
  return arrangeWith(lowered, plan, best!.largestMargin)
}

function arrangeWith(lowered: Lowered, plan: 'speed' | 'size', largestMargin: number): Arrangement {
  const units = makeUnits(lowered.steps, { plan, largestMargin, inputs: lowered.inputs.map(p => p.buffer), outputs: lowered.outputs.map(p => p.buffer) })
  for (const b of lowered.buffers) {
    b.first = Infinity
    b.last = -Infinity
  }
  for (const port of lowered.inputs) port.buffer.first = -1
  lifetimes(units, lowered.buffers)
  for (const port of lowered.outputs) port.buffer.last = Infinity
  const scratch = shareScratch(units.length, lowered.buffers)
  const live = lowered.buffers.filter(b => !b.data && !scratch.has(b) && (b.last >= b.first || lowered.inputs.some(p => p.buffer === b)))
  const requests = live.map(b => ({ bytes: b.bytes, first: b.first, last: Math.max(b.last, b.first) }))
  return { units, scratch, live, placement: planArena(requests, overlaysOf(units, live), Math.max(...units.map(u => u.bytes), 0)) }
}

/** Places and encodes a lowered graph. */
export function assemble(lowered: Lowered, options: CompileOptions): Program {
  const { units, scratch, live, placement } = arrange(lowered, options.plan)

  const table = tableOf(units)
  const opTable = PROGRAM_BASE
  let at = align(opTable + table.length * 4, 16)
  const recordAt = table.map(item => {
    const here = at
    at += align(LAYOUT['unit' in item ? 'GroupRecord' : item.step.record].size, 16)
    return here
  })
  const inputTable = at
  const outputTable = inputTable + lowered.inputs.length * 8
  const planEnd = align(outputTable + lowered.outputs.length * 8, 16)

  const constants = lowered.buffers.filter(b => b.data && b.last >= b.first)
  let weightEnd = planEnd
  for (const b of constants) {
    b.address = weightEnd
    weightEnd = align(weightEnd + b.bytes, 16)
  }
  const arenaAddress = align(weightEnd, 64)
  live.forEach((b, i) => { b.address = arenaAddress + placement.offsets[i]! })
  for (const [b, owner] of scratch) b.address = owner.address
  const memoryBytes = align(arenaAddress + placement.peak + SLACK, PAGE)
  if (memoryBytes > MEMORY_LIMIT) throw new ThimbleError('plan/memory', 'the model does not fit into 32-bit linear memory', { expected: `at most ${MEMORY_LIMIT} bytes`, got: memoryBytes })

  const plan = new Uint8Array(planEnd - opTable)
  const view = new DataView(plan.buffer)
  table.forEach((item, i) => {
    const { name, fields, label } = recordFields(item)
    view.setUint32(i * 4, recordAt[i]!, true)
    writeRecord(view, recordAt[i]! - opTable, name, fields, label)
  })
  const inputs = ports(lowered.inputs), outputs = ports(lowered.outputs)
  inputs.forEach((p, i) => { view.setUint32(inputTable - opTable + i * 8, p.address, true); view.setUint32(inputTable - opTable + i * 8 + 4, p.bytes, true) })
  outputs.forEach((p, i) => { view.setUint32(outputTable - opTable + i * 8, p.address, true); view.setUint32(outputTable - opTable + i * 8 + 4, p.bytes, true) })

  const firstOp = (i: number): number => i < 0 ? -1 : i >= units.length ? units.at(-1)?.steps.at(-1)?.opIndex ?? 0 : units[i]!.steps[0]!.opIndex
  const lastOp = (i: number): number => i < 0 ? -1 : units[Math.min(i, units.length - 1)]!.steps.at(-1)!.opIndex
  return {
    variant: options.variant, plan: options.plan,
    image: [{ address: opTable, bytes: plan }, ...constants.map(b => ({ address: b.address, bytes: b.data! }))],
    header: { abiVersion: ABI_VERSION, opCount: table.length, opTable, inputCount: inputs.length, inputTable, outputCount: outputs.length, outputTable, reserved: 0 },
    memoryBytes, arenaAddress, arenaBytes: placement.peak, weightBytes: constants.reduce((a, b) => a + b.bytes, 0), planBytes: planEnd - opTable,
    inputs, outputs,
    entries: entriesOf(units),
    arena: live.map((b, i) => ({ name: b.name, offset: placement.offsets[i]!, bytes: b.bytes, firstOp: firstOp(b.first), lastOp: lastOp(b.last) })).filter(b => b.bytes > 0),
    usedOpcodes: [...new Set(table.map(item => 'unit' in item ? OP_GROUP : item.step.op))].sort((a, b) => a - b)
  }
}

function entriesOf(units: readonly Unit[]): Entry[] {
  return units.flatMap((unit, u) => {
    const entry = (s: Step, group?: number): Entry => ({ opIndex: s.opIndex, kernel: s.kernel, opcode: s.op, macs: s.macs ?? 0, group })
    const banded = unit.steps.length > 1
    return [
      ...unit.prologue.map(s => entry(s)),
      ...(banded ? [{ opIndex: unit.steps[0]!.opIndex, kernel: 'group', opcode: OP_GROUP, macs: 0, group: u }] : []),
      ...unit.steps.map(s => entry(s, banded ? u : undefined))
    ]
  })
}
