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
  /** Smallest and largest value of each channel, per photo. */
  photos: Map<number, ChannelRanges>
}

export interface ChannelRanges {
  min: Float32Array
  max: Float32Array
}

/** The smallest of the one and the largest of the other. */
export const rangeOf = ({ min, max }: ChannelRanges): readonly [number, number] => [
  min.reduce((a, b) => Math.min(a, b)),
  max.reduce((a, b) => Math.max(a, b)),
]

class Collector {
  readonly channels: number
  private readonly photos = new Map<number, ChannelRanges>()

  constructor(channels: number) {
    this.channels = channels
  }

  add(data: Float32Array, photo: number): void {
    const { channels } = this
    const seen = columnRanges(data, channels)
    const known = this.photos.get(photo)
    if (known) {
      for (let c = 0; c < channels; c++) {
        if (seen.min[c]! < known.min[c]!) known.min[c] = seen.min[c]!
        if (seen.max[c]! > known.max[c]!) known.max[c] = seen.max[c]!
      }
    } else this.photos.set(photo, seen)
  }

  finish(): TensorStats {
    const { channels, photos } = this
    const min = new Float32Array(channels).fill(Infinity)
    const max = new Float32Array(channels).fill(-Infinity)
    const second = new Float32Array(channels).fill(-Infinity)
    for (const photo of photos.values()) {
      for (let c = 0; c < channels; c++) {
        min[c] = Math.min(min[c]!, photo.min[c]!)
        const v = photo.max[c]!
        if (v > max[c]!) {
          second[c] = max[c]!
          max[c] = v
        } else if (v > second[c]!) second[c] = v
      }
    }
    const [lowest, highest] = rangeOf({ min, max })
    return {
      min: lowest,
      max: highest,
      channels,
      channelMin: min,
      channelMax: max,
      channelSecond: second,
      photos,
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
