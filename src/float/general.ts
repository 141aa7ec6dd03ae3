/** Float ops that are less usual: elementwise functions, extremes, normalizations, and data movement by index. */
import { rne } from '../arithmetic/numerics.ts'
import { eachElement, placeIn, stridesOf, type Place } from '../graph/elements.ts'
import { elements, type Graph, type Op, type OpType } from '../graph/graph.ts'
import type { Values } from './values.ts'

const SQRT_2_PI = Math.sqrt(2 / Math.PI)

/**
 * The error function to 1.2e-7. Source: Abramowitz and Stegun 7.1.26's successor, W. J. Cody's erfc as a Chebyshev fit.
 */
function erf(x: number): number {
  const z = Math.abs(x)
  const t = 1 / (1 + 0.5 * z)
  const poly =
    -1.26551223 +
    t *
      (1.00002368 +
        t *
          (0.37409196 +
            t *
              (0.09678418 +
                t *
                  (-0.18628806 +
                    t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))))
  const r = 1 - t * Math.exp(-z * z + poly)
  return x >= 0 ? r : -r
}

/** The function of an elementwise op of one input; undefined for other ops. */
export function elementwise(op: Op): ((v: number) => number) | undefined {
  switch (op.type) {
    case 'ABS':
      return Math.abs
    case 'NEG':
      return (v) => -v
    case 'EXP':
      return Math.exp
    case 'LOG':
      return Math.log
    case 'SQRT':
      return Math.sqrt
    case 'RSQRT':
      return (v) => 1 / Math.sqrt(v)
    case 'SQUARE':
      return (v) => v * v
    case 'SIN':
      return Math.sin
    case 'COS':
      return Math.cos
    case 'FLOOR':
      return Math.floor
    case 'CEIL':
      return Math.ceil
    case 'ROUND':
      return rne
    case 'SIGN':
      return Math.sign
    case 'RELU_0_TO_1':
      return (v) => Math.min(1, Math.max(0, v))
    case 'ELU':
      return (v) => (v < 0 ? Math.expm1(v) : v)
    case 'GELU':
      return op.attrs.approximate
        ? (v) => 0.5 * v * (1 + Math.tanh(SQRT_2_PI * (v + 0.044715 * v ** 3)))
        : (v) => 0.5 * v * (1 + erf(v / Math.SQRT2))
    default:
      return undefined
  }
}

const PAIRS: Partial<Record<OpType, (a: number, b: number) => number>> = {
  MAXIMUM: Math.max,
  MINIMUM: Math.min,
  SQUARED_DIFFERENCE: (a, b) => (a - b) ** 2,
  POW: (a, b) => a ** b,
  FLOOR_DIV: (a, b) => Math.floor(a / b),
  FLOOR_MOD: (a, b) => a - Math.floor(a / b) * b,
  PRELU: (a, b) => (a < 0 ? a * b : a),
  EQUAL: (a, b) => Number(a === b),
  NOT_EQUAL: (a, b) => Number(a !== b),
  LESS: (a, b) => Number(a < b),
  LESS_EQUAL: (a, b) => Number(a <= b),
  GREATER: (a, b) => Number(a > b),
  GREATER_EQUAL: (a, b) => Number(a >= b),
  LOGICAL_AND: (a, b) => Number(a !== 0 && b !== 0),
  LOGICAL_OR: (a, b) => Number(a !== 0 || b !== 0),
}

const EXTREMES: Partial<Record<OpType, readonly [start: number, (a: number, b: number) => number]>> = {
  REDUCE_MAX: [-Infinity, Math.max],
  REDUCE_MIN: [Infinity, Math.min],
  REDUCE_PROD: [1, (a, b) => a * b],
}

/** What an op sees of itself. */
interface Site {
  graph: Graph
  op: Op
  /** Values and shape of an input. */
  x(i: number): Float32Array
  shape(i: number): readonly number[]
  /** Of the first output. */
  out: readonly number[]
  attrs: Record<string, never>
}

/** Elements of input 0 by where each output element comes from; NaN: `fill`. */
function moved(s: Site, from: Place, fill = 0, input = 0): Float32Array {
  const x = s.x(input)
  const out = new Float32Array(elements(s.out))
  eachElement(s.out, (at, flat) => {
    const i = from(at)
    out[flat] = i >= 0 ? x[i]! : fill
  })
  return out
}

const whole = (s: Site, i: number): number[] => [...s.x(i)]
const axisIn = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

function padFrom(s: Site, mode?: 'REFLECT' | 'SYMMETRIC'): Place {
  const shape = s.shape(0)
  const pads = whole(s, 1)
  const own = stridesOf(shape)
  const border = mode === 'SYMMETRIC' ? 1 : 0
  return (at) => {
    let place = 0
    for (let d = 0; d < at.length; d++) {
      let v = at[d]! - pads[2 * d]!
      if (mode) {
        if (v < 0) v = -v - border
        if (v >= shape[d]!) v = 2 * shape[d]! - 2 - v + border
      } else if (v < 0 || v >= shape[d]!) return -1
      place += v * own[d]!
    }
    return place
  }
}

function gather(s: Site): Float32Array {
  const { axis: a, batchDims } = s.attrs as unknown as { axis: number; batchDims: number }
  const [shape, indexShape] = [s.shape(0), s.shape(1)]
  const axis = axisIn(a, shape.length)
  const batch = axisIn(batchDims, indexShape.length + 1)
  const indices = s.x(1)
  const [own, places] = [stridesOf(shape), stridesOf(indexShape)]
  const inner = indexShape.length - batch
  return moved(s, (at) => {
    const which = [...at.slice(0, batch), ...at.slice(axis, axis + inner)]
    const index = indices[which.reduce((sum, v, d) => sum + v * places[d]!, 0)]!
    const place = [...at.slice(0, axis), index, ...at.slice(axis + inner)]
    return place.reduce((sum, v, d) => sum + v * own[d]!, 0)
  })
}

function matmul(s: Site): Float32Array {
  const { adjX, adjY } = s.attrs as unknown as { adjX: boolean; adjY: boolean }
  const [a, b] = [s.x(0), s.x(1)]
  const [sa, sb] = [s.shape(0), s.shape(1)]
  const rank = s.out.length
  const K = sa.at(adjX ? -2 : -1)!
  const [M, N] = [s.out[rank - 2]!, s.out[rank - 1]!]
  const batch = s.out.slice(0, -2)
  const [pa, pb] = [sa, sb].map((shape) => placeIn([...shape.slice(0, -2)], batch.length)) as [Place, Place]
  const out = new Float32Array(elements(s.out))
  const [am, ak] = adjX ? [1, M] : [K, 1]
  const [bk, bn] = adjY ? [1, K] : [N, 1]
  eachElement(batch, (at, n) => {
    const [fromA, fromB] = [pa(at) * M * K, pb(at) * K * N]
    for (let i = 0; i < M; i++) {
      for (let j = 0; j < N; j++) {
        let sum = 0
        for (let k = 0; k < K; k++) sum += a[fromA + i * am + k * ak]! * b[fromB + k * bk + j * bn]!
        out[(n * M + i) * N + j] = sum
      }
    }
  })
  return out
}

/** Over the last dimension. */
function rowwise(s: Site, row: (x: Float32Array, out: Float32Array) => void): Float32Array {
  const x = s.x(0)
  const depth = s.shape(0).at(-1)!
  const out = new Float32Array(x.length)
  for (let i = 0; i < x.length; i += depth) row(x.subarray(i, i + depth), out.subarray(i, i + depth))
  return out
}

const RULES: Partial<Record<OpType, (s: Site) => Float32Array | Float32Array[]>> = {
  LOGICAL_NOT: (s) => s.x(0).map((v) => Number(v === 0)),
  ZEROS_LIKE: (s) => new Float32Array(elements(s.out)),
  LOG_SOFTMAX: (s) =>
    rowwise(s, (x, out) => {
      const max = x.reduce((a, b) => Math.max(a, b), -Infinity)
      const sum = x.reduce((a, b) => a + Math.exp(b - max), 0)
      x.forEach((v, i) => (out[i] = v - max - Math.log(sum)))
    }),
  L2_NORMALIZATION: (s) =>
    rowwise(s, (x, out) => {
      const length = Math.sqrt(
        Math.max(
          1e-6,
          x.reduce((a, b) => a + b * b, 0),
        ),
      )
      x.forEach((v, i) => (out[i] = v / length))
    }),
  ARG_MIN: (s) => {
    const shape = s.shape(0)
    const axis = axisIn(s.x(1)[0]!, shape.length)
    const inner = elements(shape.slice(axis + 1))
    const n = shape[axis]!
    const x = s.x(0)
    const out = new Float32Array(x.length / n)
    for (let i = 0; i < out.length; i++) {
      const base = Math.floor(i / inner) * n * inner + (i % inner)
      for (let k = 1; k < n; k++) if (x[base + k * inner]! < x[base + out[i]! * inner]!) out[i] = k
    }
    return out
  },
  SELECT_V2: (s) => {
    const place = (i: number): Place => placeIn(s.shape(i), s.out.length)
    const [c, a, b] = [place(0), place(1), place(2)]
    const [vc, va, vb] = [s.x(0), s.x(1), s.x(2)]
    const out = new Float32Array(elements(s.out))
    eachElement(s.out, (at, i) => (out[i] = vc[c(at)]! !== 0 ? va[a(at)]! : vb[b(at)]!))
    return out
  },
  TILE: (s) => {
    const shape = s.shape(0)
    const own = stridesOf(shape)
    return moved(s, (at) => at.reduce((sum, v, d) => sum + (v % shape[d]!) * own[d]!, 0))
  },
  BROADCAST_TO: (s) => moved(s, placeIn(s.shape(0), s.out.length)),
  GATHER: gather,
  BATCH_MATMUL: matmul,
  REVERSE_V2: (s) => {
    const shape = s.shape(0)
    const axes = new Set(whole(s, 1).map((a) => axisIn(a, shape.length)))
    const own = stridesOf(shape)
    return moved(s, (at) => at.reduce((sum, v, d) => sum + (axes.has(d) ? shape[d]! - 1 - v : v) * own[d]!, 0))
  },
  PADV2: (s) => moved(s, padFrom(s), s.x(2)[0]),
  MIRROR_PAD: (s) => moved(s, padFrom(s, (s.attrs as unknown as { mode: 'REFLECT' | 'SYMMETRIC' }).mode)),
  SPLIT_V: (s) => {
    const shape = s.shape(0)
    const axis = axisIn(s.x(2)[0]!, shape.length)
    const own = stridesOf(shape)
    let first = 0
    return s.op.outputs.map((t) => {
      const out = s.graph.tensors[t]!.shape
      const begin = first
      first += out[axis]!
      return moved({ ...s, out }, (at) => at.reduce((sum, v, d) => sum + (d === axis ? v + begin : v) * own[d]!, 0))
    })
  },
  SPACE_TO_DEPTH: (s) => {
    const b = (s.attrs as unknown as { blockSize: number }).blockSize
    const [, H, W, C] = s.shape(0) as [number, number, number, number]
    return moved(s, ([n, y, x, c]) => {
      const [block, channel] = [Math.floor(c! / C), c! % C]
      return ((n! * H + y! * b + Math.floor(block / b)) * W + x! * b + (block % b)) * C + channel
    })
  },
  DEPTH_TO_SPACE: (s) => {
    const b = (s.attrs as unknown as { blockSize: number }).blockSize
    const [, H, W, C] = s.shape(0) as [number, number, number, number]
    const depth = C / (b * b)
    return moved(s, ([n, y, x, c]) => {
      const block = (y! % b) * b + (x! % b)
      return ((n! * H + Math.floor(y! / b)) * W + Math.floor(x! / b)) * C + block * depth + c!
    })
  },
}

/** Whether `runGeneralOp` knows the op. */
export const isGeneralOp = (op: Op): boolean =>
  Object.hasOwn(RULES, op.type) ||
  Object.hasOwn(PAIRS, op.type) ||
  Object.hasOwn(EXTREMES, op.type) ||
  elementwise(op) !== undefined

/** Requires: `isGeneralOp`. */
export function runGeneralOp(graph: Graph, op: Op, values: Values): Float32Array[] {
  const s: Site = {
    graph,
    op,
    x: (i) => values(op.inputs[i]!),
    shape: (i) => graph.tensors[op.inputs[i]!]!.shape,
    out: graph.tensors[op.outputs[0]!]!.shape,
    attrs: op.attrs as Record<string, never>,
  }
  const f = elementwise(op)
  if (f) return [s.x(0).map(f)]
  const pair = PAIRS[op.type]
  if (pair) {
    const [a, b] = [s.x(0), s.x(1)]
    const [pa, pb] = [placeIn(s.shape(0), s.out.length), placeIn(s.shape(1), s.out.length)]
    const out = new Float32Array(elements(s.out))
    eachElement(s.out, (at, i) => (out[i] = pair(a[pa(at)]!, b[pb(at)]!)))
    return [out]
  }
  const extreme = EXTREMES[op.type]
  if (extreme) {
    const shape = s.shape(0)
    const axes = new Set(whole(s, 1).map((a) => axisIn(a, shape.length)))
    const kept = shape.map((d, i) => (axes.has(i) ? 1 : d))
    const place = placeIn(kept, shape.length)
    const x = s.x(0)
    const out = new Float32Array(elements(kept)).fill(extreme[0])
    eachElement(shape, (at, i) => {
      const to = place(at)
      out[to] = extreme[1](out[to]!, x[i]!)
    })
    return [out]
  }
  const made = RULES[op.type]!(s)
  return Array.isArray(made) ? made : [made]
}
