/** What TFLite_Detection_PostProcess says about a model: the shapes of its outputs, and which output is which. */
import type { Graph, Metadata, OpOf } from './graph.ts'

/** Shapes of the op's outputs: boxes, classes, scores, how many. */
export function detectionShapes({
  maxDetections,
  maxClassesPerDetection,
}: OpOf<'DETECTION_POSTPROCESS'>['attrs']): number[][] {
  const n = maxDetections * maxClassesPerDetection
  return [[1, n, 4], [1, n], [1, n], [1]]
}

/**
 * Gives the outputs of the graph's detection ops the type and shape that the op gives them: files state them wrongly or
 * not at all. Requires: checked attributes.
 */
export function setDetectionShapes(graph: Graph): void {
  for (const op of graph.ops) {
    if (op.type !== 'DETECTION_POSTPROCESS') continue
    detectionShapes(op.attrs).forEach((shape, i) => {
      const index = op.outputs[i]!
      const { name } = graph.tensors[index]!
      graph.tensors[index] = { name, shape, dtype: 'float32' }
    })
  }
}

/** Metadata for a detector whose outputs are the op's, in whatever order the file lists them; none for other graphs. */
export function detectionMetadata(graph: Graph): Metadata {
  for (const op of graph.ops) {
    if (op.type !== 'DETECTION_POSTPROCESS') continue
    const [boxes, classes, scores, count] = op.outputs.map((t) => graph.outputs.indexOf(t)) as [
      number,
      number,
      number,
      number,
    ]
    if (Math.min(boxes, classes, scores, count) < 0) continue
    return {
      task: 'detection',
      extra: {
        detection: { kind: 'postprocess', boxes, classes, scores, count, iouThreshold: 1, scoreThreshold: 0.5 },
      },
    }
  }
  return {}
}
