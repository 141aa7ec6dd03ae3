/** What calibration sees of a float graph: per tensor and per channel ranges, moments, and a sample of values. */
import type { Graph } from '../graph.ts'
import { floatModel } from '../float/execute.ts'

/** Statistics of one activation over all calibration inputs. "Channel" is the last dimension. */
export interface TensorStats {
  min: number
  max: number
  channels: number
  channelMin: Float32Array
  channelMax: Float32Array
  /** Mean and mean square per channel. */
  channelMean: Float64Array
  channelSquare: Float64Array
  /** Values at a fixed stride, for range searches. */
  sample: Float32Array
}

/** About this many values per tensor are kept for range searches. */
const SAMPLE = 1 << 17

class Collector {
  readonly channels: number
  readonly min: Float32Array
  readonly max: Float32Array
  readonly sum: Float64Array
  readonly square: Float64Array
  private readonly parts: Float32Array[] = []
  private count = 0

  constructor(channels: number) {
    this.channels = channels
    this.min = new Float32Array(channels).fill(Infinity)
    this.max = new Float32Array(channels).fill(-Infinity)
    this.sum = new Float64Array(channels)
    this.square = new Float64Array(channels)
  }

  add(data: Float32Array, keep: number): void {
    const { channels, min, max, sum, square } = this
    for (let i = 0; i < data.length; i += channels) {
      for (let c = 0; c < channels; c++) {
        const v = data[i + c]!
        if (v < min[c]!) min[c] = v
        if (v > max[c]!) max[c] = v
        sum[c]! += v
        square[c]! += v * v
      }
    }
    this.count += data.length / channels
    // A stride prime to the channel count visits every channel.
    let stride = Math.max(1, Math.floor(data.length / keep))
    while (stride > 1 && gcd(stride, channels) !== 1) stride++
    const part = new Float32Array(Math.ceil(data.length / stride))
    for (let i = 0, k = 0; i < data.length; i += stride) part[k++] = data[i]!
    this.parts.push(part)
  }

  finish(): TensorStats {
    const sample = new Float32Array(this.parts.reduce((n, p) => n + p.length, 0))
    let at = 0
    for (const p of this.parts) { sample.set(p, at); at += p.length }
    const mean = (s: Float64Array): Float64Array => s.map((v) => v / Math.max(1, this.count))
    return {
      min: this.min.reduce((a, b) => Math.min(a, b), Infinity), max: this.max.reduce((a, b) => Math.max(a, b), -Infinity),
      channels: this.channels, channelMin: this.min, channelMax: this.max, channelMean: mean(this.sum), channelSquare: mean(this.square), sample,
    }
  }
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** Runs the float graph on every calibration input. Returns statistics by tensor index, for inputs and all op outputs. */
export function observe(graph: Graph, samples: readonly Float32Array[], progress?: (done: number) => void): Map<number, TensorStats> {
  const model = floatModel(graph)
  const collectors = new Map<number, Collector>()
  const keep = Math.ceil(SAMPLE / samples.length)
  samples.forEach((sample, i) => {
    model.run([sample], (t, data) => {
      let c = collectors.get(t)
      if (!c) collectors.set(t, c = new Collector(graph.tensors[t]!.shape.at(-1) ?? 1))
      c.add(data, keep)
    })
    progress?.(i + 1)
  })
  return new Map([...collectors].map(([t, c]) => [t, c.finish()]))
}
