/**
 * Static shapes and constants: a graph as LiteRT has it after its tensors are allocated. Every shape is computed from
 * those of the inputs, and ops that are fed by constants alone (shape arithmetic, above all) become constants. Runs
 * between reading and lowering; ops keep their numbers.
 */
import { ThimbleError } from '../base/errors.ts'
import { checkShape } from '../formats/check-shape.ts'
import { dtypeBytes, elements, opLabel, type Graph, type Op, type Tensor } from '../graph/graph.ts'
import type { InputShapes } from '../graph/types.ts'
import { canEvaluate, evaluate } from './evaluate.ts'
import { inferShapes, Site } from './infer.ts'

/** A constant of more bytes than this is computed when the model runs. */
const MAX_CONSTANT = 1 << 24

const settled = new WeakSet<Graph>()

/** The shape wanted for input `position`. Errors: `usage/input-shape`. */
function wantedShape(graph: Graph, position: number, shapes: InputShapes): readonly number[] | undefined {
  const { name, shape } = graph.tensors[graph.inputs[position]!]!
  const wanted = Array.isArray(shapes)
    ? (shapes as readonly (readonly number[] | undefined)[])[position]
    : (shapes as Readonly<Record<string, readonly number[]>>)[name]
  if (wanted === undefined) return undefined
  const fits = wanted.length === shape.length || shape.length === 0
  if (!fits || !wanted.every((d) => Number.isInteger(d) && d >= 1)) {
    throw new ThimbleError('usage/input-shape', 'an input cannot take this shape', {
      tensor: name,
      expected: `${shape.length} numbers of at least 1, such as [${shape}]`,
      got: `[${wanted}]`,
    })
  }
  return wanted
}

/** Errors: `usage/input-shape` for a name or number of an input that the graph has not. */
function checkInputShapes(graph: Graph, shapes: InputShapes): void {
  const names = graph.inputs.map((i) => graph.tensors[i]!.name)
  const unknown = Array.isArray(shapes)
    ? shapes.length > names.length
      ? `${shapes.length} shapes`
      : undefined
    : Object.keys(shapes).find((name) => !names.includes(name))
  if (unknown === undefined) return
  throw new ThimbleError('usage/input-shape', 'the model has no such input', {
    expected: names.join(', '),
    got: unknown,
  })
}

/**
 * The graph with computed shapes; the same one when it is settled already. `inputShapes` replace those of the inputs, a
 * dimension that the file leaves open is 1.
 * Errors: `lower/shape` naming the first op whose inputs do not fit; `usage/input-shape`; `format/shape` for a tensor
 * that is too large.
 */
export function settle(graph: Graph, inputShapes?: InputShapes): Graph {
  if (settled.has(graph) && !inputShapes) return graph
  if (inputShapes) checkInputShapes(graph, inputShapes)
  const tensors: Tensor[] = [...graph.tensors]
  graph.inputs.forEach((index, position) => {
    const t = tensors[index]!
    const wanted = inputShapes && wantedShape(graph, position, inputShapes)
    reshape(tensors, index, wanted ?? t.shape.map((d) => Math.max(d, 1)))
  })
  const ops: Op[] = [...graph.ops]
  // Tensors whose shapes are not known: what reads them is left as the file has it.
  const open = new Set<number>()
  graph.ops.forEach((op, index) => {
    if (op.type === 'UNSUPPORTED' || op.inputs.some((i) => open.has(i))) {
      for (const t of op.outputs) open.add(t)
      return
    }
    const site = new Site(op, index, tensors)
    const shapes = inferShapes(site)
    op.outputs.forEach((t, i) => {
      const shape = shapes[i]
      if (shape) reshape(tensors, t, shape)
    })
    if (shapes.includes(undefined)) {
      const name = `${op.type} with a shape that depends on data`
      ops[index] = { ...op, type: 'UNSUPPORTED', attrs: { name } }
      for (const t of op.outputs) open.add(t)
      return
    }
    if (!canEvaluate(op.type)) return
    const constant = op.inputs.every((i) => i < 0 || tensors[i]!.data !== undefined)
    const shapeOnly = op.type === 'SHAPE' || op.type === 'RANK' || op.type === 'ZEROS_LIKE'
    const bytes = op.outputs.reduce((a, t) => a + elements(tensors[t]!.shape) * dtypeBytes(tensors[t]!.dtype), 0)
    if (!(constant || shapeOnly) || bytes > MAX_CONSTANT) return
    const values = evaluate(site)
    values?.forEach((data, i) => {
      const t = op.outputs[i]!
      const expected = elements(tensors[t]!.shape) * dtypeBytes(tensors[t]!.dtype)
      if (data.length !== expected) {
        throw new ThimbleError('lower/shape', 'constant of another size than its shape', {
          op: opLabel(op, index),
          expected,
          got: data.length,
        })
      }
      tensors[t] = { ...tensors[t]!, data }
    })
  })
  const out: Graph = { ...graph, tensors, ops }
  settled.add(out)
  return out
}

function reshape(tensors: Tensor[], index: number, shape: readonly number[]): void {
  const t = tensors[index]!
  if (t.shape.length === shape.length && t.shape.every((d, i) => d === shape[i])) return
  tensors[index] = { ...t, shape }
  checkShape(tensors[index])
}

/** Whether an op's outputs are all constants: it is not run. */
export const isFolded = (graph: Graph, index: number): boolean =>
  graph.ops[index]!.outputs.length > 0 && graph.ops[index]!.outputs.every((t) => graph.tensors[t]!.data !== undefined)
