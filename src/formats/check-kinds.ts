/** What is known of the records that the core modules' kernels do not have; loaded for programs of others. */
import {
  OP_ARG_MAX,
  OP_ARITHMETIC,
  OP_COMPARE,
  OP_CONV16,
  OP_CONVERT,
  OP_CONV_FIXED,
  OP_GATHER_ND,
  OP_L2_NORMALIZATION,
  OP_LOG_SOFTMAX,
  OP_LSTM,
  OP_MATMUL,
  OP_MATMUL16,
  OP_PAIRS16,
  OP_POOL16,
  OP_REDUCE,
  OP_REDUCE16,
  OP_RESIZE16,
  OP_SOFTMAX8_16,
  OP_SELECT,
  OP_SOFTMAX16,
  OP_SVDF,
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
  OP_FLOAT_TABLE,
  OP_FLOAT_UNARY,
  OP_POWER,
  OP_TOP_K,
  OP_TRANSPOSE_CONV,
  OP_UNARY16,
  OP_POLYPHASE,
} from '../generated/layout.ts'
import {
  AT_ONCE,
  CORE_KINDS,
  FEWER_PRODUCTS,
  normalization,
  ROWS,
  rowReach,
  times,
  volume,
  type Kind,
  type Kinds,
} from './check-program.ts'

/** Of every record that a stored program may have. */
export const ALL_KINDS: Kinds = new Map<number, Kind>([
  ...CORE_KINDS,
  [OP_POLYPHASE, FEWER_PRODUCTS],
  [
    OP_ARG_MAX,
    {
      record: 'ArgMaxRecord',
      writes: ['output'],
      reach: (f) => [f.outer! * f.inner! * f.outBytes!],
      work: (f) => times(f.outer, f.depth, f.inner),
    },
  ],
  [
    OP_ARITHMETIC,
    {
      record: 'ArithmeticRecord',
      writes: ['output'],
      reach: (f) => [4 * volume(f)],
      work: volume,
    },
  ],
  [
    OP_GATHER_ND,
    {
      record: 'GatherNdRecord',
      writes: ['output'],
      most: { depth: 4 },
      reach: (f) => [f.count! * f.bytes!],
      work: (f) => times(f.count, f.depth! + f.bytes!),
    },
  ],
  [
    OP_TRANSPOSE_CONV,
    {
      record: 'TransposeConvRecord',
      writes: ['output', 'scratch'],
      reach: (f) => [4 * times(f.outH, f.outW, f.outC)],
      work: (f) => times(f.inH, f.inW, f.inC, f.kh, f.kw, f.outC) + times(f.outH, f.outW, f.outC),
    },
  ],
  [
    OP_REDUCE,
    {
      record: 'ReduceRecord',
      writes: ['output'],
      reach: (f) => [4 * times(f.k0, f.k1, f.k2, f.k3)],
      work: (f) => times(8, f.k0, f.k1, f.k2, f.k3, f.r0, f.r1, f.r2, f.r3),
    },
  ],
  [
    OP_MATMUL,
    {
      record: 'MatmulRecord',
      writes: ['output', 'scratch'],
      reach: (f) => [times(f.d0, f.d1, f.d2, f.m, f.columns), 128 + 8 * f.inner! + f.m! * f.inner!],
      work: (f) => times(f.d0, f.d1, f.d2) * (times(f.m, f.columns, f.inner) + (f.m! + f.columns!) * f.inner!),
    },
  ],
  [OP_L2_NORMALIZATION, normalization('L2NormalizationRecord')],
  [OP_LOG_SOFTMAX, normalization('LogSoftmaxRecord')],
  [
    OP_LSTM,
    {
      record: 'LstmRecord',
      writes: ['output', 'hidden', 'cell', 'scratch'],
      state: ['hidden', 'cell'],
      reach: (f) => [
        f.batch! * f.outputBatchStride! + f.steps! * f.outputStride! + f.outputs!,
        2 * f.batch! * (f.cells! + f.outputs!) + f.cells!,
        9 * f.cells!,
      ],
      work: (f) => times(f.batch, f.steps, f.cells, 4 * (f.inputs! + f.outputs! + AT_ONCE) + f.outputs!),
    },
  ],
  [
    OP_SVDF,
    {
      record: 'SvdfRecord',
      writes: ['output', 'state'],
      state: ['state'],
      steps: ['rank', 'filters', 'depth'],
      reach: (f) => [2 * times(f.batch, f.filters, f.depth), times(f.batch, f.filters)],
      work: (f) => times(f.batch, f.filters, f.inputs! + f.depth! + AT_ONCE),
    },
  ],
  [
    OP_CONV_FIXED,
    {
      record: 'ConvFixedRecord',
      writes: ['output'],
      steps: ['groupIn', 'groupOut'],
      reach: (f) => [times(f.outH, f.outW, f.outC)],
      work: (f) => times(f.outH, f.outW, f.outC, f.kh, f.kw, f.groupIn),
    },
  ],
  [
    OP_COMPARE,
    {
      record: 'CompareRecord',
      writes: ['output'],
      reach: (f) => [volume(f)],
      work: volume,
    },
  ],
  [
    OP_SELECT,
    {
      record: 'SelectRecord',
      writes: ['output'],
      reach: (f) => [volume(f) * f.bytes!],
      work: (f) => times(volume(f), f.bytes),
    },
  ],
  [
    OP_CONVERT,
    {
      record: 'ConvertRecord',
      writes: ['output'],
      reach: (f) => [8 * f.count!],
      work: (f) => times(f.count),
    },
  ],
  [
    OP_POWER,
    {
      record: 'PowerRecord',
      writes: ['output'],
      reach: (f) => [4 * volume(f)],
      work: volume,
    },
  ],
  [
    OP_FLOAT_LOG_SOFTMAX,
    {
      record: 'FloatLogSoftmaxRecord',
      writes: ['output'],
      reach: (f) => [4 * f.rows! * f.depth!],
      work: (f) => 8 * times(f.rows, f.depth),
    },
  ],
  [
    OP_FLOAT_ROWS,
    {
      record: 'FloatRowsRecord',
      writes: ['output'],
      reach: (f) => [4 * f.rows! * f.depth!],
      work: (f) => 16 * times(f.rows, f.depth),
    },
  ],
  [
    OP_FLOAT_SUM,
    {
      record: 'FloatSumRecord',
      writes: ['output'],
      steps: ['k1', 'r1'],
      reach: (f) => [4 * times(f.k0, f.k1, f.k2, f.k3)],
      work: (f) => times(f.k0, f.k1, f.k2, f.k3, f.r0, f.r1, f.r2, f.r3! + AT_ONCE),
    },
  ],
  [
    OP_FLOAT_POOL,
    {
      record: 'FloatPoolRecord',
      writes: ['output'],
      reach: (f) => [4 * times(f.rows, f.outW, f.channels)],
      work: (f) => 4 * times(f.rows, f.outW, f.channels, f.filterH, f.filterW),
    },
  ],
  [
    OP_FLOAT_RESIZE,
    {
      record: 'ResizeBilinearRecord',
      ...ROWS,
      reach: (f) => [...rowReach(f), 4 * f.outW! * f.channels!],
      work: (f) => times(f.rows, f.outW, f.channels),
    },
  ],
  [
    OP_FLOAT_CONV,
    {
      record: 'FloatConvRecord',
      writes: ['output'],
      steps: ['groupOut', 'strideH', 'strideW', 'kh', 'kw'],
      reach: (f) => [4 * times(f.rows, f.outW, f.outC)],
      work: (f) => 8 * times(f.rows, f.outW, f.outC, f.kh, f.kw, f.groupIn),
    },
  ],
  [
    OP_FLOAT_MATMUL,
    {
      record: 'FloatMatmulRecord',
      writes: ['output'],
      steps: ['d1', 'd2'],
      reach: (f) => [4 * times(f.d0, f.d1, f.d2, f.m, f.columns)],
      work: (f) => 8 * times(f.d0, f.d1, f.d2, f.m, f.columns, f.inner),
    },
  ],
  [
    OP_ARG_MAX32,
    {
      record: 'ArgMax32Record',
      writes: ['output'],
      reach: (f) => [f.outer! * f.inner! * f.outBytes!],
      work: (f) => times(f.outer, f.depth, f.inner),
    },
  ],
  [
    OP_CUMULATE,
    {
      record: 'CumulateRecord',
      writes: ['output'],
      reach: (f) => [8 * times(f.outer, f.depth, f.inner)],
      work: (f) => 2 * times(f.outer, f.depth, f.inner),
    },
  ],
  [
    OP_SCATTER,
    {
      record: 'ScatterRecord',
      writes: ['output'],
      most: { depth: 4 },
      reach: (f) => [f.outputBytes!, f.count! * f.bytes!],
      work: (f) => times(f.count, f.depth! + f.bytes!) + f.outputBytes!,
    },
  ],
  [
    OP_FLOAT_TABLE,
    { record: 'FloatTableRecord', writes: ['output'], reach: (f) => [4 * f.count!], work: (f) => times(f.count) },
  ],
  [
    OP_FLOAT_UNARY,
    { record: 'FloatUnaryRecord', writes: ['output'], reach: (f) => [4 * f.count!], work: (f) => 8 * times(f.count) },
  ],
  [
    OP_TOP_K,
    {
      record: 'TopKRecord',
      writes: ['values', 'indices'],
      reach: (f) => [times(f.outer, f.k, Math.max(4, f.bytes!))],
      work: (f) => times(f.outer, f.k, f.depth! + f.bytes!),
    },
  ],
  [
    OP_CONV16,
    {
      record: 'Conv16Record',
      writes: ['output', 'scratch'],
      steps: ['groupOut'],
      reach: (f) => [
        2 * times(f.rows, f.outW, f.outC! + f.groupOut!),
        64 + 4 * (f.patch! + 1),
        64 + 4 * times(f.kh, f.kw, f.groupIn),
      ],
      work: (f) =>
        times(f.rows, f.outW) *
        (f.channelwise
          ? times(f.outC, f.kh, f.kw)
          : times(f.outC, 4 + f.patch! / 4) + times(1 + f.outC! / f.groupOut!, 1 + f.kh! * f.kw!, f.groupIn)),
    },
  ],
  [
    OP_PAIRS16,
    {
      record: 'Pairs16Record',
      writes: ['output'],
      reach: (f) => [2 * times(f.d0, f.d1, f.d2, f.d3)],
      work: (f) => times(f.d0, f.d1, f.d2, f.d3),
    },
  ],
  [
    OP_UNARY16,
    { record: 'Unary16Record', writes: ['output'], reach: (f) => [4 * f.count!], work: (f) => times(f.count) },
  ],
  [
    OP_POOL16,
    {
      record: 'Pool16Record',
      writes: ['output'],
      reach: (f) => [2 * times(f.rows, f.outW, f.channels)],
      work: (f) => times(f.rows, f.outW, f.channels, f.filterH, f.filterW),
    },
  ],
  [
    OP_REDUCE16,
    {
      record: 'Reduce16Record',
      writes: ['output'],
      reach: (f) => [2 * times(f.k0, f.k1, f.k2, f.k3)],
      work: (f) => times(f.k0, f.k1, f.k2, f.k3, f.r0, f.r1, f.r2, f.r3),
    },
  ],
  [
    OP_MATMUL16,
    {
      record: 'Matmul16Record',
      writes: ['output'],
      reach: (f) => [2 * times(f.d0, f.d1, f.d2, f.m, f.columns)],
      work: (f) => times(f.d0, f.d1, f.d2, f.m, f.columns, f.inner),
    },
  ],
  [
    OP_SOFTMAX16,
    {
      record: 'Softmax16Record',
      writes: ['output'],
      reach: (f) => [2 * times(f.rows, f.depth)],
      work: (f) => times(f.rows, f.depth),
    },
  ],
  [
    OP_SOFTMAX8_16,
    {
      record: 'SoftmaxRecord',
      writes: ['output'],
      reach: (f) => [2 * times(f.rows, f.depth)],
      work: (f) => 2 * times(f.rows, f.depth),
    },
  ],
  [
    OP_RESIZE16,
    {
      record: 'Resize16Record',
      writes: ['output'],
      reach: (f) => [2 * times(f.rows, f.outW, f.channels)],
      work: (f) => times(f.rows, f.outW, f.channels),
    },
  ],
])
