/** The measured practical peak: a loop of multiplications and additions on registers alone (assembly/peak.ts). */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Kernels } from '../../src/graph/types.ts'

type Family = 'dot' | 'wide' | 'products' | 'relaxed'
/** The loops of each family, and the multiply-adds of a turn. */
const LOOPS: Readonly<Record<Family, Readonly<Record<string, number>>>> = {
  dot: { dotTen: 80, dotEight: 64, dotTile: 64 * 128 },
  wide: { wideTwenty: 160, wideTile: 128 * 128 },
  products: { productsEight: 128, productsFour: 64 },
  relaxed: { relaxedTen: 160, relaxedEight: 128, relaxedTile: 128 * 128 },
}
/** What each set of kernels multiplies with. */
const FAMILY: Readonly<Record<Kernels, Family>> = {
  generic: 'dot',
  x86: 'dot',
  arm: 'products',
  'arm-dot': 'relaxed',
  'x86-vnni': 'relaxed',
  avx2: 'wide',
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

/** Multiply-adds of a slice, a few milliseconds; how many slices there are of each loop: the best counts. */
const SLICE = 1e8
const SLICES = 10
/** Milliseconds in which an engine that compiles twice has optimized. */
const WARM_MS = 40

type Loop = (turns: number, at: number) => number

/** GMAC/s of the best peak loop of one set of kernels. `withFlags` compiles with the flags of `fast`. */
export function peak(kernels: Kernels, withFlags: <T>(work: () => T) => T): number {
  const family = FAMILY[kernels]
  const made = compile(family === 'relaxed')
  const bytes = family === 'wide' ? apart(made) : made
  const loops = Object.entries(LOOPS[family])
  const start = (): Record<string, Loop> => {
    const all = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as unknown as Record<string, Loop>
    for (const [name, macs] of loops) {
      for (const begin = performance.now(); performance.now() - begin < WARM_MS;) all[name]!(Math.ceil(1e6 / macs), 0)
    }
    return all
  }
  const all = family === 'wide' ? withFlags(start) : start()
  let best = 0
  for (let slice = 0; slice < SLICES; slice++) {
    for (const [name, macs] of loops) {
      const turns = Math.ceil(SLICE / macs)
      const before = performance.now()
      all[name]!(turns, 0)
      best = Math.max(best, (turns * macs) / (performance.now() - before) / 1e6)
    }
  }
  return best
}
