/** The executor: walks the op table, no allocation, no checks (the host validates a program before it runs). */
import {
  ABI_VERSION,
  BarrierRecord,
  ConvRecord,
  GroupRecord,
  Header,
  OP_LSTM,
  OP_SVDF,
  OP_ARG_MAX,
  OP_ARITHMETIC,
  OP_AVERAGE_POOL,
  OP_BARRIER,
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
  OP_DEPTHWISE3X3_WIDE,
  OP_DEPTHWISE5X5,
  OP_DEQUANTIZE,
  OP_DETECTION,
  OP_FILL,
  OP_FULLY_CONNECTED,
  OP_GATHER,
  OP_GATHER_ND,
  OP_GROUP,
  OP_L2_NORMALIZATION,
  OP_LOG_SOFTMAX,
  OP_LUT,
  OP_MATMUL,
  OP_MAX_POOL,
  OP_MEAN,
  OP_QUANTIZE,
  OP_PARTS,
  OP_REDUCE,
  OP_RESIZE_BILINEAR,
  OP_SOFTMAX,
  OP_STRIDED_COPY,
  OP_TRANSPOSE_CONV,
  OP_WINOGRAD,
  OP_CONV_FIXED,
  OP_COMPARE,
  OP_SELECT,
  OP_CONVERT,
  OP_TOP_K,
  OP_FLOAT_TABLE,
  OP_FLOAT_UNARY,
  OP_POWER,
  OP_FLOAT_LOG_SOFTMAX,
  OP_FLOAT_ROWS,
  OP_FLOAT_SUM,
  OP_FLOAT_POOL,
  OP_FLOAT_RESIZE,
  OP_FLOAT_CONV,
  OP_FLOAT_MATMUL,
  OP_ARG_MAX32,
  OP_CUMULATE,
  OP_SCATTER,
  OP_CONV16,
  OP_PAIRS16,
  OP_UNARY16,
  OP_POOL16,
  OP_REDUCE16,
  OP_MATMUL16,
  OP_SOFTMAX16,
  OP_RESIZE16,
  OP_SOFTMAX8_16,
  FORM_DOT,
  PartsRecord,
  Record,
  Slice,
  STATUS_BAD_OPCODE,
  STATUS_INEXACT,
  STATUS_NO_PROGRAM,
  STATUS_OK,
  STATUS_TIMEOUT,
} from './layout'
import {
  kernel_60,
  kernel_61,
  kernel_1,
  kernel_2,
  kernel_3,
  kernel_4,
  kernel_5,
  kernel_6,
  kernel_7,
  kernel_8,
  kernel_9,
  kernel_10,
  kernel_11,
  kernel_12,
  kernel_13,
  kernel_14,
  kernel_15,
  kernel_16,
  kernel_17,
  kernel_18,
  kernel_19,
  kernel_20,
  kernel_22,
  kernel_23,
  kernel_24,
  kernel_26,
  kernel_27,
  kernel_28,
  kernel_29,
  kernel_40,
  kernel_41,
  kernel_42,
  kernel_43,
  kernel_44,
  kernel_45,
  kernel_70,
  kernel_71,
  kernel_72,
  kernel_73,
  kernel_74,
  kernel_80,
  kernel_81,
  kernel_82,
  kernel_83,
  kernel_84,
  kernel_85,
  kernel_86,
  kernel_87,
  kernel_88,
  kernel_89,
  kernel_46,
  kernel_47,
  kernel_48,
  kernel_90,
  kernel_91,
  kernel_92,
  kernel_93,
  kernel_94,
  kernel_95,
  kernel_96,
  kernel_97,
  kernel_98,
  relaxed_dot_is_signed,
} from './kernels'
import { FAST } from './fast'
import { depthwise3x3Wide } from './kernels/depthwise3x3-wide'

/** Where the program header lives; the host reads this address from the export of the same name. */
export const header: usize = memory.data(offsetof<Header>(), 16)

/** Whether kernels that compute by relaxed dot products are exact here. */
function isExact(): bool {
  return relaxed_dot_is_signed(changetype<Header>(header).abiVersion - ABI_VERSION)
}

/** Computes output rows [y0, y1) of one record. */
function runRecord(record: usize, y0: i32, y1: i32): i32 {
  switch (changetype<Record>(record).op) {
    case OP_LSTM:
      kernel_60(record)
      break
    case OP_SVDF:
      kernel_61(record)
      break
    case OP_COPY:
      kernel_1(record, y0, y1)
      break
    case OP_FILL:
      kernel_2(record, y0, y1)
      break
    case OP_LUT:
      kernel_3(record, y0, y1)
      break
    case OP_CONV:
      if (ASC_FEATURE_RELAXED_SIMD) {
        if (changetype<ConvRecord>(record).form == FORM_DOT && !isExact()) return STATUS_INEXACT
      }
      kernel_4(record, y0, y1)
      break
    case OP_DEPTHWISE3X3:
      kernel_5(record, y0, y1)
      break
    case OP_DEPTHWISE:
      kernel_6(record, y0, y1)
      break
    case OP_FULLY_CONNECTED:
      kernel_7(record, y0, y1)
      break
    case OP_BINARY:
      kernel_8(record, y0, y1)
      break
    case OP_AVERAGE_POOL:
      kernel_9(record, y0, y1)
      break
    case OP_MAX_POOL:
      kernel_10(record, y0, y1)
      break
    case OP_MEAN:
      kernel_11(record)
      break
    case OP_SOFTMAX:
      kernel_12(record)
      break
    case OP_DEQUANTIZE:
      kernel_13(record)
      break
    case OP_QUANTIZE:
      kernel_14(record)
      break
    case OP_RESIZE_BILINEAR:
      kernel_15(record, y0, y1)
      break
    case OP_GATHER:
      kernel_16(record, y0, y1)
      break
    case OP_ARG_MAX:
      kernel_17(record)
      break
    case OP_STRIDED_COPY:
      kernel_18(record)
      break
    case OP_CONV_FIXED:
      kernel_70(record)
      break
    case OP_COMPARE:
      kernel_71(record)
      break
    case OP_SELECT:
      kernel_72(record)
      break
    case OP_CONVERT:
      kernel_73(record)
      break
    case OP_TOP_K:
      kernel_74(record)
      break
    case OP_FLOAT_TABLE:
      kernel_80(record)
      break
    case OP_FLOAT_UNARY:
      kernel_81(record)
      break
    case OP_POWER:
      kernel_82(record)
      break
    case OP_FLOAT_LOG_SOFTMAX:
      kernel_83(record)
      break
    case OP_FLOAT_ROWS:
      kernel_84(record)
      break
    case OP_FLOAT_SUM:
      kernel_85(record)
      break
    case OP_FLOAT_POOL:
      kernel_86(record, y0, y1)
      break
    case OP_FLOAT_RESIZE:
      kernel_87(record, y0, y1)
      break
    case OP_FLOAT_CONV:
      kernel_88(record, y0, y1)
      break
    case OP_FLOAT_MATMUL:
      kernel_89(record)
      break
    case OP_ARG_MAX32:
      kernel_46(record)
      break
    case OP_CUMULATE:
      kernel_47(record)
      break
    case OP_SCATTER:
      return kernel_48(record)
    case OP_TRANSPOSE_CONV:
      kernel_19(record)
      break
    case OP_DETECTION:
      kernel_20(record)
      break
    case OP_CONV_DIRECT:
      kernel_22(record, y0, y1)
      break
    case OP_DEPTHWISE3X3_PRODUCTS:
      kernel_23(record, y0, y1)
      break
    case OP_DEPTHWISE3X3_DOT:
      if (ASC_FEATURE_RELAXED_SIMD) {
        if (!isExact()) return STATUS_INEXACT
      }
      kernel_24(record, y0, y1)
      break
    case OP_DEPTHWISE5X5:
      kernel_26(record, y0, y1)
      break
    case OP_ARITHMETIC:
      kernel_27(record)
      break
    case OP_GATHER_ND:
      return kernel_28(record)
    case OP_CHANNEL_LUT:
      kernel_29(record, y0, y1)
      break
    case OP_WINOGRAD:
      kernel_40(record, y0, y1)
      break
    case OP_COMBINE:
      kernel_45(record, y0, y1)
      break
    case OP_PARTS:
      return flash_slices(record + offsetof<PartsRecord>('from'), y0, y1)
    case OP_REDUCE:
      kernel_41(record)
      break
    case OP_MATMUL:
      kernel_42(record)
      break
    case OP_L2_NORMALIZATION:
      kernel_43(record)
      break
    case OP_LOG_SOFTMAX:
      kernel_44(record)
      break
    case OP_CONV16:
      kernel_90(record, y0, y1)
      break
    case OP_PAIRS16:
      kernel_91(record)
      break
    case OP_UNARY16:
      kernel_92(record)
      break
    case OP_POOL16:
      kernel_93(record, y0, y1)
      break
    case OP_REDUCE16:
      kernel_94(record)
      break
    case OP_MATMUL16:
      kernel_95(record)
      break
    case OP_SOFTMAX16:
      kernel_96(record)
      break
    case OP_RESIZE16:
      kernel_97(record)
      break
    case OP_SOFTMAX8_16:
      kernel_98(record)
      break
    default:
      if (FAST) {
        if (changetype<Record>(record).op == OP_DEPTHWISE3X3_WIDE) {
          depthwise3x3Wide(record, y0, y1)
          break
        }
      }
      if (ASC_FEATURE_THREADS) {
        if (changetype<Record>(record).op == OP_BARRIER) return barrier(changetype<BarrierRecord>(record))
      }
      return STATUS_BAD_OPCODE
  }
  return STATUS_OK
}

/** Loads before a waiting thread blocks: about as long as neighbouring threads usually differ. */
const SPINS = 40000
/** Nanoseconds of a millisecond. */
const MS: i64 = 1_000_000

/** Waits until all threads have arrived. */
function barrier(r: BarrierRecord): i32 {
  const counter: usize = r.counter
  const target: i32 = r.target
  if (atomic.add<i32>(counter, 1) + 1 == target) {
    atomic.notify(counter, -1)
    return STATUS_OK
  }
  for (let i = 0; i < SPINS; i++) if (atomic.load<i32>(counter) >= target) return STATUS_OK
  const patience: i64 = r.patience ? <i64>r.patience * MS : -1
  while (true) {
    const seen = atomic.load<i32>(counter)
    if (seen >= target) return STATUS_OK
    if (atomic.wait<i32>(counter, seen, patience) == 2) return STATUS_TIMEOUT
  }
}

/** Runs a whole op table: a worker thread's share of the program. */
export function thimble_thread(table: usize, count: i32): i32 {
  return ASC_FEATURE_THREADS ? runTable(table, 0, count) : STATUS_BAD_OPCODE
}

/**
 * Band group: the members' output rows are computed depth first, `bandRows` of the last member at a time, each earlier
 * member running just far enough ahead. `table` points at the first member's entry.
 */
function runGroup(group: GroupRecord, table: usize): i32 {
  const last: i32 = group.count - 1
  for (let k = 0; k <= last; k++) {
    const r = changetype<Record>(load<u32>(table + (k << 2)))
    r.done = r.first
  }
  const rows: i32 = changetype<Record>(load<u32>(table + (last << 2))).rows
  let target: i32 = changetype<Record>(load<u32>(table + (last << 2))).first
  do {
    target = min(target + <i32>group.bandRows, rows)
    let need = target
    for (let k = last; k >= 0; k--) {
      const r = changetype<Record>(load<u32>(table + (k << 2)))
      r.need = max(need, r.done)
      need = min((need - 1) * r.strideH - r.padTop + r.windowH, r.inRows)
    }
    for (let k = 0; k <= last; k++) {
      const at: usize = load<u32>(table + (k << 2))
      const r = changetype<Record>(at)
      if (r.need > r.done) {
        const status = runRecord(at, r.done, r.need)
        if (status) return status
        r.done = r.need
      }
    }
  } while (target < rows)
  return STATUS_OK
}

/** Runs entries [from, to) of an op table. A group's members count as entries. Returns a STATUS. */
function runTable(table: usize, from: i32, to: i32): i32 {
  let i = from
  while (i < to) {
    const entry = table + (i << 2)
    const at: usize = load<u32>(entry)
    const r = changetype<Record>(at)
    let status: i32
    if (r.op == OP_GROUP) {
      status = runGroup(changetype<GroupRecord>(at), entry + 4)
      i += changetype<GroupRecord>(at).count
    } else {
      status = runRecord(at, r.first, r.rows)
    }
    if (status) return status
    i++
  }
  return STATUS_OK
}

/** Runs entries [from, to) of the program's op table. Returns a STATUS. */
export function run(from: i32, to: i32): i32 {
  const h = changetype<Header>(header)
  if (h.abiVersion != ABI_VERSION) return STATUS_NO_PROGRAM
  return runTable(h.opTable, from, to)
}

/** Whole tables, not some rows of each entry. */
const ALL_ROWS = -1

/**
 * Runs the slices that follow `slice`, one after the other: whole tables, or output rows [y0, y1) of their records. Only
 * in modules whose linker made both copies instructions that read the module's own segment (memory.init).
 */
export function flash_slices(slice: usize, y0: i32, y1: i32): i32 {
  do {
    const to: usize = changetype<Slice>(slice).to
    let from: usize = changetype<Slice>(slice).from
    const end: usize = to + changetype<Slice>(slice).bytes
    memory.copy(to, from, end - to)
    from += end - to
    slice = to
    memory.fill(end, 0, changetype<Slice>(slice).zeros)
    for (let run: usize = end - (changetype<Slice>(slice).runs << 3); run < end; run += 8) {
      const bytes: usize = load<u32>(run, 4)
      memory.copy(load<u32>(run), from, bytes)
      from += bytes
    }
    const table: usize = slice + offsetof<Slice>()
    const count: i32 = changetype<Slice>(slice).count
    let status = STATUS_OK
    if (y1 == ALL_ROWS) status = runTable(table, 0, count)
    else for (let i = 0; i < count && status == STATUS_OK; i++) status = runRecord(load<u32>(table + (i << 2)), y0, y1)
    if (status) return status
  } while (changetype<Slice>(slice).bytes)
  return STATUS_OK
}

/** thimble_invoke and thimble_reset of a program in slices: its header's tables are slice heads. */
export function flash_invoke(): i32 {
  const h = changetype<Header>(header)
  return h.abiVersion == ABI_VERSION ? flash_slices(h.opTable, 0, ALL_ROWS) : STATUS_NO_PROGRAM
}
export function flash_reset(): i32 {
  const at: usize = changetype<Header>(header).resetTable
  return at ? flash_slices(at, 0, ALL_ROWS) : STATUS_OK
}

export function thimble_abi(): i32 {
  return ABI_VERSION
}

/** A word of entry i of a port table, 0 where there is no such entry: an embedder can count the ports. */
function port(table: u32, count: u32, i: u32, word: u32): i32 {
  return i < count ? load<i32>(table + (i << 3) + word) : 0
}
export function thimble_input_ptr(i: i32): i32 {
  const h = changetype<Header>(header)
  return port(h.inputTable, h.inputCount, i, 0)
}
export function thimble_input_bytes(i: i32): i32 {
  const h = changetype<Header>(header)
  return port(h.inputTable, h.inputCount, i, 4)
}
export function thimble_output_ptr(i: i32): i32 {
  const h = changetype<Header>(header)
  return port(h.outputTable, h.outputCount, i, 0)
}
export function thimble_output_bytes(i: i32): i32 {
  const h = changetype<Header>(header)
  return port(h.outputTable, h.outputCount, i, 4)
}
/** One inference: inputs must have been written since the last one, their memory is reused. Returns a STATUS. */
export function thimble_invoke(): i32 {
  return run(0, changetype<Header>(header).opCount)
}
/** State as it was after loading: the next inference is the first one again. Returns a STATUS. */
export function thimble_reset(): i32 {
  const h = changetype<Header>(header)
  return runTable(h.resetTable, 0, h.resetCount)
}
