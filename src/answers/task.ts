/**
 * Which command a model is for, by what its file says and else by the shapes of its tensors. No dependencies, and no
 * decoder is loaded to know it.
 */
import { elements, type Metadata } from '../graph/graph.ts'
import type { TensorInfo } from '../graph/types.ts'
import { givesVectors, isEmbedding } from './vectors.ts'

/** What is known of a model: a loaded one, or the report on a file. */
export interface Subject {
  inputs: readonly TensorInfo[]
  outputs: readonly TensorInfo[]
  metadata?: Metadata
}

export interface Task {
  /** The command, or `run` for raw tensors where no other reads the outputs. */
  command: 'classify' | 'detect' | 'pose' | 'segment' | 'embed' | 'run'
  /** One clause: what tells. */
  why: string
}

const SAID = {
  classification: 'classify',
  detection: 'detect',
  segmentation: 'segment',
  landmarks: 'pose',
  features: 'run',
} as const

/** Dimensions without those of 1. */
const wide = (t: TensorInfo): number[] => t.shape.filter((d) => d > 1)

/** Side of the image input; undefined where the model takes no single image. */
function imageInput({ inputs }: Subject): { height: number; width: number } | undefined {
  const shape = inputs[0]?.shape ?? []
  if (inputs.length !== 1 || (shape.length !== 4 && shape.length !== 3)) return undefined
  const [a, b, c] = shape.slice(-3) as [number, number, number]
  if (c === 1 || c === 3) return { height: a, width: b }
  return a === 1 || a === 3 ? { height: b, width: c } : undefined
}

/** Cells of a YOLO's grids of stride 8, 16 and 32 (and 64). */
const yoloCells = ({ height, width }: { height: number; width: number }): number[] =>
  [
    [8, 16, 32],
    [8, 16, 32, 64],
    [16, 32],
  ].map((strides) => strides.reduce((sum, s) => sum + Math.ceil(height / s) * Math.ceil(width / s), 0))

/** Boxes [n, 4] and as many scores, as SSD models have with and without their suppression inside. */
function hasBoxes(outputs: readonly TensorInfo[]): boolean {
  return outputs.some((boxes) => {
    const [n = 0] = boxes.shape.slice(-2)
    if (boxes.shape.length < 2 || boxes.shape.at(-1) !== 4 || n < 2) return false
    return outputs.some((other) => other !== boxes && elements(other.shape) >= n && other.shape.includes(n))
  })
}

/** The command that suits a model. */
export function taskOf(subject: Subject): Task {
  const { outputs, metadata = {} } = subject
  const shapes = outputs.map((o) => `[${o.shape.join(', ')}]`).join(', ')
  if (metadata.extra?.detection !== undefined || metadata.extra?.head !== undefined) {
    const command = metadata.task ? SAID[metadata.task] : 'detect'
    return { command, why: 'the model file describes its outputs' }
  }
  if (metadata.task) return { command: SAID[metadata.task], why: `the model file says ${metadata.task}` }
  const image = imageInput(subject)
  if (!image) return { command: 'run', why: 'the model does not take one image' }
  if (hasBoxes(outputs)) return { command: 'detect', why: `outputs ${shapes} are boxes and their scores` }
  for (const output of outputs) {
    const [a = 0, b = 0] = wide(output)
    const cells = yoloCells(image)
    const table =
      wide(output).length === 2 &&
      [a, b].some((n, i, pair) => {
        const values = pair[1 - i]!
        return values >= 5 && cells.some((count) => n === count || n === 3 * count)
      })
    if (table) return { command: 'detect', why: `output [${output.shape.join(', ')}] is a table of boxes` }
  }
  const [steps = 0, characters = 0] = wide(outputs[0]!)
  const text =
    image.width > image.height && outputs.length === 1 && wide(outputs[0]!).length === 2 && image.width % steps === 0
  if (text && image.width / steps <= 16 && characters > 10) {
    return {
      command: 'run',
      why: `output ${shapes} has scores of ${characters} characters for ${steps} columns (CTC): reading text is yours`,
    }
  }
  const vectors = outputs.filter((o) => wide(o).length <= 1)
  if (outputs.length === 1 && metadata.labels === undefined && isEmbedding(outputs[0]!)) {
    return { command: 'embed', why: `output ${shapes} describes a photo, to be compared` }
  }
  if (givesVectors(subject)) return { command: 'classify', why: `outputs ${shapes} are vectors, each of its own kind` }
  if (outputs.length === 1 && vectors.length === 1) {
    return { command: 'classify', why: `output ${shapes} is one score per class` }
  }
  const planes = outputs.filter((o) => o.shape.length >= 3 && wide(o).length >= 2)
  const [height = 0, width = 0] = planes[0]?.shape.slice(planes[0].shape.length === 3 ? 0 : 1) ?? []
  if (planes.length === 1 && outputs.length === 1 && height > 1 && width > 1) {
    const share = Math.max(image.height / height, image.width / width)
    if (share <= 4) return { command: 'segment', why: `output ${shapes} has scores for every pixel` }
    if (share <= 32) return { command: 'detect', why: `output ${shapes} is a grid over the image` }
  }
  return { command: 'run', why: `outputs ${shapes} are of no known form` }
}

/** What to do with a model that a command can't take, as a hint. */
export function suggestion(subject: Subject): string {
  const { command } = taskOf(subject)
  return command === 'run' ? 'use run for raw tensors' : `${command} is for models like this one`
}
