/** The recorded single-op models: a large set of ../shared where it is, else test/goldens/ops. */
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { arrayType } from '../src/engine/engine.ts'
import type { DType } from '../src/graph/graph.ts'
import type { TypedArray } from '../src/graph/types.ts'
import { root, shared } from './util.ts'

/** Bytes as values of a type, at offset 0 of their own buffer. */
export const typed = (bytes: Uint8Array, dtype: DType): TypedArray =>
  new (arrayType(dtype))(new Uint8Array(bytes).buffer)

/** What LiteRT answered to one run; tensors in base64. */
export interface OpRun {
  inputs: string[]
  outputs: { dtype: DType; shape: number[]; data: string }[]
}

/** One line of a file of test/goldens/ops. */
export interface OpCase {
  kind: string
  note: string
  /** A .tflite in base64. */
  model: string
  runs: OpRun[]
}

/** The lines of a compressed text. */
export const lines = (path: string): string[] => gunzipSync(readFileSync(path)).toString().trim().split('\n')

/** Cases of a folder of files by kind whose kind matches. */
export const opCasesOf = (folder: string, kinds: RegExp): OpCase[] =>
  readdirSync(folder)
    .filter((file) => kinds.test(file.replace('.jsonl.gz', '')))
    .flatMap((file) => lines(`${folder}/${file}`).map((line) => JSON.parse(line) as OpCase))

/** A line of ../shared's. */
export interface OneRun {
  kind: string
  model: string
  inputs: { data: string }[]
  outputs: { data: string; dtype: DType; shape: number[] }[]
}

const bundle = shared('goldens/ops.jsonl.gz')

/** Layers of 8 bits: `own` says which kinds of test/goldens/ops, `bundled` which of ../shared's. */
export function layerCases({ own, bundled }: { own: RegExp; bundled: RegExp }): OpCase[] {
  if (bundle === undefined) return opCasesOf(`${root}test/goldens/ops`, own)
  const all = lines(bundle).map((line) => JSON.parse(line) as OneRun)
  return all
    .filter(({ kind }) => bundled.test(kind))
    .map(({ kind, model, inputs, outputs }) => ({
      kind,
      note: kind,
      model,
      runs: [{ inputs: inputs.map((i) => i.data), outputs }],
    }))
}
