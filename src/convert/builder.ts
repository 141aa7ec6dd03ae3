/**
 * Builds float32 graphs op by op, with shapes worked out on the way. Readers of foreign formats and the architecture
 * builders use it; filters are given in the graph's own layouts (OHWI, depthwise [1, kh, kw, C*m], fully connected [O,
 * K]).
 */
import {
  elements,
  type Activation,
  type DType,
  type Graph,
  type Metadata,
  type Op,
  type Padding,
  type Tensor,
} from '../graph/graph.ts'
import { windowAlong } from '../graph/window.ts'

/** A constant: row-major values of `shape`. */
export interface Values {
  shape: readonly number[]
  data: Float32Array
}

export interface ConvOptions {
  filter: Values
  /** Length O; zeros when absent. */
  bias?: Float32Array | undefined
  stride?: number | readonly [number, number]
  dilation?: number | readonly [number, number]
  padding?: Padding
  activation?: Activation
}

const pair = (v: number | readonly [number, number] = 1): readonly [number, number] =>
  typeof v === 'number' ? [v, v] : v

export class GraphBuilder {
  readonly tensors: Tensor[] = []
  readonly ops: Op[] = []
  readonly inputs: number[] = []
  private readonly names = new Map<string, number>()

  private tensor(name: string, shape: readonly number[], dtype: DType, data?: Uint8Array): number {
    const seen = this.names.get(name) ?? 0
    this.names.set(name, seen + 1)
    this.tensors.push({ name: seen ? `${name}_${seen}` : name, shape: [...shape], dtype, ...(data ? { data } : {}) })
    return this.tensors.length - 1
  }

  shape(x: number): readonly number[] {
    return this.tensors[x]!.shape
  }

  input(name: string, shape: readonly number[]): number {
    const index = this.tensor(name, shape, 'float32')
    this.inputs.push(index)
    return index
  }

  constant(name: string, { shape, data }: Values): number {
    if (data.length !== elements(shape)) {
      throw new RangeError(`${name}: ${data.length} values for shape ${shape.join('x')}`)
    }
    return this.tensor(name, shape, 'float32', new Uint8Array(data.slice().buffer))
  }

  int32(name: string, shape: readonly number[], values: readonly number[]): number {
    return this.tensor(name, shape, 'int32', new Uint8Array(Int32Array.from(values).buffer))
  }

  /** Appends an op with one output of the given shape. */
  op<T extends Op>(op: Omit<T, 'outputs'>, name: string, shape: readonly number[], dtype: DType = 'float32'): number {
    const output = this.tensor(name, shape, dtype)
    this.ops.push({ ...op, outputs: [output] } as unknown as Op)
    return output
  }

  private window(
    x: number,
    kh: number,
    kw: number,
    o: ConvOptions,
  ): {
    attrs: {
      padding: Padding
      strideH: number
      strideW: number
      dilationH: number
      dilationW: number
      activation: Activation
    }
    out: [number, number]
  } {
    const [strideH, strideW] = pair(o.stride)
    const [dilationH, dilationW] = pair(o.dilation)
    const padding = o.padding ?? 'SAME'
    const [, h, w] = this.shape(x) as [number, number, number, number]
    return {
      attrs: { padding, strideH, strideW, dilationH, dilationW, activation: o.activation ?? 'NONE' },
      out: [
        windowAlong({ padding, size: h, kernel: kh, stride: strideH, dilation: dilationH }).out,
        windowAlong({ padding, size: w, kernel: kw, stride: strideW, dilation: dilationW }).out,
      ],
    }
  }

  private weights(name: string, o: ConvOptions, channels: number): [number, number] {
    return [
      this.constant(`${name}/filter`, o.filter),
      this.constant(`${name}/bias`, { shape: [channels], data: o.bias ?? new Float32Array(channels) }),
    ]
  }

  /** x [N,H,W,C], filter [O,kh,kw,C/groups]. */
  conv(name: string, x: number, o: ConvOptions): number {
    const [channels, kh, kw] = o.filter.shape as [number, number, number, number]
    const { attrs, out } = this.window(x, kh, kw, o)
    return this.op({ type: 'CONV_2D', inputs: [x, ...this.weights(name, o, channels)], attrs }, name, [
      this.shape(x)[0]!,
      ...out,
      channels,
    ])
  }

  /** x [N,H,W,C], filter [1,kh,kw,C*m]. */
  depthwise(name: string, x: number, o: ConvOptions): number {
    const [, kh, kw, channels] = o.filter.shape as [number, number, number, number]
    const { attrs, out } = this.window(x, kh, kw, o)
    const depthMultiplier = channels / this.shape(x)[3]!
    return this.op(
      {
        type: 'DEPTHWISE_CONV_2D',
        inputs: [x, ...this.weights(name, o, channels)],
        attrs: { ...attrs, depthMultiplier },
      },
      name,
      [this.shape(x)[0]!, ...out, channels],
    )
  }

  /** x [..., K], filter [O, K]; the output is [rows, O]. */
  fullyConnected(name: string, x: number, o: Pick<ConvOptions, 'filter' | 'bias' | 'activation'>): number {
    const [channels, depth] = o.filter.shape as [number, number]
    const inputs = [x, ...this.weights(name, o, channels)]
    return this.op(
      { type: 'FULLY_CONNECTED', inputs, attrs: { activation: o.activation ?? 'NONE', keepNumDims: false } },
      name,
      [elements(this.shape(x)) / depth, channels],
    )
  }

  /** Zeros around height and width: [top, bottom, left, right]. */
  pad(name: string, x: number, [top, bottom, left, right]: readonly [number, number, number, number]): number {
    const [n, h, w, c] = this.shape(x) as [number, number, number, number]
    const paddings = this.int32(`${name}/paddings`, [4, 2], [0, 0, top, bottom, left, right, 0, 0])
    return this.op({ type: 'PAD', inputs: [x, paddings], attrs: {} }, name, [n, h + top + bottom, w + left + right, c])
  }

  add(name: string, a: number, b: number, activation: Activation = 'NONE'): number {
    return this.op({ type: 'ADD', inputs: [a, b], attrs: { activation } }, name, this.shape(a))
  }

  /** Mean over height and width: [N, C]. */
  globalAverage(name: string, x: number): number {
    const [n, , , c] = this.shape(x) as [number, number, number, number]
    return this.op(
      { type: 'MEAN', inputs: [x, this.int32(`${name}/axes`, [2], [1, 2])], attrs: { keepDims: false } },
      name,
      [n, c],
    )
  }

  finish(outputs: readonly number[], metadata: Metadata = {}): Graph {
    return { tensors: this.tensors, ops: this.ops, inputs: this.inputs, outputs: [...outputs], metadata }
  }
}
