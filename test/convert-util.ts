/**
 * What the convert tests share: the fixtures that other tools wrote, their answers, and the input that both sides use.
 */
import { readFileSync } from 'node:fs'
import type { Graph } from '../src/graph/graph.ts'
import { floatModel } from '../src/float/execute.ts'
import { root } from './util.ts'

export const fixture = (name: string): string => `${root}test/fixtures/convert/${name}`
export const fixtureBytes = (name: string): Uint8Array => new Uint8Array(readFileSync(fixture(name)))

export interface Expected {
  input: number[]
  output: number[]
  madeBy: string
}
export const expected = JSON.parse(readFileSync(fixture('expected.json'), 'utf8')) as Record<string, Expected>

/** The sequence that generate.py calls `pseudo`. */
export const pseudo = (n: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => ((i * 2654435761 + 12345) % 4294967296) / 2147483648 - 1)

/** Largest difference relative to the largest expected magnitude. */
export function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Infinity
  let difference = 0
  let magnitude = 0
  for (let i = 0; i < want.length; i++) {
    difference = Math.max(difference, Math.abs(got[i]! - want[i]!))
    if (Number.isNaN(got[i]!)) return Infinity
    magnitude = Math.max(magnitude, Math.abs(want[i]!))
  }
  return difference / magnitude
}

/** First output of the graph on the shared input. */
export function answer(graph: Graph): Float32Array {
  const shape = graph.tensors[graph.inputs[0]!]!.shape
  return floatModel(graph).run([pseudo(shape.reduce((a, b) => a * b, 1))])[0]!
}

export const opCounts = (graph: Graph): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const op of graph.ops) counts[op.type] = (counts[op.type] ?? 0) + 1
  return counts
}
