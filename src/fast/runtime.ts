/**
 * The runtime for `fast: true`: V8's revectorizer, an experimental flag, compiles pairs of its 128-bit operations to
 * AVX2. Node only. The flag is set while the module is compiled and tested, which happens without interruption: the
 * functions that the self-test runs are optimized with it, and whatever is compiled later, here or elsewhere, is not.
 */
import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { fromBase64 } from '../base/base64.ts'
import fastWasm from '../generated/fast.ts'
import type { FastRuntime } from '../engine/choice.ts'
import { runtimeModule } from '../engine/runtime.ts'
import { SelfTest } from './self-test.ts'

/** First Node whose V8 has the revectorizer in the compiler that it uses for wasm. */
const FIRST_NODE = 26

/**
 * Flags while the module is compiled, and what they are otherwise: functions are optimized at their first call, in
 * place.
 */
const FLAGS: readonly (readonly [on: string, off: string])[] = [
  ['--experimental-wasm-revectorize', '--no-experimental-wasm-revectorize'],
  ['--wasm-sync-tier-up', '--no-wasm-sync-tier-up'],
  ['--wasm-tiering-budget=1', '--wasm-tiering-budget=13000000'],
]

/** What is known without trying: why this process can't, if it can't. */
function unsuitable(): string | undefined {
  const { versions, arch, platform } = process
  if (versions.bun ?? versions.deno) return 'this is not Node'
  if (Number.parseInt(versions.node, 10) < FIRST_NODE) {
    return `needs Node ${FIRST_NODE} or later, this is ${versions.node}`
  }
  if (arch !== 'x64') return `needs an x86-64 processor, this is ${arch}`
  if (platform === 'linux' && !hasAvx2()) return 'the processor has no AVX2'
  return undefined
}

/** As Linux tells; elsewhere V8 asks the processor itself and compiles to 128 bits where it must. */
function hasAvx2(): boolean {
  try {
    return /^flags\s*:.*\bavx2\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'))
  } catch {
    return false
  }
}

/** Does `work` with the flags set; those that this process was started with stay as they are. */
export function withFlags<T>(work: () => T): T {
  const given = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(/\s+/)].map((flag) =>
    flag.replaceAll('_', '-'),
  )
  const name = (flag: string): string => flag.replace(/^--(no-)?/, '').replace(/=.*/, '')
  const mine = FLAGS.filter(([on]) => !given.some((flag) => name(flag) === name(on)))
  for (const [on] of mine) setFlagsFromString(on)
  try {
    return work()
  } finally {
    for (const [, off] of mine) setFlagsFromString(off)
  }
}

async function prepare(): Promise<FastRuntime> {
  const reason = unsuitable()
  if (reason !== undefined) return { why: reason }
  const test = new SelfTest(await runtimeModule('simd-core'))
  try {
    const { module, differs } = withFlags(() => {
      const module = new WebAssembly.Module(fromBase64(fastWasm))
      return { module, differs: test.differs(module) }
    })
    if (differs !== undefined) return { why: `the self-test of ${differs} failed` }
    return { module, why: "fast: 256-bit SIMD by V8's revectorizer, found equal to the ordinary kernels" }
  } catch (error) {
    return { why: `the self-test failed: ${(error as Error).message}` }
  }
}

let known: Promise<FastRuntime> | undefined

/** The fast runtime of this process, compiled and tested at the first call, or why there is none. */
export const fastRuntime = (): Promise<FastRuntime> => (known ??= prepare())

/** Bytes of its module. */
export const fastBytes = (): number => fromBase64(fastWasm).length
