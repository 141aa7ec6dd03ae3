/**
 * Executed instructions of whole networks on emulated ARM processors: repeatable, and no more than stored here. After a
 * change that is meant, write down what the failing test says.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readModel } from '../src/formats/index.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { type Core, CORES, countAll, plugin, thimble } from '../tools/arm-count/count.ts'
import { layersOf } from '../tools/arm-count/layers.ts'
import { need, root } from './util.ts'

/** Millions of instructions an inference, in Node 26. */
const STORED: Record<string, Record<Core, number>> = {
  'mobilenet_v2_1.0_96': { 'cortex-a72': 25.7, 'cortex-a76': 17.4 },
}
/** By which they may grow unnoticed: V8 schedules the same work in another order. */
const SLACK = 1.03

const names = Object.keys(STORED)
const graphOf = (name: string) => readModel(readFileSync(join(root, `weights/${name}.thimble`)))
const runtime = thimble()
const insn = plugin()

test('layers are a network in parts', () => {
  const layers = layersOf(graphOf('mobilenet_v2_1.0_96'))
  assert.is(
    layers.reduce((sum, { times }) => sum + times, 0),
    53,
  )
  for (const { name, graph } of layers) {
    assert.is(graph.ops.length, 1, name)
    assert.ok(readModel(writeTflite(graph)).ops[0]!.type === graph.ops[0]!.type, name)
  }
})

for (const core of CORES) {
  need(
    test,
    `instructions on ${core}`,
    {
      resource: runtime && insn ? { runtime, insn } : undefined,
      missing: 'no arm64 Node, QEMU or gcc; .ci/engines.sh installs them',
    },
    (tools) => {
      const folder = mkdtempSync(join(tmpdir(), 'thimble-arm-'))
      try {
        const models = names.map((name) => {
          const path = join(folder, `${name}.tflite`)
          writeFileSync(path, writeTflite(graphOf(name)))
          return path
        })
        const counts = countAll(tools.runtime, core, { models: [...models, models[0]!], insn: tools.insn })
        const millions = counts.map(({ instructions }) => instructions / 1e6)
        assert.ok(Math.abs(millions.at(-1)! / millions[0]! - 1) < 0.002, 'the same network twice')
        assert.is(counts[0]!.dots > 0, core === 'cortex-a76', 'dot products where the processor has them')
        names.forEach((name, i) => {
          const limit = STORED[name]![core] * SLACK
          assert.ok(millions[i]! <= limit, `${name}: ${millions[i]!.toFixed(2)} million, at most ${limit.toFixed(2)}`)
        })
      } finally {
        rmSync(folder, { recursive: true })
      }
    },
  )
}

test.run()
