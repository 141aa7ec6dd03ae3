/**
 * What a `.thimble` file holds. packed-frame.ts has the bytes around it. The header is one object, keys sorted, no
 * white space:
 *
 * ```
 * { "inputs": [tensor, …], "outputs": [tensor, …], "metadata": Metadata,
 *   "ops": [{ "attrs": {…}, "inputs": […], "outputs": […], "type": "CONV_2D" }, …],          as in graph.ts; -1: absent
 *   input "tensors": [{ "name", "shape", "dtype",
 *     "data": offset,                                          constants: row-major bytes, as many as shape and dtype
 *     say "initial": offset,                                   state: what it begins with, likewise
 *     "quantization": { "scale": 0.5, "zeroPoint": -3, "axis"? }                                      one scale
 *                  or { "scales": offset, "zeroPoints"?: offset, "count": n, "axis"? } }, …],         float32s, int32s;
 *                  all 0 when absent
 *   "programs"?: […] }                                         compiled for some kernel sets, see programs.ts
 * ```
 * Offsets count from the data's start. Equal constants are stored once. A scale in the JSON is the shortest decimal
 * that reads back as the same double, so float32 values survive exactly. Equal graphs give equal bytes.
 * A reader must refuse anything `checkGraph` refuses.
 */
import type { Graph, Op, OpAttributes, OpType } from '../graph/graph.ts'
import { checkMetadata } from './check-metadata.ts'
import { checkGraph, OP_SPECS } from './check.ts'
import { headerError, openFrame } from './packed-frame.ts'
import { integers, list, object, unpackTensor } from './packed-tensor.ts'

/** The attributes that an op of this type has, and no others. */
export function pick<T extends OpType>(attrs: object, type: T): OpAttributes[T] {
  return Object.fromEntries(
    Object.entries(OP_SPECS[type].attrs).flatMap(([name, kind]) => {
      const value = (attrs as Record<string, unknown>)[name]
      return kind === 'mark' && value === undefined ? [] : [[name, value]]
    }),
  ) as OpAttributes[T]
}

function unpackOp(value: unknown, index: number): Op {
  const where = `op ${index}`
  const { type, inputs, outputs, attrs } = object(value, where)
  if (typeof type !== 'string' || !Object.hasOwn(OP_SPECS, type) || type === 'UNSUPPORTED') {
    throw headerError(`${where} type`, 'an op of this version', type)
  }
  return {
    type,
    inputs: integers(inputs, `${where} inputs`),
    outputs: integers(outputs, `${where} outputs`),
    attrs: pick(object(attrs, `${where} attrs`), type as OpType),
  } as Op
}

/**
 * Reads a packed file. Constants are views of `bytes`: keep it unchanged while the graph lives.
 * Errors: `format/packed` for any truncation or changed byte; `format/version`; `format/packed-header`,
 * `format/metadata` and those of `checkGraph` for a file that something else wrote.
 */
export function readPacked(bytes: Uint8Array): Graph {
  const { header, data } = openFrame(bytes)
  const graph: Graph = {
    tensors: list(header.tensors, 'tensors').map((t, i) => unpackTensor(t, i, data)),
    ops: list(header.ops, 'ops').map(unpackOp),
    inputs: integers(header.inputs, 'inputs'),
    outputs: integers(header.outputs, 'outputs'),
    metadata: checkMetadata(header.metadata),
  }
  checkGraph(graph)
  return graph
}
