/**
 * Plain-loop reference of the operators, straight from the arithmetic: no SIMD, no packing, no bands, raw int8/uint8
 * values. It is held to LiteRT's recorded answers by oracle.test.ts, and the kernels are held to it.
 */
import { elements, type Activation, type Graph, type Op, type Tensor } from '../src/graph/graph.ts'

const f32 = Math.fround
const rne = (x: number): number => {
  const low = Math.floor(x)
  const rest = x - low
  return rest < 0.5 ? low : rest > 0.5 ? low + 1 : low % 2 === 0 ? low : low + 1
}
const clamp = (x: number, a: number, b: number): number => (x < a ? a : x > b ? b : x)

interface Q {
  s: number
  z: number
  lo: number
  hi: number
}
const q = (t: Tensor): Q => ({
  s: t.quantization!.scales[0]!,
  z: t.quantization!.zeroPoints[0]!,
  lo: t.dtype === 'uint8' ? 0 : -128,
  hi: t.dtype === 'uint8' ? 255 : 127,
})

function bounds(activation: Activation, o: Q): [number, number] {
  const b = (v: number): number => rne(clamp(f32(f32(v / o.s) + o.z), o.lo, o.hi))
  switch (activation) {
    case 'RELU':
      return [b(0), o.hi]
    case 'RELU6':
      return [b(0), b(6)]
    case 'RELU_N1_TO_1':
      return [b(-1), b(1)]
    default:
      return [o.lo, o.hi]
  }
}

interface Along {
  size: number
  k: number
  stride: number
  dilation: number
  out: number
}

/** Pixels of padding before the first one. */
function pads(padding: string, { size, k, stride, dilation, out }: Along): number {
  return padding === 'SAME' ? Math.max((out - 1) * stride + (k - 1) * dilation + 1 - size, 0) >> 1 : 0
}

/** Constant bytes of a tensor as numbers in its own domain. */
function numbers(t: Tensor): ArrayLike<number> {
  const d = t.data!
  const copy = new Uint8Array(d).buffer
  return t.dtype === 'uint8' ? d : t.dtype === 'int8' ? new Int8Array(copy) : new Int32Array(copy)
}

type Values = Map<number, ArrayLike<number>>

/** Output of the convolutions: `channel(oc)` gives the first input channel and how many. */
function convolution(g: Graph, op: Op, v: Values, depthwise: boolean): Int32Array {
  const a = op.attrs as {
    padding: string
    strideH: number
    strideW: number
    dilationH: number
    dilationW: number
    activation: Activation
  }
  const xt = g.tensors[op.inputs[0]!]!
  const wt = g.tensors[op.inputs[1]!]!
  const ot = g.tensors[op.outputs[0]!]!
  const [n, h, w, c] = xt.shape as [number, number, number, number]
  const [, oh, ow, oc] = ot.shape as [number, number, number, number]
  const x = v.get(op.inputs[0]!)!
  const f = numbers(wt)
  const bias = numbers(g.tensors[op.inputs[2]!]!)
  const xq = q(xt)
  const oq = q(ot)
  const wz = wt.dtype === 'uint8' ? wt.quantization!.zeroPoints[0]! : 0
  const [kh, kw] = [wt.shape[1]!, wt.shape[2]!]
  const ci = depthwise ? 1 : wt.shape[3]!
  const og = depthwise ? oc / c : oc / (c / ci)
  const pt = pads(a.padding, { size: h, k: kh, stride: a.strideH, dilation: a.dilationH, out: oh })
  const pl = pads(a.padding, { size: w, k: kw, stride: a.strideW, dilation: a.dilationW, out: ow })
  const [lo, hi] = bounds(a.activation, oq)
  const scales = wt.quantization!.scales
  const out = new Int32Array(elements(ot.shape))
  let at = 0
  for (let b = 0; b < n; b++) {
    for (let y = 0; y < oh; y++) {
      for (let xo = 0; xo < ow; xo++) {
        for (let o = 0; o < oc; o++) {
          let acc = bias[o]!
          for (let ky = 0; ky < kh; ky++) {
            for (let kx = 0; kx < kw; kx++) {
              const iy = y * a.strideH - pt + ky * a.dilationH
              const ix = xo * a.strideW - pl + kx * a.dilationW
              if (iy < 0 || iy >= h || ix < 0 || ix >= w) continue
              for (let i = 0; i < ci; i++) {
                const channel = depthwise ? Math.floor(o / og) : Math.floor(o / og) * ci + i
                const weight = depthwise ? f[(ky * kw + kx) * oc + o]! : f[((o * kh + ky) * kw + kx) * ci + i]!
                acc += (x[((b * h + iy) * w + ix) * c + channel]! - xq.z) * (weight - wz)
              }
            }
          }
          const scale = f32(f32(xq.s * scales[scales.length === 1 ? 0 : o]!) / oq.s)
          out[at++] = clamp(rne(f32(f32(acc | 0) * scale)) + oq.z, lo, hi)
        }
      }
    }
  }
  return out
}

function fullyConnected(g: Graph, op: Op, v: Values): Int32Array {
  const xt = g.tensors[op.inputs[0]!]!
  const wt = g.tensors[op.inputs[1]!]!
  const ot = g.tensors[op.outputs[0]!]!
  const x = v.get(op.inputs[0]!)!
  const f = numbers(wt)
  const bias = op.inputs[2]! >= 0 ? numbers(g.tensors[op.inputs[2]!]!) : undefined
  const [o, k] = wt.shape as [number, number]
  const rows = elements(xt.shape) / k
  const xq = q(xt)
  const oq = q(ot)
  const wz = wt.dtype === 'uint8' ? wt.quantization!.zeroPoints[0]! : 0
  const scales = wt.quantization!.scales
  const [lo, hi] = bounds((op.attrs as { activation: Activation }).activation, oq)
  const out = new Int32Array(rows * o)
  for (let r = 0; r < rows; r++) {
    for (let n = 0; n < o; n++) {
      let acc = bias?.[n] ?? 0
      for (let i = 0; i < k; i++) acc += (x[r * k + i]! - xq.z) * (f[n * k + i]! - wz)
      out[r * o + n] = clamp(
        rne(f32(f32(acc | 0) * f32(f32(xq.s * scales[scales.length === 1 ? 0 : n]!) / oq.s))) + oq.z,
        lo,
        hi,
      )
    }
  }
  return out
}

function binary(g: Graph, op: Op, v: Values): Int32Array {
  const at = g.tensors[op.inputs[0]!]!
  const bt = g.tensors[op.inputs[1]!]!
  const ot = g.tensors[op.outputs[0]!]!
  const a = v.get(op.inputs[0]!)!
  const b = v.get(op.inputs[1]!)!
  const aq = q(at)
  const bq = q(bt)
  const oq = q(ot)
  const [lo, hi] = bounds((op.attrs as { activation: Activation }).activation, oq)
  const index = (t: Tensor, i: number): number => {
    let rest = i
    let stride = 1
    let out = 0
    for (let d = ot.shape.length - 1; d >= 0; d--) {
      const coordinate = rest % ot.shape[d]!
      rest = Math.floor(rest / ot.shape[d]!)
      const size = t.shape[d - (ot.shape.length - t.shape.length)] ?? 1
      if (size !== 1) out += coordinate * stride
      stride *= size
    }
    return out
  }
  const ra = f32(aq.s / oq.s)
  const rb = f32(bq.s / oq.s)
  const shift = 20 - Math.floor(Math.log2(Math.max(ra, rb)))
  const ma = rne(ra * 2 ** shift)
  const mb = rne(rb * 2 ** shift) * (op.type === 'SUB' ? -1 : 1)
  const scale = f32(f32(aq.s * bq.s) / oq.s)
  return Int32Array.from({ length: elements(ot.shape) }, (_, i) => {
    const x = a[index(at, i)]! - aq.z
    const y = b[index(bt, i)]! - bq.z
    if (op.type === 'MUL') return clamp(rne(f32(f32(x * y) * scale)) + oq.z, lo, hi)
    return clamp(((x * ma + y * mb + 2 ** (shift - 1)) >> shift) + oq.z, lo, hi)
  })
}

function pool(g: Graph, op: Op, v: Values): Int32Array {
  const a = op.attrs as { padding: string; strideH: number; strideW: number; filterH: number; filterW: number }
  const xt = g.tensors[op.inputs[0]!]!
  const ot = g.tensors[op.outputs[0]!]!
  const x = v.get(op.inputs[0]!)!
  const [n, h, w, c] = xt.shape as [number, number, number, number]
  const [, oh, ow] = ot.shape as [number, number, number, number]
  const pt = pads(a.padding, { size: h, k: a.filterH, stride: a.strideH, dilation: 1, out: oh })
  const pl = pads(a.padding, { size: w, k: a.filterW, stride: a.strideW, dilation: 1, out: ow })
  const unsigned = xt.dtype === 'uint8'
  const out = new Int32Array(elements(ot.shape))
  let at = 0
  for (let b = 0; b < n; b++) {
    for (let y = 0; y < oh; y++) {
      for (let xo = 0; xo < ow; xo++) {
        for (let k = 0; k < c; k++) {
          let sum = 0
          let count = 0
          let top = -Infinity
          for (let iy = Math.max(0, y * a.strideH - pt); iy < Math.min(h, y * a.strideH - pt + a.filterH); iy++) {
            for (let ix = Math.max(0, xo * a.strideW - pl); ix < Math.min(w, xo * a.strideW - pl + a.filterW); ix++) {
              const value = x[((b * h + iy) * w + ix) * c + k]!
              sum += value
              count++
              top = Math.max(top, value)
            }
          }
          const half = count >> 1
          out[at++] =
            op.type === 'MAX_POOL_2D'
              ? top
              : unsigned
                ? Math.floor((sum + half) / count)
                : Math.trunc((sum > 0 ? sum + half : sum - half) / count)
        }
      }
    }
  }
  return out
}

function mean(g: Graph, op: Op, v: Values): Int32Array {
  const xt = g.tensors[op.inputs[0]!]!
  const ot = g.tensors[op.outputs[0]!]!
  const x = v.get(op.inputs[0]!)!
  const axes = new Set(
    Array.from(numbers(g.tensors[op.inputs[1]!]!), (axis) => (axis < 0 ? axis + xt.shape.length : axis)),
  )
  const sums = new Float64Array(elements(ot.shape))
  for (let i = 0; i < x.length; i++) {
    let rest = i
    let stride = 1
    let to = 0
    for (let d = xt.shape.length - 1; d >= 0; d--) {
      if (!axes.has(d)) {
        to += (rest % xt.shape[d]!) * stride
        stride *= xt.shape[d]!
      }
      rest = Math.floor(rest / xt.shape[d]!)
    }
    sums[to]! += x[i]!
  }
  const xq = q(xt)
  const oq = q(ot)
  const n = x.length / sums.length
  const k = f32(f32(xq.s / oq.s) * f32(1 / n))
  const z = f32(oq.z - f32(f32(n * xq.z) * k))
  return Int32Array.from(sums, (s) => rne(clamp(f32(f32(f32(s) * k) + z), oq.lo, oq.hi)))
}

/** Runs a graph of the ops above. Inputs and results are raw values. */
export function oracle(g: Graph, inputs: ArrayLike<number>[]): Int32Array[] {
  const v: Values = new Map()
  g.tensors.forEach((t, i) => {
    if (t.data) v.set(i, numbers(t))
  })
  g.inputs.forEach((i, k) => v.set(i, inputs[k]!))
  for (const op of g.ops) {
    const run = (): ArrayLike<number> => {
      switch (op.type) {
        case 'CONV_2D':
          return convolution(g, op, v, false)
        case 'DEPTHWISE_CONV_2D':
          return convolution(g, op, v, true)
        case 'FULLY_CONNECTED':
          return fullyConnected(g, op, v)
        case 'ADD':
        case 'SUB':
        case 'MUL':
          return binary(g, op, v)
        case 'AVERAGE_POOL_2D':
        case 'MAX_POOL_2D':
          return pool(g, op, v)
        case 'MEAN':
          return mean(g, op, v)
        case 'RESHAPE':
          return v.get(op.inputs[0]!)!
        default:
          throw new Error(`oracle has no ${op.type}`)
      }
    }
    v.set(op.outputs[0]!, run())
  }
  return g.outputs.map((i) => Int32Array.from(v.get(i)!))
}
