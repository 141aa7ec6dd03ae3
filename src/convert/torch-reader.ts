/** Layers of a state dict by their names, as layers of a graph. */
import { ThimbleError } from '../base/errors.ts'
import { elements, type Padding } from '../graph/graph.ts'
import { Net, type Nonlinearity } from './net.ts'
import type { StateDict, StateTensor } from './pytorch.ts'
import { transpose } from './values.ts'

/** What a state dict does not say of its network. */
export interface TorchStyle {
  /** Of the batch norms. */
  epsilon: number
  /** `torch`: as many zeros on each side; `same`: as TensorFlow pads. */
  padding: 'torch' | 'same'
}

export class TorchReader {
  readonly net = new Net()
  private readonly state: StateDict
  private readonly style: TorchStyle
  constructor(state: StateDict, style: TorchStyle) {
    this.state = state
    this.style = style
  }

  has(name: string): boolean {
    return this.state.has(name)
  }

  /** Errors: `format/pytorch` for a tensor that is missing or of another rank. */
  get(name: string, rank: number): StateTensor {
    const t = this.state.get(name)
    if (!t) throw new ThimbleError('format/pytorch', 'state dict lacks a tensor of this architecture', { tensor: name })
    if (t.shape.length !== rank || t.data.length !== elements(t.shape)) {
      throw new ThimbleError('format/pytorch', 'tensor has the wrong rank', {
        tensor: name,
        expected: rank,
        got: t.shape.length,
      })
    }
    return t
  }

  /**
   * Convolution of the tensors `at`.weight and, where it is there, `at`.bias; depthwise when the filter has one input
   * channel.
   */
  conv(name: string, x: number, at: string, stride = 1): number {
    const weight = `${at}.weight`
    const w = this.get(weight, 4)
    const [o, perGroup, kh, kw] = w.shape as [number, number, number, number]
    const [, h, width, channels] = this.net.image(x, name)
    const depthwise = perGroup === 1 && o === channels
    if (!depthwise && perGroup !== channels) {
      throw new ThimbleError('format/pytorch', 'filter does not fit its input', {
        tensor: weight,
        expected: channels,
        got: perGroup,
      })
    }
    const k = { kernel: [kh, kw] as const, stride: [stride, stride] as const }
    const pads = [(kh - 1) >> 1, (kh - 1) >> 1, (kw - 1) >> 1, (kw - 1) >> 1] as const
    const padding: Padding | undefined = this.style.padding === 'same' ? 'SAME' : Net.asPadding(h, width, k, pads)
    const padded = padding ? x : this.net.pad(`${name}/pad`, x, pads)
    const options = {
      stride,
      padding: padding ?? ('VALID' as const),
      bias: this.has(`${at}.bias`) ? this.get(`${at}.bias`, 1).data : undefined,
    }
    return depthwise
      ? this.net.depthwise(name, padded, { ...options, filter: transpose(w.data, w.shape, [1, 2, 3, 0]) })
      : this.net.conv(name, padded, { ...options, filter: transpose(w.data, w.shape, [0, 2, 3, 1]) })
  }

  batchNorm(name: string, x: number, at: string): number {
    const p = (key: string): Float32Array => this.get(`${at}.${key}`, 1).data
    return this.net.batchNorm(name, x, {
      gamma: p('weight'),
      beta: p('bias'),
      mean: p('running_mean'),
      variance: p('running_var'),
      epsilon: this.style.epsilon,
    })
  }

  /** Convolution, batch norm, activation. */
  unit(
    name: string,
    x: number,
    { conv, bn, stride = 1, act }: { conv: string; bn: string; stride?: number; act: Nonlinearity },
  ): number {
    const y = this.batchNorm(`${name}/bn`, this.conv(name, x, conv, stride), bn)
    return this.net.activation(`${name}/${act}`, y, act)
  }

  /** Squeeze and excitation by a hard sigmoid, with two 1x1 convolutions. */
  squeezeExcite(name: string, x: number, { reduce, expand }: { reduce: string; expand: string }): number {
    const mean = this.net.mean(`${name}/mean`, x, [1, 2], true)
    const reduced = this.net.activation(`${name}/relu`, this.conv(`${name}/reduce`, mean, reduce), 'relu')
    const gate = this.net.activation(`${name}/gate`, this.conv(`${name}/expand`, reduced, expand), 'hard_sigmoid')
    return this.net.binary(`${name}/scale`, 'MUL', x, gate)
  }

  linear(name: string, x: number, at: string): number {
    return this.net.fullyConnected(name, x, {
      filter: this.get(`${at}.weight`, 2),
      bias: this.get(`${at}.bias`, 1).data,
    })
  }
}
