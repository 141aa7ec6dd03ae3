/** Colours that are told apart, also by those who see fewer of them. */
import type { Colour } from './canvas.ts'

/** Okabe and Ito's eight without black; the order keeps neighbours apart in lightness as well. */
const OKABE_ITO: readonly Colour[] = [
  [0, 158, 115],
  [230, 159, 0],
  [86, 180, 233],
  [213, 94, 0],
  [204, 121, 167],
  [0, 114, 178],
  [240, 228, 66],
]

/**
 * The i-th colour; beyond the seven they come again, each round darker or lighter, so that lightness tells them apart.
 */
export function paletteColour(i: number): Colour {
  const base = OKABE_ITO[i % OKABE_ITO.length]!
  const round = Math.floor(i / OKABE_ITO.length) % 5
  if (round === 0) return base
  const [towards, part] = ([[0, 0.4] as const, [255, 0.5] as const, [0, 0.65] as const, [255, 0.75] as const] as const)[
    round - 1
  ]!
  return base.map((v) => Math.round(v + (towards - v) * part)) as unknown as Colour
}

/** Viridis at ten points: dark is low, bright is high. Source: matplotlib, _cm_listed.py. */
const VIRIDIS: readonly Colour[] = [
  [68, 1, 84],
  [72, 40, 120],
  [62, 74, 137],
  [49, 104, 142],
  [38, 130, 142],
  [31, 158, 137],
  [53, 183, 121],
  [109, 205, 89],
  [180, 222, 44],
  [253, 231, 37],
]

/** A share from 0 to 1 as a colour. */
export function rampColour(share: number): Colour {
  const at = Math.max(0, Math.min(1, share)) * (VIRIDIS.length - 1)
  const i = Math.min(VIRIDIS.length - 2, Math.floor(at))
  const [a, b] = [VIRIDIS[i]!, VIRIDIS[i + 1]!]
  return a.map((v, c) => Math.round(v + (b[c]! - v) * (at - i))) as unknown as Colour
}

export const luminance = ([r, g, b]: Colour): number => 0.299 * r + 0.587 * g + 0.114 * b
