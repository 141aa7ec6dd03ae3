/** `model.run`: what it gives back, and that it allocates nothing where the caller brings the output. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fromBase64 } from '../src/base/base64.ts'
import { arrayType, type Engine } from '../src/engine/engine.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import type { TypedArray } from '../src/graph/types.ts'
import { smallModels } from './small-models.ts'
import { equalBytes } from './util.ts'

const arrays = (infos: Engine['inputs']): TypedArray[] =>
  infos.map((i) => new (arrayType(i.dtype))(i.shape.reduce((a, b) => a * b, 1)))

/** Bytes that the heap and all array buffers grew by in each block of `runs` calls. */
function growth(body: () => void, runs: number, blocks: number): number[] {
  const used = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  return Array.from({ length: blocks }, () => {
    const before = used()
    for (let i = 0; i < runs; i++) body()
    return used() - before
  })
}

const RUNS = 10_000

/**
 * Ten thousand runs that each allocated as little as one small object (16 bytes) would grow the heap by 160,000 bytes,
 * or be collected, which shows as shrinking. Blocks in which the engine itself compiles code or collects are odd ones
 * out: the median decides.
 */
function allocatesNothing(body: () => void, what: string): void {
  growth(body, RUNS, 2)
  const blocks = growth(body, RUNS, 9)
  const median = blocks.map(Math.abs).sort((a, b) => a - b)[4]!
  assert.ok(median < RUNS, `${what}: ${blocks.join(', ')} bytes in blocks of ${RUNS} runs`)
}

test('no allocation with `out`, as one array or as a list', async () => {
  for (const { name, graph } of smallModels()) {
    const model = await loadGraph(graph)
    const input = arrays(model.inputs)
    const out = arrays(model.outputs)
    const options = { out }
    allocatesNothing(() => {
      model.run(input, options)
    }, name)
    if (input.length === 1 && out.length === 1) {
      const single = { out: out[0]! }
      allocatesNothing(() => {
        model.run(input[0]!, single)
      }, `${name}, single`)
    }
    model.dispose()
  }
})

test('the check finds an allocation of one small object a run', () => {
  let kept: object = {}
  let found = ''
  try {
    allocatesNothing(() => {
      kept = { of: kept === undefined }
    }, 'object')
  } catch (error) {
    found = (error as Error).message
  }
  assert.match(found, /^object: /)
})

test("results are the caller's: the array given, or one of their own", async () => {
  const { graph } = smallModels()[0]!
  const model = await loadGraph(graph)
  const input = arrays(model.inputs)
  const out = arrays(model.outputs)[0]!
  const other = arrays(model.outputs)[0]!
  const first = model.run(input, { out })
  assert.is(first[0], out)
  assert.is(model.run(input, { out: other })[0], other)
  assert.is(first[0], out, 'a later run with another array leaves it')
  const fresh = model.run(input)
  assert.is.not(fresh[0], model.run(input)[0])
  equalBytes(fresh[0]!, out, 'the same answer')
  model.dispose()
})

test('embedded bytes are the same by each decoder that an engine may have', () => {
  const bytes = Uint8Array.from({ length: 259 }, (_, i) => i * 7)
  const text = Buffer.from(bytes).toString('base64')
  const scope = globalThis as { Buffer?: unknown }
  const type = Uint8Array as { fromBase64?: unknown }
  const { Buffer: node } = scope
  const own = Object.getOwnPropertyDescriptor(type, 'fromBase64')
  try {
    equalBytes(fromBase64(text), bytes, 'as this engine is')
    delete type.fromBase64
    equalBytes(fromBase64(text), bytes, 'Buffer')
    scope.Buffer = undefined
    equalBytes(fromBase64(text), bytes, 'neither')
    type.fromBase64 = () => Uint8Array.of(1)
    equalBytes(fromBase64(text), Uint8Array.of(1), 'the built-in one, where it is there')
  } finally {
    scope.Buffer = node
    delete type.fromBase64
    if (own) Object.defineProperty(type, 'fromBase64', own)
  }
})

test.run()
