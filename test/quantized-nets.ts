/** Small float networks with what real ones end in or are built from, and inputs for them. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GraphBuilder } from '../src/convert/builder.ts'
import { quantizeValues } from '../src/float/values.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Activation, Graph } from '../src/graph/graph.ts'
import { quantize } from '../src/quantize/quantize.ts'
import type { SchemeName } from '../src/quantize/scheme.ts'
import { rng, root } from './util.ts'

export interface QuantizedNet {
  name: string
  graph: Graph
  /** Least signal to noise of the int8 form's first output against the float one, dB; undefined for an integer end. */
  sqnr?: number
  /** Least share of equal elements of an integer end. */
  equal?: number
  inputs(seed: number): Float32Array[]
}

/** Layers with weights from a seed. */
class Layers extends GraphBuilder {
  private readonly next: () => number
  constructor(seed: number) {
    super()
    this.next = rng(seed)
  }

  private values(shape: readonly number[], fanIn: number): Float32Array {
    const n = shape.reduce((a, b) => a * b, 1)
    const scale = Math.sqrt(6 / fanIn)
    return Float32Array.from({ length: n }, () => scale * (2 * this.next() - 1))
  }

  private bias(n: number): Float32Array {
    return Float32Array.from({ length: n }, () => 0.4 * (this.next() - 0.5))
  }

  convolution(
    name: string,
    x: number,
    channels: number,
    { k, stride = 1, activation = 'NONE' }: { k: number; stride?: number; activation?: Activation },
  ): number {
    const c = this.shape(x)[3]!
    const shape = [channels, k, k, c]
    return this.conv(name, x, {
      filter: { shape, data: this.values(shape, k * k * c) },
      bias: this.bias(channels),
      stride,
      activation,
    })
  }

  depthwise3(name: string, x: number, stride = 1): number {
    const c = this.shape(x)[3]!
    const shape = [1, 3, 3, c]
    return this.depthwise(name, x, {
      filter: { shape, data: this.values(shape, 9) },
      bias: this.bias(c),
      stride,
    })
  }

  /** Twice the height and width. */
  upwards(name: string, x: number, channels: number, { k, withBias }: { k: number; withBias: boolean }): number {
    const [n, h, w, c] = this.shape(x) as [number, number, number, number]
    const shape = [channels, k, k, c]
    const out = [n, 2 * h, 2 * w, channels]
    const filter = this.constant(`${name}/filter`, { shape, data: this.values(shape, (k * k * c) / 4) })
    const bias = withBias ? [this.constant(`${name}/bias`, { shape: [channels], data: this.bias(channels) })] : []
    return this.op(
      {
        type: 'TRANSPOSE_CONV',
        inputs: [this.int32(`${name}/shape`, [4], out), filter, x, ...bias],
        attrs: { padding: 'SAME', strideH: 2, strideW: 2, activation: 'NONE' },
      },
      name,
      out,
    )
  }

  concat(name: string, parts: number[]): number {
    const shape = [...this.shape(parts[0]!)]
    shape[3] = parts.reduce((s, t) => s + this.shape(t)[3]!, 0)
    return this.op({ type: 'CONCATENATION', inputs: parts, attrs: { axis: 3, activation: 'NONE' } }, name, shape)
  }

  unary(type: 'HARD_SWISH' | 'LOGISTIC' | 'TANH' | 'RELU6', name: string, x: number): number {
    return this.op({ type, inputs: [x], attrs: {} }, name, this.shape(x))
  }

  scalar(name: string, v: number): number {
    return this.constant(name, { shape: [1], data: Float32Array.of(v) })
  }

  binary(type: 'ADD' | 'MUL', name: string, a: number, b: number): number {
    return this.op({ type, inputs: [a, b], attrs: { activation: 'NONE' } }, name, this.shape(a))
  }

  reduce(type: 'MEAN' | 'SUM', name: string, x: number, keepDims: boolean): number {
    const [n, , , c] = this.shape(x) as [number, number, number, number]
    return this.op(
      { type, inputs: [x, this.int32(`${name}/axes`, [2], [1, 2])], attrs: { keepDims } },
      name,
      keepDims ? [n, 1, 1, c] : [n, c],
    )
  }

  /** Squeeze and excitation; the gate is a logistic, or what MobileNetV3 has: relu6(x + 3) / 6. */
  excite(name: string, x: number, gate: 'logistic' | 'hard'): number {
    const c = this.shape(x)[3]!
    const squeezed = this.reduce('MEAN', `${name}/squeeze`, x, true)
    const reduced = this.convolution(`${name}/reduce`, squeezed, Math.max(4, c / 4), { k: 1, activation: 'RELU' })
    const grown = this.convolution(`${name}/expand`, reduced, c, { k: 1 })
    if (gate === 'logistic') {
      return this.binary('MUL', `${name}/scale`, x, this.unary('LOGISTIC', `${name}/gate`, grown))
    }
    const up = this.unary('RELU6', `${name}/clip`, this.binary('ADD', `${name}/plus3`, grown, this.scalar('three', 3)))
    return this.binary('MUL', `${name}/scale`, x, this.binary('MUL', `${name}/sixth`, up, this.scalar('sixth', 1 / 6)))
  }

  dense(name: string, x: number, channels: number): number {
    const k = this.shape(x).at(-1)!
    const shape = [channels, k]
    return this.fullyConnected(name, x, {
      filter: { shape, data: this.values(shape, k) },
      bias: this.bias(channels),
    })
  }

  best(name: string, x: number, axis: number, outputType: 'int32' | 'int64'): number {
    return this.op(
      { type: 'ARG_MAX', inputs: [x, this.int32(`${name}/axis`, [], [axis])], attrs: { outputType } },
      name,
      this.shape(x).slice(0, -1),
      outputType,
    )
  }
}

/** Smooth values from -1 to 1. */
function smooth(shape: readonly number[], seed: number): Float32Array {
  const next = rng(seed)
  const c = shape.at(-1)!
  const width = shape.at(-2) ?? 1
  const waves = Array.from(
    { length: 3 * c },
    () => [next() - 0.5, next() - 0.5, 6 * next(), 0.2 + 0.8 * next()] as const,
  )
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => {
    const [k, x, y] = [i % c, Math.floor(i / c) % width, Math.floor(i / c / width)]
    let v = 0.1 * (next() - 0.5)
    for (let w = 0; w < 3; w++) {
      const [fx, fy, phase, height] = waves[3 * k + w]!
      v += height * Math.sin(2 * (fx * x + fy * y) + phase)
    }
    return Math.max(-1, Math.min(1, 0.6 * v))
  })
}

function unet(end: 'scores' | 'best'): QuantizedNet {
  const b = new Layers(end === 'scores' ? 11 : 12)
  const shape = [1, 16, 16, 3]
  const x = b.input('image', shape)
  const one = b.convolution('one', x, 8, { k: 3, activation: 'RELU' })
  const two = b.convolution('two', one, 16, { k: 3, stride: 2, activation: 'RELU' })
  const three = b.convolution('three', two, 24, { k: 3, stride: 2, activation: 'RELU' })
  const up2 = b.concat('skip2', [b.upwards('up2', three, 16, { k: 2, withBias: true }), two])
  const up1 = b.concat('skip1', [
    b.upwards('up1', b.convolution('mid', up2, 16, { k: 3, activation: 'RELU' }), 8, {
      k: 3,
      withBias: end === 'best',
    }),
    one,
  ])
  const scores = b.convolution('scores', up1, 4, { k: 1 })
  return {
    name: `unet_${end}`,
    graph: b.finish([end === 'scores' ? scores : b.best('mask', scores, 3, 'int64')]),
    ...(end === 'scores' ? { sqnr: 28 } : { equal: 0.93 }),
    inputs: (seed) => [smooth(shape, seed)],
  }
}

function excitation(gate: 'logistic' | 'hard'): QuantizedNet {
  const b = new Layers(gate === 'hard' ? 21 : 22)
  const shape = [1, 20, 20, 3]
  const x = b.input('image', shape)
  const stem = b.unary('HARD_SWISH', 'stem/swish', b.convolution('stem', x, 12, { k: 3, stride: 2 }))
  const wide = b.unary('HARD_SWISH', 'wide/swish', b.convolution('wide', stem, 32, { k: 1 }))
  const deep = b.unary('HARD_SWISH', 'deep/swish', b.depthwise3('deep', wide))
  const narrow = b.convolution('narrow', b.excite('se', deep, gate), 12, { k: 1 })
  const sum = b.add('residual', narrow, stem)
  const head = b.unary('HARD_SWISH', 'head/swish', b.convolution('head', sum, 48, { k: 1 }))
  const logits = b.dense('logits', b.globalAverage('pool', head), 10)
  return {
    name: `excite_${gate}`,
    graph: b.finish([logits]),
    sqnr: 26,
    inputs: (seed) => [smooth(shape, seed)],
  }
}

function sums(): QuantizedNet {
  const b = new Layers(31)
  const shape = [1, 12, 12, 2]
  const x = b.input('field', shape)
  const one = b.convolution('one', x, 16, { k: 3, stride: 2, activation: 'RELU6' })
  const all = b.reduce('SUM', 'sum', one, false)
  return {
    name: 'sum_tanh',
    graph: b.finish([b.unary('TANH', 'out', b.dense('dense', all, 6))]),
    sqnr: 20,
    inputs: (seed) => [smooth(shape, seed)],
  }
}

function bestClass(): QuantizedNet {
  const b = new Layers(41)
  const shape = [1, 12, 12, 3]
  const x = b.input('image', shape)
  const one = b.convolution('one', x, 16, { k: 3, stride: 2, activation: 'RELU' })
  const logits = b.dense(
    'logits',
    b.globalAverage('pool', b.convolution('two', one, 32, { k: 3, activation: 'RELU' })),
    12,
  )
  return {
    name: 'best_class',
    graph: b.finish([b.best('class', logits, 1, 'int32')]),
    equal: 0.85,
    inputs: (seed) => [smooth(shape, seed)],
  }
}

export const quantizedNets = (): QuantizedNet[] => [
  unet('scores'),
  unet('best'),
  excitation('logistic'),
  excitation('hard'),
  sums(),
  bestClass(),
]

/** Seeds of inputs that calibration has not seen. */
export const UNSEEN = [100, 101, 102, 103]

export interface QuantizedFile {
  graph: Graph
  tflite: Uint8Array
}

/** The quantized form, calibrated on inputs of seeds 0 to 11. */
export function quantizedFile(net: QuantizedNet, scheme: SchemeName = 'int8'): QuantizedFile {
  const { graph } = quantize(
    net.graph,
    Array.from({ length: 12 }, (_, i) => net.inputs(i)[0]!),
    { scheme },
  )
  return { graph, tflite: writeTflite(graph) }
}

/** Stored values of an unseen input. */
export const storedInput = (net: QuantizedNet, graph: Graph, seed: number): Int8Array | Int16Array =>
  quantizeValues(net.inputs(seed)[0]!, graph.tensors[graph.inputs[0]!]!) as Int8Array | Int16Array

/** First outputs that LiteRT gives for the UNSEEN inputs, by network, and its version. */
export function quantizedAnswers(
  python: string,
  files: ReadonlyMap<QuantizedNet, QuantizedFile>,
): { version: string; answers: Map<string, Buffer[]> } {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-quantized-'))
  try {
    for (const [net, { graph, tflite }] of files) {
      writeFileSync(join(folder, `${net.name}.tflite`), tflite)
      for (const seed of UNSEEN) {
        writeFileSync(join(folder, `${net.name}.${seed}.in0.bin`), storedInput(net, graph, seed))
      }
    }
    const script = join(root, 'tools/goldens/litert.py')
    const said = execFileSync(python, [script, folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    const read = (name: string, seed: number): Buffer => readFileSync(join(folder, `${name}.${seed}.out0.bin`))
    return {
      version: said.trim().split('\n').at(-1)!,
      answers: new Map([...files.keys()].map(({ name }) => [name, UNSEEN.map((seed) => read(name, seed))])),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
