/**
 * timm's state dicts to float graphs: MobileNetV3 Small and Large, MobileNetV4 Conv, EfficientNet-Lite, MobileNetV2, at
 * any width. The names say which layers there are; strides and activations come from timm's definitions, found by the
 * kernels and the number of blocks of each stage. Source: timm/models/mobilenetv3.py, efficientnet.py,
 * _efficientnet_blocks.py.
 */
import { ThimbleError } from '../base/errors.ts'
import type { Graph } from '../graph/graph.ts'
import { foldGraph } from './fold.ts'
import type { Nonlinearity } from './net.ts'
import type { StateDict } from './pytorch.ts'
import { TorchReader, type TorchStyle } from './torch-reader.ts'

interface Family {
  name: string
  /** Depthwise (or only) kernel of the first block of each stage, and how many blocks it has. */
  kernels: string
  blocks?: string
  /** Stride of the first block of each stage. */
  strides: readonly number[]
  /** Of a block, by its stage and its place there. */
  act(stage: number, block: number): Nonlinearity
  /** Of the first convolution. */
  stem: Nonlinearity
  /** `pooled`: the last convolution stands behind the pool. */
  head: { kind: 'pooled' | 'map'; act: Nonlinearity }
}

const mobilenetV4 = (size: string, kernels: string, blocks: string): Family => ({
  name: `mobilenet_v4_conv_${size}`,
  kernels,
  blocks,
  strides: [2, 2, 2, 2, 1],
  act: () => 'relu',
  stem: 'relu',
  head: { kind: 'pooled', act: 'relu' },
})

const FAMILIES: readonly Family[] = [
  {
    name: 'mobilenet_v3_small',
    kernels: '3 3 5 5 5 1',
    blocks: '1 2 3 2 3 1',
    strides: [2, 2, 2, 1, 2, 1],
    act: (stage) => (stage < 2 ? 'relu' : 'hard_swish'),
    stem: 'hard_swish',
    head: { kind: 'pooled', act: 'hard_swish' },
  },
  {
    name: 'mobilenet_v3_large',
    kernels: '3 3 5 3 3 5 1',
    blocks: '1 2 3 4 2 3 1',
    strides: [1, 2, 2, 2, 1, 2, 1],
    act: (stage) => (stage < 3 ? 'relu' : 'hard_swish'),
    stem: 'hard_swish',
    head: { kind: 'pooled', act: 'hard_swish' },
  },
  mobilenetV4('small', '3 3 5 3 1', '2 2 6 6 1'),
  mobilenetV4('medium', '3 5 5 5 1', '1 2 8 11 1'),
  mobilenetV4('large', '3 5 5 5 1', '1 2 11 13 1'),
  {
    name: 'efficientnet_lite',
    kernels: '3 3 5 3 5 5 3',
    strides: [1, 2, 2, 2, 1, 2, 1],
    act: () => 'relu6',
    stem: 'relu6',
    head: { kind: 'map', act: 'relu6' },
  },
  {
    name: 'mobilenet_v2',
    kernels: '3 3 3 3 3 3 3',
    strides: [1, 2, 2, 2, 1, 2, 1],
    act: () => 'relu6',
    stem: 'relu6',
    head: { kind: 'map', act: 'relu6' },
  },
]

/** True for the names of timm's EfficientNet builder. */
export const isTimm = (state: StateDict): boolean =>
  state.has('conv_stem.weight') && [...state.keys()].some((name) => name.startsWith('blocks.0.0.'))

const block = (stage: number, i: number): string => `blocks.${stage}.${i}`

function counts(state: StateDict): number[] {
  const out: number[] = []
  for (const name of state.keys()) {
    const at = /^blocks\.(\d{1,2})\.(\d{1,2})\./.exec(name)
    if (at) out[Number(at[1])] = Math.max(out[Number(at[1])] ?? 0, Number(at[2]) + 1)
  }
  return Array.from(out, (n: number | undefined) => n ?? 0)
}

/** Side of the kernel that a block's kind is known by. */
function kernelOf(state: StateDict, at: string): number {
  const names = ['dw_mid.conv', 'dw_start.conv', 'conv_dw', 'conv_exp', 'conv']
  return names.map((n) => state.get(`${at}.${n}.weight`)?.shape[2]).find((k) => k !== undefined) ?? 0
}

/** How a block goes over an image, and what follows its convolutions. */
interface Step {
  stride: number
  act: Nonlinearity
}

/** A family's blocks, one after another. */
class Blocks {
  private readonly r: TorchReader
  constructor(r: TorchReader) {
    this.r = r
  }

  /** One block, whichever kind its names say. Errors: `format/pytorch` for a kind that is not read. */
  run(x: number, at: string, stride: number, act: Nonlinearity): number {
    const { r } = this
    const name = at.replaceAll('.', '_')
    if (r.has(`${at}.pw_exp.conv.weight`)) {
      return this.skip(name, x, this.universal(name, x, at, { stride, act }), stride)
    }
    if (r.has(`${at}.conv_dw.weight`)) return this.skip(name, x, this.inverted(name, x, at, { stride, act }), stride)
    if (r.has(`${at}.conv_exp.weight`)) {
      const y = r.unit(`${name}/expand`, x, { conv: `${at}.conv_exp`, bn: `${at}.bn1`, stride, act })
      const z = r.unit(`${name}/project`, y, { conv: `${at}.conv_pwl`, bn: `${at}.bn2`, act: 'linear' })
      return this.skip(name, x, z, stride)
    }
    if (r.has(`${at}.conv.weight`)) return r.unit(name, x, { conv: `${at}.conv`, bn: `${at}.bn1`, stride, act })
    throw new ThimbleError('format/pytorch', 'a kind of block that is not read', {
      tensor: at,
      hint: 'attention of the hybrid networks has no 8-bit form here: use a Conv one',
    })
  }

  private skip(name: string, x: number, y: number, stride: number): number {
    const { net } = this.r
    return stride === 1 && net.shape(x)[3] === net.shape(y)[3] ? net.binary(`${name}/add`, 'ADD', x, y) : y
  }

  private excited(name: string, x: number, at: string): number {
    const { r } = this
    if (!r.has(`${at}.se.conv_reduce.weight`)) return x
    return r.squeezeExcite(`${name}/se`, x, { reduce: `${at}.se.conv_reduce`, expand: `${at}.se.conv_expand` })
  }

  /** Expansion (where there is one), depthwise, squeeze-excite, projection. */
  private inverted(name: string, x: number, at: string, { stride, act }: Step): number {
    const { r } = this
    const expands = r.has(`${at}.conv_pwl.weight`)
    let y = x
    if (expands) y = r.unit(`${name}/expand`, y, { conv: `${at}.conv_pw`, bn: `${at}.bn1`, act })
    const deep = { conv: `${at}.conv_dw`, bn: expands ? `${at}.bn2` : `${at}.bn1`, stride, act }
    y = this.excited(name, r.unit(`${name}/depthwise`, y, deep), at)
    const last = expands ? { conv: `${at}.conv_pwl`, bn: `${at}.bn3` } : { conv: `${at}.conv_pw`, bn: `${at}.bn2` }
    return r.unit(`${name}/project`, y, { ...last, act: 'linear' })
  }

  /**
   * Depthwise before the expansion, in its middle and at its end, each if it is there. The stride is the middle's, else
   * the first's.
   */
  private universal(name: string, x: number, at: string, { stride, act }: Step): number {
    const { r } = this
    const part = (y: number, of: string, o: { stride?: number; act: Nonlinearity }): number =>
      r.has(`${at}.${of}.conv.weight`)
        ? r.unit(`${name}/${of}`, y, { conv: `${at}.${of}.conv`, bn: `${at}.${of}.bn`, ...o })
        : y
    const middle = r.has(`${at}.dw_mid.conv.weight`)
    let y = part(x, 'dw_start', { stride: middle ? 1 : stride, act: 'linear' })
    y = part(y, 'pw_exp', { act })
    y = this.excited(name, part(y, 'dw_mid', { stride, act }), at)
    y = part(part(y, 'pw_proj', { act: 'linear' }), 'dw_end', { act: 'linear' })
    if (!r.has(`${at}.layer_scale.gamma`)) return y
    const { data } = r.get(`${at}.layer_scale.gamma`, 1)
    return r.net.affine(`${name}/layer_scale`, y, data, new Float32Array(data.length))
  }
}

/** What a state dict of timm's is. Errors: `format/pytorch` for one that none of the families fits. */
function familyOf(state: StateDict, hint: string): Family {
  const blocks = counts(state)
  const kernels = blocks.map((_, s) => kernelOf(state, block(s, 0))).join(' ')
  const gated = [...state.keys()].some((name) => name.includes('.se.'))
  const found = FAMILIES.find(
    (f) =>
      f.kernels === kernels &&
      (f.blocks === undefined || f.blocks === blocks.join(' ')) &&
      gated === f.name.includes('v3') &&
      (f.head.kind === 'map') === state.has('bn2.weight') &&
      f.name.includes('v3') === state.has('conv_head.bias'),
  )
  if (found) return found
  throw new ThimbleError('format/pytorch', 'a timm model of an architecture that is not read by its state dict', {
    expected: 'MobileNetV3 Small or Large, MobileNetV4 Conv, EfficientNet-Lite or MobileNetV2',
    got: `${blocks.length} stages of ${blocks.join(', ')} blocks`,
    hint,
  })
}

/**
 * A float graph of the weights. `says`: the architecture's name where something beside the weights has it; of a `tf_`
 * one convolutions pad as TensorFlow's and batch norms have its epsilon, which the weights don't tell.
 * Errors: `format/pytorch`.
 */
export function timm(
  state: StateDict,
  { says = '', size = 224, hint }: { says?: string; size?: number; hint: string },
): Graph {
  const ported = says.startsWith('tf_')
  if (/_(aa|blur)_|_rw\b/.test(says)) {
    throw new ThimbleError('format/pytorch', 'timm model with layers that its state dict does not hold', {
      got: says,
      hint,
    })
  }
  const style: TorchStyle = ported ? { epsilon: 1e-3, padding: 'same' } : { epsilon: 1e-5, padding: 'torch' }
  const family = familyOf(state, hint)
  const r = new TorchReader(state, style)
  const { net } = r
  let x = r.unit('stem', net.input('image', [1, size, size, 3]), {
    conv: 'conv_stem',
    bn: 'bn1',
    stride: 2,
    act: family.stem,
  })
  const blocks = new Blocks(r)
  counts(state).forEach((n, stage) => {
    for (let i = 0; i < n; i++) {
      x = blocks.run(x, block(stage, i), i === 0 ? family.strides[stage]! : 1, family.act(stage, i))
    }
  })
  const { kind, act } = family.head
  if (kind === 'map') x = net.globalAverage('pool', r.unit('head', x, { conv: 'conv_head', bn: 'bn2', act }))
  else {
    x = net.mean('pool', x, [1, 2], true)
    x = r.has('norm_head.weight')
      ? r.unit('head', x, { conv: 'conv_head', bn: 'norm_head', act })
      : net.activation('head/act', r.conv('head', x, 'conv_head'), act)
    x = net.reshape('flat', x, [1, net.shape(x)[3]!])
  }
  return foldGraph(net.finish([r.linear('logits', x, 'classifier')], { name: family.name, task: 'classification' }))
}
