/**
 * Transposed convolution by scatter into i32 accumulators.
 * Shapes: input [inH, inW, I] i8; weights [O][kh][kw][I] i8; output [outH, outW, O] i8; scratch outH * outW * O i32.
 * Source: XNNPACK's deconvolution (fp32), TFLite's builtin TRANSPOSE_CONV (fixed point: `fixedPoint` 1 for
 * uint8, in blocks of 16 elements; 2 for int8, in blocks of 8 channels).
 */
import { TransposeConvRecord } from '../layout'
import { multiplyHalfUp } from './conv-fixed'
import { clamp, multiplyByQuantizedMultiplier, requantize } from '../requantize'

/** The builtin kernel's product: half up in vector blocks, half away behind the last one. */
function multiplyFixed(inBlock: bool, x: i32, multiplier: i32, shift: i32): i32 {
  return inBlock ? multiplyHalfUp(x, multiplier, shift) : multiplyByQuantizedMultiplier(x, multiplier, shift)
}

export function transposeConv(record: usize): void {
  const r = changetype<TransposeConvRecord>(record)
  const outC = r.outC
  const inC = r.inC
  const total = r.outH * r.outW
  for (let i = 0; i < total; i++) memory.copy(r.scratch + i * (outC << 2), r.bias, outC << 2)
  for (let iy = 0; iy < r.inH; iy++) {
    for (let ix = 0; ix < r.inW; ix++) {
      const x: usize = r.input + (iy * r.inW + ix) * inC
      for (let ky = 0; ky < r.kh; ky++) {
        const oy = iy * r.strideH - r.padTop + ky
        if (<u32>oy >= <u32>r.outH) continue
        for (let kx = 0; kx < r.kw; kx++) {
          const ox = ix * r.strideW - r.padLeft + kx
          if (<u32>ox >= <u32>r.outW) continue
          let acc: usize = r.scratch + (oy * r.outW + ox) * (outC << 2)
          for (let o = 0; o < outC; o++) {
            const w: usize = r.weights + ((o * r.kh + ky) * r.kw + kx) * inC
            let s = 0
            for (let c = 0; c < inC; c++) {
              s += (load<i8>(x + c) - r.inputZeroPoint) * (load<i8>(w + c) - r.weightZeroPoint)
            }
            store<i32>(acc, load<i32>(acc) + s)
            acc += 4
          }
        }
      }
    }
  }
  for (let i = 0; i < total; i++) {
    for (let o = 0; o < outC; o++) {
      const acc = load<i32>(r.scratch + ((i * outC + o) << 2))
      store<i8>(
        r.output + i * outC + o,
        r.fixedPoint
          ? clamp(
              multiplyFixed(
                r.fixedPoint == 1 ? i * outC + o < ((total * outC) & ~15) : o < (outC & ~7),
                acc,
                load<i32>(r.multipliers + (o << 2)),
                load<i32>(r.shifts + (o << 2)),
              ) + r.outputZeroPoint,
              r.actMin,
              r.actMax,
            )
          : requantize(acc, load<f32>(r.scale + (o << 2)), r.outputZeroPoint, r.actMin, r.actMax),
      )
    }
  }
}
