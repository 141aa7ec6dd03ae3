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
  OP_POLYPHASE,
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
  kernel_lstm,
  kernel_svdf,
  kernel_copy,
  kernel_fill,
  kernel_lut,
  kernel_conv,
  kernel_depthwise3x3,
  kernel_depthwise,
  kernel_fully_connected,
  kernel_binary,
  kernel_average_pool,
  kernel_max_pool,
  kernel_mean,
  kernel_softmax,
  kernel_dequantize,
  kernel_quantize,
  kernel_resize_bilinear,
  kernel_gather,
  kernel_arg_max,
  kernel_strided_copy,
  kernel_transpose_conv,
  kernel_detection,
  kernel_conv_direct,
  kernel_depthwise3x3_products,
  kernel_depthwise3x3_dot,
  kernel_depthwise5x5,
  kernel_arithmetic,
  kernel_gather_nd,
  kernel_channel_lut,
  kernel_winograd,
  kernel_polyphase,
  kernel_reduce,
  kernel_matmul,
  kernel_l2_normalization,
  kernel_log_softmax,
  kernel_combine,
  kernel_conv_fixed,
  kernel_compare,
  kernel_select,
  kernel_convert,
  kernel_top_k,
  kernel_float_table,
  kernel_float_unary,
  kernel_power,
  kernel_float_log_softmax,
  kernel_float_rows,
  kernel_float_sum,
  kernel_float_pool,
  kernel_float_resize,
  kernel_float_conv,
  kernel_float_matmul,
  kernel_arg_max32,
  kernel_cumulate,
  kernel_scatter,
  kernel_conv16,
  kernel_pairs16,
  kernel_unary16,
  kernel_pool16,
  kernel_reduce16,
  kernel_matmul16,
  kernel_softmax16,
  kernel_resize16,
  kernel_softmax8_16,
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
      kernel_lstm(record)
      break
    case OP_SVDF:
      kernel_svdf(record)
      break
    case OP_COPY:
      kernel_copy(record, y0, y1)
      break
    case OP_FILL:
      kernel_fill(record, y0, y1)
      break
    case OP_LUT:
      kernel_lut(record, y0, y1)
      break
    case OP_CONV:
      if (ASC_FEATURE_RELAXED_SIMD) {
        if (changetype<ConvRecord>(record).form == FORM_DOT && !isExact()) return STATUS_INEXACT
      }
      kernel_conv(record, y0, y1)
      break
    case OP_DEPTHWISE3X3:
      kernel_depthwise3x3(record, y0, y1)
      break
    case OP_DEPTHWISE:
      kernel_depthwise(record, y0, y1)
      break
    case OP_FULLY_CONNECTED:
      kernel_fully_connected(record, y0, y1)
      break
    case OP_BINARY:
      kernel_binary(record, y0, y1)
      break
    case OP_AVERAGE_POOL:
      kernel_average_pool(record, y0, y1)
      break
    case OP_MAX_POOL:
      kernel_max_pool(record, y0, y1)
      break
    case OP_MEAN:
      kernel_mean(record)
      break
    case OP_SOFTMAX:
      kernel_softmax(record)
      break
    case OP_DEQUANTIZE:
      kernel_dequantize(record)
      break
    case OP_QUANTIZE:
      kernel_quantize(record)
      break
    case OP_RESIZE_BILINEAR:
      kernel_resize_bilinear(record, y0, y1)
      break
    case OP_GATHER:
      kernel_gather(record, y0, y1)
      break
    case OP_ARG_MAX:
      kernel_arg_max(record)
      break
    case OP_STRIDED_COPY:
      kernel_strided_copy(record)
      break
    case OP_CONV_FIXED:
      kernel_conv_fixed(record)
      break
    case OP_COMPARE:
      kernel_compare(record)
      break
    case OP_SELECT:
      kernel_select(record)
      break
    case OP_CONVERT:
      kernel_convert(record)
      break
    case OP_TOP_K:
      kernel_top_k(record)
      break
    case OP_FLOAT_TABLE:
      kernel_float_table(record)
      break
    case OP_FLOAT_UNARY:
      kernel_float_unary(record)
      break
    case OP_POWER:
      kernel_power(record)
      break
    case OP_FLOAT_LOG_SOFTMAX:
      kernel_float_log_softmax(record)
      break
    case OP_FLOAT_ROWS:
      kernel_float_rows(record)
      break
    case OP_FLOAT_SUM:
      kernel_float_sum(record)
      break
    case OP_FLOAT_POOL:
      kernel_float_pool(record, y0, y1)
      break
    case OP_FLOAT_RESIZE:
      kernel_float_resize(record, y0, y1)
      break
    case OP_FLOAT_CONV:
      kernel_float_conv(record, y0, y1)
      break
    case OP_FLOAT_MATMUL:
      kernel_float_matmul(record)
      break
    case OP_ARG_MAX32:
      kernel_arg_max32(record)
      break
    case OP_CUMULATE:
      kernel_cumulate(record)
      break
    case OP_SCATTER:
      return kernel_scatter(record)
    case OP_TRANSPOSE_CONV:
      kernel_transpose_conv(record)
      break
    case OP_DETECTION:
      kernel_detection(record)
      break
    case OP_CONV_DIRECT:
      kernel_conv_direct(record, y0, y1)
      break
    case OP_DEPTHWISE3X3_PRODUCTS:
      kernel_depthwise3x3_products(record, y0, y1)
      break
    case OP_DEPTHWISE3X3_DOT:
      if (ASC_FEATURE_RELAXED_SIMD) {
        if (!isExact()) return STATUS_INEXACT
      }
      kernel_depthwise3x3_dot(record, y0, y1)
      break
    case OP_DEPTHWISE5X5:
      kernel_depthwise5x5(record, y0, y1)
      break
    case OP_ARITHMETIC:
      kernel_arithmetic(record)
      break
    case OP_GATHER_ND:
      return kernel_gather_nd(record)
    case OP_CHANNEL_LUT:
      kernel_channel_lut(record, y0, y1)
      break
    case OP_WINOGRAD:
      kernel_winograd(record, y0, y1)
      break
    case OP_POLYPHASE:
      kernel_polyphase(record, y0, y1)
      break
    case OP_COMBINE:
      kernel_combine(record, y0, y1)
      break
    case OP_PARTS:
      return flash_slices(record + offsetof<PartsRecord>('from'), y0, y1)
    case OP_REDUCE:
      kernel_reduce(record)
      break
    case OP_MATMUL:
      kernel_matmul(record)
      break
    case OP_L2_NORMALIZATION:
      kernel_l2_normalization(record)
      break
    case OP_LOG_SOFTMAX:
      kernel_log_softmax(record)
      break
    case OP_CONV16:
      kernel_conv16(record, y0, y1)
      break
    case OP_PAIRS16:
      kernel_pairs16(record)
      break
    case OP_UNARY16:
      kernel_unary16(record)
      break
    case OP_POOL16:
      kernel_pool16(record, y0, y1)
      break
    case OP_REDUCE16:
      kernel_reduce16(record)
      break
    case OP_MATMUL16:
      kernel_matmul16(record)
      break
    case OP_SOFTMAX16:
      kernel_softmax16(record)
      break
    case OP_RESIZE16:
      kernel_resize16(record)
      break
    case OP_SOFTMAX8_16:
      kernel_softmax8_16(record)
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

/**
 * Loads before a waiting thread blocks, about 0.1 ms: longer than neighbouring threads usually differ. To wake one that
 * blocks costs both of them tens of microseconds; one that looks longer only keeps a busy machine from its other work.
 */
const SPINS = 100000
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
 * Runs the slices that follow `slice`, one after the other: whole tables, or output rows [y0, y1) of their records.
 * Only in modules whose linker made both copies instructions that read the module's own segment (memory.init).
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
