/** Where a quantized network's errors come from: each tensor and each filter quantized alone, everything else float. */
import { floatModel, type FloatModel } from '../../src/float/execute.ts'
import { snap } from '../../src/float/values.ts'
import { isLayer, operandsOf } from '../../src/quantize/channel-groups.ts'
import { probedOutputs } from '../../src/quantize/outputs.ts'
import type { Quantized } from '../../src/quantize/quantize.ts'

export interface Source {
  /** Index of the op in graph.ops. */
  op: number
  part: 'output' | 'filter'
  /** Sum of squared errors that it alone makes in the compared outputs. */
  noise: number
}

export interface Sources {
  /** Sum of squares of the compared outputs. */
  signal: number
  sources: Source[]
}

type Live = Map<number, Float32Array>

/** Squared error of the outputs when `changed` takes the place of `live` from op `from` on. */
function errorAfter(model: FloatModel, live: Live, from: number, changed: Live): number {
  const { graph } = model
  const value = (t: number): Float32Array => changed.get(t) ?? live.get(t) ?? model.constant(t)
  for (const op of graph.ops.slice(from)) {
    if (!op.inputs.some((t) => changed.has(t))) continue
    model.runOp(op, value).forEach((d, k) => changed.set(op.outputs[k]!, d))
  }
  let sum = 0
  for (const t of graph.outputs) live.get(t)!.forEach((w, i) => (sum += (w - value(t)[i]!) ** 2))
  return sum
}

/** Errors of every tensor and filter alone, over the given inputs. Requires: one input. */
export function noiseSources({ graph, equalized }: Quantized, inputs: readonly Float32Array[]): Sources {
  const float = { ...equalized, outputs: probedOutputs(equalized) }
  const [model, stored] = [floatModel(float), floatModel(graph)]
  const found = new Map<string, Source>()
  const add = (op: number, part: Source['part'], noise: number): void => {
    const known = found.get(`${op} ${part}`)
    if (known) known.noise += noise
    else found.set(`${op} ${part}`, { op, part, noise })
  }
  let signal = 0
  for (const input of inputs) {
    const live: Live = new Map()
    model.run([input], (t, x) => live.set(t, x))
    for (const t of float.outputs) live.get(t)!.forEach((w) => (signal += w * w))
    float.ops.forEach((op, i) => {
      const y = op.outputs[0]!
      const { quantization, dtype } = graph.tensors[y]!
      // Padding and reshaping only move what was rounded before.
      if (quantization && op.type !== 'PAD' && op.type !== 'RESHAPE') {
        const rounded = live.get(y)!.slice()
        snap(rounded, quantization, dtype)
        add(i, 'output', errorAfter(model, live, i + 1, new Map([[y, rounded]])))
      }
      if (!isLayer(op)) return
      const filter = op.inputs[operandsOf(op).filter]!
      add(i, 'filter', errorAfter(model, live, i, new Map([[filter, stored.constant(filter)]])))
    })
  }
  return { signal, sources: [...found.values()] }
}
