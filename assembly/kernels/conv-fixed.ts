/**
 * Convolution as TFLite's builtin kernel rescales: fixed point. For what XNNPACK refuses, such as negative scales.
 * Shapes: input [inH, inW, inC] i8, output [outH, outW, outC] i8; weights where weightStep and tapStep lead. Reads and
 * writes exactly these. Scalar.
 */
import { ConvFixedRecord } from '../layout'
import { clamp, multiplyByQuantizedMultiplier } from '../requantize'

/** Both roundings half up: the vector flavour. */
export function multiplyHalfUp(x: i32, multiplier: i32, shift: i32): i32 {
  const left = shift > 0 ? shift : 0
  const t = i32(((i64(x) << left) * i64(multiplier) + (1 << 30)) >> 31)
  return shift < 0 ? (t + (1 << (-shift - 1))) >> -shift : t
}

function accumulate(r: ConvFixedRecord, y: i32, x: i32, o: i32): i32 {
  let acc = load<i32>(r.bias + (o << 2))
  const channel = (o / r.groupOut) * r.groupIn
  for (let ky = 0; ky < r.kh; ky++) {
    const iy = y * r.strideH - r.padTop + ky * r.dilationH
    if (<u32>iy >= <u32>r.inH) continue
    for (let kx = 0; kx < r.kw; kx++) {
      const ix = x * r.strideW - r.padLeft + kx * r.dilationW
      if (<u32>ix >= <u32>r.inW) continue
      const from: usize = r.input + (iy * r.inW + ix) * r.inC + channel
      const w: usize = r.weights + o * r.weightStep + (ky * r.kw + kx) * r.tapStep
      for (let c = 0; c < r.groupIn; c++) {
        acc += (load<i8>(from + c) - r.inputZeroPoint) * (load<i8>(w + c) - r.weightZeroPoint)
      }
    }
  }
  return acc
}

export function convFixed(record: usize): void {
  const r = changetype<ConvFixedRecord>(record)
  let to: usize = r.output
  for (let y = 0; y < r.outH; y++) {
    for (let x = 0; x < r.outW; x++) {
      for (let o = 0; o < r.outC; o++) {
        const acc = accumulate(r, y, x, o)
        const multiplier = load<i32>(r.multipliers + (o << 2))
        const shift = load<i32>(r.shifts + (o << 2))
        const q =
          o < r.awayFrom
            ? multiplyHalfUp(acc, multiplier, shift)
            : multiplyByQuantizedMultiplier(acc, multiplier, shift)
        store<i8>(to++, clamp(q + r.outputZeroPoint, r.actMin, r.actMax))
      }
    }
  }
}
