/**
 * Networks with LiteRT's recorded answers, for tests of engines, forms and threads: the public models of ../shared
 * where it is, else those that the repository ships or makes.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Model } from '../src/graph/types.ts'
import { goldenCases, goldenNetworks } from './golden-networks.ts'
import { madeNetworks } from './made-networks.ts'
import { typed } from './op-cases.ts'
import { equalBytes, root, shared } from './util.ts'

export interface RecordedCase {
  name: string
  /** Bytes of each input, in the model's own types. */
  inputs: Uint8Array[]
  /** Throws unless these bytes of output `index` are LiteRT's. */
  check: (output: ArrayBufferView, index: number, what: string) => void
}

export interface RecordedNetwork {
  name: string
  /** Multiply-adds. */
  macs: number
  /** Path of the .tflite file. */
  path: string
  outputs: number
  cases: readonly RecordedCase[]
}

interface Recorded {
  seed: number
  models: Record<string, Record<string, string[]>>
}

/** `test/goldens/models.json`. */
export const recordedAnswers = (): Recorded =>
  JSON.parse(readFileSync(`${root}test/goldens/models.json`, 'utf8')) as Recorded

/** Compares with an answer of models.json: base64 of the bytes, or their SHA-256 where they are many. */
export function checkAnswer(output: ArrayBufferView, want: string, what: string): void {
  if (!want.startsWith('sha256:')) return equalBytes(output, Buffer.from(want, 'base64'), what)
  const bytes = new Uint8Array(output.buffer, output.byteOffset, output.byteLength)
  const got = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  if (got !== want) throw new Error(`${what}: ${got}, expected ${want}`)
}

/** Multiply-adds of what is in ../shared. */
const PUBLIC: Readonly<Record<string, number>> = {
  ad01_int8: 0.3e6,
  kws_ref_model: 2.7e6,
  vww_96_int8: 7.5e6,
  pretrainedResnet_quant: 12.5e6,
  'mobilenet_v1_0.25_128_quant': 13.6e6,
  'tf2_mobilenet_v2_1.0_224_ptq': 301e6,
  deeplabv3_mnv2_dm05_pascal_quant: 900e6,
}

function publicNetwork(name: string, macs: number): RecordedNetwork {
  const golden = (file: string): string => join(shared(`goldens/${name}`)!, file)
  const manifest = JSON.parse(readFileSync(golden('manifest.json'), 'utf8')) as { cases: string[]; outputs: unknown[] }
  const cases = manifest.cases.map((c): RecordedCase => ({
    name: c,
    get inputs() {
      const files = manifest.cases.map((_, i) => golden(`${c}.in${i}.bin`))
      return files.filter((file) => existsSync(file)).map((file) => new Uint8Array(readFileSync(file)))
    },
    check: (output, i, what) => equalBytes(output, readFileSync(golden(`${c}.out${i}.bin`)), what),
  }))
  return { name, macs, path: shared(`models/${name}.tflite`)!, outputs: manifest.outputs.length, cases }
}

/** Of what is shipped, beside all that is made: one network of the size that people run. */
const SHIPPED: Readonly<Record<string, number>> = { 'mobilenet_v2_1.0_96': 56e6, 'mobilenet_v2_1.0_224': 301e6 }

function ownNetworks(): RecordedNetwork[] {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-recorded-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const macs = new Map([...madeNetworks().map((n) => [n.name, n.macs] as const), ...Object.entries(SHIPPED)])
  const { seed, models } = recordedAnswers()
  const chosen = goldenNetworks().filter(({ name }) => macs.has(name))
  return chosen.map((network): RecordedNetwork => {
    const { name, graph, tflite } = network
    const path = join(folder, `${name}.tflite`)
    writeFileSync(path, tflite)
    const cases = goldenCases(network, seed).map((c): RecordedCase => ({
      name: c.name,
      inputs: c.inputs.map((x) => new Uint8Array(x.buffer as ArrayBuffer)),
      check: (output, i, what) => checkAnswer(output, models[name]![c.name]![i]!, what),
    }))
    return { name, macs: macs.get(name)!, path, outputs: graph.outputs.length, cases }
  })
}

/** From few multiply-adds to many. */
export const recordedNetworks: readonly RecordedNetwork[] = (
  shared('goldens') === undefined
    ? ownNetworks()
    : Object.entries(PUBLIC).map(([name, macs]) => publicNetwork(name, macs))
).sort((a, b) => a.macs - b.macs)

/** Runs cases and compares every output. */
export function checkCases(model: Model, { name, cases }: RecordedNetwork, chosen = cases): void {
  for (const c of chosen) {
    const out = model.run(c.inputs.map((x, i) => typed(x, model.inputs[i]!.dtype)))
    out.forEach((o, i) => c.check(o, i, `${name}, case ${c.name}, output ${i}`))
  }
}
