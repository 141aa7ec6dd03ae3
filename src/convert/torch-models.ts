/**
 * State dicts of known PyTorch architectures to float graphs: torchvision's MobileNetV2 (any width) and
 * EfficientNet-Lite (the `efficientnet-lite-pytorch` layout). Batch norm is folded; a stride-2 convolution that pads
 * symmetrically becomes PAD + VALID, since TFLite's SAME pads bottom and right first.
 */
import { ThimbleError } from '../base/errors.ts'
import type { Activation, Graph, Preprocess } from '../graph/graph.ts'
import { GraphBuilder, type Values } from './builder.ts'
import type { StateDict, StateTensor } from './pytorch.ts'
import { isMobilenetV3, mobilenetV3 } from './torch-mobilenet-v3.ts'
import { isTimm, timm } from './torch-timm.ts'

/** ImageNet mean and standard deviation as torchvision uses them, on the 0..255 scale. */
export const IMAGENET_MEAN = [0.485 * 255, 0.456 * 255, 0.406 * 255] as const
export const IMAGENET_STD = [0.229 * 255, 0.224 * 255, 0.225 * 255] as const

/** Reads tensors of a state dict by name, and refuses what is missing. */
class Weights {
  private readonly state: StateDict
  constructor(state: StateDict) {
    this.state = state
  }
  has(name: string): boolean {
    return this.state.has(name)
  }

  get(name: string): StateTensor {
    const t = this.state.get(name)
    if (!t) throw new ThimbleError('format/pytorch', 'state dict lacks a tensor of this architecture', { tensor: name })
    return t
  }

  vector(name: string, length: number): Float32Array {
    const t = this.get(name)
    if (t.data.length !== length) {
      throw new ThimbleError('format/pytorch', 'tensor has the wrong size', {
        tensor: name,
        expected: length,
        got: t.data.length,
      })
    }
    return t.data
  }
}

/** Multiplies each output channel (first index of OIHW) by BN's gain and gives the matching bias. */
function foldBatchNorm(
  w: Weights,
  filter: StateTensor,
  bn: string,
  epsilon: number,
): { filter: StateTensor; bias: Float32Array } {
  const channels = filter.shape[0]!
  const gamma = w.vector(`${bn}.weight`, channels)
  const beta = w.vector(`${bn}.bias`, channels)
  const mean = w.vector(`${bn}.running_mean`, channels)
  const variance = w.vector(`${bn}.running_var`, channels)
  const data = new Float32Array(filter.data.length)
  const bias = new Float32Array(channels)
  const each = data.length / channels
  for (let c = 0; c < channels; c++) {
    const gain = gamma[c]! / Math.sqrt(variance[c]! + epsilon)
    for (let i = 0; i < each; i++) data[c * each + i] = filter.data[c * each + i]! * gain
    bias[c] = beta[c]! - mean[c]! * gain
  }
  return { filter: { shape: filter.shape, data }, bias }
}

/** [O,I,h,w] to [O,h,w,I]. */
function oihwToOhwi({ shape, data }: StateTensor): Values {
  const [o, i, h, w] = shape as [number, number, number, number]
  const out = new Float32Array(data.length)
  let at = 0
  for (let a = 0; a < o; a++) {
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) for (let c = 0; c < i; c++) out[at++] = data[((a * i + c) * h + y) * w + x]!
    }
  }
  return { shape: [o, h, w, i], data: out }
}

/** [C,1,h,w] to [1,h,w,C]. */
function depthwiseFilter({ shape, data }: StateTensor): Values {
  const [c, , h, w] = shape as [number, number, number, number]
  const out = new Float32Array(data.length)
  for (let k = 0; k < h * w; k++) for (let a = 0; a < c; a++) out[k * c + a] = data[a * h * w + k]!
  return { shape: [1, h, w, c], data: out }
}

interface Layer {
  conv: string
  bn: string
  stride?: number
  activation: Activation
  padding: 'torch' | 'SAME'
}

class TorchNet {
  readonly weights: Weights
  readonly builder = new GraphBuilder()
  private readonly epsilon: number
  constructor(state: StateDict, epsilon: number) {
    this.weights = new Weights(state)
    this.epsilon = epsilon
  }

  /** Convolution + batch norm + activation; depthwise when the filter has one input channel and x has more. */
  layer(name: string, x: number, { conv, bn, stride = 1, activation, padding }: Layer): number {
    const { filter, bias } = foldBatchNorm(this.weights, this.weights.get(`${conv}.weight`), bn, this.epsilon)
    const b = this.builder
    const channels = b.shape(x)[3]!
    const depthwise = filter.shape[1] === 1 && channels > 1
    const wanted = depthwise ? filter.shape[0]! : filter.shape[1]!
    if (wanted !== channels) {
      throw new ThimbleError('format/pytorch', 'convolution does not fit its input', {
        tensor: `${conv}.weight`,
        expected: `${channels} channels`,
        got: wanted,
      })
    }
    const k = filter.shape[2]!
    const symmetric = padding === 'torch' && stride > 1 && k > 1
    if (symmetric) {
      const p = (k - 1) >> 1
      x = b.pad(`${name}/pad`, x, [p, p, p, p])
    }
    const options = { bias, stride, activation, padding: symmetric ? 'VALID' : 'SAME' } as const
    return depthwise
      ? b.depthwise(name, x, { ...options, filter: depthwiseFilter(filter) })
      : b.conv(name, x, { ...options, filter: oihwToOhwi(filter) })
  }

  classifier(x: number, prefix: string): number {
    const { shape, data } = this.weights.get(`${prefix}.weight`)
    return this.builder.fullyConnected('logits', x, {
      filter: { shape, data },
      bias: this.weights.vector(`${prefix}.bias`, shape[0]!),
    })
  }
}

/** Strides of MobileNetV2's inverted residual blocks 1..17. */
const V2_STRIDES = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]

/** torchvision `mobilenet_v2`, any width multiplier. Source: torchvision/models/mobilenetv2.py. */
export function mobilenetV2(state: StateDict, size = 224): Graph {
  const net = new TorchNet(state, 1e-5)
  const b = net.builder
  let x = b.input('image', [1, size, size, 3])
  x = net.layer('stem', x, {
    conv: 'features.0.0',
    bn: 'features.0.1',
    stride: 2,
    activation: 'RELU6',
    padding: 'torch',
  })
  V2_STRIDES.forEach((stride, i) => {
    const p = `features.${i + 1}.conv`
    const name = `block${i + 1}`
    const expanded = net.weights.has(`${p}.3.weight`)
    let y = x
    if (expanded) {
      y = net.layer(`${name}/expand`, y, { conv: `${p}.0.0`, bn: `${p}.0.1`, activation: 'RELU6', padding: 'torch' })
    }
    const d = expanded ? 1 : 0
    y = net.layer(`${name}/depthwise`, y, {
      conv: `${p}.${d}.0`,
      bn: `${p}.${d}.1`,
      stride,
      activation: 'RELU6',
      padding: 'torch',
    })
    y = net.layer(`${name}/project`, y, {
      conv: `${p}.${d + 1}`,
      bn: `${p}.${d + 2}`,
      activation: 'NONE',
      padding: 'torch',
    })
    x = stride === 1 && b.shape(x)[3] === b.shape(y)[3] ? b.add(`${name}/add`, x, y) : y
  })
  x = net.layer('head', x, { conv: 'features.18.0', bn: 'features.18.1', activation: 'RELU6', padding: 'torch' })
  x = net.classifier(b.globalAverage('pool', x), net.weights.has('classifier.weight') ? 'classifier' : 'classifier.1')
  return b.finish([x], { name: 'mobilenet_v2', task: 'classification', preprocess: imagenetPreprocess(size) })
}

/** torchvision's evaluation transform: shorter side to size / 0.875, centre crop, ImageNet mean and deviation. */
const imagenetPreprocess = (size: number): Preprocess => ({
  fit: 'crop',
  shorterSide: Math.round(size / 0.875),
  method: 'bilinear',
  channels: 'rgb',
  mean: IMAGENET_MEAN,
  std: IMAGENET_STD,
})

/** First stride of EfficientNet's seven stages. */
const EFFICIENTNET_STRIDES = [1, 2, 2, 2, 1, 2, 1]

/**
 * EfficientNet-Lite 0..4 in the layout of the `efficientnet-lite-pytorch` packages (TF SAME padding, ReLU6, no
 * squeeze-excite).
 */
function efficientnetLite(state: StateDict, size = 224): Graph {
  const net = new TorchNet(state, 1e-3)
  const b = net.builder
  let x = b.input('image', [1, size, size, 3])
  x = net.layer('stem', x, { conv: '_conv_stem', bn: '_bn0', stride: 2, activation: 'RELU6', padding: 'SAME' })
  let stage = -1
  let previous = 0
  for (let i = 0; net.weights.has(`_blocks.${i}._depthwise_conv.weight`); i++) {
    const p = `_blocks.${i}`
    const name = `block${i + 1}`
    if (net.weights.has(`${p}._se_reduce.weight`)) {
      throw new ThimbleError('format/pytorch', 'EfficientNet with squeeze-excite is not read', {
        tensor: `${p}._se_reduce.weight`,
        hint: 'use an EfficientNet-Lite checkpoint',
      })
    }
    const channels = net.weights.get(`${p}._project_conv.weight`).shape[0]!
    const first = channels !== previous
    if (first) {
      stage++
      previous = channels
    }
    const stride = first ? (EFFICIENTNET_STRIDES[stage] ?? 1) : 1
    let y = x
    if (net.weights.has(`${p}._expand_conv.weight`)) {
      y = net.layer(`${name}/expand`, y, {
        conv: `${p}._expand_conv`,
        bn: `${p}._bn0`,
        activation: 'RELU6',
        padding: 'SAME',
      })
    }
    y = net.layer(`${name}/depthwise`, y, {
      conv: `${p}._depthwise_conv`,
      bn: `${p}._bn1`,
      stride,
      activation: 'RELU6',
      padding: 'SAME',
    })
    y = net.layer(`${name}/project`, y, {
      conv: `${p}._project_conv`,
      bn: `${p}._bn2`,
      activation: 'NONE',
      padding: 'SAME',
    })
    x = stride === 1 && b.shape(x)[3] === b.shape(y)[3] ? b.add(`${name}/add`, x, y) : y
  }
  x = net.layer('head', x, { conv: '_conv_head', bn: '_bn1', activation: 'RELU6', padding: 'SAME' })
  x = net.classifier(b.globalAverage('pool', x), '_fc')
  const preprocess: Preprocess = { ...imagenetPreprocess(size), mean: [127, 127, 127], std: [128, 128, 128] }
  return b.finish([x], { name: 'efficientnet_lite', task: 'classification', preprocess })
}

/** A state dict that notes which tensors are asked for. */
class Tracked extends Map<string, StateTensor> {
  readonly used = new Set<string>()
  override get(name: string): StateTensor | undefined {
    this.used.add(name)
    return super.get(name)
  }
}

/**
 * The tensor that every layout has, to find what a wrapper (`module.`, `model.`, `_orig_mod.`, `backbone.`) put before
 * the names.
 */
const FIRST = /^(.*?)(features\.0\.0\.weight|_conv_stem\.weight|conv_stem\.weight)$/

/**
 * Names without their common prefix. Small tensors beside it (counters, loss weights) are left out; larger ones are
 * part of the network.
 */
function bareNames(state: StateDict): Tracked {
  const prefix = [...state.keys()].map((name) => FIRST.exec(name)?.[1]).find((p) => p !== undefined) ?? ''
  const out = new Tracked()
  for (const [name, t] of state) {
    if (name.startsWith(prefix)) out.set(name.slice(prefix.length), t)
    else if (t.shape.length > 1) {
      throw new ThimbleError('format/pytorch', `state dict holds layers beside ${prefix.replace(/\.$/, '')}`, {
        tensor: name,
        hint: 'export the whole network to ONNX',
      })
    }
  }
  return out
}

function byNames(bare: Tracked, size?: number, says?: string): Graph {
  if (bare.has('features.18.1.weight') && bare.has('features.1.conv.1.weight')) return mobilenetV2(bare, size)
  if (isMobilenetV3(bare)) {
    const graph = mobilenetV3(bare, size)
    graph.metadata.preprocess = imagenetPreprocess(size ?? 224)
    return graph
  }
  if (bare.has('_conv_stem.weight') && bare.has('_fc.weight')) return efficientnetLite(bare, size)
  const export_ = 'export it to ONNX: torch.onnx.export(model.eval(), (torch.randn(1, 3, 224, 224),), path)'
  if (isTimm(bare)) {
    const graph = timm(bare, { ...(size === undefined ? {} : { size }), ...(says ? { says } : {}), hint: export_ })
    const preprocess = imagenetPreprocess(size ?? 224)
    graph.metadata.preprocess = says?.startsWith('tf_efficientnet')
      ? { ...preprocess, mean: [127.5], std: [127.5] }
      : preprocess
    return graph
  }
  throw new ThimbleError('format/pytorch', 'architecture is not known', {
    got: [...bare.keys()].slice(0, 3).join(', '),
    hint: `known: torchvision's MobileNetV2 and V3, timm's MobileNetV2, V3, V4 Conv and EfficientNet-Lite; of any other network, ${export_}`,
  })
}

/**
 * Picks the architecture by its tensor names. `says`: its name, where something beside the weights has it.
 * Errors: `format/pytorch` when none matches, or when tensors do not fit the architecture, are missing or left over.
 */
export function graphFromStateDict(state: StateDict, size?: number, says?: string): Graph {
  const bare = bareNames(state)
  const graph = byNames(bare, size, says)
  const left = [...bare.keys()].filter((name) => !bare.used.has(name) && !name.endsWith('num_batches_tracked'))
  if (left.length) {
    throw new ThimbleError(
      'format/pytorch',
      `state dict has ${left.length} tensors that ${graph.metadata.name} does not have`,
      { tensor: left[0]!, hint: 'the network was changed: export it to ONNX' },
    )
  }
  return graph
}
