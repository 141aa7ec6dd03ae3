/** Threads: the same bytes as one thread, run after run, from worker threads on shared memory. */
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Worker } from 'node:worker_threads'
import { arrayType, instantiateProgram, sharedMemory, type Engine } from '../src/engine/engine.ts'
import type { ThimbleError } from '../src/base/errors.ts'
import { loadModel } from '../src/node.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { settle } from '../src/fold/index.ts'
import { readModel } from '../src/formats/index.ts'
import { compileModel } from '../src/plan/compile.ts'
import { runtimeModule } from '../src/engine/runtime.ts'
import { spansOf } from '../tools/bench-threads/spans.ts'
import { checkCases, recordedNetworks } from './recorded.ts'
import { GraphBuilder, smallModels } from './small-models.ts'
import { equalBytes, rng, root, skip } from './util.ts'
import type { TypedArray } from '../src/graph/types.ts'

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

  test('between barriers no order of the threads matters, in whatever steps they come', async () => {
    const module = await runtimeModule('threads')
    let freely = 0
    const graphs = [
      ...smallModels().map((m) => m.graph),
      ...recordedNetworks.filter(({ macs }) => macs > 5e6).map((n) => readModel(readFileSync(n.path))),
    ]
    for (const graph of graphs) {
      const one = await loadGraph(graph)
      for (const threads of [2, 3]) {
        const program = compileModel(settle(graph), { variant: 'simd', kernels: 'x86', plan: 'speed', threads })
        const memory = sharedMemory(program)
        const exports = instantiateProgram(module, program, memory)
        const spans = spansOf(program)
        freely += spans.filter(([, calls]) => calls!.length > 2).length
        // The last thread first, the first one first, any: a thread that is behind finds all that it needs.
        const orders: ((left: number[]) => number)[] = [
          (left) => left.at(-1)!,
          (left) => left[0]!,
          (left) => left[random.int(left.length)]!,
        ]
        for (const pick of orders) {
          const input = one.inputs.map((i) => noise(i.shape, i.dtype as 'int8'))
          program.inputs.forEach((p, i) => {
            const x = input[i]!
            new Uint8Array(memory.buffer, p.address, p.bytes).set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength))
          })
          for (const span of spans) {
            const at = span.map(() => 0)
            for (;;) {
              const left = span.flatMap((calls, t) => (at[t]! < calls.length ? [t] : []))
              if (!left.length) break
              const t = pick(left)
              const { address, count } = span[t]![at[t]!++]!
              assert.is(exports.thimble_thread!(address, count), 0)
            }
          }
          one.run(input).forEach((want, i) => {
            const { address } = program.outputs[i]!
            const got = new (want.constructor as typeof Int8Array)(memory.buffer, address, want.length)
            equalBytes(got, want, `${threads} threads, output ${i}`)
          })
        }
      }
    }
    assert.ok(freely > 10, `${freely} times several units without meeting`)
  })

  test('full convolutions on maps of every size, shared by rows or by channels', async () => {
    const attrs = { padding: 'SAME', dilationH: 1, dilationW: 1, activation: 'RELU' } as const
    for (const size of [3, 5, 6, 7, 10, 12, 17, 24]) {
      const b = new GraphBuilder(size)
      let [side, c] = [size, 24]
      let scale = 0.05
      let x = b.input([1, side, side, c])
      const layers: number[] = []
      for (const [k, o, stride] of [
        [3, 64, 1],
        [3, 57, 1],
        [1, 40, 1],
        [3, 96, 2],
        [3, 33, 1],
      ] as const) {
        side = Math.ceil(side / stride)
        scale *= k * (1.3 + 0.2 * Math.sqrt(c))
        const y = b.tensor([1, side, side, o], 'int8', scale, -5)
        x = b.op('CONV_2D', [x, b.weights([o, k, k, c], 0), b.bias(o, o)], [y], {
          ...attrs,
          strideH: stride,
          strideW: stride,
        })
        layers.push(x)
        c = o
      }
      const graph = b.done(...layers)
      const one = await loadGraph(graph)
      for (const threads of [2, 3, 4]) {
        const many = await loadGraph(graph, { threads })
        for (let k = 0; k < 4; k++) {
          const input = one.inputs.map((i) => noise(i.shape, i.dtype as 'int8'))
          const want = one.run(input)
          want.forEach((o, i) => assert.ok(new Set(o as Int8Array).size > 4, `layer ${i} has results that differ`))
          many.run(input).forEach((o, i) => equalBytes(o, want[i]!, `${size}x${size}, ${threads} threads, output ${i}`))
        }
        many.dispose()
      }
    }
  })

  test('work of full convolutions is shared: each thread has some of every large one', () => {
    const b = new GraphBuilder(1)
    const y = b.tensor([1, 12, 12, 128], 'int8', 2, -5)
    b.op('CONV_2D', [b.input([1, 12, 12, 128]), b.weights([128, 3, 3, 128], 0), b.bias(128, 128)], [y], {
      padding: 'SAME',
      strideH: 1,
      strideW: 1,
      dilationH: 1,
      dilationW: 1,
      activation: 'RELU',
    })
    const program = compileModel(b.done(y), { variant: 'simd', kernels: 'x86', plan: 'speed', threads: 2 })
    assert.ok(program.entries.some((e) => e.kernel.startsWith('winograd')))
    assert.ok(program.workers.every((w) => w.count > 2))
  })

  test('a fully connected layer of one row is shared by channels', async () => {
    const b = new GraphBuilder(2)
    const y = b.op(
      'FULLY_CONNECTED',
      [b.input([1, 515]), b.weights([1003, 515]), b.bias(1003, 1)],
      [b.tensor([1, 1003], 'int8', 1.5, 4)],
      { activation: 'NONE', keepNumDims: false },
    )
    const graph = b.done(y)
    const program = compileModel(graph, { variant: 'simd', kernels: 'x86', plan: 'speed', threads: 2 })
    assert.is(program.workers.length, 1)
    assert.ok(program.workers[0]!.count >= 2)
    const [one, many] = [await loadGraph(graph), await loadGraph(graph, { threads: 2 })]
    for (let k = 0; k < 5; k++) {
      const input = [noise([1, 515], 'int8')]
      equalBytes(many.run(input)[0]!, one.run(input)[0]!, 'two threads')
    }
    many.dispose()
  })

  for (const network of recordedNetworks.filter(({ macs }) => macs > 5e6)) {
    test(`${network.name}, 2 threads, LiteRT's bytes`, async () => {
      for (const plan of ['speed', 'size'] as const) {
        const model = await loadModel(network.path, { threads: 2, plan })
        for (let k = 0; k < 3; k++) checkCases(model, network)
        model.dispose()
      }
    })
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

  /** Loads with 2 threads; gives the Node workers that were started for it, too. */
  async function withWorkers(): Promise<{ model: Engine; workers: Worker[]; input: TypedArray[] }> {
    const { getBuiltinModule } = process
    const workers: Worker[] = []
    class Recorded extends Worker {
      constructor(script: URL) {
        super(script)
        workers.push(this)
      }
    }
    process.getBuiltinModule = () => ({ Worker: Recorded })
    try {
      const model = await loadGraph(smallModels()[0]!.graph, { threads: 2 })
      return { model, workers, input: model.inputs.map((i) => noise(i.shape, i.dtype as 'int8')) }
    } finally {
      process.getBuiltinModule = getBuiltinModule
    }
  }
  const ended = (worker: Worker): Promise<unknown> => new Promise((resolve) => void worker.once('exit', resolve))
  function refusal(body: () => unknown): { code: string; message: string; ms: number } {
    const start = performance.now()
    try {
      body()
    } catch (error) {
      const { code, message } = error as ThimbleError
      return { code, message, ms: performance.now() - start }
    }
    throw new Error('was not refused')
  }

  test('dispose ends the threads', async () => {
    const { model, workers, input } = await withWorkers()
    model.run(input)
    assert.is(workers.length, 1)
    const end = ended(workers[0]!)
    model.dispose()
    model.dispose()
    await end
    assert.is(workers[0]!.threadId, -1)
    assert.is(refusal(() => model.run(input)).code, 'runtime/disposed')
  })

  test('a worker that died: every run is refused at once', async () => {
    const { model, workers, input } = await withWorkers()
    model.run(input)
    const end = ended(workers[0]!)
    await workers[0]!.terminate()
    await end
    for (let k = 0; k < 3; k++) {
      const { code, message, ms } = refusal(() => model.run(input))
      assert.is(code, 'runtime/threads')
      assert.match(message, /a worker thread died.*load it again/)
      assert.ok(ms < 500, `${ms} ms`)
    }
    model.dispose()
  })

  test('a worker that dies while the host is busy: one run waits a little, the next is refused at once', async () => {
    const { model, workers, input } = await withWorkers()
    model.run(input)
    // The host learns of the end only when it is idle again: it must find out by itself.
    void workers[0]!.terminate()
    // As long as the worker lives it does its part.
    const runUntilRefused = (): void => {
      for (const end = performance.now() + 20_000; performance.now() < end;) model.run(input)
    }
    const first = refusal(runUntilRefused)
    const second = refusal(() => model.run(input))
    assert.equal([first.code, second.code], ['runtime/threads', 'runtime/threads'])
    assert.ok(second.ms < 100, `${second.ms} ms`)
    model.dispose()
  })

  test("a thread that may not wait (a page's main thread) is told so before anything is loaded", async () => {
    const { wait } = Atomics
    Atomics.wait = () => {
      throw new TypeError('Atomics.wait cannot be called in this context')
    }
    try {
      await loadGraph(smallModels()[0]!.graph, { threads: 2 })
      assert.unreachable('threads were started')
    } catch (error) {
      assert.is((error as ThimbleError).code, 'runtime/threads')
      assert.match((error as Error).message, /may wait.*load and run the model in a Worker/)
    } finally {
      Atomics.wait = wait
    }
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
