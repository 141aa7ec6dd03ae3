/** `bench --load`: the stages that a file really goes through, in processes of their own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writePacked } from '../src/formats/packed-write.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { loadBytes } from '../src/engine/load.ts'
import { withPrograms } from '../src/plan/record.ts'
import { stages, type Stage } from '../src/base/stages.ts'
import { spawned } from './call-cli.ts'
import { smallModels } from './small-models.ts'

const { graph } = smallModels()[0]!
const FILES = { 'a.tflite': writeTflite(graph), 'a.thimble': writePacked(withPrograms(graph)) }

/** The stages that loading announces. */
async function announced(bytes: Uint8Array): Promise<Stage[]> {
  const seen: Stage[] = []
  stages.begin = (stage) => seen.push(stage)
  try {
    const model = await loadBytes(bytes)
    model.dispose()
  } finally {
    stages.begin = undefined
  }
  return seen
}

test('a file with a program is not compiled, another is', async () => {
  const compiled = await announced(FILES['a.tflite'])
  for (const stage of ['import the compiler', 'parse', 'settle shapes', 'lower', 'plan', 'pack weights'] as const) {
    assert.ok(compiled.includes(stage), stage)
  }
  const stored = await announced(FILES['a.thimble'])
  for (const stage of ['check the seal', 'read the program', 'pack weights', 'check the records'] as const) {
    assert.ok(stored.includes(stage), stage)
  }
  assert.not(stored.includes('lower') || stored.includes('import the compiler'))
})

test('the command prints every stage and their sum', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-'))
  try {
    for (const [name, bytes] of Object.entries(FILES)) {
      writeFileSync(join(folder, name), bytes)
      const { out, code } = await spawned(['bench', join(folder, name), '--load', '--runs', '2', '--json'])
      assert.is(code, 0)
      const report = JSON.parse(out) as { processes: number; totalMs: number; stages: { stage: string; ms: number }[] }
      assert.is(report.processes, 2)
      const sum = report.stages.reduce((s, r) => s + r.ms, 0)
      assert.ok(Math.abs(sum - report.totalMs) < 0.01 * sum + 0.1, `${sum} and ${report.totalMs}`)
      const names = report.stages.map((r) => r.stage)
      assert.equal([names[0], names.at(-1)], ['import thimble', 'first inference'])
      assert.is(names.includes('plan'), name.endsWith('.tflite'))
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.run()
