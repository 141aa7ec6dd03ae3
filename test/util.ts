/** What the tests share: where outside material is, skips that are counted, seeded randomness, byte equality. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ThimbleError } from '../src/base/errors.ts'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** Absolute path of a file or folder of ../shared, or undefined where it is missing. */
export function shared(path = ''): string | undefined {
  const absolute = fileURLToPath(new URL(`../../shared/${path}`, import.meta.url))
  return existsSync(absolute) ? absolute : undefined
}

/** Reports a test that cannot run here; the runner counts these lines. */
export function skip(name: string, reason: string): void {
  console.log(`SKIP ${name}: ${reason}`)
}

/** What a test needs; `missing` says what is not here. */
export interface Needed<T> {
  resource: T | undefined
  missing: string
}

/** Registers `body` when `resource` is there, else counts the test as skipped. */
export function need<T>(
  test: (name: string, body: () => Promise<void>) => void,
  name: string,
  { resource, missing }: Needed<T>,
  body: (resource: T) => unknown,
): void {
  if (resource === undefined) skip(name, missing)
  else {
    test(name, async () => {
      await body(resource)
    })
  }
}

function thrown(body: () => unknown): ThimbleError | undefined {
  try {
    body()
  } catch (error) {
    if (error instanceof ThimbleError) return error
    throw error
  }
  return undefined
}

/** The ThimbleError that `body` must throw; another error is thrown on. */
export function refusal(body: () => unknown): ThimbleError {
  const error = thrown(body)
  if (!error) throw new Error('was not refused')
  return error
}

/** Its code, or 'no error' where `body` throws none. */
export const errorCode = (body: () => unknown): string => thrown(body)?.code ?? 'no error'

/** Processor time of this process in milliseconds: what other processes do meanwhile does not count. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** A seeded generator: call it for a uniform number in [0, 1). */
export interface Rng {
  (): number
  /** Uniform integer in [0, n). */
  int(n: number): number
  pick<T>(list: readonly T[]): T
}

/** mulberry32. */
export function rng(seed: number): Rng {
  let s = seed >>> 0
  const next = (): number => {
    s = (s + 0x6d2b79f5) >>> 0
    let t = s
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const int = (n: number): number => Math.floor(next() * n)
  return Object.assign(next, { int, pick: <T>(list: readonly T[]): T => list[int(list.length)]! })
}

/** Throws with the first difference and their count; never prints whole tensors. */
export function equalBytes(got: ArrayBufferView, want: ArrayBufferView, what: string): void {
  const a = new Uint8Array(got.buffer, got.byteOffset, got.byteLength)
  const b = new Uint8Array(want.buffer, want.byteOffset, want.byteLength)
  if (a.length !== b.length) throw new Error(`${what}: ${a.length} bytes, expected ${b.length}`)
  let count = 0
  let first = -1
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) {
      if (first < 0) first = i
      count++
    }
  }
  if (count) {
    throw new Error(
      `${what}: ${count} of ${a.length} bytes differ, first at ${first}: got ${a[first]}, expected ${b[first]}`,
    )
  }
}
