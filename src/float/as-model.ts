/** A float graph behind the interface of loaded models, for everything that takes one. */
import { disposable } from '../base/dispose.ts'
import type { Graph } from '../graph/graph.ts'
import type { Model, TypedArray } from '../graph/types.ts'
import { floatModel } from './execute.ts'

/** Shapes and names are the graph's; inputs and outputs are real numbers. Errors: those of `floatModel`. */
export function asModel(graph: Graph): Model {
  const float = floatModel(graph)
  const info = (t: number): Model['inputs'][number] => ({
    name: graph.tensors[t]!.name,
    shape: graph.tensors[t]!.shape,
    dtype: 'float32',
    scale: 0,
    zeroPoint: 0,
  })
  return {
    inputs: graph.inputs.map(info),
    outputs: graph.outputs.map(info),
    metadata: graph.metadata,
    variant: 'simd',
    kernels: 'generic',
    why: 'float reference',
    memoryBytes: 0,
    arenaBytes: 0,
    run: (input) => float.run(Array.isArray(input) ? (input as Float32Array[]) : [input as TypedArray as Float32Array]),
    reset: () => undefined,
    ...disposable(() => undefined),
  }
}
