/** The networks of test/goldens/models.json and their inputs: what the repository ships, and what the tests build. */
import { readFileSync } from 'node:fs'
import { arrayType } from '../src/engine/engine.ts'
import { readModel } from '../src/formats/index.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { elements, type Graph } from '../src/graph/graph.ts'
import type { TypedArray } from '../src/graph/types.ts'
import { madeNetworks } from './made-networks.ts'
import { smallModels } from './small-models.ts'
import { rng, root } from './util.ts'

export interface GoldenNetwork {
  name: string
  graph: Graph
  tflite: Uint8Array
}

export interface GoldenCase {
  name: string
  inputs: TypedArray[]
}

interface Shipped {
  name: string
  file: string
}

export function goldenNetworks(): GoldenNetwork[] {
  const shipped = JSON.parse(readFileSync(`${root}weights/manifest.json`, 'utf8')) as Shipped[]
  const graphs: [string, Graph][] = [
    ...shipped.map(({ name, file }): [string, Graph] => [name, readModel(readFileSync(`${root}weights/${file}`))]),
    ...[...smallModels(), ...madeNetworks()].map(({ name, graph }): [string, Graph] => [name, graph]),
  ]
  return graphs.map(([name, graph]) => ({ name, graph, tflite: writeTflite(graph) }))
}

/** Noise, the two extremes, and flat halves with noise in between: where clamps and ties are. */
export function goldenCases({ graph }: GoldenNetwork, seed: number): GoldenCase[] {
  const inputs = (
    name: string,
    value: (k: number, low: number, high: number, r: () => number) => number,
  ): GoldenCase => ({
    name,
    inputs: graph.inputs.map((t, k) => {
      const { shape, dtype } = graph.tensors[t]!
      const r = rng(seed * 1000 + k)
      const [low, high] = dtype === 'uint8' ? [0, 255] : [-128, 127]
      return (new (arrayType(dtype))(elements(shape)) as Int8Array).map((_, i) => value(i, low, high, r))
    }),
  })
  return [
    inputs('noise', (_, low, high, r) => Math.floor(low + r() * (high - low + 1))),
    inputs('least', (_, low) => low),
    inputs('most', (_, _low, high) => high),
    inputs('blocks', (i, low, high, r) =>
      (i >> 6) & 3 ? (((i >> 9) & 1) === 0 ? low : high) : Math.floor(low + r() * 256),
    ),
  ]
}
