/**
 * Graph to graph: batch norm and other per-channel affine maps fold into the convolution before or after them (also
 * across padding, pooling and reshapes, where the arithmetic allows it), activations fuse, padding fuses, hard-swish
 * is recognised, stored half or 8-bit constants of float ops become float32. Real-valued results stay the same.
 */
import { ThimbleError } from '../base/errors.ts'
import type { Graph } from '../graph/graph.ts'
import {
  foldIntoConsumers,
  foldIntoProducer,
  mergeAffine,
  moveDown,
  moveUp,
  recogniseAffine,
  spellOut,
} from './fold/affine.ts'
import { dropIdentities, floatConstants, fuseActivations, fusePadding, hardSwish } from './fold/patterns.ts'
import { bounds, dilation, prelu } from './fold/bounds.ts'
import { compact, Work } from './fold/work.ts'

/** In the order they are tried; the first that changes something starts the list again. */
const PASSES = [
  dropIdentities,
  bounds,
  prelu,
  dilation,
  recogniseAffine,
  hardSwish,
  fuseActivations,
  mergeAffine,
  foldIntoProducer,
  moveUp,
  foldIntoConsumers,
  moveDown,
  fusePadding,
]

/**
 * Returns a new graph; the given one is left as it is. 8-bit tensors and the ops on them are not touched.
 * Errors: `format/constant` for a constant whose bytes do not fill its shape, `lower/fold` if the passes do not settle.
 */
export function foldGraph(graph: Graph): Graph {
  const w = new Work(graph)
  floatConstants(w)
  const limit = 40 * graph.ops.length + 100
  for (let steps = 0; PASSES.some((pass) => pass(w)); steps++) {
    if (steps > limit) {
      throw new ThimbleError('lower/fold', 'folding does not settle', {
        got: `${steps} steps for ${graph.ops.length} ops`,
      })
    }
  }
  spellOut(w)
  return compact(w, graph.metadata)
}
