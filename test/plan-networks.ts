/** Networks for the planner: a few layers over a picture, of sizes from a seed, and their steps. */
import type { Graph } from '../src/graph/graph.ts'
import type { Lowered } from '../src/lower/index.ts'
import { wholeValues } from '../src/plan/bands.ts'
import { lowerModel } from '../src/plan/compile.ts'
import type { Variant } from '../src/graph/types.ts'
import { GraphBuilder, smallModels } from './small-models.ts'
import { rng } from './util.ts'

export const align16 = (n: number): number => Math.ceil(n / 16) * 16

const CONV = { padding: 'SAME', strideH: 1, strideW: 1, activation: 'NONE', dilationH: 1, dilationW: 1 } as const

/** A few layers over a picture, wide or narrow, some added to what was before them. */
export function network(seed: number, layers: number): Graph {
  const r = rng(seed)
  const b = new GraphBuilder(seed)
  let [h, w, c] = [6 + r.int(40), 4 + r.int(40), 1 + r.int(4)]
  let x = b.input([1, h, w, c])
  const extra: number[] = []
  for (let i = 0; i < layers; i++) {
    const kind = r.int(5)
    const stride = 1 + Number(r.int(4) === 0)
    const k = r.pick([1, 3, 3, 5])
    const to = kind === 1 ? c : r.pick([4, 8, 16, 24, 48])
    const [from, fromShape] = [x, [h, w, c].join()]
    const scale = 0.04 + 0.02 * r()
    const next = (): number => b.tensor([1, h, w, to], 'int8', scale, r.int(20) - 10)
    if (kind === 1) {
      ;[h, w] = [Math.ceil(h / stride), Math.ceil(w / stride)]
      x = b.op('DEPTHWISE_CONV_2D', [from, b.weights([1, k, k, c], 3), b.bias(c, c)], [next()], {
        ...CONV,
        strideH: stride,
        strideW: stride,
        depthMultiplier: 1,
      })
    } else {
      const filter = b.weights([to, k, k, c], 0)
      ;[h, w, c] = [Math.ceil(h / stride), Math.ceil(w / stride), to]
      x = b.op('CONV_2D', [from, filter, b.bias(to, to)], [next()], { ...CONV, strideH: stride, strideW: stride })
    }
    if (fromShape === [h, w, c].join() && r.int(2)) {
      x = b.op('ADD', [from, x], [b.tensor([1, h, w, c], 'int8', 0.07, 1)], { activation: 'NONE' })
    }
    if (r.int(7) === 0) extra.push(x)
  }
  return b.done(x, ...extra.filter((t) => t !== x))
}

/** A large picture made a quarter as large, of which layers that leave the second cache are made, and small ones. */
export function shrinking(seed: number): Graph {
  const b = new GraphBuilder(seed)
  const conv = (from: number, inC: number, shape: number[], stride: number): number =>
    b.op(
      'CONV_2D',
      [from, b.weights([shape[3]!, 1, 1, inC], 0), b.bias(shape[3]!, shape[3]!)],
      [b.tensor(shape, 'int8', 0.05, 1)],
      {
        ...CONV,
        strideH: stride,
        strideW: stride,
      },
    )
  const c = 20 + 4 * (seed % 3)
  let x = conv(b.input([1, 256, 256, 4 * c]), 4 * c, [1, 128, 128, c], 2)
  for (const stride of [1, 1, 4, 1, 1]) {
    const [, h, w] = b.graph.tensors[x]!.shape as [number, number, number]
    x = conv(x, c, [1, h / stride, w / stride, c], stride)
  }
  return b.done(x)
}

export const lowered = (graph: Graph, plan: 'speed' | 'size' = 'speed', variant: Variant = 'simd'): Lowered => {
  const l = lowerModel(graph, { variant, kernels: 'generic', plan })
  wholeValues(l.steps)
  return l
}

export const graphs = (): Graph[] => [
  ...smallModels().map((m) => m.graph),
  ...Array.from({ length: 14 }, (_, i) => network(i, 2 + (i % 6))),
]
