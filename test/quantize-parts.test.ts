/** Parts of the quantizer by themselves: which tensors share channel factors, what is sampled, what blocks a graph. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GraphBuilder } from '../src/convert/builder.ts'
import { floatModel } from '../src/float/execute.ts'
import type { Activation, Graph } from '../src/graph/graph.ts'
import { channelGroups } from '../src/quantize/channel-groups.ts'
import { quantizeBlockers, refuseBlocked } from '../src/quantize/check.ts'
import { observe } from '../src/quantize/observe.ts'
import { activationGrids, type PlainRanges } from '../src/quantize/ranges.ts'
import { inputInfo, photoInput, pixelRange } from '../src/quantize/inputs.ts'
import { isClassifier, probedOutputs } from '../src/quantize/outputs.ts'
import { prepare } from '../src/quantize/prepare.ts'
import {
  addMoments,
  emptyMoments,
  gatherRows,
  positions,
  regained,
  roundingForm,
  shareThatHolds,
  type Moments,
} from '../src/quantize/reconstruct.ts'
import { SCHEMES } from '../src/quantize/scheme.ts'
import { refusal, rng } from './util.ts'

/** A network whose layers all have four channels, so that only roles decide. */
class Four extends GraphBuilder {
  readonly x = this.input('x', [1, 4, 4, 4])

  layer(name: string, x: number, activation: Activation = 'NONE', channels = 4): number {
    const from = this.shape(x).at(-1)!
    const filter = { shape: [channels, 1, 1, from], data: new Float32Array(channels * from).fill(0.1) }
    return this.conv(name, x, { filter, bias: new Float32Array(channels), activation })
  }

  each(name: string, x: number, multiplier = 1): number {
    const filter = { shape: [1, 3, 3, 4 * multiplier], data: new Float32Array(36 * multiplier).fill(0.1) }
    return this.depthwise(name, x, { filter, bias: new Float32Array(4 * multiplier) })
  }

  pool(name: string, x: number, type: 'MAX_POOL_2D' | 'AVERAGE_POOL_2D', activation: Activation): number {
    const attrs = { padding: 'SAME', strideH: 1, strideW: 1, filterH: 2, filterW: 2, activation } as const
    return this.op({ type, inputs: [x], attrs }, name, this.shape(x))
  }

  mean(name: string, x: number, axes: readonly number[]): number {
    const shape = this.shape(x).filter((_, i) => !axes.includes(i) && !axes.includes(i - 4))
    const inputs = [x, this.int32(`${name}/axes`, [axes.length], axes)]
    return this.op({ type: 'MEAN', inputs, attrs: { keepDims: false } }, name, shape)
  }

  simple(name: string, type: 'RELU' | 'RELU6' | 'LOGISTIC', x: number): number {
    return this.op({ type, inputs: [x], attrs: {} }, name, this.shape(x))
  }

  /** x times one factor per channel, made from `gate`. */
  scaled(name: string, x: number, gate: number): number {
    return this.op({ type: 'MUL', inputs: [x, gate], attrs: { activation: 'NONE' } }, name, this.shape(x))
  }

  /** One value per channel, [1, 1, 1, 4]. */
  squeezed(name: string, x: number): number {
    return this.reshape(name, this.mean(`${name}/mean`, x, [1, 2]), [1, 1, 1, 4])
  }

  swish(name: string, x: number): number {
    return this.op({ type: 'HARD_SWISH', inputs: [x], attrs: {} }, name, this.shape(x))
  }

  reshape(name: string, x: number, shape: readonly number[]): number {
    const inputs = [x, this.int32(`${name}/shape`, [shape.length], shape)]
    return this.op({ type: 'RESHAPE', inputs, attrs: {} }, name, shape)
  }

  dense(name: string, x: number, depth: number): number {
    const filter = { shape: [3, depth], data: new Float32Array(3 * depth).fill(0.1) }
    return this.fullyConnected(name, x, { filter, bias: new Float32Array(3) })
  }
}

/** Groups as the names of their tensors, `6` behind those that a ReLU6 writes to. */
function groupsOf(make: (b: Four) => number): string[] {
  const b = new Four()
  const graph = b.finish([make(b)])
  return channelGroups(graph)
    .map(
      (g) =>
        `${[...g.tensors].map((t) => graph.tensors[t]!.name).join(' ')}${g.clamped.size ? ' 6' : ''} x${g.channels}`,
    )
    .sort()
}

test('channel factors: what lies between two layers is free, inputs and outputs are not', () => {
  const cases: [string, (b: Four) => number, string[]][] = [
    ['one layer', (b) => b.layer('a', b.x), []],
    ['two layers', (b) => b.layer('b', b.layer('a', b.x)), ['a x4']],
    ['three layers', (b) => b.layer('c', b.layer('b', b.layer('a', b.x), 'NONE', 6)), ['a x4', 'b x6']],
    ['RELU', (b) => b.layer('b', b.layer('a', b.x, 'RELU')), ['a x4']],
    ['RELU6 lets channels grow only', (b) => b.layer('b', b.layer('a', b.x, 'RELU6')), ['a 6 x4']],
    ['a clamp around zero allows none', (b) => b.layer('b', b.layer('a', b.x, 'RELU_N1_TO_1')), []],
    ['one filter a channel', (b) => b.layer('c', b.each('b', b.layer('a', b.x))), ['a x4', 'b x4']],
    ['two filters a channel', (b) => b.layer('c', b.each('b', b.layer('a', b.x), 2)), []],
    ['a sum joins all three', (b) => b.layer('d', b.add('c', b.layer('a', b.x), b.layer('b', b.x))), ['a b c x4']],
    [
      'a sum with RELU too',
      (b) => b.layer('d', b.add('c', b.layer('a', b.x), b.layer('b', b.x), 'RELU')),
      ['a b c x4'],
    ],
    ['not with RELU6', (b) => b.layer('d', b.add('c', b.layer('a', b.x), b.layer('b', b.x), 'RELU6')), []],
    [
      'not with a constant',
      (b) => b.layer('d', b.add('c', b.layer('a', b.x), b.constant('k', { shape: [4], data: new Float32Array(4) }))),
      [],
    ],
    [
      'not with one value for each channel',
      (b) => b.layer('d', b.add('c', b.layer('a', b.x), b.layer('s', b.mean('m', b.x, [1, 2])))),
      [],
    ],
    ['joined with the input: none', (b) => b.layer('d', b.add('c', b.layer('a', b.x), b.x)), []],
    ['largest of a window', (b) => b.layer('c', b.pool('b', b.layer('a', b.x), 'MAX_POOL_2D', 'NONE')), ['a b x4']],
    ['mean of a window', (b) => b.layer('c', b.pool('b', b.layer('a', b.x), 'AVERAGE_POOL_2D', 'RELU')), ['a b x4']],
    ['clamped', (b) => b.layer('c', b.pool('b', b.layer('a', b.x), 'AVERAGE_POOL_2D', 'RELU6')), []],
    ['mean of a map', (b) => b.dense('c', b.mean('b', b.layer('a', b.x), [1, 2]), 4), ['a b x4']],
    ['axes from the end', (b) => b.dense('c', b.mean('b', b.layer('a', b.x), [-3, -2]), 4), ['a b x4']],
    ['mean of the channels', (b) => b.dense('c', b.mean('b', b.layer('a', b.x), [1, 3]), 4), []],
    ['the last axis from the end', (b) => b.dense('c', b.mean('b', b.layer('a', b.x), [1, -1]), 4), []],
    [
      'another shape, the same channels',
      (b) => b.dense('c', b.reshape('b', b.layer('a', b.x), [16, 4]), 4),
      ['a b x4'],
    ],
    ['channels made one row', (b) => b.dense('c', b.reshape('b', b.layer('a', b.x), [1, 64]), 64), []],
    ['a row read in parts', (b) => b.dense('c', b.reshape('b', b.layer('a', b.x), [8, 8]), 8), []],
    ['zeros around', (b) => b.layer('c', b.pad('b', b.layer('a', b.x), [1, 1, 1, 1])), ['a b x4']],
    ['RELU by itself', (b) => b.layer('c', b.simple('b', 'RELU', b.layer('a', b.x))), ['a b x4']],
    ['a curve', (b) => b.layer('c', b.simple('b', 'LOGISTIC', b.layer('a', b.x))), []],
    ['RELU6 by itself', (b) => b.layer('c', b.simple('b', 'RELU6', b.layer('a', b.x))), []],
    [
      'what a gate scales has its factors, what goes into it none',
      (b) => {
        const a = b.layer('a', b.x, 'RELU')
        return b.layer('d', b.scaled('c', a, b.layer('g', b.squeezed('s', a), 'RELU6')))
      },
      ['g c 6 x4'],
    ],
    ['a product of two maps', (b) => b.layer('d', b.scaled('c', b.layer('a', b.x), b.layer('b', b.x))), []],
    ['two readers', (b) => b.add('d', b.layer('b', b.layer('a', b.x)), b.layer('c', 0)), ['a x4']],
  ]
  for (const [what, make, want] of cases) assert.equal(groupsOf(make), want, what)
})

test('channel factors: a filter that two layers share is left alone', () => {
  const b = new Four()
  const a = b.layer('a', b.x)
  const c = b.layer('c', b.layer('b', a))
  const graph = b.finish([c])
  const ops = graph.ops as unknown as { inputs: number[] }[]
  assert.is(channelGroups(graph).length, 2)
  ops[2]!.inputs[1] = ops[1]!.inputs[1]!
  assert.is(channelGroups(graph).length, 0)
})

test('the range of pixels: the darkest and the brightest of any channel', () => {
  const how = { fit: 'stretch', method: 'bilinear', channels: 'rgb' } as const
  assert.equal(pixelRange({ ...how, mean: [0], std: [255] }), [0, 1])
  assert.equal(pixelRange({ ...how, mean: [127.5], std: [127.5] }), [-1, 1])
  assert.equal(pixelRange({ ...how, mean: [100, 50, 0], std: [100, 50, 10] }), [-1, 25.5])
  assert.equal(pixelRange({ ...how, mean: [0, 51], std: [51] }), [-1, 5])
})

test('sampled positions: all where there are few, else evenly spread from a start', () => {
  assert.equal([...positions(3, 5, 0.5)], [0, 1, 2])
  assert.equal([...positions(4, 4, 0.9)], [0, 1, 2, 3])
  assert.equal([...positions(10, 5, 0)], [0, 2, 4, 6, 8])
  assert.equal([...positions(10, 5, 0.5)], [1, 3, 5, 7, 9])
  assert.equal([...positions(9, 2, 0.99)], [4, 8])
})

test('rows of a convolution: its window at each position, zeros outside, channels of one group', () => {
  const shape = {
    batch: 1,
    inH: 3,
    inW: 4,
    inC: 2,
    outH: 2,
    outW: 2,
    outC: 1,
    kh: 2,
    kw: 2,
    strideH: 2,
    strideW: 2,
    dilationH: 1,
    dilationW: 1,
    padding: 'SAME',
  } as const
  const x = Float32Array.from({ length: 24 }, (_, i) => i)
  const rows = (at: number[], c0: number, channels: number): number[] => [
    ...gatherRows(x, shape, Int32Array.from(at), [c0, c0 + channels]),
  ]
  assert.equal(rows([0], 0, 2), [0, 1, 2, 3, 8, 9, 10, 11])
  assert.equal(rows([1], 1, 1), [5, 7, 13, 15])
  // Below the last row there is nothing.
  assert.equal(rows([2, 3], 0, 1), [16, 18, 0, 0, 20, 22, 0, 0])
  // One column of zeros on the left.
  assert.equal(
    [...gatherRows(x, { ...shape, strideH: 1, strideW: 1, dilationW: 2, outH: 3, outW: 4 }, Int32Array.of(0), [0, 1])],
    [0, 2, 0, 10],
  )
})

/** The values that int8 tensors can take, by name, after calibration on [-8, 8]. */
function rangesOf(make: (b: Four) => number, method?: PlainRanges): Record<string, [number, number]> {
  const b = new Four()
  const graph = b.finish([make(b)])
  const sample = [Float32Array.from({ length: 64 }, (_, i) => (i - 32) / 4)]
  const stats = observe(graph, [sample], [0])
  const grids = activationGrids(graph, stats, { scheme: SCHEMES.int8, ...(method ? { method } : {}) })
  return Object.fromEntries(
    [...grids].map(([t, q]) => {
      const at = (v: number): number => +(q.scales[0]! * (v - q.zeroPoints[0]!)).toFixed(1)
      return [graph.tensors[t]!.name, [at(-128), at(127)]]
    }),
  )
}

test('ranges: what no reader tells apart is left out', () => {
  const alone = rangesOf((b) => b.layer('b', b.pad('a', b.x, [0, 0, 0, 0])))
  assert.equal(alone.a, [-8, 7.7])
  const wide = (make: (b: Four) => number): [number, number] => rangesOf(make, 'wide').a!
  assert.equal(
    wide((b) => b.layer('b', b.pad('a', b.x, [0, 0, 0, 0]))),
    [-9.2, 8.9],
    '15 % more at both ends',
  )
  assert.equal(
    wide((b) => b.layer('b', b.swish('s', b.pad('a', b.x, [0, 0, 0, 0])))),
    [-3, 8.9],
  )
  assert.equal(rangesOf((b) => b.layer('b', b.swish('s', b.pad('a', b.x, [0, 0, 0, 0])))).a, [-3, 7.8])
  assert.equal(rangesOf((b) => b.layer('b', b.simple('r', 'RELU6', b.pad('a', b.x, [0, 0, 0, 0])))).a, [0, 6])
  const { a, l } = rangesOf((b) => b.layer('b', b.simple('l', 'LOGISTIC', b.pad('a', b.x, [0, 0, 0, 0]))))
  assert.equal(
    [a, l],
    [
      [-6.2, 6.3],
      [0, 1],
    ],
    'half a step of the output at both ends',
  )
  const both = rangesOf((b) => {
    const x = b.pad('a', b.x, [0, 0, 0, 0])
    return b.add('d', b.swish('s', x), b.layer('c', x))
  })
  assert.equal(both.a, [-8, 7.7], 'another reader wants all of it')
  assert.equal(rangesOf((b) => b.pad('a', b.x, [0, 0, 0, 0])).a, [-8, 7.7], 'so does an output')
})

test('what layers lost: the part that their outputs foretell is made up for, as far as it holds elsewhere', () => {
  const next = rng(3)
  const K = 4
  const sampled = (gain: number): Moments => {
    const count = 512
    const x = Float32Array.from({ length: count * K }, () => 2 * next() - 1)
    // The float model has `gain` times the first column and as much of the others.
    const float = x.map((v, i) => (i % K === 0 ? gain * v : v))
    const m = emptyMoments(K, true, true)
    addMoments(m, x, count, float)
    return m
  }
  const rows = Float32Array.of(1, 2, 3, 4, -2, 1, 0, 1)
  const m = sampled(1.5)
  const added = regained(rows, m, roundingForm(m)!)!
  assert.ok(
    [0.5, 0, 0, 0, -1, 0, 0, 0].every((v, i) => Math.abs(added[i]! - v) < 0.01),
    String(added),
  )
  assert.ok(Math.abs(shareThatHolds(rows, added, sampled(1.5)) - 1) < 0.02)
  assert.ok(Math.abs(shareThatHolds(rows, added, sampled(1.25)) - 0.5) < 0.02)
  assert.is(shareThatHolds(rows, added, sampled(0.5)), 0)
  assert.is(regained(rows, { ...m, loss: undefined } as never, roundingForm(m)!), undefined)
})

test('what keeps a graph from being quantized: every op by name and number, eight of them in the sentence', () => {
  const b = new Four()
  let x = b.layer('a', b.x)
  for (let i = 0; i < 9; i++) {
    x = b.op({ type: 'CAST', inputs: [x], attrs: {} } as never, `whole ${i}`, b.shape(x), 'int32')
    x = b.op({ type: 'CAST', inputs: [x], attrs: {} } as never, `real ${i}`, b.shape(x))
  }
  const graph = b.finish([x])
  const found = quantizeBlockers(graph).filter((f) => f.startsWith('CAST'))
  assert.is(found.length, 18)
  assert.match(found[0]!, /^CAST at op 1 \(float32 to int32: its real numbers become stored ones/)
  const { message } = refusal(() => refuseBlocked(graph, 'int8'))
  assert.match(message, /^lower\/unsupported-op: its int8 form could not run: CAST at op 1 .* and 1\d more/)
  assert.is(message.match(/CAST at op/g)!.length, 8)
  const plain = new Four()
  assert.equal(quantizeBlockers(plain.finish([plain.layer('b', plain.layer('a', plain.x))])), [])
})

test('what is compared: logits behind the end, real numbers behind whole ones', () => {
  const named = (graph: Graph): string[] => probedOutputs(graph).map((t) => graph.tensors[t]!.name)
  const b = new Four()
  const logits = b.dense('logits', b.mean('m', b.layer('a', b.x), [1, 2]), 4)
  const soft = b.op({ type: 'SOFTMAX', inputs: [logits], attrs: { beta: 1 } }, 'soft', [1, 3])
  const row = b.reshape('row', soft, [3])
  const best = b.op(
    { type: 'ARG_MAX', inputs: [logits, b.int32('axis', [], [1])], attrs: { outputType: 'int32' } },
    'best',
    [1],
    'int32',
  )
  assert.equal(named(b.finish([logits])), ['logits'])
  assert.equal(named(b.finish([row])), ['logits'])
  assert.equal(named(b.finish([best])), ['logits'])
  assert.equal(named(b.finish([row, best])), ['logits'])
  assert.equal(named(b.finish([row, b.x])), ['logits', 'x'])
  assert.ok(isClassifier(b.finish([row])))
  assert.ok(isClassifier(b.finish([best])))
  assert.not(isClassifier(b.finish([row, best])))
  assert.not(isClassifier(b.finish([b.x])))
})

const opsOf = (graph: Graph): string[] =>
  graph.ops.map(
    (op) =>
      `${op.type} ${op.inputs.map((t) => graph.tensors[t]!.name).join(' ')} > ${graph.tensors[op.outputs[0]!]!.name}`,
  )

test('the form to quantize: constants of their own, biases everywhere', () => {
  const b = new Four()
  const filter = { shape: [4, 1, 1, 4], data: new Float32Array(16).fill(0.5) }
  const bare = b.conv('bare', b.x, { filter, activation: 'NONE' })
  const graph = b.finish([b.layer('c', b.layer('b', bare))])
  const ops = graph.ops as unknown as { inputs: number[] }[]
  ops[2]!.inputs = [ops[2]!.inputs[0]!, ops[1]!.inputs[1]!, ops[1]!.inputs[2]!]
  const ready = prepare(graph, SCHEMES.int8)
  const [first, second, third] = ready.ops as unknown as { inputs: number[] }[]
  const bias = ready.tensors[first!.inputs[2]!]!
  assert.equal([bias.shape, bias.dtype, [...bias.data!]], [[4], 'float32', new Array(16).fill(0)])
  for (const k of [1, 2]) {
    const [own, copy] = [ready.tensors[second!.inputs[k]!]!, ready.tensors[third!.inputs[k]!]!]
    assert.is.not(own.name, copy.name)
    assert.equal({ ...copy, name: own.name }, own)
  }
  assert.is(graph.ops[2]!.inputs[1], graph.ops[1]!.inputs[1], 'the graph itself stays')
  ops[1]!.inputs[1] = b.x
  assert.match(refusal(() => prepare(graph, SCHEMES.int8)).message, /CONV_2D with weights that are not constant.*x/)
})

test('the form to quantize: scores beside other values keep their own grid', () => {
  const join = (parts: (b: Four, a: number) => number[]): string[] => {
    const b = new Four()
    const inputs = parts(b, b.layer('a', b.x))
    const attrs = { axis: 3, activation: 'NONE' } as const
    const out = b.op({ type: 'CONCATENATION', inputs, attrs }, 'out', [1, 4, 4, 4 * inputs.length])
    return opsOf(prepare(b.finish([out]), SCHEMES.int8)).filter((op) => /QUANTIZE|CONCAT/.test(op))
  }
  const scores = (b: Four, x: number, name = 'p'): number => b.simple(name, 'LOGISTIC', x)
  assert.equal(
    join((b, a) => [a, a]),
    ['CONCATENATION a a > out'],
  )
  assert.equal(
    join((b, a) => [scores(b, a), a]),
    ['QUANTIZE p > p/requantized', 'CONCATENATION p/requantized a > out'],
  )
  assert.equal(
    join((b, a) => [scores(b, a), scores(b, a, 'q')]),
    ['CONCATENATION p q > out'],
  )
  assert.equal(
    join((b, a) => [a, b.reshape('r', scores(b, a), [1, 4, 4, 4])]),
    ['QUANTIZE r > r/requantized', 'CONCATENATION a r/requantized > out'],
    'through what only moves them',
  )
})

test('the form to quantize: 16 bits have no HARD_SWISH', () => {
  const b = new Four()
  const swish = b.op({ type: 'HARD_SWISH', inputs: [b.layer('a', b.x)], attrs: {} }, 's', [1, 4, 4, 4])
  const graph = b.finish([swish])
  assert.ok(opsOf(prepare(graph, SCHEMES.int8)).includes('HARD_SWISH a > s'))
  const ready = prepare(graph, SCHEMES.int16x8)
  assert.equal(opsOf(ready).slice(1), [
    'ADD a s/three > s/gate',
    'MUL a s/gate > s/product',
    'MUL s/product s/sixth > s',
  ])
  const x = Float32Array.from({ length: 64 }, (_, i) => (i - 32) / 4)
  const [want, got] = [floatModel(graph).run([x])[0]!, floatModel(ready).run([x])[0]!]
  want.forEach((w, i) => assert.ok(Math.abs(w - got[i]!) < 1e-6))
})

test('photos as the float input', () => {
  const b = new GraphBuilder()
  const x = b.input('image', [1, 2, 3, 3])
  const how = { fit: 'stretch', method: 'nearest', channels: 'rgb', mean: [10], std: [2] } as const
  const graph = b.finish([x], { preprocess: how })
  assert.equal(inputInfo(graph), { name: 'image', shape: [1, 2, 3, 3], dtype: 'float32', scale: 0, zeroPoint: 0 })
  const read = photoInput(graph)
  const photo = (v: number) => ({ data: new Uint8Array(18).fill(v), width: 3, height: 2, channels: 3 as const })
  const [one, two] = [read(photo(30)), read(photo(10))]
  assert.equal([[...one], [...two]], [new Array(18).fill(10), new Array(18).fill(0)], 'an array each')
})

test.run()
