/**
 * Programs for modules whose weights stay in flash: records and constants become slices of one passive data segment,
 * which the executor (`flash_slices` of assembly/exec.ts) brings into memory one at a time. Linear memory holds the
 * runtime's header, two slice heads, the port tables, state, and the arena, in which each unit's slice has a place.
 */
import { ThimbleError } from '../base/errors.ts'
import { ABI_VERSION, LAYOUT, OP_GROUP, OP_PARTS } from '../generated/layout.ts'
import type { Graph } from '../graph/graph.ts'
import type { Lowered } from '../lower/index.ts'
import { rowwise, type Buffer, type Step } from '../lower/program.ts'
import { align } from '../base/words.ts'
import { arrange } from './arrange.ts'
import { arenaOf, entryOf, formsOf, imagePart, lowerModel, placeAll, ports, slackOf, type Program } from './compile.ts'
import { headOf, makeTables, opcodeOf, plainTable, writeFieldsOf, writePorts } from './encode.ts'
import { PAGE } from '../base/memory.ts'
import {
  blocksWithin,
  constantsOf,
  divides,
  HEAD_BYTES,
  headBytes,
  partable,
  residentRecords,
  RUN_BYTES,
  sliceBytes,
  totalBytes,
  type Flash,
  type FlashUnit,
} from './slices.ts'
import type { Unit } from './unit.ts'
import type { Kernels, Variant } from '../graph/types.ts'

export interface FlashOptions {
  variant: Variant
  kernels?: Kernels
  /** First address of the program, a multiple of 16. */
  base: number
  /** Bytes of linear memory that it may take in all. Default: as few as possible. */
  ram?: number | undefined
  /** Default `size`; with `ram`, the fastest that fits. */
  plan?: 'speed' | 'size' | undefined
}

/** A constant, or the share of it that belongs to some of a step's channels. */
interface Piece {
  buffer: Buffer
  from: number
  bytes: number
}

interface Item {
  record: keyof typeof LAYOUT
  /** All fields of the record, once constants and slices have their places. */
  fields: () => Record<string, number>
}

interface Slice {
  to: number
  room: number
  items: Item[]
  pieces: Piece[]
  /** By member of its group, the slices that stand for it. */
  inner: Slice[][]
  /** Times that it is brought in by one inference. */
  times: number
  /**
   * Set by `layOut`: where it lies in the segment, head to runs, constants, and the runs of them that are not zeros.
   */
  from: number
  prefix: number
  region: Uint8Array
  runs: { at: number; bytes: number }[]
}

/** What a slice brings in. */
type Contained = Pick<Slice, 'items' | 'pieces'> & Partial<Pick<Slice, 'times'>>

const whole = (buffer: Buffer): Piece => ({ buffer, from: 0, bytes: buffer.bytes })

const slice = (to: number, room: number, { items, pieces, times = 1 }: Contained): Slice => ({
  to,
  room,
  items,
  pieces,
  inner: [],
  times,
  from: 0,
  prefix: 0,
  region: new Uint8Array(0),
  runs: [],
})

const stepItem = (step: Step): Item => ({
  record: step.record,
  fields: () => ({ ...headOf(step.op, 0, step.rows), ...step.fields() }),
})

/** A step's parts of as many blocks of channels as `room` holds, the same number in each. */
function partsOf(step: Step, to: number, room: number, times: number): Slice[] {
  const { split } = step
  if (!split) {
    return [slice(to, room, { items: [stepItem(step)], pieces: constantsOf([step]).map(whole), times })]
  }
  const count = Math.ceil(split.blocks / blocksWithin(step, room))
  const each = Math.ceil(split.blocks / count)
  const parts: Slice[] = []
  for (let from = 0; from < split.blocks; from += each) {
    const end = Math.min(from + each, split.blocks)
    const item: Item = {
      record: step.record,
      fields: () => {
        const fields = { ...headOf(step.op, 0, step.rows), ...step.fields() }
        return { ...fields, ...split.part(fields, from, end) }
      },
    }
    const pieces = constantsOf([step]).map((buffer) => {
      const share = buffer.bytes / split.blocks
      return split.constants.includes(buffer)
        ? { buffer, from: from * share, bytes: (end - from) * share }
        : whole(buffer)
    })
    parts.push(slice(to, room, { items: [item], pieces, times }))
  }
  return parts
}

/** A unit as a group whose largest members are brought in by parts, as few of them as its memory asks for. */
function dividedGroup({ prologue, steps, bandRows, overlay }: Unit, to: number, room: number): Slice {
  const rows = steps.length > 1 || !overlay ? bandRows : 1
  const last = steps.at(-1)!.rows.rows
  const parted = new Set<Step>()
  const partRoom = (): number => room - headBytes(prologue, steps, parted)
  const fits = (): boolean =>
    [...parted].every((s) =>
      divides(s) ? blocksWithin(s, partRoom()) > 0 : sliceBytes([s.record], totalBytes(constantsOf([s]))) <= partRoom(),
    ) && partRoom() >= 0
  for (const s of partable(steps)) {
    parted.add(s)
    if (fits()) break
  }
  const head = headBytes(prologue, steps, parted)
  const parts = new Map([...parted].map((s) => [s, partsOf(s, to + head, room - head, Math.ceil(last / rows))]))
  const group: Item = {
    record: 'GroupRecord',
    fields: () => ({ ...headOf(OP_GROUP, 0, rowwise(last)), count: steps.length, bandRows: rows }),
  }
  const members = steps.map((s): Item => {
    const own = parts.get(s)
    if (!own) return stepItem(s)
    return {
      record: 'PartsRecord',
      fields: () => ({ ...headOf(OP_PARTS, 0, s.rows), ...linkTo(own[0]) }),
    }
  })
  const resident = constantsOf(steps.filter((s) => !parted.has(s)))
  return {
    ...slice(to, head, { items: [...prologue.map(stepItem), group, ...members], pieces: resident.map(whole) }),
    inner: [...parts.values()],
  }
}

/** The slices of a unit, in turn, in `room` bytes from address `to` on. */
function slicesOf(unit: Unit, to: number, room: number): Slice[] {
  const { prologue, steps, bandRows, overlay } = unit
  const constants = constantsOf(steps)
  const [first] = steps
  if (sliceBytes(residentRecords(prologue, steps), totalBytes(constants)) <= room) {
    const group: Item[] =
      steps.length > 1
        ? [
            {
              record: 'GroupRecord',
              fields: () => ({
                ...headOf(OP_GROUP, 0, rowwise(steps.at(-1)!.rows.rows)),
                count: steps.length,
                bandRows,
              }),
            },
          ]
        : []
    const items = [...prologue.map(stepItem), ...group, ...steps.map(stepItem)]
    return [slice(to, room, { items, pieces: constants.map(whole) })]
  }
  if (steps.length > 1 || overlay) return [dividedGroup(unit, to, room)]
  const before = prologue.length ? [slice(to, room, { items: prologue.map(stepItem), pieces: [] })] : []
  return [...before, ...partsOf(first!, to, room, 1)]
}

/** What a record or head says about the slice that follows; nothing follows without one. */
const linkTo = (next: Slice | undefined): { from: number; bytes: number; to: number } =>
  next ? { from: next.from, bytes: next.prefix, to: next.to } : { from: 0, bytes: 0, to: 0 }

/** Zero bytes in a row that are better left out than copied. */
const MIN_ZERO_RUN = 48

/** Stretches of a region that have to be copied: what lies between two is at least `minRun` zeros. */
export function runsOf(region: Uint8Array, minRun: number): { at: number; bytes: number }[] {
  const runs: { at: number; bytes: number }[] = []
  let at = 0
  while (at < region.length) {
    while (at < region.length && region[at] === 0) at++
    if (at === region.length) break
    let end = at + 1
    for (let i = end; i < region.length && i - end < minRun; i++) if (region[i] !== 0) end = i + 1
    runs.push({ at, bytes: end - at })
    at = end
  }
  return runs
}

/** Contents of all constants that are asked for, computed once. */
class Contents {
  private readonly known = new Map<Buffer, Uint8Array>()
  of(buffer: Buffer): Uint8Array {
    let bytes = this.known.get(buffer)
    if (!bytes) this.known.set(buffer, (bytes = imagePart(buffer).bytes))
    return bytes
  }
}

const places = (pieces: readonly Piece[]): { piece: Piece; at: number }[] => {
  let at = 0
  return pieces.map((piece) => {
    const here = at
    at = align(at + piece.bytes, 16)
    return { piece, at: here }
  })
}

/** Sets what of a slice goes where; returns the end of it in the segment. */
function layOut(s: Slice, from: number, contents: Contents): number {
  const spots = places(s.pieces)
  const end = spots.at(-1)
  const region = new Uint8Array(end ? align(end.at + end.piece.bytes, 16) : 0)
  for (const { piece, at } of spots) {
    region.set(contents.of(piece.buffer).subarray(piece.from, piece.from + piece.bytes), at)
  }
  const records = s.items.map((i) => i.record)
  const spare = Math.floor((s.room - sliceBytes(records, region.length, 0)) / RUN_BYTES)
  let runs = region.length ? runsOf(region, MIN_ZERO_RUN) : []
  for (let gap = MIN_ZERO_RUN * 2; runs.length > Math.max(1, spare); gap *= 2) runs = runsOf(region, gap)
  // Clearing first costs time: it has to save something.
  const kept = runs.reduce((a, r) => a + r.bytes, 0)
  if (region.length && kept + 2 * MIN_ZERO_RUN > region.length) runs = [{ at: 0, bytes: region.length }]
  s.region = region
  s.runs = runs
  s.prefix = sliceBytes(records, region.length, runs.length) - region.length
  s.from = from
  if (s.prefix + region.length > s.room) {
    throw new ThimbleError('plan/internal', `a slice of ${s.prefix + region.length} bytes has room for ${s.room}`)
  }
  return from + s.prefix + runs.reduce((a, r) => a + r.bytes, 0)
}

function write(out: Uint8Array, s: Slice, next: Slice | undefined): void {
  const constants = s.to + s.prefix
  for (const { piece, at } of places(s.pieces)) piece.buffer.address = constants + at
  const view = new DataView(out.buffer, out.byteOffset + s.from, s.prefix)
  const covered = s.runs.reduce((a, r) => a + r.bytes, 0) === s.region.length
  writeFieldsOf(view, 0, 'Slice', {
    ...linkTo(next),
    count: s.items.length,
    runs: s.runs.length,
    zeros: covered ? 0 : s.region.length,
  })
  let at = HEAD_BYTES + s.items.length * 4
  s.items.forEach((item, i) => {
    view.setUint32(HEAD_BYTES + i * 4, s.to + at, true)
    writeFieldsOf(view, at, item.record, item.fields())
    at += LAYOUT[item.record].size
  })
  let from = s.from + s.prefix
  s.runs.forEach((run, i) => {
    const entry = s.prefix - (s.runs.length - i) * RUN_BYTES
    view.setUint32(entry, constants + run.at, true)
    view.setUint32(entry + 4, run.bytes, true)
    out.set(s.region.subarray(run.at, run.at + run.bytes), from)
    from += run.bytes
  })
}

const everySlice = (chain: readonly Slice[]): Slice[] => chain.flatMap((s) => [s, ...s.inner.flatMap(everySlice)])

const sizeOf = (s: Slice): number => s.prefix + s.runs.reduce((a, r) => a + r.bytes, 0)
const placeOf = (s: Slice): number => s.prefix + s.region.length
const sum = (list: readonly Slice[], of: (s: Slice) => number): number => list.reduce((a, s) => a + of(s), 0)
const largestOf = (list: readonly Slice[]): number => list.reduce((most, s) => Math.max(most, placeOf(s)), 0)

function flashUnit({ steps }: Unit, chain: readonly Slice[]): FlashUnit {
  const all = everySlice(chain)
  const ops = steps.map((s) => s.opIndex)
  return {
    firstOp: Math.min(...ops),
    lastOp: Math.max(...ops),
    slices: all.length,
    largest: largestOf(all),
    read: sum(all, (s) => s.times * sizeOf(s)),
    again: sum(all, (s) => (s.times - 1) * sizeOf(s)),
  }
}

/** One chain after the other into one segment. */
function encode(chains: readonly (readonly Slice[])[]): Omit<Flash, 'units'> {
  const contents = new Contents()
  let end = 0
  const all = chains.flatMap((chain) => everySlice(chain))
  for (const s of all) end = layOut(s, end, contents)
  const bytes = new Uint8Array(end)
  const writeChain = (chain: readonly Slice[]): void =>
    chain.forEach((s, i) => {
      s.inner.forEach(writeChain)
      write(bytes, s, chain[i + 1])
    })
  for (const chain of chains) writeChain(chain)
  return {
    bytes,
    slices: all.length,
    largest: largestOf(all),
    read: sum(everySlice(chains[0]!), (s) => s.times * sizeOf(s)),
  }
}

/** The reset table's steps, each a slice at the start of the arena, which is free then. */
const resetSlices = (steps: readonly Step[], to: number): Slice[] =>
  steps.map((step) => {
    const constants = constantsOf([step])
    const room = sliceBytes([step.record], totalBytes(constants))
    return slice(to, room, { items: [stepItem(step)], pieces: constants.map(whole) })
  })

/** Bytes of linear memory that a program takes. */
const takes = ({ arenaAddress, arenaBytes, slackBytes }: Program): number => arenaAddress + arenaBytes + slackBytes

/**
 * Compiles a graph to a program in slices: the smallest, or with `ram` the fastest that fits. Errors: `lower/…`;
 * `plan/memory` where nothing fits.
 */
export function compileFlash(graph: Graph, options: FlashOptions): Program {
  const { ram, plan } = options
  const compile = (how: 'speed' | 'size', limit?: number): Program =>
    assembleFlash(lowerModel(graph, { ...options, plan: how }), { ...options, plan: how, ram: limit })
  if (ram === undefined) return compile(plan ?? 'size')
  // What units are counted to need is a little less than what their places come to.
  for (const [how, limit] of [
    ['speed', ram],
    ['size', ram],
    ['size', undefined],
  ] as const) {
    if (plan !== undefined && how !== plan) continue
    const program = compile(how, limit)
    if (takes(program) <= ram) return program
  }
  const least = compile('size')
  throw new ThimbleError('plan/memory', 'the model does not run in so little memory', {
    expected: `at most ${ram} bytes`,
    got: `${takes(least)} bytes, of which the arena has ${least.arenaBytes}`,
    hint: 'give it more, or take a smaller input or a narrower network',
  })
}

/** Places and encodes a lowered graph in slices. */
function assembleFlash(lowered: Lowered, options: FlashOptions & { plan: 'speed' | 'size' }): Program {
  const { base, variant, ram, plan } = options
  const needed = (b: Buffer): boolean => b.last >= b.first
  const slackBytes = slackOf(lowered.steps)
  const resetBuffers = lowered.reset.length ? HEAD_BYTES : 0
  const inputTable = base + HEAD_BYTES + resetBuffers
  const outputTable = inputTable + lowered.inputs.length * 8
  const stateAddress = align(outputTable + lowered.outputs.length * 8, 16)
  const stateBytes = lowered.buffers.reduce((a, b) => a + (b.state ? align(b.bytes, 16) : 0), 0)
  const budget = ram === undefined ? undefined : (ram - slackBytes - stateAddress - stateBytes) & ~15
  const { units, scratch, live, placement } = arrange(lowered, { plan, slices: { budget } })
  const reset = lowered.reset.filter((s) => s.writes.every(needed))

  const states = lowered.buffers.filter((b) => b.state && needed(b))
  const stateEnd = placeAll(states, stateAddress)
  const arenaAddress = stateEnd
  live.forEach((b, i) => {
    b.address = arenaAddress + placement.offsets[i]!
  })
  for (const [b, of] of scratch) b.address = of.address
  const unitSlices = units.map((u) => slicesOf(u, u.slice!.address, u.slice!.room ?? u.slice!.bytes))
  const program = unitSlices.flat()
  const resetting = resetSlices(reset, arenaAddress)
  const arenaBytes = resetting.reduce((most, s) => Math.max(most, align(s.room, 16)), placement.peak)
  const encoded = encode([program, resetting])
  const flash = { ...encoded, units: units.map((u, i) => flashUnit(u, unitSlices[i]!)) }
  const inputs = ports(lowered.inputs)
  const outputs = ports(lowered.outputs)
  const resident = new Uint8Array(stateAddress - base)
  const view = new DataView(resident.buffer)
  const start = (at: number, first: Slice | undefined): void => {
    writeFieldsOf(view, at - base, 'Slice', { ...linkTo(first), count: 0, runs: 0, zeros: 0 })
  }
  start(base, program[0])
  if (resetBuffers) start(base + HEAD_BYTES, resetting[0])
  writePorts(view, inputTable - base, inputs)
  writePorts(view, outputTable - base, outputs)
  const tables = [...makeTables(units, 1), plainTable(reset)]
  return {
    variant,
    plan,
    image: [{ address: base, bytes: resident }, ...states.map(imagePart)],
    flash,
    header: {
      abiVersion: ABI_VERSION,
      opCount: 0,
      opTable: base,
      inputCount: inputs.length,
      inputTable,
      outputCount: outputs.length,
      outputTable,
      resetCount: 0,
      resetTable: reset.length ? base + HEAD_BYTES : 0,
    },
    memoryBytes: align(arenaAddress + arenaBytes + slackBytes, PAGE),
    arenaAddress,
    arenaBytes,
    slackBytes,
    weightBytes: constantsOf(units.flatMap((u) => u.steps)).reduce((a, b) => a + b.bytes, 0),
    stateAddress,
    stateBytes: stateEnd - stateAddress,
    planBytes: stateAddress - base,
    inputs,
    outputs,
    entries: tables[0]!.map(entryOf),
    arena: arenaOf(units, live, placement.offsets),
    usedOpcodes: [...new Set(tables.flat().map(opcodeOf))].sort((a, b) => a - b),
    usedForms: formsOf(lowered.steps),
    workers: [],
    barrierCounter: 0,
  }
}
