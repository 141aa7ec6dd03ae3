/**
 * Kernels for VPDPBUSD, on any processor: builds in which the relaxed dot product is a plain function with the
 * semantics of one instruction or another (assembly/dot.ts). The probe must tell them apart, the kernels must give the
 * same bytes.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType, Engine, instantiateProgram, tensorInfo } from '../src/engine/engine.ts'
import { readTflite } from '../src/formats/tflite.ts'
import type { Activation, Graph, Padding } from '../src/graph/graph.ts'
import { chooseKernels, dotOf, engineFeatures, type ProbeExports } from '../src/kernels/kernels.ts'
import { compileModel } from '../src/plan/compile.ts'
import { layerCases, typed } from './op-cases.ts'
import { oracle } from './oracle.ts'
import { checkCases, recordedNetworks } from './recorded.ts'
import { GraphBuilder } from './small-models.ts'
import { equalBytes, errorCode, rng, root } from './util.ts'

const asc = join(dirname(createRequire(import.meta.url).resolve('assemblyscript/package.json')), 'bin/asc.js')

/** A module of assembly/ with a stand-in for the instruction. */
function build(file: string, dot: string, more: readonly string[]): WebAssembly.Module {
  const dir = mkdtempSync(join(tmpdir(), 'thimble-dot-'))
  const out = join(dir, 'out.wasm')
  const options = ['-O2', '--runtime', 'stub', '--noAssert', '--enable', 'simd', '--use', `${dot}=1`, '--use', 'abort=']
  try {
    execFileSync(process.execPath, [asc, file, ...options, ...more, '-o', out], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    return new WebAssembly.Module(readFileSync(out))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

for (const [dot, expected] of [
  ['DOT_VPDPBUSD', { signedDot: false, wideDot: false, unsignedDot: true }],
  ['DOT_PMADDUBSW', { signedDot: false, wideDot: false, unsignedDot: false }],
  ['DOT_SDOT', { signedDot: true, wideDot: true, unsignedDot: false }],
] as const) {
  test(`the probe knows ${dot.slice(4)}`, () => {
    const module = build('assembly/probe.ts', dot, ['--initialMemory', '0', '--noExportMemory'])
    const probe = new WebAssembly.Instance(module).exports as unknown as ProbeExports
    assert.equal(dotOf(probe), expected)
  })
}

const runtime = build('assembly/index.ts', 'DOT_VPDPBUSD', ['--memoryBase', '64'])

function engineOf(graph: Graph, plan: 'speed' | 'size' = 'speed'): { engine: Engine; kernels: Set<string> } {
  const choice = { variant: 'relaxed', kernels: 'x86-vnni' } as const
  const program = compileModel(graph, { ...choice, plan })
  const info = (i: number): ReturnType<typeof tensorInfo> => tensorInfo(graph.tensors[i]!)
  const about = { inputs: graph.inputs.map(info), outputs: graph.outputs.map(info), ...choice, why: '', metadata: {} }
  return {
    engine: new Engine(instantiateProgram(runtime, program), about, program),
    kernels: new Set(program.entries.map((e) => e.kernel)),
  }
}

const outSize = (p: Padding, n: number, k: number, s: number): number =>
  p === 'SAME' ? Math.ceil(n / s) : Math.floor((n - k) / s) + 1

test('convolutions of any shape against the oracle, both plans', () => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 120; seed++) {
    const random = rng(seed)
    const pick = <T>(values: readonly T[]): T => values[random.int(values.length)]!
    const [h, w] = [1 + random.int(11), 1 + random.int(11)]
    const [k, s] = [pick([1, 1, 2, 3, 5]), pick([1, 1, 2])]
    const [c, o] = [pick([1, 3, 4, 5, 8, 15, 16, 17, 33]), pick([1, 3, 7, 8, 9, 16, 21, 32])]
    const padding = pick<Padding>(['SAME', 'VALID'])
    const dtype = pick(['int8', 'int8', 'uint8'] as const)
    const [oh, ow] = [outSize(padding, h, k, s), outSize(padding, w, k, s)]
    if (oh < 1 || ow < 1) continue
    const zero = (dtype === 'uint8' ? 128 : 0) + pick([-128, -5, 0, 3, 127])
    const b = new GraphBuilder(seed)
    const per = dtype === 'int8'
    const weights = b.weights([o, k, k, c], per ? 0 : undefined, dtype)
    if (dtype === 'uint8' && seed & 1) b.graph.tensors[weights]!.quantization!.zeroPoints[0] = 128
    const y = b.op(
      'CONV_2D',
      [b.input([1, h, w, c], dtype, 0.05, zero), weights, b.bias(o, per ? o : 1)],
      [b.tensor([1, oh, ow, o], dtype, 0.11, zero)],
      {
        padding,
        strideH: s,
        strideW: s,
        dilationH: 1,
        dilationW: 1,
        activation: pick<Activation>(['NONE', 'RELU6']),
      },
    )
    const graph = b.done(y)
    const extreme = random.int(4)
    const x = new (arrayType(dtype) as Int8ArrayConstructor)(h * w * c).map(() =>
      extreme === 0 ? -128 : extreme === 1 ? 127 : random.int(256) - 128,
    )
    const [want] = oracle(graph, [x])
    for (const plan of ['speed', 'size'] as const) {
      const { engine, kernels } = engineOf(graph, plan)
      for (const kernel of kernels) seen.add(kernel)
      equalBytes(Int32Array.from(engine.run(x)[0] as Int8Array), want!, `seed ${seed}, ${plan}`)
    }
  }
  for (const kernel of ['gemm-4x8c4-dot', 'conv-gemm-4x8c4-dot', 'gemm-4x8']) assert.ok(seen.has(kernel), kernel)
})

for (const network of recordedNetworks) {
  test(`${network.name} as LiteRT has it`, () => {
    const { engine } = engineOf(readTflite(readFileSync(network.path)))
    checkCases(engine, network, network.cases.slice(0, 4))
  })
}

test('single-op models as LiteRT has them', () => {
  const cases = layerCases({ own: /^(CONV_2D.*|DEPTHWISE_CONV_2D|FULLY_CONNECTED)$/, bundled: /conv|fc|GEMM|dw/i })
  let dots = 0
  for (const { note, model, runs } of cases) {
    const { engine, kernels } = engineOf(readTflite(Buffer.from(model, 'base64')))
    if ([...kernels].some((k) => k.endsWith('4x8c4-dot'))) dots++
    for (const { inputs, outputs } of runs) {
      const out = engine.run(inputs.map((x, i) => typed(Buffer.from(x, 'base64'), engine.inputs[i]!.dtype)))
      outputs.forEach((o, i) => equalBytes(out[i]!, Buffer.from(o.data, 'base64'), `${note}, output ${i}`))
    }
  }
  assert.ok(dots > 0)
})

test('refused by name where the engine has another relaxed dot product', () => {
  if (engineFeatures().unsignedDot) return
  assert.is(
    errorCode(() => chooseKernels('x86-vnni')),
    'runtime/kernels',
  )
})

test.run()
