/** What calibration sees of a float graph: per tensor and per channel ranges. */
import type { Graph } from '../graph/graph.ts'
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

/** What is known of a tensor from its channels' ranges on every photo. */
function statsOf(channels: number, photos: Map<number, ChannelRanges>): TensorStats {
  const channelMin = new Float32Array(channels).fill(Infinity)
  const channelMax = new Float32Array(channels).fill(-Infinity)
  const channelSecond = new Float32Array(channels).fill(-Infinity)
  for (const photo of photos.values()) {
    for (let c = 0; c < channels; c++) {
      channelMin[c] = Math.min(channelMin[c]!, photo.min[c]!)
      const v = photo.max[c]!
      if (v > channelMax[c]!) {
        channelSecond[c] = channelMax[c]!
        channelMax[c] = v
      } else if (v > channelSecond[c]!) channelSecond[c] = v
    }
  }
  const [min, max] = rangeOf({ min: channelMin, max: channelMax })
  return { min, max, channels, channelMin, channelMax, channelSecond, photos }
}

/** What calibration would have seen without some of its photos. Requires: others remain. */
export const without = (
  stats: ReadonlyMap<number, TensorStats>,
  photos: ReadonlySet<number>,
): Map<number, TensorStats> =>
  new Map([...stats].map(([t, s]) => [t, statsOf(s.channels, new Map([...s.photos].filter(([p]) => !photos.has(p))))]))

/** Widens what was seen of one photo by another input made of it. */
function widen(known: ChannelRanges, seen: ChannelRanges): void {
  for (let c = 0; c < known.min.length; c++) {
    if (seen.min[c]! < known.min[c]!) known.min[c] = seen.min[c]!
    if (seen.max[c]! > known.max[c]!) known.max[c] = seen.max[c]!
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
  const channelsOf = (t: number): number => graph.tensors[t]!.shape.at(-1) ?? 1
  const photos = new Map<number, Map<number, ChannelRanges>>()
  samples.forEach((sample, i) => {
    model.run(sample, (t, data) => {
      const seen = columnRanges(data, channelsOf(t))
      const of = photos.get(t) ?? new Map<number, ChannelRanges>()
      const known = of.get(photoOf[i]!)
      if (known) widen(known, seen)
      else of.set(photoOf[i]!, seen)
      photos.set(t, of)
    })
    progress?.(i + 1)
  })
  return new Map([...photos].map(([t, of]) => [t, statsOf(channelsOf(t), of)]))
}
