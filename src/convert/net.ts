/** The graph builder with the rest of a reader's vocabulary: pooling, shape ops, activations, per-channel maps. */
import { ThimbleError } from '../base/errors.ts'
import { elements, type Activation, type Op, type OpOf, type OpType, type Padding } from '../graph/graph.ts'
import { windowAlong } from '../graph/window.ts'
import { GraphBuilder } from './builder.ts'

export type Pads = readonly [top: number, bottom: number, left: number, right: number]
export interface Reduction {
  type: 'MEAN' | 'SUM' | 'REDUCE_MAX' | 'REDUCE_MIN'
  axes: readonly number[]
  keepDims: boolean
}

/** filter [O,kh,kw,I]. */
export interface TransposedConvolution {
  filter: { shape: readonly number[]; data: Float32Array }
  bias: Float32Array | undefined
  stride: readonly [number, number]
  padding: Padding
  /** Height and width of the result, where they are not the usual ones: SAME h*stride, VALID (h-1)*stride + k. */
  size?: readonly [number, number]
}

export interface Window {
  kernel: readonly [number, number]
  stride: readonly [number, number]
  dilation?: readonly [number, number]
  padding: Padding
}

/** Activations that the graph expresses, some as several ops. `hard_sigmoid` is relu6(x + 3) / 6. */
export type Nonlinearity =
  | 'linear'
  | 'relu'
  | 'relu6'
  | 'relu_n1_to_1'
  | 'sigmoid'
  | 'tanh'
  | 'softmax'
  | 'hard_sigmoid'
  | 'hard_swish'
  | 'swish'

const FUSED: Partial<Record<Nonlinearity, Activation>> = { relu: 'RELU', relu6: 'RELU6', relu_n1_to_1: 'RELU_N1_TO_1' }
const UNARY: Partial<Record<Nonlinearity, 'LOGISTIC' | 'TANH' | 'HARD_SWISH'>> = {
  sigmoid: 'LOGISTIC',
  tanh: 'TANH',
  hard_swish: 'HARD_SWISH',
}

/** Shapes with NumPy's broadcasting. */
export function broadcast(a: readonly number[], b: readonly number[], where: string): number[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1]
    if (x !== y && x !== 1 && y !== 1) {
      throw new ThimbleError('format/shape', 'shapes do not broadcast', {
        tensor: where,
        expected: a.join('x'),
        got: b.join('x'),
      })
    }
    return Math.max(x, y)
  })
}

export class Net extends GraphBuilder {
  image(x: number, where: string): [number, number, number, number] {
    const s = this.shape(x)
    if (s.length !== 4) {
      throw new ThimbleError('format/shape', 'expected an image tensor [N, H, W, C]', {
        tensor: where,
        got: `[${s.join(', ')}]`,
      })
    }
    return s as [number, number, number, number]
  }

  /** How TFLite pads explicitly given amounts: none, its own SAME, or not expressible. */
  static asPadding(
    h: number,
    w: number,
    k: Omit<Window, 'padding'>,
    [top, bottom, left, right]: Pads,
  ): Padding | undefined {
    if (!top && !bottom && !left && !right) return 'VALID'
    const fits = (n: number, i: 0 | 1, before: number, after: number): boolean => {
      const [kernel, stride, dilation] = [k.kernel[i], k.stride[i], k.dilation?.[i] ?? 1]
      const same = windowAlong({ padding: 'SAME', size: n, kernel, stride, dilation })
      // The last `slack` padded positions may be read by no window.
      return (
        same.before === before &&
        same.after <= after &&
        windowAlong({ padding: 'VALID', size: n, kernel, stride, dilation, before, after }).out === same.out
      )
    }
    return fits(h, 0, top, bottom) && fits(w, 1, left, right) ? 'SAME' : undefined
  }

  pool(name: string, x: number, kind: 'AVERAGE_POOL_2D' | 'MAX_POOL_2D', { kernel, stride, padding }: Window): number {
    const [n, h, w, c] = this.image(x, name)
    const shape = [
      n,
      windowAlong({ padding, size: h, kernel: kernel[0], stride: stride[0] }).out,
      windowAlong({ padding, size: w, kernel: kernel[1], stride: stride[1] }).out,
      c,
    ]
    if (shape.some((d) => d < 1)) {
      throw new ThimbleError('format/shape', 'pooling window is larger than its input', {
        tensor: name,
        got: `${kernel.join('x')} on ${h}x${w}`,
      })
    }
    const attrs = {
      padding,
      strideH: stride[0],
      strideW: stride[1],
      filterH: kernel[0],
      filterW: kernel[1],
      activation: 'NONE' as const,
    }
    return this.op<OpOf<'MAX_POOL_2D'>>({ type: kind as 'MAX_POOL_2D', inputs: [x], attrs }, name, shape)
  }

  /**
   * Max pooling whose padding TFLite's SAME or VALID may not match. Padding counts as minus infinity: where the input
   * can be negative, the pool runs at stride 1 with symmetric SAME and is then subsampled; else zeros are padded.
   */
  maxPool(name: string, x: number, k: Omit<Window, 'padding'>, pads: Pads): number {
    const [, h, w] = this.image(x, name)
    const padding = Net.asPadding(h, w, k, pads)
    if (padding) return this.pool(name, x, 'MAX_POOL_2D', { ...k, padding })
    if (this.nonNegative(x)) {
      return this.pool(name, this.pad(`${name}/pad`, x, pads), 'MAX_POOL_2D', { ...k, padding: 'VALID' })
    }
    const centred = ([before, after]: readonly [number, number], i: 0 | 1): boolean =>
      k.kernel[i] % 2 === 1 && before === (k.kernel[i] - 1) / 2 && after <= before
    if (!centred([pads[0], pads[1]], 0) || !centred([pads[2], pads[3]], 1)) {
      throw new ThimbleError('lower/unsupported-op', 'max pooling with this padding on values that may be negative', {
        tensor: name,
        got: pads.join(', '),
      })
    }
    const dense = this.pool(`${name}/dense`, x, 'MAX_POOL_2D', { kernel: k.kernel, stride: [1, 1], padding: 'SAME' })
    const strided = this.pool(name, dense, 'MAX_POOL_2D', { kernel: [1, 1], stride: k.stride, padding: 'VALID' })
    const want = ([0, 1] as const).map(
      (i) => Math.floor(([h, w][i]! + pads[2 * i]! + pads[2 * i + 1]! - k.kernel[i]) / k.stride[i]) + 1,
    )
    const [n, sh, sw, c] = this.image(strided, name)
    return sh === want[0] && sw === want[1]
      ? strided
      : this.slice(`${name}/crop`, strided, [0, 0, 0, 0], [n, want[0]!, want[1]!, c])
  }

  /** True when the op that makes `x` cannot give a negative value. */
  nonNegative(x: number): boolean {
    const from = this.ops.find((op) => op.outputs.includes(x))
    if (!from) return false
    if (from.type === 'RELU' || from.type === 'RELU6' || from.type === 'LOGISTIC' || from.type === 'SOFTMAX') {
      return true
    }
    if ('activation' in from.attrs && (from.attrs.activation === 'RELU' || from.attrs.activation === 'RELU6')) {
      return true
    }
    return (
      ['MAX_POOL_2D', 'AVERAGE_POOL_2D', 'CONCATENATION', 'PAD', 'RESHAPE'].includes(from.type) &&
      from.inputs.every((t) => this.tensors[t]!.data !== undefined || this.nonNegative(t))
    )
  }

  mean(name: string, x: number, axes: readonly number[], keepDims: boolean): number {
    return this.reduce(name, x, { type: 'MEAN', axes, keepDims })
  }

  /** A mean, sum or extreme over some dimensions. */
  reduce(name: string, x: number, { type, axes, keepDims }: Reduction): number {
    const shape = this.shape(x)
    const kept = keepDims ? shape.map((d, i) => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i))
    return this.op<OpOf<'MEAN'>>(
      { type: type as 'MEAN', inputs: [x, this.int32(`${name}/axes`, [axes.length], axes)], attrs: { keepDims } },
      name,
      kept,
    )
  }

  reshape(name: string, x: number, shape: readonly number[]): number {
    if (elements(shape) !== elements(this.shape(x))) {
      throw new ThimbleError('format/shape', 'reshape changes the number of elements', {
        tensor: name,
        expected: this.shape(x).join('x'),
        got: shape.join('x'),
      })
    }
    return this.op<OpOf<'RESHAPE'>>(
      { type: 'RESHAPE', inputs: [x, this.int32(`${name}/shape`, [shape.length], shape)], attrs: {} },
      name,
      shape,
    )
  }

  transpose(name: string, x: number, permutation: readonly number[]): number {
    const shape = permutation.map((p) => this.shape(x)[p]!)
    return this.op<OpOf<'TRANSPOSE'>>(
      {
        type: 'TRANSPOSE',
        inputs: [x, this.int32(`${name}/permutation`, [permutation.length], permutation)],
        attrs: {},
      },
      name,
      shape,
    )
  }

  slice(name: string, x: number, begin: readonly number[], size: readonly number[]): number {
    const rank = begin.length
    return this.op<OpOf<'SLICE'>>(
      {
        type: 'SLICE',
        inputs: [x, this.int32(`${name}/begin`, [rank], begin), this.int32(`${name}/size`, [rank], size)],
        attrs: {},
      },
      name,
      size,
    )
  }

  concat(name: string, parts: readonly number[], axis: number): number {
    const first = this.shape(parts[0]!)
    const at = axis < 0 ? axis + first.length : axis
    for (const p of parts) {
      const s = this.shape(p)
      if (s.length !== first.length || s.some((d, i) => i !== at && d !== first[i])) {
        throw new ThimbleError('format/shape', 'shapes do not concatenate', {
          tensor: name,
          expected: first.join('x'),
          got: s.join('x'),
        })
      }
    }
    const shape = first.map((d, i) => (i === at ? parts.reduce((sum, p) => sum + this.shape(p)[at]!, 0) : d))
    return this.op<OpOf<'CONCATENATION'>>(
      { type: 'CONCATENATION', inputs: [...parts], attrs: { axis: at, activation: 'NONE' } },
      name,
      shape,
    )
  }

  /** An op without attributes over two operands that broadcast. */
  pair(name: string, type: 'MAXIMUM' | 'MINIMUM' | 'SQUARED_DIFFERENCE' | 'POW', a: number, b: number): number {
    return this.op<OpOf<'MAXIMUM'>>(
      { type: type as 'MAXIMUM', inputs: [a, b], attrs: {} },
      name,
      broadcast(this.shape(a), this.shape(b), name),
    )
  }

  /** An op of one input that keeps its shape. */
  map(name: string, op: { type: OpType; attrs?: object }, x: number): number {
    return this.op<never>({ attrs: {}, ...op, inputs: [x] } as never, name, this.shape(x))
  }

  /** (x - mean) / sqrt(variance + epsilon) over some dimensions. */
  standardize(name: string, x: number, over: readonly number[], epsilon: number): number {
    const mean = this.mean(`${name}/mean`, x, over, true)
    const centred = this.binary(`${name}/centred`, 'SUB', x, mean)
    const spread = this.mean(`${name}/variance`, this.pair(`${name}/square`, 'SQUARED_DIFFERENCE', x, mean), over, true)
    const sum = this.affine(`${name}/epsilon`, spread, [1], [epsilon])
    return this.binary(`${name}/normal`, 'MUL', centred, this.map(`${name}/rsqrt`, { type: 'RSQRT' }, sum))
  }

  binary(name: string, type: 'ADD' | 'SUB' | 'MUL' | 'DIV', a: number, b: number): number {
    return this.op<OpOf<'ADD'>>(
      { type: type as 'ADD', inputs: [a, b], attrs: { activation: 'NONE' } },
      name,
      broadcast(this.shape(a), this.shape(b), name),
    )
  }

  /** x * scale + offset, each a value per channel (last axis) or one for all. Folding merges it into a neighbour. */
  affine(name: string, x: number, scale: ArrayLike<number>, offset: ArrayLike<number>): number {
    const all = (v: ArrayLike<number>, value: number): boolean => Array.from(v).every((e) => e === value)
    let y = x
    const scaled = !all(scale, 1)
    const shifted = !all(offset, 0)
    if (scaled || !shifted) {
      y = this.binary(
        shifted ? `${name}/scaled` : name,
        'MUL',
        y,
        this.constant(`${name}/scale`, { shape: [scale.length], data: Float32Array.from(scale) }),
      )
    }
    if (shifted) {
      y = this.binary(
        name,
        'ADD',
        y,
        this.constant(`${name}/offset`, { shape: [offset.length], data: Float32Array.from(offset) }),
      )
    }
    return y
  }

  unary(name: string, type: 'LOGISTIC' | 'TANH' | 'HARD_SWISH' | 'RELU' | 'RELU6' | 'RELU_N1_TO_1', x: number): number {
    return this.op(
      { type, inputs: [x], attrs: {} } as Omit<Op, 'outputs'> as Omit<OpOf<'RELU'>, 'outputs'>,
      name,
      this.shape(x),
    )
  }

  leakyRelu(name: string, x: number, alpha: number): number {
    if (alpha === 0) return this.unary(name, 'RELU', x)
    return this.op<OpOf<'LEAKY_RELU'>>({ type: 'LEAKY_RELU', inputs: [x], attrs: { alpha } }, name, this.shape(x))
  }

  /** max(x, 0) + slope * min(x, 0), as relu(x) - slope * relu(-x). */
  prelu(name: string, x: number, slope: ArrayLike<number>): number {
    if (Array.from(slope).every((v) => v === slope[0])) return this.leakyRelu(name, x, slope[0]!)
    const positive = this.unary(`${name}/positive`, 'RELU', x)
    const negative = this.unary(`${name}/negative`, 'RELU', this.affine(`${name}/negated`, x, [-1], [0]))
    return this.binary(
      name,
      'ADD',
      positive,
      this.affine(
        `${name}/slope`,
        negative,
        Array.from(slope, (v) => -v),
        [0],
      ),
    )
  }

  softmax(name: string, x: number, beta = 1): number {
    return this.op<OpOf<'SOFTMAX'>>({ type: 'SOFTMAX', inputs: [x], attrs: { beta } }, name, this.shape(x))
  }

  activation(name: string, x: number, kind: Nonlinearity): number {
    const fused = FUSED[kind]
    if (fused) return this.unary(name, fused as 'RELU', x)
    const unary = UNARY[kind]
    if (unary) return this.unary(name, unary, x)
    if (kind === 'softmax') return this.softmax(name, x)
    if (kind === 'swish') return this.binary(name, 'MUL', x, this.unary(`${name}/gate`, 'LOGISTIC', x))
    if (kind === 'hard_sigmoid') return this.hardSigmoid(name, x, 1 / 6, 0.5)
    return x
  }

  /** clip(alpha * x + beta, 0, 1), as relu6(6 alpha x + 6 beta) / 6. */
  hardSigmoid(name: string, x: number, alpha: number, beta: number): number {
    const gate = this.unary(`${name}/relu6`, 'RELU6', this.affine(`${name}/in`, x, [6 * alpha], [6 * beta]))
    return this.affine(name, gate, [1 / 6], [0])
  }

  /** log(1 + exp(x)). */
  softplus(name: string, x: number): number {
    const exp = this.map(`${name}/exp`, { type: 'EXP' }, x)
    return this.map(name, { type: 'LOG' }, this.affine(`${name}/plus1`, exp, [1], [1]))
  }

  /** x / (1 + |x|). */
  softsign(name: string, x: number): number {
    const size = this.map(`${name}/abs`, { type: 'ABS' }, x)
    return this.binary(name, 'DIV', x, this.affine(`${name}/plus1`, size, [1], [1]))
  }

  /** x tanh(log(1 + exp(x))). */
  mish(name: string, x: number): number {
    return this.binary(name, 'MUL', x, this.unary(`${name}/tanh`, 'TANH', this.softplus(`${name}/softplus`, x)))
  }

  /** scale * x above 0, scale * alpha * (exp(x) - 1) below. */
  scaledElu(name: string, x: number, { scale, alpha }: { scale: number; alpha: number }): number {
    if (alpha === 1) return this.affine(name, this.map(`${name}/elu`, { type: 'ELU' }, x), [scale], [0])
    const elu = this.map(`${name}/elu`, { type: 'ELU' }, x)
    const above = this.affine(`${name}/above`, this.unary(`${name}/relu`, 'RELU', elu), [scale], [0])
    // min(elu, 0) is -relu(-elu).
    const below = this.unary(`${name}/negative`, 'RELU', this.affine(`${name}/negated`, elu, [-1], [0]))
    return this.binary(name, 'ADD', above, this.affine(`${name}/below`, below, [-scale * alpha], [0]))
  }

  /** x above 0, alpha * (exp(x / alpha) - 1) below. */
  celu(name: string, x: number, alpha: number): number {
    const elu = this.map(`${name}/elu`, { type: 'ELU' }, this.affine(`${name}/in`, x, [1 / alpha], [0]))
    return this.affine(name, elu, [alpha], [0])
  }

  resize(
    name: string,
    x: number,
    type: 'RESIZE_BILINEAR' | 'RESIZE_NEAREST_NEIGHBOR',
    { h, w, ...attrs }: { h: number; w: number; alignCorners: boolean; halfPixelCenters: boolean },
  ): number {
    const [n, , , c] = this.image(x, name)
    return this.op<OpOf<'RESIZE_BILINEAR'>>(
      { type: type as 'RESIZE_BILINEAR', inputs: [x, this.int32(`${name}/size`, [2], [h, w])], attrs },
      name,
      [n, h, w, c],
    )
  }

  transposeConv(name: string, x: number, { filter, bias, stride, padding, size }: TransposedConvolution): number {
    const [n, h, w] = this.image(x, name)
    const [o, kh, kw] = filter.shape as [number, number, number]
    const length = (i: number, k: number, s: number): number =>
      padding === 'SAME' ? i * s : i * s + Math.max(k - s, 0)
    const shape = [n, ...(size ?? [length(h, kh, stride[0]), length(w, kw, stride[1])]), o]
    const inputs = [
      this.int32(`${name}/shape`, [4], shape),
      this.constant(`${name}/filter`, filter),
      x,
      ...(bias ? [this.constant(`${name}/bias`, { shape: [o], data: bias })] : []),
    ]
    return this.op<OpOf<'TRANSPOSE_CONV'>>(
      {
        type: 'TRANSPOSE_CONV',
        inputs,
        attrs: { padding, strideH: stride[0], strideW: stride[1], activation: 'NONE' },
      },
      name,
      shape,
    )
  }

  private readonly clips = new Map<number, { x: number; lo: number; hi: number }>()

  /** min(max(x, lo), hi); either bound may be infinite. A clip of a clip is one clip. */
  clip(name: string, x: number, lo: number, hi: number): number {
    const before = this.clips.get(x)
    const from =
      before && Math.max(before.lo, lo) <= Math.min(before.hi, hi) ? before : { x, lo: -Infinity, hi: Infinity }
    const range = { x: from.x, lo: Math.max(from.lo, lo), hi: Math.min(from.hi, hi) }
    const y = this.clipped(name, range.x, range.lo, range.hi)
    this.clips.set(y, range)
    return y
  }

  private clipped(name: string, x: number, lo: number, hi: number): number {
    if (lo === -Infinity && hi === Infinity) return x
    if (lo === 0 && hi === Infinity) return this.activation(name, x, 'relu')
    if (lo === 0 && hi === 6) return this.activation(name, x, 'relu6')
    if (lo === -1 && hi === 1) return this.activation(name, x, 'relu_n1_to_1')
    if (hi === Infinity) {
      return this.affine(
        name,
        this.activation(`${name}/relu`, this.affine(`${name}/in`, x, [1], [-lo]), 'relu'),
        [1],
        [lo],
      )
    }
    if (lo === -Infinity) {
      return this.affine(
        name,
        this.activation(`${name}/relu`, this.affine(`${name}/in`, x, [-1], [hi]), 'relu'),
        [-1],
        [hi],
      )
    }
    if (!(hi > lo)) {
      throw new ThimbleError('format/shape', 'empty clipping range', { tensor: name, got: `${lo} to ${hi}` })
    }
    // relu6((x - lo) * k) / k + lo with k = 6 / (hi - lo)
    const k = 6 / (hi - lo)
    return this.affine(
      name,
      this.activation(`${name}/relu6`, this.affine(`${name}/in`, x, [k], [-lo * k]), 'relu6'),
      [1 / k],
      [lo],
    )
  }

  /** Batch norm (inference) along the last axis, in double precision. */
  batchNorm(
    name: string,
    x: number,
    p: {
      gamma?: ArrayLike<number> | undefined
      beta?: ArrayLike<number> | undefined
      mean: ArrayLike<number>
      variance: ArrayLike<number>
      epsilon: number
    },
  ): number {
    const c = p.mean.length
    if (this.shape(x)[this.shape(x).length - 1] !== c) {
      throw new ThimbleError('format/shape', 'batch norm has the wrong number of channels', {
        tensor: name,
        expected: this.shape(x).at(-1),
        got: c,
      })
    }
    const scale = Float64Array.from(
      { length: c },
      (_, i) => (p.gamma?.[i] ?? 1) / Math.sqrt(p.variance[i]! + p.epsilon),
    )
    const offset = Float64Array.from({ length: c }, (_, i) => (p.beta?.[i] ?? 0) - p.mean[i]! * scale[i]!)
    return this.affine(name, x, scale, offset)
  }
}
