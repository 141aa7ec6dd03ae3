/**
 * Builds the graphs of published architectures, with seeded random weights: as int8, as float32 with the very same
 * weights, or shapes only (for counting). Activation grids come from the variances that the weights are scaled for,
 * so that random networks neither die out nor saturate; batch norm is taken as folded.
 */
import { windowAlong } from '../graph/window.ts'
import {
  elements,
  type Activation,
  type Graph,
  type Metadata,
  type Op,
  type OpOf,
  type Padding,
  type Quantization,
  type Tensor,
} from '../graph/graph.ts'

/** What tensors hold: `int8` and `float32` weights are equal in value; `shape` has none. */
export type Numbers = 'int8' | 'float32' | 'shape'

export interface WindowOptions {
  kernel?: number | readonly [number, number]
  stride?: number
  padding?: Padding
  activation?: Activation
  /** Added to the bias: hard-sigmoid's +3. */
  shift?: number
  /** Standard deviation of the result before its activation. Default 1. */
  gain?: number
}

/** Per-tensor grid, and the mean square of the real values that it is chosen for. */
interface Statistics {
  scale: number
  zeroPoint: number
  power: number
}

type Linear = 'CONV_2D' | 'DEPTHWISE_CONV_2D' | 'FULLY_CONNECTED'
/** A layer with weights: `fan` of them go into one output value. */
interface LinearLayer<T extends Linear> {
  type: T
  attrs: OpOf<T>['attrs']
  filterShape: readonly number[]
  fan: number
  /** Shape of the result, channels last. */
  out: readonly number[]
}

const pair = (v: number | readonly [number, number]): readonly [number, number] => (typeof v === 'number' ? [v, v] : v)
/** Standard deviation of a uniform integer in [-127, 127]. */
const WEIGHT_DEVIATION = Math.sqrt((255 ** 2 - 1) / 12)

/** Statistics of a value of unit variance after an activation. */
const AFTER: Record<Activation, Statistics> = {
  NONE: { scale: 8 / 255, zeroPoint: 0, power: 1 },
  RELU: { scale: 6 / 255, zeroPoint: -128, power: 0.5 },
  RELU6: { scale: 6 / 255, zeroPoint: -128, power: 0.5 },
  RELU_N1_TO_1: { scale: 2 / 255, zeroPoint: 0, power: 0.5 },
}

export class ArchBuilder {
  private readonly tensors: Tensor[] = []
  private readonly ops: Op[] = []
  private readonly statistics = new Map<number, Statistics>()
  private readonly numbers: Numbers
  private state: number

  constructor(numbers: Numbers, seed = 1) {
    this.numbers = numbers
    this.state = (seed * 2654435761) >>> 0 || 1
  }

  shape(x: number): readonly number[] {
    return this.tensors[x]!.shape
  }

  private random(): number {
    // xorshift32
    let s = this.state
    s ^= s << 13
    s ^= s >>> 17
    s ^= s << 5
    this.state = s >>> 0
    return this.state
  }

  private activation(name: string, shape: readonly number[], s: Statistics): number {
    const quantization: Quantization = {
      scales: Float32Array.of(s.scale),
      zeroPoints: Int32Array.of(s.zeroPoint),
      axis: 0,
    }
    this.tensors.push(
      this.numbers === 'float32' ? { name, shape, dtype: 'float32' } : { name, shape, dtype: 'int8', quantization },
    )
    this.statistics.set(this.tensors.length - 1, s)
    return this.tensors.length - 1
  }

  private indices(name: string, values: readonly number[]): number {
    this.tensors.push({
      name,
      shape: [values.length],
      dtype: 'int32',
      data: new Uint8Array(Int32Array.from(values).buffer),
    })
    return this.tensors.length - 1
  }

  /** Uniform int8 in [-127, 127], four at a time. */
  private weights(count: number): Int8Array {
    const words = new Uint32Array((count + 3) >> 2)
    for (let i = 0; i < words.length; i++) words[i] = this.random()
    const q = new Int8Array(words.buffer, 0, count)
    for (let i = 0; i < count; i++) if (q[i] === -128) q[i] = 127
    return q
  }

  private filter(name: string, shape: readonly number[], scale: number): number {
    const dtype = this.numbers === 'float32' ? 'float32' : 'int8'
    const tensor: Tensor = { name: `${name}/filter`, shape, dtype }
    if (this.numbers === 'int8') {
      tensor.quantization = { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(0), axis: 0 }
    }
    if (this.numbers !== 'shape') {
      const q = this.weights(elements(shape))
      if (dtype === 'int8') tensor.data = new Uint8Array(q.buffer, 0, q.length)
      else {
        const f = new Float32Array(q.length)
        const s = Math.fround(scale)
        for (let i = 0; i < f.length; i++) f[i] = q[i]! * s
        tensor.data = new Uint8Array(f.buffer)
      }
    }
    this.tensors.push(tensor)
    return this.tensors.length - 1
  }

  /** Small random biases, on the grid of the accumulators. */
  private bias(name: string, channels: number, scale: number, shift: number): number {
    const dtype = this.numbers === 'float32' ? 'float32' : 'int32'
    const tensor: Tensor = { name: `${name}/bias`, shape: [channels], dtype }
    if (this.numbers === 'int8') {
      tensor.quantization = { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(0), axis: 0 }
    }
    if (this.numbers !== 'shape') {
      const q = Int32Array.from({ length: channels }, () =>
        Math.round(((this.random() / 2 ** 32 - 0.5) * 0.4 + shift) / scale),
      )
      tensor.data = new Uint8Array(dtype === 'int32' ? q.buffer : Float32Array.from(q, (v) => v * scale).buffer)
    }
    this.tensors.push(tensor)
    return this.tensors.length - 1
  }

  /** An image in [-1, 1]. */
  input(shape: readonly number[]): number {
    return this.activation('image', shape, { scale: 1 / 128, zeroPoint: 0, power: 1 / 3 })
  }

  private linear<T extends Linear>(name: string, x: number, layer: LinearLayer<T>, o: WindowOptions): number {
    const { type, attrs, filterShape, fan, out } = layer
    const from = this.statistics.get(x)!
    const gain = o.gain ?? 1
    const filterScale = (gain * Math.sqrt(1 / (fan * from.power))) / WEIGHT_DEVIATION
    const inputs = [
      x,
      this.filter(name, filterShape, filterScale),
      this.bias(name, out.at(-1)!, Math.fround(Math.fround(from.scale) * Math.fround(filterScale)), o.shift ?? 0),
    ]
    const activation = o.activation ?? 'NONE'
    const plain = AFTER[activation]
    const to = o.shift
      ? { ...AFTER.RELU6, power: o.shift ** 2 + 1 }
      : { ...plain, scale: plain.scale * gain, power: plain.power * gain * gain }
    const y = this.activation(name, out, to)
    this.ops.push({ type, inputs, outputs: [y], attrs } as unknown as Op)
    return y
  }

  private window(
    x: number,
    o: WindowOptions,
  ): {
    kernel: readonly [number, number]
    out: [number, number]
    attrs: {
      padding: Padding
      strideH: number
      strideW: number
      dilationH: number
      dilationW: number
      activation: Activation
    }
  } {
    const kernel = pair(o.kernel ?? 1)
    const stride = o.stride ?? 1
    const padding = o.padding ?? 'SAME'
    const [, h, w] = this.shape(x) as [number, number, number]
    const out: [number, number] = [
      windowAlong({ padding, size: h, kernel: kernel[0], stride }).out,
      windowAlong({ padding, size: w, kernel: kernel[1], stride }).out,
    ]
    if (out.some((d) => d < 1)) throw new RangeError(`${kernel.join('x')} window does not fit ${h}x${w}`)
    return {
      kernel,
      out,
      attrs: {
        padding,
        strideH: stride,
        strideW: stride,
        dilationH: 1,
        dilationW: 1,
        activation: o.activation ?? 'NONE',
      },
    }
  }

  conv(name: string, x: number, channels: number, o: WindowOptions = {}): number {
    const { kernel, out, attrs } = this.window(x, o)
    const [n, , , c] = this.shape(x) as [number, number, number, number]
    const filterShape = [channels, ...kernel, c]
    const fan = kernel[0] * kernel[1] * c
    return this.linear(name, x, { type: 'CONV_2D', attrs, filterShape, fan, out: [n, ...out, channels] }, o)
  }

  depthwise(name: string, x: number, o: WindowOptions = {}): number {
    const { kernel, out, attrs } = this.window(x, o)
    const [n, , , c] = this.shape(x) as [number, number, number, number]
    const layer: LinearLayer<'DEPTHWISE_CONV_2D'> = {
      type: 'DEPTHWISE_CONV_2D',
      attrs: { ...attrs, depthMultiplier: 1 },
      filterShape: [1, ...kernel, c],
      fan: kernel[0] * kernel[1],
      out: [n, ...out, c],
    }
    return this.linear(name, x, layer, o)
  }

  dense(name: string, x: number, channels: number, o: Pick<WindowOptions, 'activation' | 'gain'> = {}): number {
    const depth = this.shape(x).at(-1)!
    const layer: LinearLayer<'FULLY_CONNECTED'> = {
      type: 'FULLY_CONNECTED',
      attrs: { activation: o.activation ?? 'NONE', keepNumDims: false },
      filterShape: [channels, depth],
      fan: depth,
      out: [1, channels],
    }
    return this.linear(name, x, layer, o)
  }

  pool(name: string, x: number, kind: 'MAX_POOL_2D' | 'AVERAGE_POOL_2D', o: WindowOptions): number {
    const { kernel, out, attrs } = this.window(x, o)
    const [n, , , c] = this.shape(x) as [number, number, number, number]
    const from = this.statistics.get(x)!
    // The largest of many rectified values is large; a mean of them keeps their mean.
    const power =
      kind === 'MAX_POOL_2D' ? Math.min(4, from.power * (2 + (kernel[0] * kernel[1]) / 4.5)) : from.power * 0.6
    const y = this.activation(name, [n, ...out, c], { ...from, power })
    const { padding, strideH, strideW, activation } = attrs
    this.ops.push({
      type: kind,
      inputs: [x],
      outputs: [y],
      attrs: { padding, strideH, strideW, filterH: kernel[0], filterW: kernel[1], activation },
    })
    return y
  }

  /** Mean over the image: [N, C], or [N, 1, 1, C]. */
  globalAverage(name: string, x: number, keepDims = false): number {
    const [n, , , c] = this.shape(x) as [number, number, number, number]
    const from = this.statistics.get(x)!
    // Of rectified values the mean stays, of others little does.
    const y = this.activation(name, keepDims ? [n, 1, 1, c] : [n, c], { ...from, power: from.power * 0.35 })
    this.ops.push({
      type: 'MEAN',
      inputs: [x, this.indices(`${name}/axes`, [1, 2])],
      outputs: [y],
      attrs: { keepDims },
    })
    return y
  }

  add(name: string, a: number, b: number): number {
    const power = this.statistics.get(a)!.power + this.statistics.get(b)!.power
    const y = this.activation(name, this.shape(a), { scale: (8 * Math.sqrt(power)) / 255, zeroPoint: 0, power })
    this.ops.push({ type: 'ADD', inputs: [a, b], outputs: [y], attrs: { activation: 'NONE' } })
    return y
  }

  /** Concatenation along the channels; all inputs lie on one grid. */
  concat(name: string, parts: readonly number[]): number {
    const shape = this.shape(parts[0]!)
    const channels = parts.map((p) => this.shape(p).at(-1)!)
    const total = channels.reduce((s, c) => s + c, 0)
    const power = parts.reduce((s, p, i) => s + (this.statistics.get(p)!.power * channels[i]!) / total, 0)
    const y = this.activation(name, [...shape.slice(0, -1), total], { ...this.statistics.get(parts[0]!)!, power })
    this.ops.push({ type: 'CONCATENATION', inputs: [...parts], outputs: [y], attrs: { axis: 3, activation: 'NONE' } })
    return y
  }

  hardSwish(name: string, x: number): number {
    const y = this.activation(name, this.shape(x), { scale: 5 / 255, zeroPoint: -109, power: 0.3 })
    this.ops.push({ type: 'HARD_SWISH', inputs: [x], outputs: [y], attrs: {} })
    return y
  }

  /** x times relu6(gate + 3), whose factor 1/6 belongs to the weights that follow. */
  squeezeExcite(name: string, x: number, reduced: number): number {
    const channels = this.shape(x).at(-1)!
    const squeezed = this.conv(`${name}/squeeze`, this.globalAverage(`${name}/mean`, x, true), reduced, {
      activation: 'RELU',
    })
    const gate = this.conv(`${name}/gate`, squeezed, channels, { activation: 'RELU6', shift: 3 })
    const from = this.statistics.get(x)!
    const power = from.power * this.statistics.get(gate)!.power
    const low = -(from.zeroPoint + 128) * from.scale * 6
    const high = (127 - from.zeroPoint) * from.scale * 4
    const scale = (high - low) / 255
    const y = this.activation(`${name}/scale`, this.shape(x), {
      scale,
      zeroPoint: Math.round(-low / scale) - 128,
      power,
    })
    this.ops.push({ type: 'MUL', inputs: [x, gate], outputs: [y], attrs: { activation: 'NONE' } })
    return y
  }

  flatten(name: string, x: number): number {
    const shape = [1, elements(this.shape(x))]
    const y = this.activation(name, shape, this.statistics.get(x)!)
    this.ops.push({ type: 'RESHAPE', inputs: [x, this.indices(`${name}/shape`, shape)], outputs: [y], attrs: {} })
    return y
  }

  /** Fully connected layer and softmax. The random logits spread enough for a few classes to stand out. */
  classifier(x: number, classes: number): number {
    return this.softmax('probabilities', this.dense('logits', x, classes, { gain: 4 }))
  }

  private softmax(name: string, x: number): number {
    const y = this.activation(name, this.shape(x), { scale: 1 / 256, zeroPoint: -128, power: 0 })
    this.ops.push({ type: 'SOFTMAX', inputs: [x], outputs: [y], attrs: { beta: 1 } })
    return y
  }

  finish(input: number, output: number, metadata: Metadata): Graph {
    return {
      tensors: this.tensors,
      ops: this.ops,
      inputs: [input],
      outputs: [output],
      metadata: {
        task: 'classification',
        preprocess: { fit: 'crop', method: 'bilinear', channels: 'rgb', mean: [127.5], std: [127.5] },
        ...metadata,
      },
    }
  }
}
