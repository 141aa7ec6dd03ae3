/**
 * Small versions of every architecture, with three outputs (a late feature map, logits, probabilities), and LiteRT's
 * answers to them.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { buildArch, type ArchSpec } from '../src/arch/index.ts'
import type { Graph } from '../src/graph/graph.ts'
import { root } from './util.ts'

export const CASES: ArchSpec[] = [
  { name: 'mobilenet_v1', alpha: 0.25, size: 96 },
  { name: 'mobilenet_v1_full', alpha: 0.25, size: 64 },
  { name: 'mobilenet_v2', alpha: 0.35, size: 96 },
  { name: 'mobilenet_v3_small', alpha: 0.5, size: 96 },
  { name: 'mobilenet_v3_large', alpha: 0.35, size: 96 },
  { name: 'efficientnet_lite0', alpha: 0.5, size: 96 },
  { name: 'googlenet', alpha: 0.5, size: 96 },
  { name: 'vgg16', alpha: 0.125, size: 64 },
  { name: 'inception_v3', alpha: 0.25, size: 139 },
].map((s) => ({ ...s, classes: 100 }) as ArchSpec)

export const caseName = (s: ArchSpec): string => `${s.name}_${s.alpha}_${s.size}`

export function caseGraph(spec: ArchSpec, seed = 1): Graph {
  const graph = buildArch(spec, 'int8', seed)
  const probabilities = graph.outputs[0]!
  const logits = graph.ops.at(-1)!.inputs[0]!
  const features = graph.ops.findLast((op) => graph.tensors[op.outputs[0]!]!.shape.length === 4 && op.type !== 'MEAN')!
    .outputs[0]!
  return { ...graph, outputs: [features, logits, probabilities] }
}

export function caseInput(spec: ArchSpec): Int8Array {
  const x = new Int8Array(3 * spec.size! ** 2)
  for (let i = 0, s = 1; i < x.length; i++) {
    s = (Math.imul(s, 1103515245) + 12345) >>> 0
    x[i] = s >>> 24
  }
  return x
}

export const sha256 = (v: ArrayBufferView): string =>
  createHash('sha256')
    .update(new Uint8Array(v.buffer, v.byteOffset, v.byteLength))
    .digest('hex')
/** sha256 of LiteRT's outputs, by case; made by fixtures/arch/litert.py. */
export const answers = (): Record<string, string[]> =>
  (JSON.parse(readFileSync(`${root}test/fixtures/arch/litert.json`, 'utf8')) as { answers: Record<string, string[]> })
    .answers
