/**
 * A model on one thread in a process of its own, for as long as it is told: what a processor gives to two threads that
 * have nothing to do with each other. Used by index.ts; argv: the model.
 */
import { sampleInput } from '../../src/cli/bench.ts'
import { openModel } from '../../src/cli/shipped.ts'
import { loadFile } from '../../src/engine/load-graph.ts'

const file = openModel(process.argv[2]!)
const model = await loadFile(file.bytes, { threads: 1 }, file.name)
const inputs = model.inputs.map(sampleInput)

/** Shortest milliseconds of the runs of so many seconds. */
function shortest(seconds: number): number {
  let best = Infinity
  for (const end = performance.now() + seconds * 1000; performance.now() < end;) {
    const start = performance.now()
    model.run(inputs)
    best = Math.min(best, performance.now() - start)
  }
  return best
}

// Until the engine has optimized the kernels.
shortest(0.5)
process.on('message', (seconds: number) => process.send!(shortest(seconds)))
process.send!(0)
