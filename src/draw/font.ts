/**
 * A small font for labels on pictures: printable ASCII in 5x8 cells (two bits of a cell's last row reach below the
 * baseline), turned into strokes so that it can be drawn smoothly at any size.
 */

/** Rows of a cell. */
export const ROWS = 8
/** Cells between letters, and of a space. */
const GAP = 1.2
const SPACE = 3

/** Five columns a letter from `!` to `~`, as hex; bit 0 of a column is its top cell. */
const COLUMNS =
  '00005f0000' +
  '0007000700' +
  '147f147f14' +
  '242a7f2a12' +
  '2313086462' +
  '3649562050' +
  '0000070000' +
  '001c224100' +
  '0041221c00' +
  '2a1c7f1c2a' +
  '08083e0808' +
  '0080600000' +
  '0808080808' +
  '0000400000' +
  '2010080402' +
  '003e41413e' +
  '00427f4000' +
  '4261514946' +
  '2141454b31' +
  '1814127f10' +
  '2745454539' +
  '3c4a494930' +
  '0171090503' +
  '3649494936' +
  '064949291e' +
  '0000240000' +
  '0080640000' +
  '0008142241' +
  '1414141414' +
  '4122140800' +
  '0201510906' +
  '3e415d594e' +
  '7c1211127c' +
  '7f49494936' +
  '3e41414122' +
  '7f4141221c' +
  '7f49494941' +
  '7f09090901' +
  '3e4149497a' +
  '7f0808087f' +
  '00417f4100' +
  '2040413f01' +
  '7f08142241' +
  '7f40404040' +
  '7f020c027f' +
  '7f0408107f' +
  '3e4141413e' +
  '7f09090906' +
  '3e4151215e' +
  '7f09192946' +
  '2649494932' +
  '01017f0101' +
  '3f4040403f' +
  '1f2040201f' +
  '3f4038403f' +
  '6314081463' +
  '0304780403' +
  '6151494543' +
  '00007f4100' +
  '0204081020' +
  '00417f0000' +
  '0402010204' +
  '8080808080' +
  '0001020400' +
  '2054545478' +
  '7f48444438' +
  '3844444428' +
  '384444487f' +
  '3854545418' +
  '00087e0902' +
  '18a4a4a47c' +
  '7f08040478' +
  '00007d0000' +
  '0080807d00' +
  '007f102844' +
  '00003f4000' +
  '7c04780478' +
  '7c08040478' +
  '3844444438' +
  'fc24242418' +
  '18242424fc' +
  '007c080408' +
  '4854545424' +
  '00043f4420' +
  '3c4040207c' +
  '1c2040201c' +
  '3c4038403c' +
  '4428102844' +
  '1ca0a0a07c' +
  '4464544c44' +
  '0008364100' +
  '00007f0000' +
  '0041360800' +
  '0804080402'

/** A letter in cells: its width, and strokes between cell centres as x0, y0, x1, y1. */
export interface Glyph {
  width: number
  strokes: readonly (readonly [number, number, number, number])[]
}

function glyphOf(code: number): Glyph {
  const at = (code - 33) * 10
  const columns = Array.from({ length: 5 }, (_, i) => parseInt(COLUMNS.slice(at + 2 * i, at + 2 * i + 2), 16))
  const first = columns.findIndex((c) => c !== 0)
  const used = columns.slice(first, columns.findLastIndex((c) => c !== 0) + 1)
  const lit = (x: number, y: number): boolean => y >= 0 && (((used[x] ?? 0) >> y) & 1) === 1
  const strokes: [number, number, number, number][] = []
  for (let x = 0; x < used.length; x++) {
    for (let y = 0; y < ROWS; y++) {
      if (!lit(x, y)) continue
      const joined = [
        [1, 0],
        [0, 1],
      ].filter(([dx, dy]) => lit(x + dx!, y + dy!))
      // Cells that touch at a corner only; elsewhere a diagonal would fill the corner.
      if (lit(x + 1, y + 1) && !lit(x + 1, y) && !lit(x, y + 1)) joined.push([1, 1])
      if (lit(x + 1, y - 1) && !lit(x + 1, y) && !lit(x, y - 1)) joined.push([1, -1])
      for (const [dx, dy] of joined) strokes.push([x, y, x + dx!, y + dy!])
      if (joined.length === 0) strokes.push([x, y, x, y])
    }
  }
  return { width: used.length, strokes }
}

const glyphs = new Map<string, Glyph>()

/** The glyph of one character; `?` for what the font does not have. */
export function glyph(character: string): Glyph {
  const code = character.codePointAt(0)!
  if (code === 32) return { width: SPACE, strokes: [] }
  if (code < 33 || code > 126) return glyph('?')
  let g = glyphs.get(character)
  if (!g) glyphs.set(character, (g = glyphOf(code)))
  return g
}

/** Text reduced to what the font has: accents go (é to e), other signs become `?`. */
export const plainText = (text: string): string =>
  [...text.normalize('NFD').replace(/\p{Mn}/gu, '')].map((c) => (c >= ' ' && c <= '~' ? c : '?')).join('')

/** Glyphs of a text and where each starts, in cells; `width` is the whole text's. */
export function layout(text: string): { width: number; glyphs: { glyph: Glyph; x: number }[] } {
  let x = 0
  const placed = [...plainText(text)].map((c) => {
    const g = glyph(c)
    const entry = { glyph: g, x }
    x += g.width + GAP
    return entry
  })
  return { width: Math.max(0, x - GAP), glyphs: placed }
}
