/** A self-contained SVG of the trade: multiply-adds against milliseconds (or parameters, when nothing was timed), both logarithmic. */
import type { ArchRow } from './measure.ts'

const WIDTH = 900
const HEIGHT = 560
const MARGIN = { left: 76, right: 24, top: 56, bottom: 60 }
const COLORS: Record<string, string> = {
  mobilenet_v1: '#1f77b4', mobilenet_v1_full: '#7f7f7f', mobilenet_v2: '#2ca02c', mobilenet_v3_small: '#9467bd', mobilenet_v3_large: '#8c564b', efficientnet_lite0: '#17becf', googlenet: '#ff7f0e', vgg16: '#d62728', inception_v3: '#e377c2',
}

interface Axis { label: string; of(r: ArchRow): number; low: number; high: number; format(v: number): string }

const escape = (s: string): string => s.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!)
const short = (v: number): string => Number(v.toPrecision(3)).toString()

function axis(label: string, rows: readonly ArchRow[], of: (r: ArchRow) => number, format = short): Axis {
  const values = rows.map(of)
  return { label, of, format, low: Math.min(...values) / 1.5, high: Math.max(...values) * 1.8 }
}

/** 1, 2 and 5 times the powers of ten within the range. */
const ticks = (a: Axis): number[] => {
  const out: number[] = []
  for (let e = Math.floor(Math.log10(a.low)); e <= Math.log10(a.high); e++) for (const m of [1, 2, 5]) if (m * 10 ** e >= a.low && m * 10 ** e <= a.high) out.push(m * 10 ** e)
  return out
}

const labelOf = (r: ArchRow): string => `${r.title}${r.alpha !== 1 || r.name === 'mobilenet_v1' ? ` ${r.alpha}` : ''}${r.rho !== 1 ? ` @${r.size}` : ''}`

/** Moves labels apart vertically, keeping their order. */
function spread(ys: readonly number[], gap: number): number[] {
  const order = ys.map((_, i) => i).sort((a, b) => ys[a]! - ys[b]!)
  const out = [...ys]
  for (let k = 1; k < order.length; k++) out[order[k]!] = Math.max(out[order[k]!]!, out[order[k - 1]!]! + gap)
  const overflow = out[order.at(-1)!]! - (HEIGHT - MARGIN.bottom - 4)
  return overflow > 0 ? out.map((y) => y - overflow) : out
}

/** Rows need `macs`, `params`; `medianMs` where timed. */
export function archChart(rows: readonly ArchRow[], title = 'Architectures in int8 on this machine'): string {
  const timed = rows.every((r) => r.medianMs !== undefined)
  const x = axis('multiply-adds, millions', rows, (r) => r.macs / 1e6)
  const y = timed ? axis('milliseconds', rows, (r) => r.medianMs!) : axis('parameters, millions', rows, (r) => r.params / 1e6)
  const scale = (a: Axis, v: number, from: number, to: number): number => from + ((Math.log(v) - Math.log(a.low)) / (Math.log(a.high) - Math.log(a.low))) * (to - from)
  const px = (v: number): number => scale(x, v, MARGIN.left, WIDTH - MARGIN.right)
  const py = (v: number): number => scale(y, v, HEIGHT - MARGIN.bottom, MARGIN.top)
  const radius = (r: ArchRow): number => 3 + 2.2 * Math.sqrt(r.params / 1e6)
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${MARGIN.left}" y="24" font-size="16" font-weight="600">${escape(title)}</text>`,
    `<text x="${MARGIN.left}" y="42" fill="#555">circle area: parameters</text>`,
    ...ticks(x).map((v) => `<line x1="${px(v).toFixed(1)}" x2="${px(v).toFixed(1)}" y1="${MARGIN.top}" y2="${HEIGHT - MARGIN.bottom}" stroke="#e5e5e5"/><text x="${px(v).toFixed(1)}" y="${HEIGHT - MARGIN.bottom + 18}" text-anchor="middle" fill="#333">${x.format(v)}</text>`),
    ...ticks(y).map((v) => `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${py(v).toFixed(1)}" y2="${py(v).toFixed(1)}" stroke="#e5e5e5"/><text x="${MARGIN.left - 8}" y="${(py(v) + 4).toFixed(1)}" text-anchor="end" fill="#333">${y.format(v)}</text>`),
    `<text x="${(MARGIN.left + WIDTH - MARGIN.right) / 2}" y="${HEIGHT - 16}" text-anchor="middle">${x.label}</text>`,
    `<text transform="translate(20 ${(MARGIN.top + HEIGHT - MARGIN.bottom) / 2}) rotate(-90)" text-anchor="middle">${y.label}</text>`,
  ]
  const big = [...rows].sort((a, b) => b.params - a.params)
  for (const r of big) {
    const color = COLORS[r.name] ?? '#333'
    const detail = `${labelOf(r)}: ${short(r.macs / 1e6)} M multiply-adds, ${short(r.params / 1e6)} M parameters${r.medianMs === undefined ? '' : `, ${short(r.medianMs)} ms`}`
    parts.push(`<circle cx="${px(x.of(r)).toFixed(1)}" cy="${py(y.of(r)).toFixed(1)}" r="${radius(r).toFixed(1)}" fill="${color}" fill-opacity="0.45" stroke="${color}"><title>${escape(detail)}</title></circle>`)
  }
  const ys = spread(rows.map((r) => py(y.of(r)) + 4), 13)
  rows.forEach((r, i) => {
    const right = px(x.of(r)) < WIDTH - 260
    const at = px(x.of(r)) + (right ? 1 : -1) * (radius(r) + 6)
    parts.push(`<text x="${at.toFixed(1)}" y="${ys[i]!.toFixed(1)}" text-anchor="${right ? 'start' : 'end'}" fill="#111">${escape(labelOf(r))}</text>`)
  })
  return `${parts.join('\n')}\n</svg>\n`
}
