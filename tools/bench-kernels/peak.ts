/** The measured practical peak: a loop of multiplications and additions on registers alone (assembly/peak.ts). */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Kernels } from '../../src/types.ts'

type Family = 'dot128' | 'dot256' | 'products128' | 'relaxed128'
/** Multiply-adds a turn of each loop. */
const MACS: Readonly<Record<Family, number>> = { dot128: 80, dot256: 160, products128: 128, relaxed128: 160 }
/** What each set of kernels multiplies with. */
const FAMILY: Readonly<Record<Kernels, Family>> = {
  generic: 'dot128',
  x86: 'dot128',
  arm: 'products128',
  'arm-dot': 'relaxed128',
  avx2: 'dot256',
}

const compiled = new Map<boolean, Uint8Array<ArrayBuffer>>()

function compile(relaxed: boolean): Uint8Array<ArrayBuffer> {
  const known = compiled.get(relaxed)
  if (known) return known
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const dir = mkdtempSync(join(tmpdir(), 'thimble-peak-'))
  const out = join(dir, 'peak.wasm')
  const asc = join(dirname(createRequire(import.meta.url).resolve('assemblyscript/package.json')), 'bin/asc.js')
  try {
    execFileSync(
      process.execPath,
      [
        asc,
        'peak.ts',
        '--baseDir',
        join(root, 'assembly'),
        '-O3',
        '--runtime',
        'stub',
        '--noAssert',
        '--initialMemory',
        '1',
        '--enable',
        relaxed ? 'simd,relaxed-simd' : 'simd',
        '-o',
        out,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
    const bytes = new Uint8Array(readFileSync(out))
    compiled.set(relaxed, bytes)
    return bytes
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/**
 * The same module with an empty custom section: other bytes, so that the engine does not take code that it has compiled
 * without the flags.
 */
const apart = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => Uint8Array.of(...bytes, 0, 2, 1, 0x66)

/** Milliseconds that a measurement takes about, and how many there are: the best counts. */
const SLICE_MS = 3
const SLICES = 12

/** GMAC/s of the peak loop of one set of kernels. `withFlags` compiles with the flags of `fast`. */
export function peak(kernels: Kernels, withFlags: <T>(work: () => T) => T): number {
  const family = FAMILY[kernels]
  const made = compile(family === 'relaxed128')
  const bytes = family === 'dot256' ? apart(made) : made
  // Long enough for an engine that compiles twice to have optimized.
  const start = (): Record<Family, (turns: number, at: number) => number> => {
    const loops = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as unknown as Record<
      Family,
      (turns: number, at: number) => number
    >
    for (const begin = performance.now(); performance.now() - begin < 40;) loops[family](20000, 0)
    return loops
  }
  const loop = (family === 'dot256' ? withFlags(start) : start())[family]
  const time = (turns: number): number => {
    const before = performance.now()
    loop(turns, 0)
    return performance.now() - before
  }
  const turns = Math.max(1000, Math.round((20000 * SLICE_MS) / Math.max(time(20000), 0.001)))
  const best = Math.min(...Array.from({ length: SLICES }, () => time(turns)))
  return (turns * MACS[family]) / best / 1e6
}
