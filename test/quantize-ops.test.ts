/**
 * The quantizer on what real networks have beside convolutions: U-Nets, gates, sums, integer ends; and what it refuses.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GraphBuilder } from '../src/convert/builder.ts'
import { floatModel } from '../src/float/execute.ts'
import { quantizeValues } from '../src/float/values.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph, Op } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { quantizeBlockers } from '../src/quantize/check.ts'
import { quantize } from '../src/quantize/quantize.ts'
import { thimble } from './call-cli.ts'
import { LITERT_MISSING, litertPython } from './peer-python.ts'
import {
  type QuantizedFile,
  quantizedAnswers,
  quantizedFile,
  quantizedNets,
  storedInput,
  UNSEEN,
} from './quantized-nets.ts'
import { equalBytes, need, refusal, rng, root } from './util.ts'

const nets = quantizedNets()
const files = new Map(nets.map((net) => [net, quantizedFile(net)]))

for (const net of nets) {
  test(`${net.name}: int8 is near float on inputs that calibration has not seen`, async () => {
    const { graph } = files.get(net)!
    const [float, int8] = [floatModel(net.graph), await loadGraph(graph)]
    const q = graph.tensors[graph.outputs[0]!]!.quantization
    let [signal, noise, equal, total] = [0, 0, 0, 0]
    for (const seed of UNSEEN) {
      const want = float.run(net.inputs(seed))[0]!
      const raw = int8.run(storedInput(net, graph, seed))[0]!
      want.forEach((w, i) => {
        const got = q ? q.scales[0]! * (Number(raw[i]) - q.zeroPoints[0]!) : Number(raw[i])
        signal += w * w
        noise += (w - got) ** 2
        equal += Number(w === got)
        total++
      })
    }
    const sqnr = 10 * Math.log10(signal / noise)
    if (net.sqnr !== undefined) assert.ok(sqnr > net.sqnr, `${sqnr} dB, at least ${net.sqnr}`)
    if (net.equal !== undefined) {
      assert.is(q, undefined, 'an integer end has no grid')
      assert.ok(equal / total >= net.equal, `${equal / total} equal, at least ${net.equal}`)
    }
  })
}

test("a recorded file's outputs are LiteRT's, in every variant and plan", async () => {
  const folder = join(root, 'test/fixtures/quantize')
  const recorded = JSON.parse(readFileSync(join(folder, 'answers.json'), 'utf8')) as {
    litert: string
    seeds: number[]
    answers: Record<string, string[]>
  }
  assert.is(recorded.litert, '2.3.0')
  assert.equal(
    Object.keys(recorded.answers),
    nets.map((n) => n.name),
  )
  for (const net of nets) {
    const graph = readTflite(readFileSync(join(folder, `${net.name}.tflite`)))
    for (const variant of ['simd', 'scalar'] as const) {
      for (const plan of ['speed', 'size'] as const) {
        const model = await loadGraph(graph, { variant, plan })
        recorded.seeds.forEach((seed, i) => {
          const [out] = model.run(storedInput(net, graph, seed))
          equalBytes(
            out!,
            Buffer.from(recorded.answers[net.name]![i]!, 'base64'),
            `${net.name} ${variant} ${plan} ${i}`,
          )
        })
        model.dispose()
      }
    }
  }
})

need(
  test,
  'LiteRT gives the same bytes for the files made now',
  { resource: litertPython(), missing: LITERT_MISSING },
  async (python) => {
    const { answers } = quantizedAnswers(python, files)
    for (const [net, { graph }] of files) {
      const model = await loadGraph(graph)
      UNSEEN.forEach((seed, i) =>
        equalBytes(model.run(storedInput(net, graph, seed))[0]!, answers.get(net.name)![i]!, `${net.name} ${seed}`),
      )
    }
  },
)

test('a transposed convolution keeps its bias, per channel int8, at input scale times weight scale', () => {
  const { graph } = files.get(nets[0]!) as QuantizedFile
  const op = graph.ops.find((o) => o.type === 'TRANSPOSE_CONV')!
  const [filter, x, bias] = [1, 2, 3].map((i) => graph.tensors[op.inputs[i]!]!)
  assert.equal([filter!.dtype, bias!.dtype, x!.dtype], ['int8', 'int32', 'int8'])
  assert.is(filter!.quantization!.scales.length, filter!.shape[0])
  const scale = x!.quantization!.scales[0]!
  assert.equal(
    bias!.quantization!.scales,
    filter!.quantization!.scales.map((s) => Math.fround(s * scale)),
  )
  const stored = new Int32Array(bias!.data!.slice().buffer)
  const before = nets[0]!.graph.ops.find((o) => o.type === 'TRANSPOSE_CONV')!
  const real = new Float32Array(nets[0]!.graph.tensors[before.inputs[3]!]!.data!.slice().buffer)
  real.forEach((v, c) => {
    const got = stored[c]! * bias!.quantization!.scales[c]!
    assert.ok(Math.abs(got - v) < 0.05, `channel ${c}: ${got}, float ${v}`)
  })
})

test('quotients are right where numerators are small and divisors far apart', async () => {
  const b = new GraphBuilder()
  const [x, y] = [b.input('numerator', [1, 8, 8, 4]), b.input('divisor', [1, 8, 8, 4])]
  const quotient = b.op({ type: 'DIV', inputs: [x, y], attrs: { activation: 'NONE' } }, 'quotient', b.shape(x))
  const graph = b.finish([quotient])
  const next = rng(3)
  const sample = (): Float32Array[] => [
    Float32Array.from({ length: 256 }, () => (2 * next() - 1) ** 3),
    Float32Array.from({ length: 256 }, () => 0.25 + 2.75 * next()),
  ]
  const { graph: int8 } = quantize(graph, Array.from({ length: 8 }, sample))
  const [float, model] = [floatModel(graph), await loadGraph(int8)]
  const { scales, zeroPoints } = int8.tensors[int8.outputs[0]!]!.quantization!
  for (let n = 0; n < 4; n++) {
    const inputs = sample()
    const [raw] = model.run(inputs.map((v, k) => quantizeValues(v, int8.tensors[int8.inputs[k]!]!) as Int8Array))
    const want = float.run(inputs)[0]!
    // A step of the quotient, and half a step of the numerator and of the reciprocal by what they are multiplied with.
    want.forEach((w, i) => {
      const got = scales[0]! * (Number(raw![i]) - zeroPoints[0]!)
      assert.ok(Math.abs(w - got) <= 3 * scales[0]!, `${inputs[0]![i]} / ${inputs[1]![i]}: ${got}, float ${w}`)
    })
  }
})

/** A convolution, then ops that nothing here runs. */
function blocked(names: readonly string[]): Graph {
  const b = new GraphBuilder()
  let x = b.conv('conv', b.input('image', [1, 8, 8, 3]), {
    filter: { shape: [4, 3, 3, 3], data: new Float32Array(108).fill(0.1) },
  })
  for (const name of names) {
    x = b.op({ type: 'UNSUPPORTED', inputs: [x], attrs: { name } } as unknown as Omit<Op, 'outputs'>, name, b.shape(x))
  }
  return b.finish([x])
}

test('what cannot run is told before any work, all of it at once', () => {
  const graph = blocked(['WHERE', 'UNIQUE', 'WHERE'])
  let worked = 0
  const error = refusal(() =>
    quantize(graph, [new Float32Array(192)], {
      progress: () => {
        worked++
      },
    }),
  )
  assert.is(error.code, 'lower/unsupported-op')
  assert.match(error.message, /WHERE/)
  assert.match(error.message, /UNIQUE/)
  assert.is(worked, 0)
  assert.equal(
    quantizeBlockers(graph),
    ['WHERE', 'UNIQUE', 'WHERE'].map(
      (name, i) => `${name} at op ${i + 1} (tensor "${name}${i === 2 ? '_1' : ''}": no such operator in Thimble)`,
    ),
  )
  for (const net of nets) assert.equal(quantizeBlockers(net.graph), [], net.name)
})

test('what float runs and int8 would get wrong is named with its place, before photos are read', async () => {
  // The int8 form would cast 8-bit numbers as they are stored.
  const b = new GraphBuilder()
  const filter = { shape: [4, 3, 3, 3], data: new Float32Array(108).fill(0.1) }
  const x = b.conv('one', b.input('image', [1, 8, 8, 3]), { filter })
  const whole = b.op({ type: 'CAST', inputs: [x], attrs: {} }, 'whole', b.shape(x), 'int32')
  const graph = b.finish([whole])
  const found = quantizeBlockers(graph)
  assert.is(found.length, 1)
  assert.match(found[0]!, /CAST at op 1 \(float32 to int32/)
  const folder = mkdtempSync(join(tmpdir(), 'thimble-blocked-'))
  mkdirSync(join(folder, 'photos'))
  writeFileSync(join(folder, 'photos/broken.png'), 'no photo')
  writeFileSync(join(folder, 'm.tflite'), writeTflite(graph))
  const { code, err } = await thimble([
    'quantize',
    join(folder, 'm.tflite'),
    '--calibration',
    join(folder, 'photos'),
    '-o',
    join(folder, 'q.tflite'),
  ])
  assert.is(code, 1)
  assert.match(err, /lower\/unsupported-op.*CAST at op 1/)
  rmSync(folder, { recursive: true })
})

test.run()
