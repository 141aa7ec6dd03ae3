/** Thimble behind the same door as its peers: only the public API. */
import type { loadModel as LoadModel } from '../src/node.ts'
import type { TypedArray } from '../src/graph/types.ts'
import { toBytes, typed, zeros, type Network, type Port, type Session } from './drive.ts'

export async function thimbleSession(
  loadModel: typeof LoadModel,
  network: Network,
  bytes: Uint8Array,
): Promise<Session> {
  const model = await loadModel(bytes, network.options)
  const results = model.outputs.map((o) => zeros({ dtype: o.dtype as Port['dtype'] }, toLength(o.shape)) as TypedArray)
  const options = { out: results }
  let data: TypedArray
  return {
    set(input) {
      data = typed(network.input, input)
    },
    run() {
      model.run(data, options)
    },
    output: () => toBytes(results[0]!),
    info: () => ({
      variant: model.variant,
      why: model.why,
      memoryBytes: model.memoryBytes,
      arenaBytes: model.arenaBytes,
    }),
    close() {
      model.dispose()
    },
  }
}

const toLength = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)
