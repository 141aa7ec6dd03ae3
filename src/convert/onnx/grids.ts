/** Float constants of a QDQ model back onto the grids that they came from, or onto new ones. */
import { elements, type Op, type Tensor } from '../../graph/graph.ts'
import { littleEndian } from '../../base/words.ts'
import { floatsOf } from '../values.ts'
import type { Grid } from './values.ts'

/** Integer values on the grid, or undefined when one is not on it (the constant was changed by folding). */
function onGrid(values: Float32Array, shape: readonly number[], grid: Grid): Int32Array | undefined {
  const inner = elements(shape.slice(grid.axis + 1))
  const out = new Int32Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const c = grid.scales.length === 1 ? 0 : Math.floor(i / inner) % grid.scales.length
    const q = values[i]! / grid.scales[c]!
    const r = Math.round(q)
    if (Math.abs(q - r) > 1e-3 * Math.max(1, Math.abs(q) * 1e-3)) return undefined
    out[i] = r + grid.zeroPoints[c]!
  }
  return out
}

/** An operand of ADD, MUL and the like: per tensor. */
export function quantizeConstant(t: Tensor, grid: Grid | undefined, dtype: 'int8' | 'uint8'): Tensor {
  const values = floatsOf(t)
  const low = dtype === 'int8' ? -128 : 0
  const stated = grid && grid.scales.length === 1 && grid.dtype !== 'int32' ? onGrid(values, t.shape, grid) : undefined
  if (stated) {
    const shift = (grid!.dtype === 'uint8' ? 0 : 128) + low
    const q = stated.map((v) => v + shift)
    return {
      name: t.name,
      shape: t.shape,
      dtype,
      quantization: { scales: grid!.scales, zeroPoints: Int32Array.of(grid!.zeroPoints[0]! + shift), axis: 0 },
      data: littleEndian(dtype === 'int8' ? Int8Array.from(q) : Uint8Array.from(q)),
    }
  }
  let lo = 0
  let hi = 0
  for (const v of values) {
    lo = Math.min(lo, v)
    hi = Math.max(hi, v)
  }
  const scale = Math.fround(Math.max(hi - lo, 1e-6) / 255)
  const zero = Math.max(0, Math.min(255, Math.round(-lo / scale))) + low
  const q = Array.from(values, (v) => Math.max(low, Math.min(low + 255, Math.round(v / scale) + zero)))
  return {
    name: t.name,
    shape: t.shape,
    dtype,
    quantization: { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zero), axis: 0 },
    data: littleEndian(dtype === 'int8' ? Int8Array.from(q) : Uint8Array.from(q)),
  }
}

/** Symmetric int8, one scale per output channel. */
function freshGrid(values: Float32Array, shape: readonly number[], axis: number): Grid {
  const channels = shape[axis]!
  const inner = elements(shape.slice(axis + 1))
  const scales = new Float32Array(channels)
  values.forEach((v, i) => {
    const c = Math.floor(i / inner) % channels
    scales[c] = Math.max(scales[c]!, Math.abs(v))
  })
  return { scales: scales.map((m) => (m > 0 ? m / 127 : 1)), zeroPoints: new Int32Array(channels), axis, dtype: 'int8' }
}

/**
 * Filter and bias of a linear op; the bias is int32 at inputScale * filterScale. Unsigned: TFLite's uint8 scheme, per
 * tensor.
 */
export function quantizeFilter(
  op: Op,
  filter: Tensor,
  bias: Tensor | undefined,
  { inputScale, stated, unsigned }: { inputScale: number; stated: Grid | undefined; unsigned: boolean },
): { filter: Tensor; bias: Tensor } {
  const values = floatsOf(filter)
  const axis = op.type === 'DEPTHWISE_CONV_2D' ? 3 : 0
  let grid = stated
  const usable = grid && grid.dtype !== 'int32' && (grid.scales.length === 1 || (grid.axis === axis && !unsigned))
  let q = usable ? onGrid(values, filter.shape, grid!) : undefined
  if (!q) {
    grid = freshGrid(values, filter.shape, axis)
    if (unsigned) {
      grid = {
        scales: Float32Array.of(grid.scales.reduce((a, b) => Math.max(a, b))),
        zeroPoints: new Int32Array(1),
        axis: 0,
        dtype: 'int8',
      }
    }
    const inner = elements(filter.shape.slice(axis + 1))
    q = new Int32Array(values.length)
    for (let i = 0; i < q.length; i++) {
      q[i] = Math.max(
        -127,
        Math.min(127, Math.round(values[i]! / grid.scales[unsigned ? 0 : Math.floor(i / inner) % grid.scales.length]!)),
      )
    }
  }
  // int8 stores uint8 weights with zero point 128 as they are, shifted; the uint8 scheme shifts the other way.
  const shift = unsigned ? (grid!.dtype === 'uint8' ? 0 : 128) : grid!.dtype === 'uint8' ? -128 : 0
  const stored = q.map((v) => v + shift)
  const channels = filter.shape[axis]!
  const scales = grid!.scales
  const b = bias ? floatsOf(bias) : new Float32Array(channels)
  const biasScales = scales.map((s) => Math.fround(inputScale * s))
  const biasValues = Int32Array.from({ length: channels }, (_, c) =>
    Math.max(
      -(2 ** 31),
      Math.min(2 ** 31 - 1, Math.round(b[c]! / (inputScale * scales[scales.length === 1 ? 0 : c]!))),
    ),
  )
  return {
    filter: {
      name: filter.name,
      shape: filter.shape,
      dtype: unsigned ? 'uint8' : 'int8',
      quantization: { scales, zeroPoints: grid!.zeroPoints.map((z) => z + shift), axis: scales.length > 1 ? axis : 0 },
      data: littleEndian(unsigned ? new Uint8Array(stored) : new Int8Array(stored)),
    },
    bias: {
      name: bias?.name ?? `${filter.name}/bias`,
      shape: [channels],
      dtype: 'int32',
      quantization: { scales: biasScales, zeroPoints: new Int32Array(biasScales.length), axis: 0 },
      data: littleEndian(biasValues),
    },
  }
}
