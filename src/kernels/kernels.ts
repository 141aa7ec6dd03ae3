/**
 * Which kernels suit this engine. Asked once per process, by values, never by names or versions of engines and
 * processors, and without measuring time:
 *
 *   relaxed dot product   arm64 takes both operands as signed: with sdot the sum is exact, without it (or before the
 *   engine
 *                         has optimized) pairs of products are added in 16 bits and may wrap. x86 takes one operand as
 *                         unsigned; with VPDPBUSD the sum is exact, without it pairs of products saturate.
 *   0 / 0                 x86 makes a NaN with the sign bit set, arm64 without. JavaScript is asked first: where it
 *   shows the
 *                         sign, no wasm is needed to tell, and where engines give every NaN the same bits, they give it
 *                         none.
 *
 * Every choice computes the same bytes: a relaxed dot product is used only where it is signed, and only with weights
 * whose pairs of products fit 16 bits.
 */
import { ThimbleError } from '../base/errors.ts'
import { fromBase64 } from '../base/base64.ts'
import probePlain from '../generated/probe.ts'
import probeRelaxed from '../generated/probe-relaxed.ts'
import type { Kernels } from '../graph/types.ts'

export const KERNELS: readonly Kernels[] = ['generic', 'x86', 'x86-vnni', 'arm', 'arm-dot']

export interface ProbeExports {
  nanBits(zero: number): number
  relaxedDot(w: number, x: number, hurry: number): number
}

export interface EngineFeatures {
  simd: boolean
  relaxed: boolean
  /** The relaxed dot product takes both operands as signed and is exact while pairs of products fit 16 bits. */
  signedDot: boolean
  /** It was seen to be exact beyond that, which only a real dot product instruction is. */
  wideDot: boolean
  /** It takes the second operand as unsigned and is exact for all bytes: VPDPBUSD. */
  unsignedDot: boolean
  /** 0 / 0 has its sign bit set. */
  negativeNan: boolean
}

let simd: boolean | undefined

/** Whether the engine has fixed-width SIMD. */
export function hasSimd(): boolean {
  return (simd ??= WebAssembly.validate(fromBase64(probePlain)))
}

function scriptsShowNegativeNan(): boolean {
  const x = Float32Array.of(Infinity)
  x[0]! -= x[0]!
  return new Int32Array(x.buffer)[0]! < 0
}

/** Weights and activations, four bytes each, that tell signed from unsigned and wrapping from saturating. */
const DOT_CASES: readonly (readonly [number[], number[]])[] = [
  [
    [127, 127, 127, 127],
    [-128, -128, -128, -128],
  ],
  [
    [-128, -128, -128, -128],
    [127, 127, 127, 127],
  ],
  [
    [-128, -127, -127, -128],
    [-128, -128, -128, -128],
  ],
  [
    [127, 127, 127, 127],
    [-1, -1, -1, -1],
  ],
  [
    [-128, -128, -128, -128],
    [-1, -1, -1, -1],
  ],
  [
    [-1, 2, -3, 4],
    [-100, -101, 102, 103],
  ],
]

const packed = (bytes: readonly number[]): number => new Int32Array(Int8Array.from(bytes).buffer)[0]!

const isDot = (probe: ProbeExports, signed: boolean, hurry = 0): boolean =>
  DOT_CASES.every(
    ([w, x]) =>
      probe.relaxedDot(packed(w), packed(x), hurry) ===
      w.reduce((sum, v, i) => sum + v * (signed ? x[i]! : x[i]! & 255), 0),
  )

/** Turns of the probe's loop that make V8 optimize it, well under a tenth of a millisecond. */
const HURRY = 100000
/** Milliseconds to wait for the optimized code, which takes one or two on a free core. */
const PATIENCE = 2

const ALL = packed([-128, -128, -128, -128])
/** Whether four products of -128 and -128 are summed without loss. */
const isWide = (probe: ProbeExports, hurry: number): boolean => probe.relaxedDot(ALL, ALL, hurry) === 4 * 128 * 128

type Dot = Pick<EngineFeatures, 'signedDot' | 'wideDot' | 'unsignedDot'>
const NO_DOT: Dot = { signedDot: false, wideDot: false, unsignedDot: false }

/** What a probe's relaxed dot product does. */
export function dotOf(probe: ProbeExports): Dot {
  const signedDot = isDot(probe, true)
  const wideDot = signedDot && isWide(probe, HURRY)
  // The engine's optimized code must do the same as its first.
  return { signedDot, wideDot, unsignedDot: isDot(probe, false) && isDot(probe, false, HURRY) }
}

/** What is known at once, and the exports to ask about `wideDot` where that is not. */
interface Probe {
  features: EngineFeatures
  undecided?: ProbeExports
}

function probe(): Probe {
  if (!hasSimd()) {
    return {
      features: {
        simd: false,
        relaxed: false,
        signedDot: false,
        wideDot: false,
        unsignedDot: false,
        negativeNan: false,
      },
    }
  }
  const relaxedBytes = fromBase64(probeRelaxed)
  const relaxed = WebAssembly.validate(relaxedBytes)
  const exports = new WebAssembly.Instance(new WebAssembly.Module(relaxed ? relaxedBytes : fromBase64(probePlain)))
    .exports as unknown as ProbeExports
  const negativeNan = exports.nanBits(0) < 0
  const dot = relaxed ? dotOf(exports) : NO_DOT
  const { signedDot, wideDot } = dot
  return {
    features: { simd: true, relaxed, ...dot, negativeNan },
    ...(signedDot && !wideDot ? { undecided: exports } : {}),
  }
}

let known: Probe | undefined

/** Begins to probe where that is needed, so that the engine optimizes the probe while the caller reads the model. */
export function startProbe(): void {
  if (!scriptsShowNegativeNan()) known ??= probe()
}

/**
 * What this process's engine can do. A dot product that has not turned out wide within PATIENCE may do so once the
 * machine is less busy: that is asked again for the next model.
 */
export function engineFeatures(): EngineFeatures {
  known ??= probe()
  const { undecided, features } = known
  if (undecided) {
    for (const start = performance.now(); performance.now() - start < PATIENCE;) {
      if (!isWide(undecided, 0)) continue
      known = { features: { ...features, wideDot: true } }
      break
    }
  }
  return known.features
}

/** Whether relaxed dot products are signed here; undefined where the engine may not compile a module to find out. */
export function relaxedDotIsSigned(): boolean | undefined {
  try {
    return engineFeatures().signedDot
  } catch {
    return undefined
  }
}

/** The kernels for this engine, and why. */
function suitableKernels(): { kernels: Kernels; why: string } {
  if (!hasSimd()) return { kernels: 'generic', why: 'no SIMD' }
  const f = engineFeatures()
  if (scriptsShowNegativeNan() || f.negativeNan) {
    return f.unsignedDot
      ? { kernels: 'x86-vnni', why: 'relaxed dot products are one instruction, signed by unsigned' }
      : { kernels: 'x86', why: 'floating point as on x86' }
  }
  if (f.wideDot) return { kernels: 'arm-dot', why: 'relaxed dot products are one instruction and signed' }
  return {
    kernels: 'arm',
    why: `floating point as on arm64, ${f.relaxed ? 'no dot product instruction seen' : 'no relaxed SIMD'}`,
  }
}

/** The `THIMBLE_KERNELS` environment variable, where there is an environment. */
export function kernelsFromEnvironment(): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } }
  return process?.env?.THIMBLE_KERNELS || undefined
}

/** Checks a caller's choice against the engine; `auto` is resolved by probing. */
export function chooseKernels(wanted: string = kernelsFromEnvironment() ?? 'auto'): { kernels: Kernels; why: string } {
  if (wanted === 'auto') return suitableKernels()
  if (!(KERNELS as readonly string[]).includes(wanted)) {
    throw new ThimbleError('usage/kernels', 'unknown kernel set', {
      expected: `auto, ${KERNELS.join(', ')}`,
      got: wanted,
    })
  }
  const needed = { 'arm-dot': 'signedDot', 'x86-vnni': 'unsignedDot' } as const
  if (wanted in needed && !engineFeatures()[needed[wanted as keyof typeof needed]]) {
    throw new ThimbleError('runtime/kernels', 'these kernels would not be exact', {
      expected: `an engine whose relaxed dot product is ${wanted === 'arm-dot' ? 'signed' : 'VPDPBUSD'}`,
      got: engineFeatures().relaxed ? 'another relaxed dot product' : 'no relaxed SIMD',
      hint: 'use kernels "auto"',
    })
  }
  return { kernels: wanted as Kernels, why: 'asked for by the caller' }
}
