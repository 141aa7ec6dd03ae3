/**
 * The state of quantization on its way through the ops: two sets of activations, the float model's and the quantized
 * model's.
 */
import type { FloatModel } from '../float/execute.ts'
import { snap } from '../float/values.ts'
import type { Quantization } from '../graph/graph.ts'
import type { Scheme } from './scheme.ts'

/** Calibration inputs, and the photo that each is a variation of. */
export interface Calibration {
  samples: readonly (readonly Float32Array[])[]
  photoOf: readonly number[]
}

/** Float and simulated values of the tensors that are still needed, for each calibration input. */
export class Walk {
  readonly float: FloatModel
  readonly scheme: Scheme
  readonly reference: Map<number, Float32Array>[]
  readonly simulated: Map<number, Float32Array>[]
  /**
   * Two parts of the inputs: rounding is tried with one and judged on the other, one photo in four; empty with fewer
   * than four.
   */
  readonly fit: number[] = []
  readonly check: number[] = []
  private readonly lastUse = new Map<number, number>()

  constructor(
    float: FloatModel,
    { samples, photoOf }: Calibration,
    grids: ReadonlyMap<number, Quantization>,
    scheme: Scheme,
  ) {
    this.float = float
    this.scheme = scheme
    const photos = [...new Set(photoOf)]
    photoOf.forEach((p, i) => (photos.indexOf(p) % 4 === 3 ? this.check : this.fit).push(i))
    const { inputs } = float.graph
    this.reference = samples.map((s) => new Map(inputs.map((t, k) => [t, s[k]!])))
    this.simulated = samples.map(
      (s) =>
        new Map(
          inputs.map((t, k) => {
            const q = s[k]!.slice()
            snap(q, grids.get(t)!, scheme.dtype)
            return [t, q]
          }),
        ),
    )
    float.graph.ops.forEach((op, i) => op.inputs.forEach((t) => this.lastUse.set(t, i)))
  }

  /** Drops what no later op reads. */
  release(i: number): void {
    for (const t of this.float.graph.ops[i]!.inputs) {
      if (this.lastUse.get(t) === i) {
        for (const side of [this.reference, this.simulated]) side.forEach((m) => m.delete(t))
      }
    }
  }
}
