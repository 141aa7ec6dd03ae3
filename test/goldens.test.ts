/** Whole models and single-op models against LiteRT's recorded bytes: equality in every variant and plan. */
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType, Engine, instantiateProgram, sharedMemory, tensorInfo } from '../src/engine.ts'
import { readTflite } from '../src/formats/tflite.ts'
import type { DType } from '../src/graph.ts'
import { fastRuntime } from '../src/load-node.ts'
import { loadModel } from '../src/node.ts'
import { compileModel } from '../src/plan/compile.ts'
import { runtimeModule } from '../src/runtime.ts'
import type { TensorInfo, TypedArray } from '../src/types.ts'
import { CHOICES, missing, nameOf, optionsOf } from './choices.ts'
import { equalBytes, need, shared, skip } from './util.ts'

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
for (const { name, reason } of missing) skip(`goldens, ${name}`, reason)

function typed(bytes: Uint8Array, dtype: DType): TypedArray {
  // A copy that starts at offset 0: Buffers share one pool.
  return new (arrayType(dtype))(new Uint8Array(bytes).buffer)
}

for (const name of MODELS) {
  for (const choice of CHOICES) {
    for (const plan of ['speed', 'size'] as const) {
      need(
        test,
        `${name} ${nameOf(choice)} ${plan}`,
        { resource: shared(`goldens/${name}/manifest.json`), missing: '../shared is missing' },
        async (path) => {
          const dir = path.replace(/manifest\.json$/, '')
          const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { cases: string[] }
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
        },
      )
    }
  }
}

interface OpCase {
  kind: string
  model: string
  inputs: { data: string }[]
  outputs: { data: string }[]
}

for (const choice of CHOICES) {
  need(
    test,
    `single-op models, ${nameOf(choice)}`,
    { resource: shared('goldens/ops.jsonl.gz'), missing: '../shared is missing' },
    async (path) => {
      const failures = new Map<string, string>()
      let count = 0
      for (const line of gunzipSync(readFileSync(path)).toString().trim().split('\n')) {
        const c = JSON.parse(line) as OpCase
        count++
        try {
          const model = await loadModel(Buffer.from(c.model, 'base64'), optionsOf(choice))
          const out = model.run(c.inputs.map((x, i) => typed(Buffer.from(x.data, 'base64'), model.inputs[i]!.dtype)))
          c.outputs.forEach((o, i) => equalBytes(out[i]!, Buffer.from(o.data, 'base64'), `output ${i}`))
        } catch (error) {
          if (!failures.has(c.kind)) failures.set(c.kind, `line ${count}: ${(error as Error).message}`)
        }
      }
      if (failures.size) throw new Error([...failures].map(([kind, why]) => `${kind}: ${why}`).join('\n'))
    },
  )
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

  need(
    test,
    `winograd forced, ${nameOf(choice)}`,
    { resource: shared('goldens/ops.jsonl.gz'), missing: '../shared is missing' },
    (path) => {
      let ops = 0
      for (const line of gunzipSync(readFileSync(path)).toString().trim().split('\n')) {
        const c = JSON.parse(line) as OpCase
        if (!/conv/i.test(c.kind)) continue
        const { engine, taken } = load(Buffer.from(c.model, 'base64'))
        ops += taken
        const out = engine.run(c.inputs.map((x, i) => typed(Buffer.from(x.data, 'base64'), engine.inputs[i]!.dtype)))
        c.outputs.forEach((o, i) => equalBytes(out[i]!, Buffer.from(o.data, 'base64'), `${c.kind}, output ${i}`))
      }
      let layers = 0
      for (const name of MODELS) {
        const dir = shared(`goldens/${name}/`)!
        const { cases } = JSON.parse(readFileSync(`${dir}manifest.json`, 'utf8')) as { cases: string[] }
        const { engine, taken } = load(readFileSync(shared(`models/${name}.tflite`)!))
        layers += taken
        if (!taken) continue
        for (const c of cases) {
          const out = engine.run(typed(readFileSync(`${dir}${c}.in0.bin`), engine.inputs[0]!.dtype))
          out.forEach((o, i) => equalBytes(o, readFileSync(`${dir}${c}.out${i}.bin`), `${name} ${c} output ${i}`))
        }
      }
      if (!layers) throw new Error(`${ops} ops and no layer of a model took the form`)
    },
  )
}

need(
  test,
  'every golden model is tested or named here',
  { resource: shared('goldens'), missing: '../shared is missing' },
  (path) => {
    // Their ops are outside the supported set: LSTM and float convolutions.
    const known = new Set([...MODELS, 'keras_lstm_mnist_ptq', 'vww_96_float'])
    const extra = readdirSync(path, { withFileTypes: true })
      .filter((e) => e.isDirectory() && !known.has(e.name))
      .map((e) => e.name)
    if (extra.length) throw new Error(`golden models without a test: ${extra.join(', ')}`)
  },
)

test.run()
