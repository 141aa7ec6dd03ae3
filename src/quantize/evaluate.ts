/** How far a quantized model is from its float original: on photos, and layer by layer. */
import { floatModel } from '../float/execute.ts'
import { quantizeValues } from '../float/values.ts'
import { elements, type Graph } from '../graph/graph.ts'
import { loadGraph } from '../engine/load-graph.ts'
import { isClassifier, probedOutputs } from './outputs.ts'

/** A preprocessed input in real units: of every graph input, or of the only one. */
export interface EvaluationInput {
  name: string
  data: Float32Array | readonly Float32Array[]
  varied?: boolean
}

export interface PhotoResult {
  name: string
  /** A variation of a photo. */
  varied: boolean
  /** Sum of squares of the float logits, and of the differences; their ratio in dB. */
  signal: number
  noise: number
  sqnr: number
  /** Best class and its probability, float and quantized (`int8` in every scheme). */
  float: { index: number; score: number }
  int8: { index: number; score: number }
  /** The float model's best class is among the int8 model's five best. */
  inTop5: boolean
}

export interface LayerResult {
  /** Index in graph.ops. */
  index: number
  op: string
  name: string
  /** Output of the layer in the int8 model against the float model, everything before it being int8 too; dB. */
  sqnr: number
}

/** Results of several inputs together. */
export interface Summary {
  inputs: number
  /** 10 log10(sum of squares / sum of squared differences), dB. */
  logitSqnr: number
  /** Inputs with the same best class, and with the float's best class in the int8 model's top five. */
  top1: number
  top5: number
}

export interface Evaluation {
  photos: PhotoResult[]
  /** Of the photos as they are, and of variations of them. */
  asTheyAre: Summary
  varied: Summary
  /** False: the output is not one score per class, and the classes in the results mean nothing. */
  classifier: boolean
  layers: LayerResult[]
}

const all = (data: EvaluationInput['data']): readonly Float32Array[] => (data instanceof Float32Array ? [data] : data)

const decibel = (signal: number, noise: number): number => (noise === 0 ? Infinity : 10 * Math.log10(signal / noise))

/** Indices of the k largest values, best first, lower index first among equals. */
function best(values: ArrayLike<number>, k: number): number[] {
  return Array.from({ length: values.length }, (_, i) => i)
    .sort((a, b) => values[b]! - values[a]! || a - b)
    .slice(0, k)
}

/** Softmax probability of one class. */
function probability(logits: Float32Array, index: number): number {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  let sum = 0
  for (const v of logits) sum += Math.exp(v - max)
  return Math.exp(logits[index]! - max) / sum
}

/** The graph with the tensors as outputs that are worth comparing. */
const compared = (graph: Graph): Graph => ({ ...graph, outputs: probedOutputs(graph) })

/** Runs the quantized graph in the engine, as it will be used: real inputs to real outputs. */
async function engineRunner(
  graph: Graph,
): Promise<{ run(inputs: readonly Float32Array[]): Float32Array[]; dispose(): void }> {
  const model = await loadGraph(graph)
  const real = (raw: ArrayLike<number>, t: number): Float32Array => {
    const { scales, zeroPoints } = graph.tensors[t]!.quantization!
    return Float32Array.from(raw, (q) => scales[0]! * (q - zeroPoints[0]!))
  }
  return {
    run: (inputs) =>
      model
        .run(inputs.map((data, k) => quantizeValues(data, graph.tensors[graph.inputs[k]!]!)))
        .map((raw, i) => real(raw as ArrayLike<number>, graph.outputs[i]!)),
    dispose: () => model.dispose(),
  }
}

/**
 * Compares on the given inputs: logits in the engine, layers in simulation on the first `layerInputs` inputs.
 * `equalized`: the float graph that has the int8 graph's channel factors (its outputs are the original's).
 */
export async function evaluate(
  float: Graph,
  { graph: quantized, equalized }: { graph: Graph; equalized: Graph },
  inputs: readonly EvaluationInput[],
  { progress, layerInputs = 8 }: { progress?: (done: number) => void; layerInputs?: number } = {},
): Promise<Evaluation> {
  const reference = floatModel(compared(float))
  const runner = await engineRunner(compared(quantized))
  const photos: PhotoResult[] = []
  inputs.forEach(({ name, data, varied = false }, i) => {
    const values = all(data)
    const [want, got] = [reference.run(values), runner.run(values)]
    let [s, n] = [0, 0]
    want.forEach((w, o) => {
      for (let k = 0; k < w.length; k++) {
        s += w[k]! ** 2
        n += (w[k]! - got[o]![k]!) ** 2
      }
    })
    const [a, b] = [best(want[0]!, 1)[0]!, best(got[0]!, 5)]
    photos.push({
      name,
      varied,
      signal: s,
      noise: n,
      sqnr: decibel(s, n),
      float: { index: a, score: probability(want[0]!, a) },
      int8: { index: b[0]!, score: probability(got[0]!, b[0]!) },
      inTop5: b.includes(a),
    })
    progress?.(i + 1)
  })
  runner.dispose()
  return {
    photos,
    classifier: isClassifier(float),
    asTheyAre: summarize(photos.filter((p) => !p.varied)),
    varied: summarize(photos.filter((p) => p.varied)),
    layers: compareLayers(equalized, quantized, inputs.slice(0, layerInputs)),
  }
}

function summarize(photos: readonly PhotoResult[]): Summary {
  const total = (f: (p: PhotoResult) => number): number => photos.reduce((sum, p) => sum + f(p), 0)
  return {
    inputs: photos.length,
    logitSqnr: decibel(
      total((p) => p.signal),
      total((p) => p.noise),
    ),
    top1: total((p) => Number(p.float.index === p.int8.index)),
    top5: total((p) => Number(p.inTop5)),
  }
}

function compareLayers(equalized: Graph, quantized: Graph, inputs: readonly EvaluationInput[]): LayerResult[] {
  const [a, b] = [floatModel(equalized), floatModel(quantized)]
  const [signal, noise] = [new Float64Array(quantized.tensors.length), new Float64Array(quantized.tensors.length)]
  for (const { data } of inputs) {
    const want = new Map<number, Float32Array>()
    a.run(all(data), (t, x) => want.set(t, x))
    b.run(all(data), (t, x) => {
      const w = want.get(t)!
      for (let i = 0; i < x.length; i++) {
        signal[t]! += w[i]! ** 2
        noise[t]! += (w[i]! - x[i]!) ** 2
      }
    })
  }
  return quantized.ops.flatMap((op, index) => {
    const t = op.outputs[0]!
    if (!quantized.tensors[t]!.quantization) return []
    if (op.type === 'PAD' || op.type === 'RESHAPE' || elements(quantized.tensors[t]!.shape) === 0 || signal[t] === 0) {
      return []
    }
    return [{ index, op: op.type, name: quantized.tensors[t]!.name, sqnr: decibel(signal[t]!, noise[t]!) }]
  })
}
