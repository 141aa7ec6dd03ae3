/** Batch norm in every position: what is left of it after folding, and that the result stays the same. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { foldGraph } from '../src/convert/fold.ts'
import { Net } from '../src/convert/net.ts'
import type { Graph, Padding } from '../src/graph/graph.ts'
import { answer, opCounts, relative } from './convert-util.ts'
import { rng, type Rng } from './util.ts'

interface Context {
  net: Net
  x: number
  random: Rng
}
const values = (r: Rng, shape: number[], scale = 1): { shape: number[]; data: Float32Array } => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => (r() * 2 - 1) * scale),
})
const conv = (
  { net, random }: Context,
  x: number,
  { o = 6, k = 3, padding = 'SAME', stride = 1 }: { o?: number; k?: number; padding?: Padding; stride?: number } = {},
): number =>
  net.conv('conv', x, {
    filter: values(random, [o, k, k, net.shape(x)[3]!], 0.4),
    bias: values(random, [o]).data,
    padding,
    stride,
  })
const depthwise = ({ net, random }: Context, x: number, padding: 'SAME' | 'VALID' = 'SAME', m = 1): number =>
  net.depthwise('dw', x, {
    filter: values(random, [1, 3, 3, net.shape(x)[3]! * m], 0.6),
    bias: values(random, [net.shape(x)[3]! * m]).data,
    padding,
  })
const dense = ({ net, random }: Context, x: number): number =>
  net.fullyConnected('dense', x, { filter: values(random, [4, net.shape(x)[1]!], 0.5), bias: values(random, [4]).data })
const norm = ({ net, random }: Context, x: number): number => {
  const c = net.shape(x).at(-1)!
  const v = (f: () => number): Float32Array => Float32Array.from({ length: c }, f)
  return net.batchNorm('bn', x, {
    gamma: v(() => 0.5 + random()),
    beta: v(() => random() - 0.5),
    mean: v(() => random() - 0.5),
    variance: v(() => 0.3 + random()),
    epsilon: 1e-3,
  })
}
const flatten = ({ net }: Context, x: number): number =>
  net.reshape('flat', x, [
    1,
    net
      .shape(x)
      .slice(1)
      .reduce((a, b) => a * b, 1),
  ])

/** Each builds a net; `left` is what must remain, by op type. */
const CASES: Record<string, { build: (c: Context) => number; left: Record<string, number> }> = {
  'after conv': { build: (c) => norm(c, conv(c, c.x)), left: { CONV_2D: 1 } },
  'after conv, then relu6': {
    build: (c) => c.net.activation('r', norm(c, conv(c, c.x)), 'relu6'),
    left: { CONV_2D: 1 },
  },
  'after depthwise with multiplier': {
    build: (c) => norm(c, depthwise(c, c.x, 'SAME', 2)),
    left: { DEPTHWISE_CONV_2D: 1 },
  },
  'after dense': { build: (c) => norm(c, dense(c, flatten(c, c.x))), left: { RESHAPE: 1, FULLY_CONNECTED: 1 } },
  'before unpadded conv': {
    build: (c) => conv(c, norm(c, c.x), { o: 6, k: 3, padding: 'VALID' }),
    left: { CONV_2D: 1 },
  },
  'before 1x1 conv': { build: (c) => conv(c, norm(c, c.x), { o: 6, k: 1 }), left: { CONV_2D: 1 } },
  'before unpadded depthwise with multiplier': {
    build: (c) => depthwise(c, norm(c, c.x), 'VALID', 3),
    left: { DEPTHWISE_CONV_2D: 1 },
  },
  'before padded conv': { build: (c) => conv(c, norm(c, c.x)), left: { DEPTHWISE_CONV_2D: 1, CONV_2D: 1 } },
  'before two unpadded readers': {
    build: (c) => {
      const y = norm(c, c.x)
      return c.net.concat('cat', [conv(c, y, { o: 6, k: 1 }), conv(c, y, { o: 3, k: 1 })], 3)
    },
    left: { CONV_2D: 2, CONCATENATION: 1 },
  },
  'before one reader that pads': {
    build: (c) => {
      const y = norm(c, c.x)
      return c.net.concat('cat', [conv(c, y, { o: 6, k: 1 }), conv(c, y, { o: 3, k: 3 })], 3)
    },
    left: { DEPTHWISE_CONV_2D: 1, CONV_2D: 2, CONCATENATION: 1 },
  },
  'before dense, through flatten': {
    build: (c) => dense(c, flatten(c, norm(c, c.x))),
    left: { RESHAPE: 1, FULLY_CONNECTED: 1 },
  },
  'after flatten, before dense': {
    build: (c) => dense(c, norm(c, flatten(c, c.x))),
    left: { RESHAPE: 1, FULLY_CONNECTED: 1 },
  },
  'conv, norm, pad, conv': {
    build: (c) =>
      conv(c, c.net.pad('pad', norm(c, conv(c, c.x)), [0, 1, 0, 1]), { o: 4, k: 3, padding: 'VALID', stride: 2 }),
    left: { CONV_2D: 2 },
  },
  'conv, pad, norm, conv': {
    build: (c) => conv(c, norm(c, c.net.pad('pad', conv(c, c.x), [1, 1, 1, 1])), { o: 4, k: 3, padding: 'VALID' }),
    left: { CONV_2D: 2 },
  },
  'conv, relu, norm, conv 1x1': {
    build: (c) => conv(c, norm(c, c.net.activation('r', conv(c, c.x), 'relu')), { o: 4, k: 1 }),
    left: { CONV_2D: 2 },
  },
  'conv, average pool, norm': {
    build: (c) =>
      norm(c, c.net.pool('pool', conv(c, c.x), 'AVERAGE_POOL_2D', { kernel: [2, 2], stride: [2, 2], padding: 'SAME' })),
    left: { CONV_2D: 1, AVERAGE_POOL_2D: 1 },
  },
  'conv, global average, norm': {
    build: (c) => norm(c, c.net.mean('mean', conv(c, c.x), [1, 2], false)),
    left: { CONV_2D: 1, MEAN: 1 },
  },
  'norm, global average, dense': {
    build: (c) => dense(c, c.net.mean('mean', norm(c, c.x), [1, 2], false)),
    left: { MEAN: 1, FULLY_CONNECTED: 1 },
  },
  twice: { build: (c) => norm(c, norm(c, conv(c, c.x))), left: { CONV_2D: 1 } },
  'after an add': {
    build: (c) => norm(c, c.net.binary('add', 'ADD', conv(c, c.x, { o: 4 }), c.x)),
    left: { CONV_2D: 1, ADD: 1, DEPTHWISE_CONV_2D: 1 },
  },
  'conv read twice': {
    build: (c) => {
      const y = conv(c, c.x, { o: 4 })
      return c.net.binary('add', 'ADD', norm(c, y), y)
    },
    left: { CONV_2D: 1, ADD: 1, DEPTHWISE_CONV_2D: 1 },
  },
  'on vectors with nothing to fold into': {
    build: (c) => norm(c, c.net.unary('t', 'TANH', flatten(c, c.x))),
    left: { RESHAPE: 1, TANH: 1, MUL: 1, ADD: 1 },
  },
  'grouped conv after': {
    build: (c) => c.net.conv('g', norm(c, c.x), { filter: values(c.random, [6, 1, 1, 2], 0.6), padding: 'VALID' }),
    left: { CONV_2D: 1 },
  },
  'transposed conv before': {
    build: (c) =>
      norm(
        c,
        c.net.transposeConv('t', c.x, {
          filter: values(c.random, [5, 2, 2, 4], 0.4),
          bias: undefined,
          stride: [2, 2],
          padding: 'SAME',
        }),
      ),
    left: { TRANSPOSE_CONV: 1 },
  },
  'hard-swish in parts': {
    build: (c) => {
      const y = conv(c, c.x)
      return c.net.binary('mul', 'MUL', y, c.net.activation('g', y, 'hard_sigmoid'))
    },
    left: { CONV_2D: 1, HARD_SWISH: 1 },
  },
  'hard-swish, divided at the end': {
    build: (c) => {
      const y = conv(c, c.x)
      return c.net.affine(
        'd',
        c.net.binary('mul', 'MUL', y, c.net.activation('r', c.net.affine('a', y, [1], [3]), 'relu6')),
        [1 / 6],
        [0],
      )
    },
    left: { CONV_2D: 1, HARD_SWISH: 1 },
  },
  'squeeze-excite with hard-sigmoid': {
    build: (c) => {
      const y = conv(c, c.x)
      const g = conv(c, c.net.mean('m', y, [1, 2], true), { o: 6, k: 1 })
      return conv(c, c.net.binary('se', 'MUL', y, c.net.activation('g', g, 'hard_sigmoid')), { o: 5, k: 1 })
    },
    left: { CONV_2D: 3, MEAN: 1, MUL: 1 },
  },
}

function build(name: string): Graph {
  const random = rng(name.length * 7919 + 3)
  const net = new Net()
  const x = net.input('x', [1, 8, 8, 4])
  return net.finish([CASES[name]!.build({ net, x, random })])
}

for (const [name, { left }] of Object.entries(CASES)) {
  test(name, () => {
    const graph = build(name)
    const before = answer(graph)
    const folded = foldGraph(graph)
    assert.equal(opCounts(folded), left)
    const difference = relative(answer(folded), before)
    assert.ok(difference < 2e-6, `relative difference ${difference}`)
    assert.equal(answer(graph), before, 'the given graph is untouched')
  })
}

test('random chains stay the same', () => {
  const random = rng(77)
  for (let round = 0; round < 60; round++) {
    const net = new Net()
    let x = net.input('x', [1, 8, 8, 4])
    const c: Context = { net, x, random }
    for (let i = 0; i < 8; i++) {
      const image = net.shape(x).length === 4 && net.shape(x)[1]! >= 4
      if (!image) break
      x = [
        () => norm(c, x),
        () => norm(c, x),
        () => conv(c, x, { o: 2 + random.int(5), k: 1 + 2 * random.int(2), padding: random.pick(['SAME', 'VALID']) }),
        () => depthwise(c, x, random.pick(['SAME', 'VALID'])),
        () => net.activation('a', x, random.pick(['relu', 'relu6', 'hard_swish', 'hard_sigmoid', 'swish'])),
        () => net.pad('p', x, [random.int(2), 1, random.int(2), 1]),
        () => net.clip('c', x, -0.5, random() + 0.5),
        () =>
          net.pool('m', x, random.pick(['AVERAGE_POOL_2D', 'MAX_POOL_2D']), {
            kernel: [2, 2],
            stride: [1, 1],
            padding: 'SAME',
          }),
        () => net.binary('b', random.pick(['ADD', 'MUL']), x, norm(c, x)),
        () => net.affine('s', x, [random() * 2 - 1], [random()]),
      ][random.int(10)]!()
    }
    const graph = net.finish([x])
    const difference = relative(answer(foldGraph(graph)), answer(graph))
    assert.ok(difference < 1e-5, `round ${round}: relative difference ${difference}`)
  }
})

test.run()
