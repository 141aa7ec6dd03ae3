/** Threads: the same bytes as one thread, run after run, from worker threads on shared memory. */
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType } from '../src/engine.ts'
import { loadModel } from '../src/node.ts'
import { loadGraph } from '../src/load.ts'
import { smallModels } from './small-models.ts'
import { equalBytes, need, rng, root, shared, skip } from './util.ts'
import type { TypedArray } from '../src/types.ts'

// Node's workers load the built file, see src/threads/pool.ts.
const built = existsSync(`${root}dist/threads/worker.js`)
if (!built) skip('threads', 'dist/ is not built')

const random = rng(7)
function noise(shape: readonly number[], dtype: 'int8'): TypedArray {
  const x = new (arrayType(dtype))(shape.reduce((a, b) => a * b, 1)) as Int8Array
  for (let i = 0; i < x.length; i++) x[i] = random.int(256) - 128
  return x
}

if (built) {
  for (const { name, graph } of smallModels()) {
    test(`${name}, 2 and 3 threads`, async () => {
      const one = await loadGraph(graph)
      for (const threads of [2, 3]) {
        const many = await loadGraph(graph, { threads })
        for (let k = 0; k < 20; k++) {
          const input = one.inputs.map((i) => noise(i.shape, i.dtype as 'int8'))
          const want = one.run(input)
          many.run(input).forEach((o, i) => equalBytes(o, want[i]!, `run ${k}, output ${i}`))
        }
        many.dispose()
      }
    })
  }

  for (const name of [
    'vww_96_int8',
    'tf2_mobilenet_v2_1.0_224_ptq',
    'mobilenet_v1_0.25_128_quant',
    'deeplabv3_mnv2_dm05_pascal_quant',
  ]) {
    need(
      test,
      `${name}, 2 threads, goldens`,
      shared(`goldens/${name}/manifest.json`),
      '../shared is missing',
      async (path) => {
        const dir = path.replace(/manifest\.json$/, '')
        for (const plan of ['speed', 'size'] as const) {
          const model = await loadModel(shared(`models/${name}.tflite`)!, { threads: 2, plan })
          for (const c of (JSON.parse(readFileSync(path, 'utf8')) as { cases: string[] }).cases) {
            const input = new (arrayType(model.inputs[0]!.dtype))(
              new Uint8Array(readFileSync(`${dir}${c}.in0.bin`)).buffer,
            ) as TypedArray
            for (let k = 0; k < 3; k++) {
              model
                .run(input)
                .forEach((o, i) => equalBytes(o, readFileSync(`${dir}${c}.out${i}.bin`), `${c}, run ${k}, output ${i}`))
            }
          }
          model.dispose()
        }
      },
    )
  }

  test('a worker that does not start, an engine that has none', async () => {
    const { graph } = smallModels()[0]!
    const { getBuiltinModule } = process
    const refused = async (replacement: unknown, want: RegExp): Promise<void> => {
      process.getBuiltinModule = replacement as typeof getBuiltinModule
      try {
        await loadGraph(graph, { threads: 2 })
        assert.unreachable('threads were started')
      } catch (error) {
        assert.is((error as { code?: string }).code, 'runtime/threads')
        assert.match((error as Error).message, want)
      } finally {
        process.getBuiltinModule = getBuiltinModule
      }
    }
    await refused(undefined, /Node 20\.16 or newer/)
    class Missing {
      constructor() {
        throw new Error('no such file')
      }
    }
    await refused(() => ({ Worker: Missing }), /did not start.*no such file.*beside the bundle/)
  })

  test('bad numbers of threads, other variants', async () => {
    const { graph } = smallModels()[0]!
    for (const threads of [0, 1.5, 1000, -2]) {
      try {
        await loadGraph(graph, { threads })
        assert.unreachable(`${threads} threads were taken`)
      } catch (error) {
        assert.is((error as { code?: string }).code, 'usage/threads')
      }
    }
    try {
      await loadGraph(graph, { threads: 2, variant: 'scalar' })
      assert.unreachable('scalar threads were taken')
    } catch (error) {
      assert.is((error as { code?: string }).code, 'usage/variant')
    }
  })
}

test.run()
