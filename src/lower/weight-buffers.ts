/** Filters, biases and scales as constants of the program, in the order of the kernels that read them. */
import { littleEndian } from '../base/words.ts'
import type { Context } from './context.ts'
import type { DepthwiseForm } from './depthwise-forms.ts'
import type { PanelForm } from './gemm.ts'
import { panelOrder } from './pack.ts'
import { SMALL, type Buffer } from './program.ts'
import type { Weights } from './weights.ts'

export interface WeightBuffers {
  weights: Buffer
  bias: Buffer
  scale: Buffer
}

/** In which order a filter [channels][k] is kept, its k in segments of `segment`. */
export interface PanelLayout {
  form: PanelForm
  k: number
  segment: number
}

/** Requantization scales as `order` has them. */
function scaleBuffer(cx: Context, name: string, w: Weights, order: (v: Float32Array) => Float32Array): Buffer {
  const { scales, input, output } = w.rescale
  // What the runtime computes is no content to deduplicate by.
  if (scales.length !== w.bias.length || scales.length * 4 <= SMALL) {
    return cx.buffers.constant(`${name} scale`, order(w.scale))
  }
  const plain = order(scales)
  return cx.buffers.lazy(`${name} scale`, plain.byteLength, {
    make: () => order(w.scale),
    load: ({ runtime, memory }, address) => {
      if (!runtime.requantize_scales) return false
      memory.set(littleEndian(plain), address)
      runtime.requantize_scales(address, plain.length, floatBits(input), floatBits(output))
      return true
    },
  })
}

/**
 * Constants of a GEMM or a fully connected layer: weights in the form's order, bias with the input's zero point folded
 * in and scale in panel order.
 */
export function gemmBuffers(cx: Context, name: string, w: Weights, { form, k, segment }: PanelLayout): WeightBuffers {
  const channels = w.bias.length
  const shape = { channels, k, segment }
  const panels = Math.ceil(channels / form.nr)
  const weights = cx.buffers.lazy(`${name} weights`, form.weightBytes(panels, k, segment), {
    make: () => form.packWeights(w.data, w.zero, shape),
    load: (loader, address) => form.loadWeights?.(loader, address, w, shape) ?? false,
  })
  const plain = panelOrder(w.bias, form.nr)
  const bias = cx.buffers.lazy(`${name} bias`, plain.byteLength, {
    make: () => panelOrder(w.foldedBias(), form.nr),
    load: (loader, address) => form.foldBias?.(loader, address, { plain, weights, w, panels, k, segment }) ?? false,
  })
  return { weights, bias, scale: scaleBuffer(cx, name, w, (v) => panelOrder(v, form.nr)) }
}

/** The same for a depthwise kernel. */
export function depthwiseBuffers(cx: Context, name: string, w: Weights, form: DepthwiseForm): WeightBuffers {
  const channels = w.bias.length
  const width = form.width ?? 8
  const panels = Math.ceil(channels / width)
  const weights = cx.buffers.lazy(`${name} weights`, panels * form.panelBytes, {
    make: () => form.packWeights(w.data, w.zero, channels),
    load: (loader, address) => form.loadWeights?.(loader, address, w) ?? false,
  })
  const order = form.order ?? (<T extends Int32Array | Float32Array>(v: T): T => panelOrder(v, width))
  const plain = order(w.bias)
  const bias = cx.buffers.lazy(`${name} bias`, plain.byteLength, {
    make: () => order(w.foldedBias()),
    load: (loader, address) => form.foldBias?.(loader, address, { plain, weights, w }) ?? false,
  })
  return { weights, bias, scale: scaleBuffer(cx, name, w, order) }
}

/** What an f32 is stored as. */
const floatBits = (v: number): number => new Int32Array(Float32Array.of(v).buffer)[0]!
