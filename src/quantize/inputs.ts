/** Photos as a float graph's input. */
import type { Graph, Preprocess } from '../graph.ts'
import { Preprocessor } from '../image/preprocess.ts'
import type { PixelImage, TensorInfo } from '../types.ts'

/** The float input of a graph, as the preprocessor wants it described. */
export function inputInfo(graph: Graph): TensorInfo {
  const { name, shape } = graph.tensors[graph.inputs[0]!]!
  return { name, shape, dtype: 'float32', scale: 0, zeroPoint: 0 }
}

/**
 * A function from pixels to a new array of input values.
 * Requires: `graph.metadata.preprocess`. Errors: `image/…`.
 */
export function photoInput(graph: Graph): (pixels: PixelImage) => Float32Array {
  const preprocessor = new Preprocessor(inputInfo(graph), graph.metadata.preprocess!)
  return (pixels) => (preprocessor.run(pixels) as Float32Array).slice()
}

/** Real values of the darkest and brightest pixel. */
export function pixelRange({ mean, std }: Preprocess): [number, number] {
  const ends = mean.flatMap((m, c) => [(0 - m) / (std[c] ?? std[0]!), (255 - m) / (std[c] ?? std[0]!)])
  return [Math.min(...ends), Math.max(...ends)]
}
