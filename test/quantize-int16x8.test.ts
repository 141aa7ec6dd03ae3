/**
 * `quantize` with 16-bit activations: what it gains over int8, its bytes in LiteRT, and what LiteRT has no kernel for.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { floatModel } from '../src/float/execute.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { quantizeBlockers } from '../src/quantize/check.ts'
import type { QuantizeReport } from '../src/quantize/report.ts'
import { SCHEMES } from '../src/quantize/scheme.ts'
import { fitScale, storedBias } from '../src/quantize/weights.ts'
import { thimble } from './call-cli.ts'
import { LITERT_MISSING, litertPython } from './peer-python.ts'
import {
  quantizedAnswers,
  quantizedFile,
  type QuantizedNet,
  quantizedNets,
  storedInput,
  UNSEEN,
} from './quantized-nets.ts'
import { equalBytes, need, refusal, root } from './util.ts'

const all = quantizedNets()
const nets = all.filter((net) => quantizeBlockers(net.graph, 'int16x8').length === 0)
const files = new Map(nets.map((net) => [net, quantizedFile(net, 'int16x8')]))

/** Signal to noise of the first output over unseen inputs, dB. */
async function sqnr(net: QuantizedNet, graph: Graph): Promise<number> {
  const [float, model] = [floatModel(net.graph), await loadGraph(graph)]
  const { scales, zeroPoints } = graph.tensors[graph.outputs[0]!]!.quantization!
  let [signal, noise] = [0, 0]
  for (const seed of UNSEEN) {
    const raw = model.run(storedInput(net, graph, seed))[0]!
    float.run(net.inputs(seed))[0]!.forEach((want, i) => {
      signal += want * want
      noise += (want - scales[0]! * (Number(raw[i]) - zeroPoints[0]!)) ** 2
    })
  }
  model.dispose()
  return 10 * Math.log10(signal / noise)
}

test('16-bit activations are nearer to float than 8-bit ones on every network', async () => {
  assert.equal(
    nets.map((net) => net.name),
    ['unet_scores', 'excite_logistic', 'excite_hard', 'sum_tanh'],
  )
  const rows: string[] = []
  for (const net of nets) {
    const [eight, sixteen] = [await sqnr(net, quantizedFile(net).graph), await sqnr(net, files.get(net)!.graph)]
    rows.push(`${net.name}: int8 ${eight.toFixed(1)} dB, int16x8 ${sixteen.toFixed(1)} dB`)
    assert.ok(sixteen > eight + 4, rows.at(-1))
  }
  console.log(`\n${rows.join('\n')}`)
})

test('every activation is int16 around zero, every weight int8 per channel, every bias int64 at both scales', () => {
  for (const { graph } of files.values()) {
    for (const op of graph.ops) {
      for (const t of op.outputs.map((o) => graph.tensors[o]!)) {
        assert.is(t.dtype, 'int16', t.name)
        assert.equal(t.quantization!.zeroPoints, Int32Array.of(0))
      }
      const at = {
        CONV_2D: [0, 1, 2],
        DEPTHWISE_CONV_2D: [0, 1, 2],
        FULLY_CONNECTED: [0, 1, 2],
        TRANSPOSE_CONV: [2, 1, 3],
      }[op.type as string]
      if (!at) continue
      const [x, filter, bias] = at.map((i) => graph.tensors[op.inputs[i]!]!)
      assert.equal([x!.dtype, filter!.dtype, bias!.dtype], ['int16', 'int8', 'int64'])
      assert.is(filter!.quantization!.scales.length, bias!.shape[0])
      assert.equal(
        bias!.quantization!.scales,
        filter!.quantization!.scales.map((s) => Math.fround(s * x!.quantization!.scales[0]!)),
      )
    }
  }
})

test('a hard-swish becomes ops that LiteRT has in 16 bits, and means the same', () => {
  const net = nets.find((n) => n.name === 'excite_hard')!
  const { graph, tflite } = files.get(net)!
  assert.ok(net.graph.ops.some((op) => op.type === 'HARD_SWISH'))
  assert.not.ok(graph.ops.some((op) => op.type === 'HARD_SWISH'))
  assert.equal(writeTflite(readTflite(tflite)), tflite)
})

test("a recorded file's outputs are LiteRT's, in every variant and plan", async () => {
  const folder = join(root, 'test/fixtures/quantize/int16x8')
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
        for (const [i, seed] of recorded.seeds.entries()) {
          const [out] = model.run(storedInput(net, graph, seed))
          const want = Buffer.from(recorded.answers[net.name]![i]!, 'base64')
          equalBytes(out!, want, `${net.name} ${variant} ${plan} ${seed}`)
        }
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
      model.dispose()
    }
  },
)

test('a bias that 32 bits could not hold is stored whole', () => {
  const { int8, int16x8 } = SCHEMES
  const [bias, scales, input] = [Float32Array.of(1e6, -1.5), Float32Array.of(2 ** -10, 2 ** -10), 2 ** -15]
  const stored = (scheme: typeof int8): bigint[] => {
    const bytes = storedBias(bias, scales, input, scheme)
    return scheme.biasType === 'int64'
      ? [...new BigInt64Array(bytes.slice().buffer)]
      : Array.from(new Int32Array(bytes.slice().buffer), BigInt)
  }
  assert.equal(stored(int16x8), [1000000n << 25n, -3n << 24n])
  assert.equal(stored(int8), [1n << 30n, -3n << 24n])
  assert.is(fitScale(2 ** -10, 1e5, input, int16x8.maxBias), 2 ** -10)
  assert.ok(fitScale(2 ** -10, 1e5, input) > 2 ** -10)
})

test('what LiteRT has no kernel of 16 bits for is named before any work, with its place', () => {
  const best = all.find((net) => net.name === 'best_class')!
  assert.match(quantizeBlockers(best.graph, 'int16x8').join(), /^ARG_MAX at op 4 \(tensor "class": on int16/)
  const error = refusal(() => quantizedFile(best, 'int16x8'))
  assert.is(error.code, 'lower/unsupported-op')
  assert.match(error.message, /its int16x8 form could not run: ARG_MAX/)
})

test('the command makes one, as .tflite and as .thimble, and says which scheme it is', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-int16x8-'))
  const at = (name: string): string => join(folder, name)
  const net = nets.find((n) => n.name === 'sum_tanh')!
  writeFileSync(at('m.tflite'), writeTflite(net.graph))
  const samples = Array.from({ length: 12 }, (_, i) => net.inputs(i)[0]!)
  writeFileSync(at('x.bin'), Buffer.concat(samples.map((s) => Buffer.from(s.buffer))))
  const made = new Map<string, Graph | undefined>()
  for (const output of ['q.tflite', 'q.thimble']) {
    const call = ['quantize', at('m.tflite'), '-c', at('x.bin'), '-o', at(output), '--scheme', 'int16x8', '--json']
    const { code, out, err } = await thimble(call)
    assert.is(code, 0, err)
    const report = JSON.parse(out) as QuantizeReport
    assert.is(report.scheme, 'int16x8')
    assert.ok(report.asTheyAre.logitSqnr > 40, `${report.asTheyAre.logitSqnr} dB`)
    const shown = await thimble(['inspect', at(output), '--json'])
    assert.is(shown.code, 0, shown.err)
    made.set(output, JSON.parse(shown.out) as Graph)
  }
  const input = (name: string): unknown => (made.get(name) as unknown as { inputs: unknown[] }).inputs[0]
  assert.equal(input('q.tflite'), input('q.thimble'))
  const wrong = await thimble(['quantize', at('m.tflite'), '-c', at('x.bin'), '-o', at('q.tflite'), '--scheme', 'int4'])
  assert.is(wrong.code, 2)
  assert.match(wrong.err, /int8.*int16x8/)
  rmSync(folder, { recursive: true })
})

test.run()
