/**
 * Registers one test per model and variant of the engines whose id passes; what is not installed is skipped by name.
 */
import * as assert from 'uvu/assert'
import { skip } from '../util.ts'
import { engines, installed, type Engine } from './engines.ts'
import { cells, runCells, type Answer } from './matrix.ts'

type Register = (name: string, body: () => Promise<void>) => void

export function registerEngines(test: Register, wanted: (id: string) => boolean): void {
  for (const engine of engines.filter((e) => wanted(e.id))) {
    if (!installed(engine)) skip(engine.id, `${engine.title} is not installed; .ci/engines.sh installs it`)
    else registerCells(test, engine)
  }
}

function registerCells(test: Register, engine: Engine): void {
  const list = cells(engine)
  let answers: Promise<Answer>[] | undefined
  list.forEach((cell, i) =>
    test(`${engine.id}: ${cell.model} (${cell.variant})`, async () => {
      if (!answers) {
        answers = runCells(engine, list)
        for (const a of answers) a.catch(() => {}) // Each is awaited by its own test.
      }
      const answer = await answers[i]!
      assert.is(answer.abi, 1)
      if (engine.runs === 'package') assert.is(answer.variant, cell.variant)
      if (engine.env?.THIMBLE_KERNELS !== undefined) assert.is(answer.kernels, engine.env.THIMBLE_KERNELS)
    }),
  )
}
