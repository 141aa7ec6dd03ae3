/**
 * A self-contained SVG of the trade: multiply-adds against milliseconds (or parameters, when nothing was timed), both
 * logarithmic.
 */
import { escapeMarkup } from '../base/markup.ts'
import type { ArchRow } from './measure.ts'

const WIDTH = 1120
const HEIGHT = 560
const MARGIN = { left: 76, right: 370, top: 56, bottom: 60 }
const COLORS: Record<string, string> = {
  mobilenet_v1: '#1f77b4',
  mobilenet_v1_full: '#7f7f7f',
  mobilenet_v2: '#2ca02c',
  mobilenet_v3_small: '#9467bd',
  mobilenet_v3_large: '#8c564b',
  efficientnet_lite0: '#17becf',
  googlenet: '#ff7f0e',
  vgg16: '#d62728',
  inception_v3: '#e377c2',
}

interface Axis {
  label: string
  of(r: ArchRow): number
  low: number
  high: number
  format(v: number): string
}

const short = (v: number): string => Number(v.toPrecision(3)).toString()

function axis(label: string, rows: readonly ArchRow[], of: (r: ArchRow) => number, format = short): Axis {
  const values = rows.map(of)
  return { label, of, format, low: Math.min(...values) / 1.5, high: Math.max(...values) * 1.8 }
}

/** 1, 2 and 5 times the powers of ten within the range. */
const ticks = (a: Axis): number[] => {
  const out: number[] = []
  for (let e = Math.floor(Math.log10(a.low)); e <= Math.log10(a.high); e++) {
    for (const m of [1, 2, 5]) if (m * 10 ** e >= a.low && m * 10 ** e <= a.high) out.push(m * 10 ** e)
  }
  return out
}

const labelOf = (r: ArchRow): string =>
  `${r.title}${r.alpha !== 1 || r.name === 'mobilenet_v1' ? ` ${r.alpha}` : ''}${r.rho !== 1 ? ` @${r.size}` : ''}`

const numbersOf = (r: ArchRow): string =>
  `${short(r.macs / 1e6)} M, ${short(r.params / 1e6)} M${r.medianMs === undefined ? '' : `, ${short(r.medianMs)} ms`}`
const detailOf = (r: ArchRow): string =>
  `${labelOf(r)}: ${short(r.macs / 1e6)} M multiply-adds, ${short(r.params / 1e6)} M parameters${r.medianMs === undefined ? '' : `, ${short(r.medianMs)} ms`}`

interface Point {
  x: number
  y: number
}

/** Where a circle's number goes: inside a large one, else around it, away from other circles and numbers. */
function labelPlaces(circles: readonly Point[]): (cx: number, cy: number, radius: number) => Point {
  const taken: Point[] = [...circles]
  return (cx, cy, radius) => {
    const around = Array.from({ length: 16 }, (_, k): Point => {
      const [angle, away] = [(-3 / 4 + (k % 8) / 4) * Math.PI, radius + 8 + 10 * (k >> 3)]
      return { x: cx + away * Math.cos(angle), y: cy + 4 + away * Math.sin(angle) }
    })
    const free = (p: Point): number => Math.min(...taken.map((t) => Math.hypot(t.x - p.x, t.y - p.y)))
    const best =
      radius > 12
        ? { x: cx, y: cy + 4 }
        : (around.find((p) => free(p) > 13) ?? around.reduce((a, b) => (free(a) >= free(b) ? a : b)))
    taken.push(best)
    return best
  }
}

/** Rows need `macs`, `params`; `medianMs` where timed. */
export function archChart(rows: readonly ArchRow[], title = 'Architectures in int8 on this machine'): string {
  const timed = rows.every((r) => r.medianMs !== undefined)
  const x = axis('multiply-adds, millions', rows, (r) => r.macs / 1e6)
  const y = timed
    ? axis('milliseconds', rows, (r) => r.medianMs!)
    : axis('parameters, millions', rows, (r) => r.params / 1e6)
  const scale = (a: Axis, v: number, from: number, to: number): number =>
    from + ((Math.log(v) - Math.log(a.low)) / (Math.log(a.high) - Math.log(a.low))) * (to - from)
  const px = (v: number): number => scale(x, v, MARGIN.left, WIDTH - MARGIN.right)
  const py = (v: number): number => scale(y, v, HEIGHT - MARGIN.bottom, MARGIN.top)
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${MARGIN.left}" y="24" font-size="16" font-weight="600">${escapeMarkup(title)}</text>`,
    `<text x="${MARGIN.left}" y="42" fill="#555">circle area: parameters; the list gives multiply-adds, parameters${timed ? ', milliseconds' : ''}</text>`,
    ...ticks(x).map(
      (v) =>
        `<line x1="${px(v).toFixed(1)}" x2="${px(v).toFixed(1)}" y1="${MARGIN.top}" y2="${HEIGHT - MARGIN.bottom}" stroke="#e5e5e5"/><text x="${px(v).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle" fill="#333">${x.format(v)}</text>`,
    ),
    ...ticks(y).map(
      (v) =>
        `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${py(v).toFixed(1)}" y2="${py(v).toFixed(1)}" stroke="#e5e5e5"/><text x="${MARGIN.left - 8}" y="${(py(v) + 4).toFixed(1)}" text-anchor="end" fill="#333">${y.format(v)}</text>`,
    ),
    `<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 16}" text-anchor="middle">${x.label}</text>`,
    `<text transform="translate(20 ${(MARGIN.top + HEIGHT - MARGIN.bottom) / 2}) rotate(-90)" text-anchor="middle">${y.label}</text>`,
  ]
  // Large circles first, so that small ones stay visible; numbers lead to the list at the right.
  const order = rows.map((r, i) => ({ r, i })).sort((a, b) => b.r.params - a.r.params)
  const place = labelPlaces(order.map(({ r }) => ({ x: px(x.of(r)), y: py(y.of(r)) })))
  for (const { r, i } of order) {
    const color = COLORS[r.name] ?? '#333'
    const [cx, cy, radius] = [px(x.of(r)), py(y.of(r)), 3 + 2.2 * Math.sqrt(r.params / 1e6)]
    parts.push(
      `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="${radius.toFixed(1)}" fill="${color}" fill-opacity="0.45" stroke="${color}"><title>${escapeMarkup(detailOf(r))}</title></circle>`,
    )
    const at = place(cx, cy, radius)
    parts.push(
      `<text x="${at.x.toFixed(1)}" y="${at.y.toFixed(1)}" text-anchor="middle" font-size="11">${i + 1}</text>`,
    )
  }
  const left = WIDTH - MARGIN.right + 20
  rows.forEach((r, i) => {
    const top = MARGIN.top + 10 + i * Math.min(30, (HEIGHT - MARGIN.top - 20) / rows.length)
    parts.push(
      `<text x="${left + 20}" y="${top}" text-anchor="end" fill="${COLORS[r.name] ?? '#333'}" font-weight="600">${i + 1}</text><text x="${left + 28}" y="${top}">${escapeMarkup(labelOf(r))}<tspan fill="#777" font-size="11"> ${escapeMarkup(numbersOf(r))}</tspan></text>`,
    )
  })
  return `${parts.join('\n')}\n</svg>\n`
}
