/**
 * Whether a stored program may run. Kernels check nothing, so what a file says is checked before: that the tables and
 * records are whole and lie apart, below the arena; that all a program writes begins in the arena, goes upwards and
 * can't wrap around; that a record reads every input and writes every output; and how much work it is. Reads may lie
 * anywhere: outside of the memory they trap.
 *
 * What is not known here is not allowed: the graph is compiled instead.
 */
import {
  FULLY_CONNECTED_BYTES,
  ABI_VERSION,
  LAYOUT,
  OP_AVERAGE_POOL,
  OP_BINARY,
  OP_CHANNEL_LUT,
  OP_COMBINE,
  OP_CONV,
  OP_CONV_DIRECT,
  OP_COPY,
  OP_DEPTHWISE,
  OP_DEPTHWISE3X3,
  OP_DEPTHWISE3X3_DOT,
  OP_DEPTHWISE3X3_PRODUCTS,
  OP_DEPTHWISE5X5,
  OP_DEQUANTIZE,
  OP_DETECTION,
  OP_FILL,
  OP_FULLY_CONNECTED,
  OP_GATHER,
  OP_GROUP,
  OP_LUT,
  OP_MAX_POOL,
  OP_MEAN,
  OP_QUANTIZE,
  OP_RESIZE_BILINEAR,
  OP_SOFTMAX,
  OP_STRIDED_COPY,
  OP_WINOGRAD,
} from '../generated/layout.ts'

/** First address that a program may use, see plan/compile.ts. */
const FIRST = 1024
/** Most memory of a stored program, in bytes; larger ones are compiled. */
const MOST_MEMORY = 2 ** 30
/** Most work of one run, in elements touched; and of loading, in bytes. */
const MOST_WORK = 2e9
/** Multiply-adds that vector kernels do in the time of one element elsewhere, at least. */
export const AT_ONCE = 16
const MOST_LOADING = 2 ** 32
/** Most of any count: sums of two do not wrap. */
const MOST = 2 ** 30

/** What is checked: fields as a file has them. */
export interface CheckedHead {
  memoryBytes: number
  arenaAddress: number
  arenaBytes: number
  header: Readonly<Record<string, number>>
}

export type Fields = Record<string, number>
export type RecordName = keyof typeof LAYOUT

/** A kind of record. */
export interface Kind {
  record: RecordName
  /** Fields that are addresses of what its kernel writes. */
  writes: readonly string[]
  /** Those among them that may lie in state, between the records and the arena. */
  state?: readonly string[]
  /** Whether its kernel makes no use of `scratch`, which may then be 0. */
  spare?: (f: Fields) => boolean
  /** Fields that may not be 0: a loop counts by them. */
  steps?: readonly string[]
  /** The most that fields may be. */
  most?: Readonly<Record<string, number>>
  /** Products that must stay within the memory: how far writes reach. */
  reach?: (f: Fields) => readonly number[]
  /** Elements, every factor at least 1. */
  work: (f: Fields) => number
}

export const times = (...factors: (number | undefined)[]): number =>
  factors.reduce<number>((a, b) => a * Math.max(1, b ?? 1), 1)

/** How far a view of rows reaches. */
export const rowReach = (f: Fields): number[] => [
  (f.outRing ? Math.min(f.rows!, f.outRing) : f.rows!) * f.outRowStride!,
]

export const ROWS = { writes: ['output'], reach: rowReach }
const COPIED = { ...ROWS, state: ['output'] }
const BINARY = {
  ...ROWS,
  reach: (f: Fields) => [...rowReach(f), times(f.d1, f.d2, f.d3)],
  work: (f: Fields) => times(f.rows, f.d1, f.d2, f.d3),
}
/** Elements of a tensor of four dimensions, in a record that has no rows. */
export const volume = (f: Fields): number => times(f.d0, f.d1, f.d2, f.d3)
const DEPTHWISE: Kind = {
  record: 'DepthwiseRecord',
  writes: ['output', 'scratch'],
  spare: () => true,
  steps: ['outW'],
  reach: (f) => [...rowReach(f), f.outW! * f.channels!],
  work: (f) => times(f.rows, f.outW, f.channels, f.kh, f.kw) / (f.scalar ? 1 : AT_ONCE / 2) + f.rows! * f.outW!,
}
export const FEWER_PRODUCTS: Kind = {
  record: 'WinogradRecord',
  writes: ['output', 'scratch'],
  steps: ['nr', 'batch', 'outW'],
  reach: (f) => [...rowReach(f), f.outW! * f.outPixelStride!, 36 * f.batch! * f.positionBytes!],
  work: (f) => times(f.rows, f.outW, 16 + f.outC! / AT_ONCE, f.channels! + 2 * f.pairs!),
}
const POOL: Kind = {
  record: 'PoolRecord',
  writes: ['output', 'scratch'],
  reach: (f) => [...rowReach(f), f.outW! * f.channels!],
  work: (f) => times(f.rows, f.outW, f.channels, f.filterH, f.filterW),
}

export const normalization = (record: RecordName): Kind => ({
  record,
  writes: ['output'],
  reach: (f) => [f.rows! * f.depth!],
  work: (f) => 2 * times(f.rows, f.depth),
})

/** What is known of records, by opcode. */
export type Kinds = ReadonlyMap<number, Kind>

/** Of the core modules' kernels; check-kinds.ts has all. */
export const CORE_KINDS: Kinds = new Map<number, Kind>([
  [OP_COPY, { record: 'CopyRecord', ...COPIED, work: (f) => times(f.rows, f.bytes) }],
  [OP_FILL, { record: 'FillRecord', ...COPIED, work: (f) => times(f.rows, f.bytes) }],
  [OP_LUT, { record: 'LutRecord', ...ROWS, work: (f) => times(f.rows, f.bytes) }],
  [OP_CHANNEL_LUT, { record: 'ChannelLutRecord', ...ROWS, work: (f) => times(f.rows, f.pixels, f.channels) }],
  [
    OP_CONV,
    {
      record: 'ConvRecord',
      writes: ['output', 'scratch'],
      steps: ['mr', 'nr', 'batch', 'outW'],
      reach: (f) => [
        ...rowReach(f),
        f.outW! * f.outPixelStride!,
        f.batch! * (f.panelBytes! + f.mr! * f.rowBytes! + 64),
        f.kh! * f.segments! * f.segmentPanelBytes!,
      ],
      work: (f) =>
        f.scalar
          ? times(f.rows, f.outW, f.outC, f.kh, f.segments, f.segmentBytes)
          : times(f.rows, f.outW) *
            (8 + f.outC! / AT_ONCE) *
            (times(f.kh, f.segments, f.segmentBytes) + f.panelBytes! / 8 + f.rowBytes!),
    },
  ],
  [
    OP_CONV_DIRECT,
    {
      record: 'ConvDirectRecord',
      writes: ['output', 'rowTable', 'ring'],
      steps: ['outW'],
      reach: (f) => [...rowReach(f), f.outW! * f.outC!, f.windowH! * f.ringStride!, f.kh! * 4],
      work: (f) =>
        times(f.rows) *
        (times(f.outW, 8 + f.outC! / AT_ONCE, f.kh, f.pairBytes) +
          times(f.windowH, f.rowBytes! + f.padLeftBytes! + f.padRightBytes!)),
    },
  ],
  [OP_WINOGRAD, FEWER_PRODUCTS],
  [OP_DEPTHWISE3X3, DEPTHWISE],
  [OP_DEPTHWISE, { ...DEPTHWISE, spare: (f) => f.scalar !== 0 }],
  [OP_DEPTHWISE3X3_PRODUCTS, DEPTHWISE],
  [OP_DEPTHWISE3X3_DOT, DEPTHWISE],
  [OP_DEPTHWISE5X5, DEPTHWISE],
  [
    OP_FULLY_CONNECTED,
    {
      record: 'FullyConnectedRecord',
      writes: ['output', 'scratch'],
      spare: (f) => f.scalar === 1 || f.scalar === FULLY_CONNECTED_BYTES,
      reach: (f) => [f.rows! * f.outC!, f.inC! * 4],
      work: (f) => times(f.rows, f.outC, f.inC) / (f.scalar === 1 ? 1 : AT_ONCE / 2) + f.rows! * f.outC!,
    },
  ],
  [OP_BINARY, { record: 'BinaryRecord', ...BINARY }],
  [OP_COMBINE, { record: 'CombineRecord', ...BINARY }],
  [OP_AVERAGE_POOL, POOL],
  [OP_MAX_POOL, { ...POOL, spare: () => true }],
  [
    OP_MEAN,
    {
      record: 'MeanRecord',
      writes: ['output', 'scratch'],
      reach: (f) => [4 * times(f.k0, f.k1, f.k2, f.k3)],
      work: (f) => times(f.k0, f.k1, f.k2, f.k3, f.r0, f.r1, f.r2, f.r3),
    },
  ],
  [OP_SOFTMAX, normalization('SoftmaxRecord')],
  [OP_DEQUANTIZE, { record: 'DequantizeRecord', writes: ['output'], work: (f) => times(f.count) }],
  [OP_QUANTIZE, { record: 'QuantizeRecord', writes: ['output'], work: (f) => times(f.count) }],
  [
    OP_RESIZE_BILINEAR,
    {
      record: 'ResizeBilinearRecord',
      ...ROWS,
      reach: (f) => [...rowReach(f), f.outW! * f.channels!],
      work: (f) => times(f.rows, f.outW, f.channels),
    },
  ],
  [
    OP_GATHER,
    {
      record: 'GatherRecord',
      ...ROWS,
      reach: (f) => [...rowReach(f), f.outW! * f.bytes!],
      work: (f) => times(f.rows, f.outW, f.bytes),
    },
  ],
  [
    OP_DETECTION,
    {
      record: 'DetectionRecord',
      writes: ['outBoxes', 'outClasses', 'outScores', 'outCount', 'scratch'],
      reach: (f) => [16 * f.maxDetections! * Math.max(1, f.maxClasses!), 64 * f.count!, f.count! * f.classes!],
      work: (f) => times(f.count, f.classes! + f.boxStride!, 1 + f.maxDetections! + f.perClass!) + f.count! ** 2,
    },
  ],
  [
    OP_STRIDED_COPY,
    {
      record: 'StridedCopyRecord',
      writes: ['output'],
      reach: (f) => [0, 1, 2, 3].map((k) => Math.max(0, f[`d${k}`]! - 1) * f[`out${k}`]!),
      work: (f) => times(f.d0, f.d1, f.d2, f.d3, f.bytes),
    },
  ],
])

/** Fields that count or measure what is written, or that loops run to: never negative, never near 2^31. */
const COUNTS: ReadonlySet<string> = new Set(
  (
    'rows first strideH windowH inRows outRowStride outRing outPixelStride outW outH outC bytes pixels channels kh kw ' +
    'segments segmentBytes panelBytes segmentPanelBytes mr nr rowBytes ringStride padLeftBytes padRightBytes ' +
    'pairBytes pairs positionBytes inC inH inW d0 d1 d2 d3 k0 k1 k2 k3 r0 r1 r2 r3 filterH filterW depth count ' +
    'classes boxStride maxDetections maxClasses perClass outer inner outBytes out0 out1 out2 out3 bandRows batch ' +
    'steps inputs cells outputs outputStride outputBatchStride filters rank groupIn groupOut m k columns kind order ' +
    'type from to patch outputBytes'
  ).split(' '),
)

const whole = (v: unknown, least: number, most: number): v is number =>
  Number.isInteger(v) && (v as number) >= least && (v as number) <= most

/** Whether the numbers of a program's head fit each other and a file that has so many ports. */
export function headFits(head: CheckedHead, inputs: number, outputs: number): boolean {
  const { memoryBytes, arenaAddress, arenaBytes, header } = head
  if (typeof header !== 'object' || header === null) return false
  if (!LAYOUT.Header.fields.every((name) => whole(header[name], 0, 2 ** 32 - 1))) return false
  const { abiVersion, opCount, opTable, inputCount, inputTable, outputCount, outputTable } = header as Fields
  const { resetCount, resetTable } = header as Fields
  const table = (at: number, bytes: number): boolean => at >= FIRST && at % 4 === 0 && at + bytes <= arenaAddress
  return (
    whole(memoryBytes, FIRST, MOST_MEMORY) &&
    whole(arenaAddress, FIRST, memoryBytes) &&
    whole(arenaBytes, 0, memoryBytes - arenaAddress) &&
    abiVersion === ABI_VERSION &&
    inputCount === inputs &&
    outputCount === outputs &&
    table(opTable!, 4 * opCount!) &&
    table(inputTable!, 8 * inputs) &&
    table(outputTable!, 8 * outputs) &&
    (resetCount === 0 || table(resetTable!, 4 * resetCount!))
  )
}

/** One record of an op table. */
interface Entry {
  at: number
  name: RecordName
  /** None: a group. */
  kind: Kind | undefined
}

/** Where a record's fields are, and room for those of one record. */
interface Reader {
  fields: Fields
  names: readonly string[]
  /** Whether a field is one of COUNTS. */
  counts: readonly boolean[]
  /** Indices of those that hold a float. */
  floats: readonly number[]
}

/**
 * Reads records one at a time: what `read` gives holds until the next record of that name, so that little is garbage.
 * It is undefined where a record counts as kernels may not count. This runs before the engine has compiled anything: a
 * field is looked at once.
 */
class Records {
  /** Every number that was read and does not count: addresses are among them. */
  readonly numbers = new Set<number>()
  readonly #readers = new Map<RecordName, Reader>()
  readonly #view: DataView
  readonly #base: number

  /** `view`: memory from address `base` on. */
  constructor(view: DataView, base: number) {
    this.#view = view
    this.#base = base
  }

  read({ at, name }: Entry): Fields | undefined {
    const { fields, names, counts, floats } = this.#reader(name)
    const view = this.#view
    for (let i = 0, from = at - this.#base; i < names.length; i++, from += 4) {
      const v = view.getInt32(from, true)
      if (!counts[i]) this.numbers.add(v)
      else if (v < 0 || v > MOST) return undefined
      fields[names[i]!] = v
    }
    for (const i of floats) fields[names[i]!] = view.getFloat32(at - this.#base + 4 * i, true)
    return fields
  }

  #reader(name: RecordName): Reader {
    const known = this.#readers.get(name)
    if (known) return known
    const { fields: names, f32 } = LAYOUT[name] as { fields: readonly string[]; f32: readonly string[] }
    const counts = names.map((field) => COUNTS.has(field))
    const made = { fields: {}, names, counts, floats: f32.map((field) => names.indexOf(field)) }
    this.#readers.set(name, made)
    return made
  }
}

/** What an op table is checked against. */
interface Tables {
  view: DataView
  /** Address of the view's first byte. */
  base: number
  /** Where records end at the latest. */
  end: number
  kinds: Kinds
}

/** The records that an op table points at; undefined where one is of no known kind or not whole. */
function readTable(table: number, count: number, { view, base, end, kinds }: Tables): Entry[] | undefined {
  const entries: Entry[] = []
  for (let i = 0; i < count; i++) {
    const at = view.getUint32(table - base + 4 * i, true)
    if (at % 4 || at < base || at + LAYOUT.Record.size > end) return undefined
    const op = view.getUint32(at - base, true)
    const kind = kinds.get(op)
    const name = op === OP_GROUP ? 'GroupRecord' : kind?.record
    if (!name || at + LAYOUT[name].size > end) return undefined
    entries.push({ at, name, kind })
  }
  return entries
}

/** Where an input or output lies. */
interface Port {
  at: number
  bytes: number
}

function readPorts(table: number, count: number, view: DataView, base: number): Port[] {
  return Array.from({ length: count }, (_, i) => ({
    at: view.getUint32(table - base + 8 * i, true),
    bytes: view.getUint32(table - base + 8 * i + 4, true),
  }))
}

/** Where a program may write: from `state` on what outlives a run, from `arena` to `arenaEnd` everything. */
interface Room {
  state: number
  arena: number
  arenaEnd: number
  memoryBytes: number
}

/** Whether a record writes where its kernel may write. */
function recordFits(kind: Kind | undefined, fields: Fields, room: Room): boolean {
  if (fields.first! >= fields.rows!) return false
  // A group.
  if (!kind) return true
  if (fields.outRing === 0 && fields.rows! > 0) return false
  if (!fields.scalar && kind.steps?.some((f) => !fields[f])) return false
  for (const f in kind.most) if (fields[f]! > kind.most[f]!) return false
  const writes = kind.writes.every((f) => {
    const to = fields[f]! >>> 0
    if (to === 0 && f === 'scratch' && kind.spare?.(fields)) return true
    return to >= (kind.state?.includes(f) ? room.state : room.arena) && to <= room.arenaEnd
  })
  return writes && !kind.reach?.(fields).some((bytes) => !(bytes <= room.memoryBytes))
}

/**
 * Work of one pass over an op table; undefined where a record or a group does not fit. Addresses that records write to
 * are added to `written`.
 */
function workOf(entries: readonly Entry[], records: Records, room: Room, written: Set<number>): number | undefined {
  let work = 0
  // Members of a group that are still to come, and the rows of the one before.
  let members = 0
  let before: number | undefined
  for (const [i, entry] of entries.entries()) {
    const { kind } = entry
    const fields = records.read(entry)
    if (!fields || !recordFits(kind, fields, room)) return undefined
    if (!kind) {
      if (members > 0 || !whole(fields.count, 1, entries.length - 1 - i) || !(fields.bandRows! >= 1)) return undefined
      members = fields.count!
      before = undefined
      continue
    }
    for (const f of kind.writes) if (f !== 'scratch') written.add(fields[f]! >>> 0)
    const { rows, inRows } = fields as Record<'rows' | 'inRows', number>
    if (members > 0) {
      if (before !== undefined && inRows > before) return undefined
      before = rows
      work += rows
      members--
    }
    work += kind.work(fields) + 16 * rows
    if (!(work <= MOST_WORK)) return undefined
  }
  return members > 0 ? undefined : work
}

/**
 * Whether the tables and records of a program are sound. Its `headFits`. `view`: memory from address `base` on, as it
 * is before the first run, to the arena at least where tables are. Records that are not of `kinds` are not sound.
 */
export function tablesFit(head: CheckedHead, view: DataView, base = 0, kinds = CORE_KINDS): boolean {
  const { memoryBytes, arenaAddress, arenaBytes, header } = head
  const { inputCount, inputTable, outputCount, outputTable, ...ops } = header as Record<string, number>
  const end = Math.min(arenaAddress, base + view.byteLength)
  const tables = [
    { at: ops.opTable!, count: ops.opCount! },
    ...(ops.resetCount! > 0 ? [{ at: ops.resetTable!, count: ops.resetCount! }] : []),
  ]
  const taken = [
    ...tables.map(({ at, count }) => ({ from: at, to: at + 4 * count })),
    { from: inputTable!, to: inputTable! + 8 * inputCount! },
    { from: outputTable!, to: outputTable! + 8 * outputCount! },
  ]
  if (taken.some(({ from, to }) => from < base || to > end)) return false
  const entries = tables.map(({ at, count }) => readTable(at, count, { view, base, end, kinds }))
  if (!entries.every((e) => e !== undefined)) return false
  for (const { at, name } of entries.flat()) taken.push({ from: at, to: at + LAYOUT[name].size })
  taken.sort((a, b) => a.from - b.from)
  if (taken.some((t, i) => i > 0 && t.from < taken[i - 1]!.to && t.from !== t.to)) return false

  const arenaEnd = arenaAddress + arenaBytes
  const records = new Records(view, base)
  const room = { state: taken.at(-1)!.to, arena: arenaAddress, arenaEnd, memoryBytes }
  const inputs = readPorts(inputTable!, inputCount!, view, base)
  const outputs = readPorts(outputTable!, outputCount!, view, base)
  const within = ({ at, bytes }: Port, from: number): boolean => at >= from && at + bytes <= arenaEnd
  if (!inputs.every((p) => within(p, room.arena)) || !outputs.every((p) => within(p, room.state))) return false
  const written = new Set<number>()
  if (!entries.every((e) => workOf(e, records, room, written) !== undefined)) return false
  // An output that is an input, or state, is there before the first record runs.
  for (const { at } of inputs) written.add(at)
  const numbers = [...records.numbers]
  const isRead = ({ at, bytes }: Port): boolean => numbers.some((n) => n >>> 0 >= at && n >>> 0 < at + bytes)
  return (
    inputs.every((p) => p.bytes === 0 || isRead(p)) &&
    outputs.every(({ at, bytes }) => bytes === 0 || at < room.arena || written.has(at))
  )
}

/** Opcodes of a program's table, whose `tablesFit`. `view`: its memory. */
export function opcodesIn({ header }: CheckedHead, view: DataView): number[] {
  const { opTable, opCount } = header as Record<string, number>
  return Array.from({ length: opCount! }, (_, i) => view.getUint32(view.getUint32(opTable! + 4 * i, true), true))
}

/** Bytes that a packer writes from its first argument on, and its work. Arguments as assembly/pack.ts names them. */
interface Packing {
  bytes: number
  work: number
}
type Packer = (args: readonly number[]) => Packing

const both = (bytes: number, work = bytes): Packing => ({ bytes, work })
const up = (n: number, to: number): number => Math.ceil(n / to) * to

/** Filters [3][3][channels] that become `positions` of pairs of channels. */
const byPositions = (
  positions: number,
  leastPairs: number,
): { sizes: readonly number[]; steps: readonly number[]; of: Packer } => ({
  sizes: [2, 3, 4],
  steps: [4],
  of: ([, , rows, channels, nr]) => both(4 * positions * up(rows!, nr!) * Math.max(leastPairs, (channels! + 1) / 2)),
})

/** By the name of the packer: sizes from arguments, none of which is negative. */
const PACKINGS: Readonly<Record<string, { sizes: readonly number[]; steps?: readonly number[]; of: Packer }>> = {
  pack_gemm_4x8: {
    sizes: [2, 3, 4, 5],
    steps: [4],
    of: ([, , panels, k, segment, padded]) => {
      const segments = panels! * Math.ceil(k! / segment!)
      return both(segments * 16 * padded! + 128, 8 * segments * (segment! + padded! + 8))
    },
  },
  fold_gemm_4x8: { sizes: [2, 3], of: ([, , panels, pairs]) => both(32 * panels!, panels! * (16 * pairs! + 16)) },
  pack_depthwise3x3: { sizes: [2], of: ([, , channels]) => both(224 * (channels! / 8 + 1)) },
  fold_rows: { sizes: [2, 3], of: ([, , rows, k]) => both(4 * rows!, rows! * (k! + 1)) },
  narrow_bytes: { sizes: [2], of: ([, , n]) => both(n! + 16) },
  flip_bytes: { sizes: [1], of: ([, n]) => both(n!) },
  requantize_scales: { sizes: [1], of: ([, n]) => both(4 * n! + 16) },
  pack_gemm_4x16c4: { sizes: [2, 3], of: ([, , rows, k]) => both(up(rows!, 16) * up(k!, 4)) },
  pack_gemm_3x8c8: { sizes: [2, 3], of: ([, , rows, k]) => both(up(rows!, 8) * up(k!, 8)) },
  pack_taps: {
    sizes: [2, 3, 4],
    of: ([, , channels, vectors, bytes]) => both(up(channels!, 8) * vectors! * Math.max(1, bytes!)),
  },
  pack_pairs: {
    sizes: [2, 3, 4],
    steps: [3],
    of: ([, , channels, width, pairs]) => both(4 * up(channels!, width!) * Math.max(1, pairs!)),
  },
  fold_taps: {
    sizes: [2, 3, 4],
    steps: [3],
    of: ([, , channels, width, taps]) => both(4 * up(channels!, width!), up(channels!, width!) * (taps! + 1)),
  },
  pack_gemm_4x8c4: {
    sizes: [2, 3, 4],
    steps: [4],
    of: ([, , rows, k, segment]) => both(up(rows!, 8) * Math.max(k!, Math.ceil(k! / segment!) * up(segment!, 4))),
  },
  pack_rows4: { sizes: [2, 3], of: ([, , rows, k]) => both(up(rows!, 4) * up(k!, 16)) },
  pack_winograd: byPositions(36, 2),
  pack_polyphase: byPositions(25, 4),
}

/** Whether calls of a packer are known here. */
export const isCheckedPacker = (name: string): boolean => name in PACKINGS

/** Where a step writes and what it costs; undefined: no step of any encoder. */
function stepOf(steps: Int32Array, at: number, packers: readonly string[], dataBytes: number): Packing | undefined {
  const what = steps[at]!
  const count = steps[at + 1]!
  const arg = (k: number): number => steps[at + 2 + k]!
  if (what === 0) {
    return count === 3 && whole(arg(1), 0, dataBytes) && whole(arg(2), 0, dataBytes - arg(1)) ? both(arg(2)) : undefined
  }
  if (what === -1) return count >= 1 ? both(4 * (count - 1)) : undefined
  if (what === -2) return count === 3 && whole(arg(1), 0, MOST) ? both(4 * arg(1)) : undefined
  const packer = packers[what - 1]
  const packing = packer === undefined ? undefined : PACKINGS[packer]
  if (!packing) return undefined
  const args: number[] = []
  for (let k = 0; k < count; k++) args.push(arg(k))
  const sized = packing.sizes.every((k) => whole(args[k], packing.steps?.includes(k) ? 1 : 0, MOST))
  return sized ? packing.of(args) : undefined
}

/** Whether a program's steps write inside its memory only, read inside the data, and end soon. Its `headFits`. */
export function stepsFit(
  steps: Int32Array,
  { memoryBytes }: CheckedHead,
  packers: readonly string[],
  dataBytes: number,
): boolean {
  let work = 0
  for (let i = 0; i < steps.length;) {
    const count = steps[i + 1]
    if (!whole(count, 1, steps.length - i - 2)) return false
    const step = stepOf(steps, i, packers, dataBytes)
    const to = steps[i + 2]!
    if (!step || to < FIRST || !(to + step.bytes <= memoryBytes + 128)) return false
    work += step.work + 16
    if (!(work <= MOST_LOADING)) return false
    i += 2 + count
  }
  return true
}
