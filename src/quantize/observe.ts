/** What calibration sees of a float graph: per tensor and per channel ranges. */
import type { Graph } from '../graph.ts'
import { floatModel } from '../float/execute.ts'
import { columnRanges } from '../float/wasm.ts'

/** Statistics of one activation over all calibration inputs. "Channel" is the last dimension. */
export interface TensorStats {
  min: number
  max: number
  channels: number
  channelMin: Float32Array
  channelMax: Float32Array
  /** Largest value per channel over all photos but the one that has `channelMax`. */
  channelSecond: Float32Array
  /** Smallest and largest value per photo. */
  photos: Map<number, readonly [number, number]>
}

class Collector {
  readonly channels: number
  readonly min: Float32Array
  private readonly maxOf = new Map<number, Float32Array>()
  private readonly extremes = new Map<number, readonly [number, number]>()

  constructor(channels: number) {
    this.channels = channels
    this.min = new Float32Array(channels).fill(Infinity)
  }

  add(data: Float32Array, photo: number): void {
    const { channels, min } = this
    let max = this.maxOf.get(photo)
    if (!max) this.maxOf.set(photo, (max = new Float32Array(channels).fill(-Infinity)))
    let [lo, hi] = this.extremes.get(photo) ?? [Infinity, -Infinity]
    const seen = columnRanges(data, channels)
    for (let c = 0; c < channels; c++) {
      const [a, b] = [seen.min[c]!, seen.max[c]!]
      if (a < min[c]!) min[c] = a
      if (b > max[c]!) max[c] = b
      if (a < lo) lo = a
      if (b > hi) hi = b
    }
    this.extremes.set(photo, [lo, hi])
  }

  finish(): TensorStats {
    const { channels, min } = this
    const max = new Float32Array(channels).fill(-Infinity)
    const second = new Float32Array(channels).fill(-Infinity)
    for (const photo of this.maxOf.values()) {
      for (let c = 0; c < channels; c++) {
        const v = photo[c]!
        if (v > max[c]!) {
          second[c] = max[c]!
          max[c] = v
        } else if (v > second[c]!) second[c] = v
      }
    }
    const extreme = (a: Float32Array, f: (x: number, y: number) => number): number => a.reduce((x, y) => f(x, y))
    return {
      min: extreme(min, Math.min),
      max: extreme(max, Math.max),
      channels,
      channelMin: min,
      channelMax: max,
      channelSecond: second,
      photos: this.extremes,
    }
  }
}

/**
 * Runs the float graph on every calibration input. `photoOf[i]` says which photo input i is a variation of.
 * Returns statistics by tensor index, for inputs and all op outputs.
 */
export function observe(
  graph: Graph,
  samples: readonly (readonly Float32Array[])[],
  photoOf: readonly number[],
  progress?: (done: number) => void,
): Map<number, TensorStats> {
  const model = floatModel(graph)
  const collectors = new Map<number, Collector>()
  samples.forEach((sample, i) => {
    model.run(sample, (t, data) => {
      let c = collectors.get(t)
      if (!c) collectors.set(t, (c = new Collector(graph.tensors[t]!.shape.at(-1) ?? 1)))
      c.add(data, photoOf[i]!)
    })
    progress?.(i + 1)
  })
  return new Map([...collectors].map(([t, c]) => [t, c.finish()]))
}
