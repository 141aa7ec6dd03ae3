/** Ranges of activations: room where photos left out go beyond calibration, and steps that the runtime takes. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GraphBuilder } from '../src/convert/builder.ts'
import { floatModel } from '../src/float/execute.ts'
import { quantizeValues } from '../src/float/values.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Activation, Graph } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { quantize, type QuantizeOptions } from '../src/quantize/quantize.ts'
import { refusal, rng } from './util.ts'

const SHAPE = [1, 6, 6, 8]

/** 1x1 layers over eight channels. `size`: of the weights and biases of channel c. */
class Layers extends GraphBuilder {
  readonly next: () => number
  readonly x = this.input('x', SHAPE)
  constructor(seed: number) {
    super()
    this.next = rng(seed)
  }

  layer(name: string, x: number, activation: Activation, size: (c: number) => number = () => 1): number {
    const channels = this.shape(x).at(-1)!
    const data = Float32Array.from({ length: 8 * channels }, (_, i) => size(Math.floor(i / channels)) * this.sign())
    const bias = Float32Array.from({ length: 8 }, (_, c) => size(c) * this.sign())
    return this.conv(name, x, { filter: { shape: [8, 1, 1, channels], data }, bias, activation })
  }

  each(name: string, x: number, activation: Activation, size: (c: number) => number): number {
    const data = Float32Array.from({ length: 72 }, (_, i) => size(i % 8) * this.sign())
    const bias = Float32Array.from({ length: 8 }, (_, c) => size(c) * this.sign())
    return this.depthwise(name, x, { filter: { shape: [1, 3, 3, 8], data }, bias, activation })
  }

  swish(name: string, x: number): number {
    return this.op({ type: 'HARD_SWISH', inputs: [x], attrs: {} }, name, this.shape(x))
  }

  sign(): number {
    return 2 * this.next() - 1
  }
}

/** Values in [-size, size]. */
function picture(seed: number, size = 1): Float32Array {
  const next = rng(seed)
  return Float32Array.from({ length: 288 }, () => size * (2 * next() - 1))
}

/** Signal to noise of the engine's answers, dB. Errors: those of loading. */
async function decibels(float: Graph, int8: Graph, inputs: readonly Float32Array[]): Promise<number> {
  const reference = floatModel(float)
  const model = await loadGraph(int8)
  const [input, output] = [int8.tensors[int8.inputs[0]!]!, int8.tensors[int8.outputs[0]!]!.quantization!]
  let [signal, noise] = [0, 0]
  for (const x of inputs) {
    const [want] = reference.run([x])
    const [got] = model.run([quantizeValues(x, input)])
    want!.forEach((w, i) => {
      signal += w * w
      noise += (w - output.scales[0]! * (Number(got![i]) - output.zeroPoints[0]!)) ** 2
    })
  }
  model.dispose()
  return 10 * Math.log10(signal / noise)
}

/** Layers without clamps: what goes far in goes far through all of them. */
function open(): Graph {
  const b = new Layers(3)
  const a = b.layer('a', b.x, 'RELU')
  return b.finish([b.layer('d', b.add('s', a, b.layer('c', a, 'NONE')), 'NONE')])
}

/** Every fifth picture goes further than any of the others, some further than those. */
const uneven = (first: number, count: number): Float32Array[] =>
  Array.from({ length: count }, (_, i) => picture(first + i, (first + i) % 5 === 0 ? 1.2 + 0.05 * ((i * 7) % 9) : 1))
/** One picture, its pixels in other places: through 1x1 layers all go equally far. */
const even = (first: number, count: number): Float32Array[] =>
  Array.from({ length: count }, (_, i) => {
    const values = picture(first)
    return values.map((_, k) => values[(k + 8 * i) % values.length]!)
  })

test('auto: room where photos that are left out go beyond the others, and there it gains', async () => {
  const float = open()
  const { graph, beyond } = quantize(float, uneven(101, 12))
  assert.ok(beyond! > 1, `${beyond}`)
  const plain = quantize(float, uneven(101, 12), { ranges: 'minmax' }).graph
  const unseen = uneven(501, 40)
  const [auto, minmax] = [await decibels(float, graph, unseen), await decibels(float, plain, unseen)]
  assert.ok(auto > minmax + 0.5, `${auto} dB, minmax ${minmax} dB`)
})

test('auto: none where all photos go equally far, nor with a single one; the same bytes as minmax then', () => {
  const float = open()
  for (const samples of [even(101, 12), uneven(101, 1)]) {
    const { graph, beyond } = quantize(float, samples)
    assert.is(beyond, 1)
    assert.equal(writeTflite(graph), writeTflite(quantize(float, samples, { ranges: 'minmax' }).graph))
  }
})

test('auto: of two photos each is left out once', () => {
  const [small, large] = [picture(101), picture(102, 1.5)]
  assert.ok(quantize(open(), [small, large]).beyond! > 1)
})

test('auto: variations of one photo are left out together', () => {
  const float = open()
  const samples = uneven(101, 12)
  assert.is(quantize(float, samples, { photoOf: samples.map(() => 4) }).beyond, 1, 'all of one photo')
  assert.is(quantize(float, samples, { ranges: 'minmax' }).beyond, undefined, 'only auto chooses')
})

test('auto: the same photos give the same bytes, without equalization and with 16 bits, too', () => {
  const float = open()
  for (const options of [{}, { equalize: false }, { scheme: 'int16x8' }] as const) {
    const bytes = (): Uint8Array => writeTflite(quantize(float, uneven(101, 12), options).graph)
    assert.equal(bytes(), bytes())
  }
})

/** What batch norm of wild statistics leaves: channels of sizes from e^-9 to e^9, by seed. */
function wild(seed: number): Graph {
  const b = new Layers(seed)
  const size = (): number => Math.exp(9 * b.sign())
  const activation = (): Activation => (['NONE', 'RELU', 'RELU6'] as const)[Math.floor(3 * b.next())]!
  const a = b.swish('a', b.layer('a/bn', b.x, 'NONE', size))
  const c = b.each('c', a, activation(), size)
  const d = b.layer('d', c, activation(), size)
  const e = b.add('e', b.swish('d/swish', d), d)
  const small = b.layer('f', e, 'RELU', () => 1e-3)
  return b.finish([b.layer('g', small, 'NONE', () => 1e3)])
}

test('whatever sizes channels have, the file loads', async () => {
  for (let seed = 1; seed <= 24; seed++) {
    const options: QuantizeOptions = { scheme: seed % 3 ? 'int8' : 'int16x8' }
    const { graph } = quantize(wild(seed), even(seed, 4), options)
    ;(await loadGraph(graph)).dispose()
  }
})

test('a float model whose own values are beyond float32 is refused by the tensor', () => {
  const b = new Layers(5)
  const far = b.layer(
    'far',
    b.layer('near', b.x, 'NONE', () => 1e25),
    'NONE',
    () => 1e25,
  )
  const graph = b.finish([b.layer('end', far, 'NONE')])
  const { code, message } = refusal(() => quantize(graph, even(1, 4)))
  assert.is(code, 'usage/calibration')
  assert.match(message, 'beyond float32 on the calibration inputs; tensor "far"; expected finite numbers')
})

test('an output much smaller than what adds up to it gets the steps that its multiplier needs', async () => {
  const b = new Layers(1)
  // Eight equal channels that the next layer's large weights, of sum zero, cancel.
  const data = new Float32Array(64).fill(1)
  const same = b.conv('same', b.x, { filter: { shape: [8, 1, 1, 8], data }, bias: new Float32Array(8).fill(1e4) })
  const cancelling = Float32Array.from({ length: 64 }, (_, i) => 300 * (i % 2 ? 1 : -1))
  const small = b.conv('small', same, {
    filter: { shape: [8, 1, 1, 8], data: cancelling },
    bias: Float32Array.from({ length: 8 }, (_, c) => c / 8),
  })
  const graph = b.finish([b.layer('end', small, 'NONE')])
  const int8 = quantize(graph, even(1, 4), { equalize: false }).graph
  const at = (name: string): number => int8.tensors.find((t) => t.name === name)!.quantization!.scales[0]!
  const filter = int8.tensors[int8.ops.find((op) => int8.tensors[op.outputs[0]!]!.name === 'small')!.inputs[1]!]!
  const multiplier = (at('same') * Math.max(...filter.quantization!.scales)) / at('small')
  assert.ok(multiplier < 256, `${multiplier}`)
  assert.ok(at('small') > 10 / 255, 'more than what calibration saw')
  assert.ok(Number.isFinite(await decibels(graph, int8, even(1, 2))))
})

test('a hard-swish whose input another reader takes to far below zero', async () => {
  const b = new Layers(2)
  const far = b.layer('far', b.x, 'NONE', () => 1)
  const low = b.layer('low', far, 'NONE', () => 1)
  const down = b.conv('down', low, {
    filter: { shape: [8, 1, 1, 8], data: Float32Array.from({ length: 64 }, () => 20 * b.sign()) },
    bias: new Float32Array(8).fill(-400),
  })
  const graph = b.finish([b.add('sum', b.swish('swish', down), down)])
  const int8 = quantize(graph, even(1, 6)).graph
  assert.ok((await decibels(graph, int8, even(50, 6))) > 25)
})

test.run()
