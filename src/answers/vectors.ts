/**
 * Networks of several vectors (age, gender and a face's description in one), and vectors that are compared instead of
 * named. No dependencies.
 */
import { elements } from '../graph/graph.ts'
import { labelOf, topK } from './labels.ts'
import { checkValue } from '../options/options.ts'
import type { Model, Prediction, TensorInfo, TypedArray } from '../graph/types.ts'

/** What one output says: scores of classes, one number, or a description to be compared. */
export type Group = { name: string } & (
  { predictions: Prediction[] } | { value: number } | { values: number[] } | { embedding: number[] }
)

const isVector = ({ shape }: TensorInfo): boolean => shape.filter((d) => d > 1).length <= 1
/** Words of outputs that are compared. */
const COMPARED = /embed|descriptor|feature|global_?pool|l2_?norm/i
/** How long descriptions of things usually are. */
const LENGTHS: readonly number[] = [64, 96, 128, 160, 192, 256, 320, 384, 512, 576, 768, 1024, 1280, 2048]

/**
 * Whether an output's vector describes what is seen, to be compared: by its name, else by its length and its values.
 */
export function isEmbedding(output: TensorInfo): boolean {
  const { name, dtype, scale, zeroPoint } = output
  if (!isVector(output) || elements(output.shape) < 16) return false
  if (COMPARED.test(name)) return true
  if (/soft_?max|sigmoid|logit|prob|score|class|pred/i.test(name)) return false
  // Values on both sides of zero about alike; a softmax' and a sigmoid's begin at zero.
  const middle = dtype === 'uint8' ? 128 : 0
  const around = scale > 0 ? Math.abs(zeroPoint - middle) <= 64 : dtype === 'float32'
  return LENGTHS.includes(elements(output.shape)) && around
}

/** Real values of a vector. */
export const realValues = (raw: TypedArray, { scale, zeroPoint }: TensorInfo): number[] =>
  Array.from(raw as ArrayLike<number>, (v) => (scale > 0 ? (Number(v) - zeroPoint) * scale : Number(v)))

/** A vector of length 1; one of zeros stays as it is. */
export function normalized(values: readonly number[]): number[] {
  const length = Math.hypot(...values)
  return length > 0 ? values.map((v) => v / length) : [...values]
}

const isNumbers = (value: unknown): value is ArrayLike<number> =>
  (Array.isArray(value) || ArrayBuffer.isView(value)) && Array.from(value as ArrayLike<unknown>).every(Number.isFinite)
const VECTOR = { expected: 'a list of numbers', accepts: isNumbers }
const alike = (length: number) => ({
  expected: `${length} numbers, as many as the first vector has`,
  accepts: (value: unknown): boolean => isNumbers(value) && value.length === length,
})

/**
 * How alike two vectors of the same length are: the cosine of the angle between them, -1 to 1.
 * Errors: `usage/option`.
 *
 * @example
 * import { cosineSimilarity } from 'thimble/vision'
 * console.log(cosineSimilarity([1, 0], [1, 1])) // 0.707…
 */
export function cosineSimilarity(a: ArrayLike<number>, b: ArrayLike<number>): number {
  checkValue('cosineSimilarity: a', a, VECTOR)
  checkValue('cosineSimilarity: b', b, alike(a.length))
  let [dot, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  return aa > 0 && bb > 0 ? dot / Math.sqrt(aa * bb) : 0
}

/** What one output of a run says. */
function groupOf(output: TensorInfo, raw: TypedArray, labels: readonly string[] | undefined): Group {
  const { name } = output
  const values = realValues(raw, output)
  if (values.length === 1) return { name, value: values[0]! }
  if (isEmbedding(output)) return { name, embedding: normalized(values) }
  const sum = values.reduce((a, b) => a + b, 0)
  // What adds up to one, to what 8 bits tell, are probabilities; anything else stays numbers.
  if (!values.every((v) => v >= 0 && v <= 1.01) || Math.abs(sum - 1) > 0.05) return { name, values }
  const own = labels?.length === values.length ? labels : undefined
  return {
    name,
    predictions: topK(values, 5, 0).map((index) => ({ label: labelOf(own, index), index, score: values[index]! })),
  }
}

/** Whether a network gives several vectors and nothing else. */
export const givesVectors = ({ outputs }: Pick<Model, 'outputs'>): boolean =>
  outputs.length > 1 && outputs.every(isVector)

/** What each output of a run says, where they are several vectors. */
export function groupsOf(model: Pick<Model, 'outputs' | 'metadata'>, raw: readonly TypedArray[]): Group[] | undefined {
  if (!givesVectors(model) || raw.length !== model.outputs.length) return undefined
  return model.outputs.map((output, i) => groupOf(output, raw[i]!, model.metadata.labels))
}
