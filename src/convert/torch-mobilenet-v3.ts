/**
 * torchvision's MobileNetV3 Small and Large state dicts to a float graph. Source: arXiv 1905.02244 table 1 and 2
 * (strides, activations), torchvision (names).
 */
import type { Graph } from '../graph/graph.ts'
import { foldGraph } from './fold.ts'
import type { Nonlinearity } from './net.ts'
import type { StateDict } from './pytorch.ts'
import { TorchReader } from './torch-reader.ts'

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
const STYLE = { epsilon: 1e-3, padding: 'torch' } as const

const unitAt = (prefix: string): { conv: string; bn: string } => ({ conv: `${prefix}.0`, bn: `${prefix}.1` })

/** True for torchvision's MobileNetV3 layouts. */
export const isMobilenetV3 = (state: StateDict): boolean =>
  state.has('features.1.block.0.0.weight') &&
  (state.has('classifier.3.weight') || state.has('classifier.weight')) &&
  (state.has('features.12.0.weight') || state.has('features.16.0.weight'))

/** MobileNetV3 Small or Large (any width). Errors: `format/pytorch` for missing or misfitting tensors. */
export function mobilenetV3(state: StateDict, size = 224): Graph {
  const r = new TorchReader(state, STYLE)
  const large = state.has('features.16.0.weight')
  const table = large ? LARGE : SMALL
  const net = r.net
  let x = r.unit('stem', net.input('image', [1, size, size, 3]), {
    ...unitAt('features.0'),
    stride: 2,
    act: 'hard_swish',
  })
  table.forEach(([stride, hs], i) => {
    const prefix = `features.${i + 1}.block`
    const name = `block${i + 1}`
    const act: Nonlinearity = hs ? 'hard_swish' : 'relu'
    // Expansion, depthwise, squeeze-excite, projection; the first and the third are not in every block.
    let y = x
    for (let k = 0; r.has(`${prefix}.${k}.0.weight`) || r.has(`${prefix}.${k}.fc1.weight`); k++) {
      const at = `${prefix}.${k}`
      if (r.has(`${at}.fc1.weight`)) {
        y = r.squeezeExcite(`${name}/se`, y, { reduce: `${at}.fc1`, expand: `${at}.fc2` })
        continue
      }
      const last = !r.has(`${prefix}.${k + 1}.0.weight`) && !r.has(`${prefix}.${k + 1}.fc1.weight`)
      const depthwise = r.get(`${at}.0.weight`, 4).shape[1] === 1
      y = r.unit(`${name}/${last ? 'project' : depthwise ? 'depthwise' : 'expand'}`, y, {
        ...unitAt(at),
        stride: depthwise ? stride : 1,
        act: last ? 'linear' : act,
      })
    }
    const same = stride === 1 && net.shape(x)[3] === net.shape(y)[3]
    x = same ? net.binary(`${name}/add`, 'ADD', x, y) : y
  })
  x = r.unit('head', x, { ...unitAt(`features.${table.length + 1}`), act: 'hard_swish' })
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
