/** The quantizer on functions that LiteRT has of float32 alone: between a DEQUANTIZE and a QUANTIZE they are tables. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GraphBuilder } from '../src/convert/builder.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph } from '../src/graph/graph.ts'
import { quantize } from '../src/quantize/quantize.ts'
import type { SchemeName } from '../src/quantize/scheme.ts'
import { LITERT_MISSING, litertPython } from './peer-python.ts'
import { equalBytes, need, rng } from './util.ts'

const FUNCTIONS = {
  SIN: Math.sin,
  COS: Math.cos,
  SQUARE: (v: number) => v * v,
  FLOOR: Math.floor,
  CEIL: Math.ceil,
  ROUND: (v: number) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v)),
  SIGN: Math.sign,
} as const
type Name = keyof typeof FUNCTIONS
const NAMES = Object.keys(FUNCTIONS) as Name[]

/** One function, quantized by values up to `reach` on either side. */
function quantized(name: Name, reach: number, scheme: SchemeName): Graph {
  const b = new GraphBuilder()
  const x = b.input('x', [1, 4, 8, 4])
  const y = b.op({ type: name, inputs: [x], attrs: {} }, 'y', b.shape(x))
  const z = b.op({ type: 'RESHAPE', inputs: [y], attrs: { newShape: [1, 128] } }, 'z', [1, 128])
  const next = rng(Math.round(reach * 100))
  const sample = (): Float32Array => Float32Array.from({ length: 128 }, () => reach * (2 * next() - 1))
  return quantize(b.finish([z]), [sample(), sample(), sample()], { scheme }).graph
}

const storedValues = (scheme: SchemeName): Int8Array[] | Int16Array[] => {
  const next = rng(5)
  return scheme === 'int8'
    ? [Int8Array.from({ length: 128 }, (_, i) => i - 128), Int8Array.from({ length: 128 }, (_, i) => i)]
    : [Int16Array.from({ length: 128 }, () => Math.round(65534 * next()) - 32767)]
}

for (const name of NAMES) {
  test(`${name}: what is stored is the function of what was stored`, async () => {
    const graph = quantized(name, 3.3, 'int8')
    const [x, y] = [graph.inputs[0]!, graph.outputs[0]!].map((t) => graph.tensors[t]!.quantization!)
    const model = await loadGraph(graph)
    for (const given of storedValues('int8')) {
      const out = model.run([given])[0]!
      given.forEach((q, i) => {
        const real = FUNCTIONS[name](x!.scales[0]! * (q - x!.zeroPoints[0]!))
        const want = Math.max(-128, Math.min(127, real / y!.scales[0]! + y!.zeroPoints[0]!))
        assert.ok(Math.abs(Number(out[i]) - want) <= 0.5001, `${name} of ${q}: ${out[i]}, expected ${want}`)
      })
    }
    model.dispose()
  })
}

const PYTHON = `
import sys, numpy as np
from ai_edge_litert.interpreter import Interpreter
it = Interpreter(model_path=sys.argv[1], num_threads=1)
it.allocate_tensors()
d, o = it.get_input_details()[0], it.get_output_details()[0]
x = np.fromfile(sys.argv[2], d["dtype"]).reshape(-1, *d["shape"])
out = []
for v in x:
    it.set_tensor(d["index"], v); it.invoke(); out.append(it.get_tensor(o["index"]).tobytes())
open(sys.argv[3], "wb").write(b"".join(out))
`

/** THIMBLE_REACHES=0.1,40 takes other ranges. */
const REACHES = (process.env.THIMBLE_REACHES ?? '3.3').split(',').map(Number)
const CASES = (['int8', 'int16x8'] as const).flatMap((scheme) =>
  REACHES.flatMap((reach) => NAMES.map((name) => ({ name, scheme, reach }))),
)

need(test, 'LiteRT gives the same bytes', { resource: litertPython(), missing: LITERT_MISSING }, async (python) => {
  const directory = mkdtempSync(join(tmpdir(), 'functions-'))
  try {
    const [file, input, output] = ['m.tflite', 'in', 'out'].map((f) => join(directory, f)) as [string, string, string]
    for (const { name, scheme, reach } of CASES) {
      const graph = quantized(name, reach, scheme)
      const given = storedValues(scheme)
      writeFileSync(file, writeTflite(graph))
      writeFileSync(input, Buffer.concat(given.map((v) => Buffer.from(v.buffer))))
      execFileSync(python, ['-c', PYTHON, file, input, output], { stdio: 'pipe' })
      const want = readFileSync(output)
      for (const variant of ['simd', 'scalar'] as const) {
        const model = await loadGraph(graph, { variant })
        const got = given.map((v) => {
          const { buffer, byteOffset, byteLength } = model.run([v])[0]!
          return Buffer.from(new Uint8Array(buffer, byteOffset, byteLength).slice())
        })
        equalBytes(Buffer.concat(got), want, `${name} ${scheme} to ${reach}, ${variant}`)
        model.dispose()
      }
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test.run()
