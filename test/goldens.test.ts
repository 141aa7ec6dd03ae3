/**
 * The public models and single-op models of ../shared against LiteRT's recorded bytes: equality in every variant and
 * plan. test/goldens-models.test.ts and test/op-goldens.test.ts do the same for what the repository holds.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine, instantiateProgram, sharedMemory, tensorInfo } from '../src/engine/engine.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { fastRuntime } from '../src/engine/load-node.ts'
import { loadModel } from '../src/node.ts'
import { compileModel } from '../src/plan/compile.ts'
import { runtimeModule } from '../src/engine/runtime.ts'
import type { TensorInfo } from '../src/graph/types.ts'
import { type Choice, CHOICES, nameOf, optionsOf } from './choices.ts'
import { layerCases, lines, typed, type OneRun } from './op-cases.ts'
import { checkCases, recordedNetworks } from './recorded.ts'
import { equalBytes, shared, skip } from './util.ts'

const MODELS = [
  'mobilenet_v1_0.25_128_quant',
  'mobilenet_v1_0.75_192_quant',
  'mobilenet_v2_1.0_224_quant',
  'mobilenet_v2_1.0_224_inat_bird_quant',
  'tf2_mobilenet_v2_1.0_224_ptq',
  'vww_96_int8',
  'kws_ref_model',
  'pretrainedResnet_quant',
  'ad01_int8',
  'str_ww_ref_model',
  'deeplabv3_mnv2_dm05_pascal_quant',
  'movenet_single_pose_lightning_ptq',
]

const goldens = shared('goldens')
if (goldens === undefined) skip('public models and single ops', '../shared is missing')
else {
  for (const name of MODELS) for (const choice of CHOICES) registerModel(goldens, name, choice)
  for (const choice of CHOICES) registerOps(join(goldens, 'ops.jsonl.gz'), choice)
  test('every golden model is tested or named here', () => {
    // Their ops are outside the supported set: LSTM and float convolutions.
    const known = new Set([...MODELS, 'keras_lstm_mnist_ptq', 'vww_96_float'])
    const extra = readdirSync(goldens, { withFileTypes: true })
      .filter((e) => e.isDirectory() && !known.has(e.name))
      .map((e) => e.name)
    if (extra.length) throw new Error(`golden models without a test: ${extra.join(', ')}`)
  })
}

function registerModel(folder: string, name: string, choice: Choice): void {
  for (const plan of ['speed', 'size'] as const) {
    test(`${name} ${nameOf(choice)} ${plan}`, async () => {
      const dir = join(folder, name, '/')
      const { cases } = JSON.parse(readFileSync(`${dir}manifest.json`, 'utf8')) as { cases: string[] }
      const model = await loadModel(shared(`models/${name}.tflite`)!, { ...optionsOf(choice), plan })
      assert.is(model.kernels, choice.kernels)
      // The scalar kernels are slow, and the others many: a photo, noise and an extreme are enough there.
      const chosen =
        choice.variant === 'scalar' || choice.kernels !== 'generic' ? cases.filter((_, i) => i % 4 === 0) : cases
      for (const c of chosen) {
        const out = model.run(typed(readFileSync(`${dir}${c}.in0.bin`), model.inputs[0]!.dtype))
        out.forEach((o, i) => equalBytes(o, readFileSync(`${dir}${c}.out${i}.bin`), `${name} ${c} output ${i}`))
      }
      model.dispose()
    })
  }
}

function registerOps(path: string, choice: Choice): void {
  test(`single-op models, ${nameOf(choice)}`, async () => {
    const failures = new Map<string, string>()
    for (const [k, line] of lines(path).entries()) {
      const c = JSON.parse(line) as OneRun
      try {
        const model = await loadModel(Buffer.from(c.model, 'base64'), optionsOf(choice))
        const out = model.run(c.inputs.map((x, i) => typed(Buffer.from(x.data, 'base64'), model.inputs[i]!.dtype)))
        c.outputs.forEach((o, i) => equalBytes(out[i]!, Buffer.from(o.data, 'base64'), `output ${i}`))
      } catch (error) {
        if (!failures.has(c.kind)) failures.set(c.kind, `line ${k + 1}: ${(error as Error).message}`)
      }
    }
    if (failures.size) throw new Error([...failures].map(([kind, why]) => `${kind}: ${why}`).join('\n'))
  })
}

/** With every 3x3 convolution that can take Winograd's form in it, whether that pays or not. */
for (const choice of CHOICES.filter((c) => c.kernels === 'x86' || c.kernels === 'avx2')) {
  const module = choice.kernels === 'avx2' ? (await fastRuntime()).module! : await runtimeModule(choice.variant)
  const load = (bytes: Uint8Array): { engine: Engine; taken: number } => {
    const graph = readTflite(bytes)
    const program = compileModel(graph, { ...choice, plan: 'speed', convolution: 'winograd' })
    const info = (i: number): TensorInfo => tensorInfo(graph.tensors[i]!)
    const about = { inputs: graph.inputs.map(info), outputs: graph.outputs.map(info), ...choice, why: '', metadata: {} }
    const memory = choice.kernels === 'avx2' ? sharedMemory(program) : undefined
    return {
      engine: new Engine(instantiateProgram(module, program, memory), about, program),
      taken: program.entries.filter((e) => /^(winograd|polyphase)/.test(e.kernel)).length,
    }
  }

  test(`winograd forced, ${nameOf(choice)}`, () => {
    let taken = 0
    for (const { note, model, runs } of layerCases({ own: /^CONV_2D/, bundled: /conv/i })) {
      const made = load(Buffer.from(model, 'base64'))
      taken += made.taken
      for (const { inputs, outputs } of runs) {
        const out = made.engine.run(inputs.map((x, i) => typed(Buffer.from(x, 'base64'), made.engine.inputs[i]!.dtype)))
        outputs.forEach((o, i) => equalBytes(out[i]!, Buffer.from(o.data, 'base64'), `${note}, output ${i}`))
      }
    }
    let layers = 0
    for (const network of recordedNetworks) {
      const made = load(readFileSync(network.path))
      layers += made.taken
      if (made.taken) checkCases(made.engine, network)
    }
    assert.ok(layers > 0, `${taken} ops and no layer of a model took the form`)
  })
}

test.run()
