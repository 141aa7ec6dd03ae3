/** Recognizing images: masks, pictures, maps of values. */
import type { TensorInfo } from '../graph/types.ts'
import { type About, isPlane, only } from './about.ts'
import type { Head } from './head.ts'
import { holdsProbabilities, largestValue, smallestValue } from './values.ts'

export function segmentation(about: About): Head | undefined {
  const common = { kind: 'segmentation', scoreThreshold: 0.5, iouThreshold: 1 } as const
  const planes = about.outputs.filter((o) => isPlane(o.shape, about.input))
  if (planes.length !== about.outputs.length || planes.length === 0) return undefined
  const [first] = planes as [TensorInfo]
  const all = planes.map((_, i) => i)
  if (planes.length > 1) {
    const pairs = planes.every((o) => o.shape.join() === first.shape.join() && o.shape.length === 4 && o.shape[3] === 2)
    return pairs ? { ...common, outputs: all, form: 'last' } : undefined
  }
  const [, a, b, c] = first.shape as [number, number, number, number?]
  const whole = /^u?int(16|32|64)$/.test(first.dtype)
  if (first.shape.length < 4) return { ...common, outputs: all, form: whole || about.forced ? 'indices' : 'mask' }
  if (first.shape.length !== 4) return undefined
  if (c === 1 || a === 1) {
    if (whole) return { ...common, outputs: all, form: 'indices' }
    const indices = (first.dtype === 'uint8' || first.dtype === 'int8') && first.scale === 1
    if (indices || first.dtype === 'bool') return { ...common, outputs: all, form: 'indices' }
    if (holdsProbabilities(first)) return { ...common, outputs: all, form: 'mask' }
    return about.forced || about.metadata.task === 'segmentation'
      ? { ...common, outputs: all, form: 'mask', logits: largestValue(first) !== undefined }
      : undefined
  }
  return { ...common, outputs: all, form: isPlane([1, a, b], about.input) ? 'last' : 'first' }
}

/** How many times larger than the input a picture of 1 or 3 channels is; undefined where the output is none. */
function enlargement({ input, outputs }: About): number | undefined {
  const [, height = 0, width = 0, channels = 0] = outputs[0]!.shape
  const times = height / input.height
  const whole = Number.isInteger(times) && times >= 1 && times <= 8 && width === times * input.width
  return outputs.length === 1 && outputs[0]!.shape.length === 4 && whole && (channels === 3 || channels === 1)
    ? times
    : undefined
}

export function picture(about: About): Head | undefined {
  const output = about.outputs[0]!
  const times = enlargement(about)
  if (times === undefined) return undefined
  const [least, most] = [smallestValue(output), largestValue(output)]
  const known = least !== undefined && most !== undefined
  const values = !known ? 'auto' : most > 2 ? 'raw' : least < -0.25 ? 'signed' : 'unit'
  // As large as the input are also three classes' scores: softmax or logits, as the range or the name tells.
  const painted =
    output.shape[3] === 3 &&
    about.labels !== 3 &&
    (/tanh|sigmoid|generator|style/i.test(output.name) ||
      (known && Math.abs(most - 1) < 0.1 && Math.abs(least + 1) < 0.1) ||
      (known && least >= 0 && most > 100))
  return about.forced || times > 1 || painted
    ? { kind: 'picture', output: 0, values, scoreThreshold: 0, iouThreshold: 1 }
    : undefined
}

export function map(about: About): Head | undefined {
  const at = only(about, (s) => s.filter((d) => d !== 1).length === 2)
  const plane = about.outputs.length === 1 && at === 0 && isPlane(about.outputs[0]!.shape, about.input)
  return plane || (about.forced && at === 0)
    ? { kind: 'map', output: 0, scoreThreshold: 0, iouThreshold: 1 }
    : undefined
}
