/**
 * Real models out of packages that may be installed: nsfwjs (TensorFlow.js, uint8 weights), read and compared with
 * TensorFlow.js. `.ci/engines.sh peers` installs them; THIMBLE_PEERS names another folder whose node_modules has
 * nsfwjs,
 * @tensorflow/tfjs and @tensorflow/tfjs-backend-wasm.
 */
import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel } from '../src/convert/index.ts'
import { floatModel } from '../src/float/execute.ts'
import { relative } from './convert-util.ts'
import { ENGINES } from './engines/engines.ts'
import { need, rng } from './util.ts'

const folder = [process.env.THIMBLE_PEERS, join(ENGINES, 'peers')].find(
  (f): f is string =>
    f !== undefined &&
    existsSync(join(f, 'node_modules/nsfwjs')) &&
    existsSync(join(f, 'node_modules/@tensorflow/tfjs-backend-wasm')),
)

interface Tfjs {
  setBackend(name: string): Promise<boolean>
  loadLayersModel(io: object): Promise<{ predict(x: object): { dataSync(): Float32Array } }>
  loadGraphModel(io: object): Promise<{ predict(x: object): { dataSync(): Float32Array } }>
  tensor(data: Float32Array, shape: readonly number[]): object
}

/** The package keeps its models as scripts that hold JSON and base64. */
function unpack(
  require: NodeJS.Require,
  model: string,
): { json: Record<string, unknown>; shards: Map<string, Uint8Array> } {
  const at = join(folder!, 'node_modules/nsfwjs/dist/models', model)
  const load = (file: string): unknown => {
    const m = require(join(at, file)) as { default?: unknown }
    return m.default ?? m
  }
  const shards = new Map<string, Uint8Array>()
  let json: Record<string, unknown> = {}
  for (const file of readdirSync(at).filter((f) => f.endsWith('.min.js'))) {
    if (file === 'model.min.js') json = load(file) as Record<string, unknown>
    else shards.set(file.replace('.min.js', ''), new Uint8Array(Buffer.from(load(file) as string, 'base64')))
  }
  return { json, shards }
}

for (const [model, size] of [
  ['mobilenet_v2', 224],
  ['mobilenet_v2_mid', 224],
  ['inception_v3', 299],
] as const) {
  need(
    test,
    `nsfwjs ${model} gives TensorFlow.js' answer`,
    {
      resource: folder,
      missing: 'nsfwjs and TensorFlow.js: .ci/engines.sh peers',
    },
    async (at) => {
      const require = createRequire(join(at, 'x.js'))
      const tf = require('@tensorflow/tfjs') as Tfjs
      require('@tensorflow/tfjs-backend-wasm')
      await tf.setBackend('wasm')
      const { json, shards } = unpack(require, model)
      const graph = await readFloatModel(new TextEncoder().encode(JSON.stringify(json)), {
        sidecar: (name) => shards.get(name),
        inputShape: [1, size, size, 3],
      })
      const random = rng(3)
      const x = Float32Array.from({ length: size * size * 3 }, () => random())
      const manifest = json.weightsManifest as { paths: string[]; weights: object[] }[]
      const parts = manifest.flatMap((g) => g.paths.map((p) => shards.get(p)!))
      const io = {
        load: async () => ({
          modelTopology: json.modelTopology,
          format: json.format,
          weightSpecs: manifest.flatMap((g) => g.weights),
          weightData: new Uint8Array(Buffer.concat(parts)).buffer,
          userDefinedMetadata: json.userDefinedMetadata,
        }),
      }
      const isGraph = Array.isArray((json.modelTopology as { node?: unknown }).node)
      const want = (await (isGraph ? tf.loadGraphModel(io) : tf.loadLayersModel(io)))
        .predict(tf.tensor(x, [1, size, size, 3]))
        .dataSync()
      const difference = relative(floatModel(graph).run([x])[0]!, want)
      assert.ok(difference < 1e-5, `relative difference ${difference}`)
    },
  )
}

test.run()
