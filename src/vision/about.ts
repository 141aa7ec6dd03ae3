/** What a network's head is recognised by, and the questions that many kinds ask. No decoders. */
import type { Metadata } from '../graph/graph.ts'
import type { TensorInfo } from '../graph/types.ts'
import type { Size } from './heads/head.ts'
import type { Extras, YoloHead } from './heads/yolo.ts'
import { largestValue } from './values.ts'

/** What recognition goes by. */
export interface About {
  input: Size
  outputs: readonly TensorInfo[]
  /** Dimensions without leading ones. */
  shapes: readonly (readonly number[])[]
  labels: number | undefined
  metadata: Metadata
  /** This kind and no other: where shapes leave it open, take it. */
  forced: boolean
}

export const ULTRALYTICS = { scoreThreshold: 0.25, iouThreshold: 0.7, framing: 'letterbox', range: 'unit' } as const
export const SSD = { scoreThreshold: 0.5, iouThreshold: 0.5 } as const

/** Cells of grids with these strides. */
export const cells = ({ width, height }: Size, strides: readonly number[]): number =>
  strides.reduce((sum, s) => sum + Math.ceil(width / s) * Math.ceil(height / s), 0)

export const PYRAMIDS = [
  [8, 16, 32],
  [8, 16, 32, 64],
  [4, 8, 16, 32],
  [4, 8, 16],
  [16, 32],
] as const

/** Strides of the pyramid that has this many cells. */
export const pyramidOf = (input: Size, count: number): readonly number[] | undefined =>
  PYRAMIDS.find((strides) => cells(input, strides) === count)

/** Index of the only output that fits. */
export function only(about: About, fits: (shape: readonly number[], i: number) => boolean): number | undefined {
  const found = about.shapes.flatMap((shape, i) => (fits(shape, i) ? [i] : []))
  return found.length === 1 ? found[0] : undefined
}

/** Whether height and width divide the input's (or do so less one); channels may come first or last. */
export function isPlane(shape: readonly number[], input: Size): boolean {
  const divides = (cells: number, pixels: number): boolean =>
    pixels % cells === 0 || (pixels - 1) % Math.max(1, cells - 1) === 0
  const fits = (height: number, width: number): boolean =>
    height >= 8 && width >= 8 && divides(height, input.height) && divides(width, input.width)
  const [n, a, b, c] = shape as [number, number, number, number?]
  // Class numbers may come without a batch.
  if (shape.length === 2) return fits(n, a)
  return shape.length === 3 ? fits(a, b) : shape.length === 4 && (fits(a, b) || fits(b, c!))
}

/** Mask prototypes: a plane of 16 to 64 numbers a cell beside the table. */
export function prototypesOf(about: About, table: number): Pick<Extras, 'masks' | 'prototypes'> | undefined {
  const at = about.shapes.findIndex((shape, i) => i !== table && shape.length === 3)
  const [a = 0, b = 0, c = 0] = about.shapes[at] ?? []
  // YOLO has 32 of them, behind the plane or before it.
  const last = c === 32 || (a !== 32 && isPlane([1, a, b], about.input))
  const masks = last ? c : a
  return at >= 0 && masks >= 8 && masks <= 64 ? { masks, prototypes: at } : undefined
}

export const coordinatesOf = (output: TensorInfo): YoloHead['coordinates'] => {
  const most = largestValue(output)
  return most === undefined ? 'auto' : most > 4 ? 'pixels' : 'shares'
}
