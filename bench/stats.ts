/** What the report compares, and its pictures. */
import { median } from '../src/cli/stats.ts'

/**
 * Median over rounds of a's median divided by b's in the same round: what two neighbours in time say about each other.
 */
export function ratio(a: readonly number[][], b: readonly number[][]): number {
  return median(a.map((times, round) => median(times) / median(b[round]!)))
}

/** Image-like bytes: waves of a few sizes and some noise, from a seeded generator (mulberry32). */
export function picture(shape: readonly number[], seed: number): Uint8Array {
  let state = seed
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const channels = shape.at(-1)!
  const width = shape.length > 2 ? shape[shape.length - 2]! : 1
  const waves = Array.from({ length: 6 }, () => ({
    x: random() * 0.3,
    y: random() * 0.3,
    phase: random() * 6.3,
    channel: random() * 2,
    height: 20 + random() * 20,
  }))
  const bytes = new Uint8Array(shape.reduce((a, b) => a * b, 1))
  for (let i = 0; i < bytes.length; i++) {
    const [c, x, y] = [i % channels, Math.floor(i / channels) % width, Math.floor(i / channels / width)]
    const value = waves.reduce(
      (sum, w) => sum + w.height * Math.sin(w.x * x + w.y * y + w.phase + w.channel * c),
      128 + 30 * (random() - 0.5),
    )
    bytes[i] = Math.min(255, Math.max(0, Math.round(value)))
  }
  return bytes
}
