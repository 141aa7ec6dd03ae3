/** The runtime's weight packers against the same written in TypeScript. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Buffer as Constant, Recipe } from '../src/lower/program.ts'
import type { Loader } from '../src/kernels/packers.ts'
import { DEPTHWISE_FORMS } from '../src/lower/depthwise-forms.ts'
import { GEMM_FORMS, ROWS_FORM, SCALAR_FORM } from '../src/lower/gemm.ts'
import { OP_DEPTHWISE3X3 } from '../src/generated/layout.ts'
import { depthwiseBuffers, gemmBuffers } from '../src/lower/weight-buffers.ts'
import { Weights } from '../src/lower/weights.ts'
import { EXP2_32 } from '../src/arithmetic/numerics.ts'
import { allWithin, allZero, largestMagnitude, largestScale } from '../src/base/scan.ts'
import { runtimeModule, type RuntimeExports } from '../src/engine/runtime.ts'
import { littleEndian } from '../src/base/words.ts'
import { rng, type Rng } from './util.ts'

/** Stands for the lowering context: collects the constants. */
class Collector {
  readonly all: Constant[] = []
  readonly buffers = {
    constant: (name: string, data: ArrayBufferView): Constant => this.add(name, data.byteLength, littleEndian(data)),
    lazy: (name: string, bytes: number, recipe: Recipe): Constant => this.add(name, bytes, recipe),
  }
  private add(name: string, bytes: number, constant: Uint8Array | Recipe): Constant {
    const buffer: Constant = { name, bytes, constant, address: 0, first: 0, last: 0 }
    this.all.push(buffer)
    return buffer
  }
}

const channelNumbers = (r: Rng, channels: number): Pick<Weights, 'rescale' | 'bias'> => ({
  rescale: {
    scales: Float32Array.from({ length: channels }, () => r() / 100),
    input: Math.fround(r()),
    output: Math.fround(1 + r()),
  },
  bias: Int32Array.from({ length: channels }, () => r.int(20000) - 10000),
})

function randomWeights(r: Rng, channels: number, k: number): Weights {
  const unsigned = r.int(2) === 1
  return new Weights({
    raw: Uint8Array.from({ length: channels * k }, () => r.int(256)),
    flip: unsigned ? 0x80 : 0,
    zero: unsigned ? r.int(256) - 128 : 0,
    inner: k,
    ...channelNumbers(r, channels),
    inputZero: r.int(256) - 128,
    reach: 255,
    largest: 0.01,
  })
}

/**
 * Loads all constants as an engine does and compares each with what `make` gives. Returns how many the runtime packed.
 */
function compare(constants: readonly Constant[], runtime: RuntimeExports, stagingBytes: number): number {
  const memory = new Uint8Array(runtime.memory.buffer)
  const loader: Loader = { runtime, memory, staging: 4096, stagingBytes }
  let at = 4096 + 65536
  let packed = 0
  for (const b of constants) {
    b.address = at
    at += Math.ceil(b.bytes / 16) * 16
  }
  memory.fill(0x55)
  for (const b of constants) {
    const c = b.constant!
    if (c instanceof Uint8Array) continue
    const made = littleEndian(c.make())
    assert.is(made.length, b.bytes, `${b.name}: bytes`)
    if (c.load(loader, b.address)) packed++
    else memory.set(made, b.address)
    assert.equal(memory.slice(b.address, b.address + b.bytes), made, b.name)
  }
  return packed
}

for (const variant of ['simd', 'scalar'] as const) {
  test(`weights packed by the ${variant} runtime equal those packed here`, async () => {
    const runtime = new WebAssembly.Instance(await runtimeModule(variant), {}).exports as unknown as RuntimeExports
    runtime.memory.grow(32)
    const r = rng(7)
    let packed = 0
    for (let round = 0; round < 150; round++) {
      const channels = 1 + r.int(40)
      const segment = 1 + r.int(r.int(4) ? 20 : 300)
      const k = segment * (1 + r.int(3))
      const w = randomWeights(r, channels, k)
      const cx = new Collector()
      const form = GEMM_FORMS.filter((f) => f.loadWeights)[round % GEMM_FORMS.filter((f) => f.loadWeights).length]!
      if (variant === 'simd') {
        gemmBuffers(cx as never, `${form.name} ${channels}x${k}/${segment}`, w, { form, k, segment })
      }
      if (variant === 'simd') gemmBuffers(cx as never, `rows ${channels}x${k}`, w, { form: ROWS_FORM, k, segment: k })
      gemmBuffers(cx as never, `by four ${channels}x${k}`, w, { form: SCALAR_FORM, k, segment: k })
      if (variant === 'simd') {
        const c = 8 + r.int(60)
        for (const form of DEPTHWISE_FORMS) {
          const taps = form.window * form.window
          if (form.loadWeights) {
            depthwiseBuffers(
              cx as never,
              `${form.name} ${c}`,
              new Weights({
                of: randomWeights(r, taps, c),
                raw: randomWeights(r, taps, c).raw,
                inner: 1,
                ...channelNumbers(r, c),
              }),
              form,
            )
          }
        }
      }
      packed += compare(cx.all, runtime, [65536, 9000, 1000][r.int(3)]!)
    }
    assert.ok(packed >= (variant === 'simd' ? 1200 : 200), `only ${packed} constants were packed by the runtime`)
  })
}

test('a channel block and a transposed filter keep their weights', () => {
  const w = randomWeights(rng(3), 6, 5)
  const part = w.part(2, 5)
  assert.equal([...part.data], [...w.data.subarray(10, 25)])
  assert.equal([...part.foldedBias()], [...w.foldedBias().subarray(2, 5)])
  const depthwise = new Weights({
    raw: Uint8Array.from([1, 2, 3, 4, 5, 6]),
    flip: 0,
    zero: 0,
    inner: 1,
    rescale: { scales: new Float32Array(3), input: 1, output: 1 },
    bias: Int32Array.of(10, 20, 30),
    inputZero: 2,
    reach: 255,
    largest: 0,
  })
  const t = depthwise.transposed()
  assert.equal([...t.data], [1, 4, 2, 5, 3, 6])
  assert.equal([...t.foldedBias()], [0, 6, 12])
  assert.equal([...depthwise.foldedBias()], [0, 6, 12])
})

test('a depthwise filter that does not fit the staging memory is packed here', () => {
  const form = DEPTHWISE_FORMS.find((f) => f.op === OP_DEPTHWISE3X3)!
  const w = randomWeights(rng(1), 9, 8)
  const never = {
    pack_depthwise3x3: () => {
      throw new Error('called')
    },
  }
  assert.is(
    form.loadWeights!({ runtime: never, memory: new Uint8Array(100), staging: 0, stagingBytes: 71 }, 0, w),
    false,
  )
})

test('2^(i/32) is correctly rounded', () => {
  EXP2_32.forEach((v, i) => {
    // v = m / 2^52 exactly; the neighbours' midpoints are (2m ± 1) / 2^53, whose 32nd powers must lie around 2^i.
    const m = BigInt(v * 2 ** 52)
    const exact = 2n ** BigInt(i + 53 * 32)
    assert.ok((2n * m - 1n) ** 32n <= exact && exact <= (2n * m + 1n) ** 32n, `2^(${i}/32)`)
  })
  assert.is(EXP2_32.length, 32)
})

test('the exactness bound is computed where the cheap one does not decide', () => {
  const make = (raw: number[], scale: number): Weights =>
    new Weights({
      raw: Uint8Array.from(raw),
      flip: 0,
      zero: 0,
      inner: raw.length,
      rescale: { scales: Float32Array.of(scale), input: 1, output: 1 },
      bias: Int32Array.of(0),
      inputZero: 0,
      reach: 255,
      largest: scale,
    })
  assert.is(make([1, 1], 200).safe, true, 'small weights, although the bound for large ones is exceeded')
  assert.is(make([127, 127], 200).safe, false)
})

test('bounds of vectors of any length, on either side of what the scan module takes', () => {
  const r = rng(5)
  for (const length of [0, 1, 2, 8, 9, 10, 1280, 14336, 14337]) {
    const words = Int32Array.from({ length }, () => (r.int(65536) << 16) + r.int(65536))
    const least = words.reduce((a, b) => Math.min(a, b), Infinity)
    const greatest = words.reduce((a, b) => Math.max(a, b), -Infinity)
    assert.is(allWithin(words, least, greatest), true, `${length} words`)
    if (length) {
      assert.equal(
        [allWithin(words, least + 1, greatest), allWithin(words, least, greatest - 1)],
        [false, false],
        `${length} words`,
      )
    }
    assert.is(largestMagnitude(words), length ? Math.max(-least, greatest, 0) : 0, `${length} words`)
    assert.is(allZero(words), length === 0)
    assert.is(allZero(new Int32Array(length)), true)
    if (length) assert.is(allZero(new Int32Array(length).fill(1, r.int(length))), false)
  }
})

test('the largest scale, and -1 where one is no scale', () => {
  const r = rng(6)
  const scales = Float32Array.from({ length: 100 }, () => r())
  assert.is(largestScale(scales), Math.max(...scales))
  assert.is(largestScale(scales.subarray(3, 5)), Math.max(scales[3]!, scales[4]!))
  assert.is(largestScale(new Float32Array(20)), 0)
  for (const bad of [NaN, Infinity, -Infinity, -1e-40]) {
    const damaged = scales.slice()
    damaged[r.int(100)] = bad
    assert.is(largestScale(damaged), -1, `${bad}`)
    assert.is(largestScale(Float32Array.of(1, bad)), -1, `${bad} of two`)
  }
})

test.run()
