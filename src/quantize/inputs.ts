/** Photos as a float graph's input. */
import { ThimbleError } from '../base/errors.ts'
import type { Graph, Preprocess } from '../graph/graph.ts'
import { Preprocessor } from '../image/preprocess.ts'
import type { PixelImage, TensorInfo } from '../graph/types.ts'

/** The float input of a graph, as the preprocessor wants it described. */
export function inputInfo(graph: Graph): TensorInfo {
  const { name, shape } = graph.tensors[graph.inputs[0]!]!
  return { name, shape, dtype: 'float32', scale: 0, zeroPoint: 0 }
}

/** Errors: `usage/calibration` for a graph whose input photos can't be. */
export function expectPhotos(graph: Graph): void {
  const shapes = graph.inputs.map((t) => graph.tensors[t]!.shape)
  const [shape] = shapes
  const fits =
    shape?.length === 4 && shape[0] === 1 && shape[1]! > 1 && shape[2]! > 1 && (shape[3] === 1 || shape[3] === 3)
  if (shapes.length === 1 && fits) return
  throw new ThimbleError('usage/calibration', "the model's input is no photo", {
    expected: 'one input [1, height, width, 1 or 3]',
    got: shapes.map((s) => `[${s.join(', ')}]`).join(', '),
    hint: 'calibrate on arrays: --calibration data.npz, a .npy or raw file, or a folder of such (--help)',
  })
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
