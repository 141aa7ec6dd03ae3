/**
 * torchvision's MobileNetV3 Small and Large state dicts to a float graph. Source: arXiv 1905.02244 table 1 and 2
 * (strides, activations), torchvision (names).
 */
import { ThimbleError } from '../errors.ts'
import { elements, type Graph } from '../graph.ts'
import { foldGraph } from './fold.ts'
import { Net, type Nonlinearity } from './net.ts'
import type { StateDict, StateTensor } from './pytorch.ts'
import { transpose } from './values.ts'

/** What a state dict does not say of each block: stride and whether it uses hard-swish. */
const SMALL: readonly (readonly [stride: number, hardSwish: boolean])[] = [
  [2, false],
  [2, false],
  [1, false],
  [2, true],
  [1, true],
  [1, true],
  [1, true],
  [1, true],
  [2, true],
  [1, true],
  [1, true],
]
const LARGE: typeof SMALL = [
  [1, false],
  [2, false],
  [1, false],
  [2, false],
  [1, false],
  [1, false],
  [2, true],
  [1, true],
  [1, true],
  [1, true],
  [1, true],
  [1, true],
  [2, true],
  [1, true],
  [1, true],
]
const EPSILON = 1e-3

class Reader {
  readonly net = new Net()
  private readonly state: StateDict
  constructor(state: StateDict) {
    this.state = state
  }

  has(name: string): boolean {
    return this.state.has(name)
  }

  get(name: string, rank: number): StateTensor {
    const t = this.state.get(name)
    if (!t) throw new ThimbleError('format/pytorch', 'state dict lacks a tensor of MobileNetV3', { tensor: name })
    if (t.shape.length !== rank || t.data.length !== elements(t.shape)) {
      throw new ThimbleError('format/pytorch', 'tensor has the wrong rank', {
        tensor: name,
        expected: rank,
        got: t.shape.length,
      })
    }
    return t
  }

  /** Convolution with torch's symmetric padding; depthwise when the filter has one input channel. */
  conv(name: string, x: number, weight: string, stride: number, bias?: string): number {
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
    const padding = Net.asPadding(h, width, k, pads)
    const padded = padding ? x : this.net.pad(`${name}/pad`, x, pads)
    const options = {
      stride,
      padding: padding ?? ('VALID' as const),
      bias: bias === undefined ? undefined : this.get(bias, 1).data,
    }
    return depthwise
      ? this.net.depthwise(name, padded, { ...options, filter: transpose(w.data, w.shape, [1, 2, 3, 0]) })
      : this.net.conv(name, padded, { ...options, filter: transpose(w.data, w.shape, [0, 2, 3, 1]) })
  }

  unit(name: string, x: number, prefix: string, stride: number, act: Nonlinearity): number {
    const y = this.conv(name, x, `${prefix}.0.weight`, stride)
    const p = (key: string): Float32Array => this.get(`${prefix}.1.${key}`, 1).data
    return this.net.activation(
      `${name}/${act}`,
      this.net.batchNorm(`${name}/bn`, y, {
        gamma: p('weight'),
        beta: p('bias'),
        mean: p('running_mean'),
        variance: p('running_var'),
        epsilon: EPSILON,
      }),
      act,
    )
  }

  squeezeExcite(name: string, x: number, prefix: string): number {
    const mean = this.net.mean(`${name}/mean`, x, [1, 2], true)
    const reduced = this.net.activation(
      `${name}/relu`,
      this.conv(`${name}/reduce`, mean, `${prefix}.fc1.weight`, 1, `${prefix}.fc1.bias`),
      'relu',
    )
    const gate = this.net.activation(
      `${name}/gate`,
      this.conv(`${name}/expand`, reduced, `${prefix}.fc2.weight`, 1, `${prefix}.fc2.bias`),
      'hard_sigmoid',
    )
    return this.net.binary(`${name}/scale`, 'MUL', x, gate)
  }

  linear(name: string, x: number, prefix: string): number {
    const w = this.get(`${prefix}.weight`, 2)
    return this.net.fullyConnected(name, x, { filter: w, bias: this.get(`${prefix}.bias`, 1).data })
  }
}

/** True for torchvision's MobileNetV3 layouts. */
export const isMobilenetV3 = (state: StateDict): boolean =>
  state.has('features.1.block.0.0.weight') &&
  (state.has('classifier.3.weight') || state.has('classifier.weight')) &&
  (state.has('features.12.0.weight') || state.has('features.16.0.weight'))

/** MobileNetV3 Small or Large (any width). Errors: `format/pytorch` for missing or misfitting tensors. */
export function mobilenetV3(state: StateDict, size = 224): Graph {
  const r = new Reader(state)
  const large = state.has('features.16.0.weight')
  const table = large ? LARGE : SMALL
  const net = r.net
  let x = r.unit('stem', net.input('image', [1, size, size, 3]), 'features.0', 2, 'hard_swish')
  table.forEach(([stride, hs], i) => {
    const prefix = `features.${i + 1}.block`
    const name = `block${i + 1}`
    const act: Nonlinearity = hs ? 'hard_swish' : 'relu'
    // Expansion, depthwise, squeeze-excite, projection; the first and the third are not in every block.
    let y = x
    for (let k = 0; r.has(`${prefix}.${k}.0.weight`) || r.has(`${prefix}.${k}.fc1.weight`); k++) {
      const at = `${prefix}.${k}`
      if (r.has(`${at}.fc1.weight`)) {
        y = r.squeezeExcite(`${name}/se`, y, at)
        continue
      }
      const last = !r.has(`${prefix}.${k + 1}.0.weight`) && !r.has(`${prefix}.${k + 1}.fc1.weight`)
      const depthwise = r.get(`${at}.0.weight`, 4).shape[1] === 1
      y = r.unit(
        `${name}/${last ? 'project' : depthwise ? 'depthwise' : 'expand'}`,
        y,
        at,
        depthwise ? stride : 1,
        last ? 'linear' : act,
      )
    }
    const same = stride === 1 && net.shape(x)[3] === net.shape(y)[3]
    x = same ? net.binary(`${name}/add`, 'ADD', x, y) : y
  })
  x = r.unit('head', x, `features.${table.length + 1}`, 1, 'hard_swish')
  x = net.globalAverage('pool', x)
  // Fine-tuned networks often have one layer in the place of the classifier.
  const single = r.has('classifier.weight')
  if (!single) x = net.activation('hidden/hard_swish', r.linear('hidden', x, 'classifier.0'), 'hard_swish')
  return foldGraph(
    net.finish([r.linear('logits', x, single ? 'classifier' : 'classifier.3')], {
      name: large ? 'mobilenet_v3_large' : 'mobilenet_v3_small',
      task: 'classification',
    }),
  )
}
