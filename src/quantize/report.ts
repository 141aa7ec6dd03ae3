/** The result of a quantization in words, JSON and a self-contained HTML page. */
import { escapeMarkup } from '../base/markup.ts'
import type { SchemeName } from './scheme.ts'
import type { Evaluation, LayerResult, Summary } from './evaluate.ts'

export interface QuantizeReport extends Evaluation {
  model: string
  /** What was calibrated and compared on. Default photos. */
  of?: 'photos' | 'samples'
  scheme: SchemeName
  /** How many photos and variations calibrated, and how many the comparison used. */
  calibration: { photos: number; inputs: number; ranges: string; seed: number }
  evaluation: { photos: number; inputs: number; heldBack: boolean }
  /** Bytes of the float weights and of the file that was written. */
  floatBytes: number
  fileBytes: number
  seconds: number
  labels?: readonly string[]
}

const db = (v: number): string => (Number.isFinite(v) ? `${v.toFixed(1)} dB` : 'exact')
const percent = (v: number): string => `${(100 * v).toFixed(1)} %`

/** The layers that lose most, worst first. */
export const worstLayers = (layers: readonly LayerResult[], count = 5): LayerResult[] =>
  [...layers].sort((a, b) => a.sqnr - b.sqnr).slice(0, count)

/** The two groups of inputs that were compared, those that are there. */
const groups = (r: QuantizeReport): [string, Summary][] =>
  (
    [
      [r.of ?? 'photos', r.asTheyAre],
      ['variations', r.varied],
    ] as [string, Summary][]
  ).filter(([, s]) => s.inputs > 0)

const agreement = (s: Summary): string =>
  `same top-1 ${s.top1} of ${s.inputs}, float's best in the top-5 ${s.top5} of ${s.inputs}`

const label = (r: QuantizeReport, index: number): string => r.labels?.[index] ?? `class ${index}`
const seen = (r: QuantizeReport): string =>
  r.evaluation.heldBack ? 'not used to calibrate' : `the calibration ${r.of ?? 'photos'} themselves`

/** Lines for a terminal. */
export function textReport(r: QuantizeReport): string {
  const n = r.photos.length
  const flips = r.photos.filter((p) => p.float.index !== p.int8.index)
  return [
    `${r.model}: ${(r.floatBytes / 1e6).toFixed(2)} MB of float weights to a file of ${(r.fileBytes / 1e6).toFixed(2)} MB in ${r.seconds.toFixed(0)} s`,
    `  calibrated on ${r.calibration.photos} ${r.of ?? 'photos'}${r.of === 'samples' ? '' : ` (${r.calibration.inputs} inputs with variations)`}, compared on ${r.evaluation.photos}${r.of === 'samples' ? '' : ` (${n} inputs)`}, ${seen(r)}`,
    ...groups(r).map(
      ([name, s]) =>
        `  ${`${name}:`.padEnd(12)} ${db(s.logitSqnr)} signal to quantization noise in the ${r.classifier ? 'logits' : 'outputs'}${r.classifier ? `; ${agreement(s)}` : ''}`,
    ),
    ...(r.classifier
      ? flips
          .slice(0, 5)
          .map(
            (p) =>
              `    ${p.name}: ${label(r, p.float.index)} ${percent(p.float.score)} became ${label(r, p.int8.index)} ${percent(p.int8.score)}`,
          )
      : []),
    `  worst layers: ${worstLayers(r.layers)
      .map((l) => `${l.name} ${db(l.sqnr)}`)
      .join(', ')}`,
  ].join('\n')
}

/** Everything, as JSON; infinite ratios become null. */
export const jsonReport = (r: QuantizeReport): string =>
  JSON.stringify(
    { ...r, labels: undefined, worst: worstLayers(r.layers).map((l) => l.name) },
    (_, v: unknown) => (v === Infinity ? null : v),
    2,
  )

interface Bar {
  name: string
  value: number
  note: string
  mark: boolean
}

/** Horizontal bars of decibels as inline SVG. */
function bars(title: string, rows: readonly Bar[]): string {
  const [height, left, width] = [18, 250, 560]
  const max = Math.max(10, ...rows.map((b) => (Number.isFinite(b.value) ? b.value : 0))) * 1.05
  const x = (v: number): number => left + (width * Math.max(0, Math.min(v, max))) / max
  const ticks = Array.from({ length: Math.floor(max / 10) + 1 }, (_, i) => 10 * i)
  const bottom = rows.length * height + 24
  return [
    `<h2>${escapeMarkup(title)}</h2>`,
    `<svg viewBox="0 0 ${left + width + 170} ${bottom + 18}" role="img" aria-label="${escapeMarkup(title)}">`,
    ...ticks.map(
      (t) =>
        `<line class="grid" x1="${x(t).toFixed(1)}" x2="${x(t).toFixed(1)}" y1="4" y2="${bottom}"/><text x="${x(t).toFixed(1)}" y="${bottom + 14}" text-anchor="middle">${t}${t ? '' : ' dB'}</text>`,
    ),
    ...rows.map((b, i) => {
      const y = 8 + i * height
      const value = Number.isFinite(b.value) ? b.value : max
      return (
        `<text x="${left - 8}" y="${y + 12}" text-anchor="end">${escapeMarkup(b.name.length > 36 ? `…${b.name.slice(-35)}` : b.name)}</text>` +
        `<rect class="${b.mark ? 'worst' : 'bar'}" x="${left}" y="${y}" width="${(x(value) - left).toFixed(1)}" height="${height - 5}"><title>${escapeMarkup(`${b.name}: ${db(b.value)}`)}</title></rect>` +
        `<text x="${(x(value) + 6).toFixed(1)}" y="${y + 12}">${escapeMarkup(`${db(b.value)}${b.note ? `  ${b.note}` : ''}`)}</text>`
      )
    }),
    '</svg>',
  ].join('\n')
}

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:#555}dd{margin:0}
svg{width:100%;height:auto;font-size:11px}svg text{fill:#333}.bar{fill:#4878a8}.worst{fill:#c4553b}.grid{stroke:#ddd}
table{border-collapse:collapse;width:100%;font-size:14px}td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #e5e5e5}tr.flip td{background:#fdf0ec}
@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}dt{color:#aaa}svg text{fill:#ccc}.grid{stroke:#444}td,th{border-color:#3a3a3a}tr.flip td{background:#3a2620}.bar{fill:#6c9bd0}}`

/** One page without outside references. */
export function htmlReport(r: QuantizeReport): string {
  const n = r.photos.length
  const worst = new Set(worstLayers(r.layers).map((l) => l.index))
  const facts: [string, string][] = [
    ['Float weights', `${(r.floatBytes / 1e6).toFixed(2)} MB`],
    ['File', `${(r.fileBytes / 1e6).toFixed(2)} MB`],
    [
      'Calibration',
      `${r.calibration.photos} ${r.of ?? 'photos'}${r.of === 'samples' ? '' : `, ${r.calibration.inputs} inputs with variations`}; ranges: ${r.calibration.ranges}; seed ${r.calibration.seed}`,
    ],
    ['Compared on', `${r.evaluation.photos} ${r.of ?? 'photos'}, ${n} inputs: ${seen(r)}`],
    ...groups(r).map(([name, s]): [string, string] => [
      `On ${name}`,
      `SQNR ${db(s.logitSqnr)}${r.classifier ? `; ${agreement(s)}` : ''}`,
    ]),
    [
      'Worst layers',
      worstLayers(r.layers)
        .map((l) => `${l.name} (${db(l.sqnr)})`)
        .join(', '),
    ],
    ['Time', `${r.seconds.toFixed(0)} s`],
  ]
  const rows = r.photos.map(
    (p) =>
      `<tr${p.float.index === p.int8.index ? '' : ' class="flip"'}><td>${escapeMarkup(p.name)}</td><td>${db(p.sqnr)}</td><td>${escapeMarkup(label(r, p.float.index))} ${percent(p.float.score)}</td><td>${escapeMarkup(label(r, p.int8.index))} ${percent(p.int8.score)}</td></tr>`,
  )
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeMarkup(r.model)}: ${r.scheme} against float</title><style>${STYLE}</style></head><body>
<h1>${escapeMarkup(r.model)}: ${r.scheme} against float</h1>
<dl>${facts.map(([k, v]) => `<dt>${escapeMarkup(k)}</dt><dd>${escapeMarkup(v)}</dd>`).join('')}</dl>
<p>SQNR: signal-to-quantization-noise ratio, 10 log<sub>10</sub> of the float values' sum of squares over the differences'. Higher is better; 6 dB are one bit.</p>
${bars(
  'Photos: SQNR of the logits',
  r.photos.map((p) => ({
    name: p.name,
    value: p.sqnr,
    note: p.float.index === p.int8.index || !r.classifier ? '' : 'other answer',
    mark: p.float.index !== p.int8.index && r.classifier,
  })),
)}
${bars(
  'Layers: SQNR of each output, all layers before it quantized too',
  r.layers.map((l) => ({ name: l.name, value: l.sqnr, note: '', mark: worst.has(l.index) })),
)}
${r.classifier ? `<h2>Answers</h2><table><thead><tr><th>Photo</th><th>SQNR</th><th>Float</th><th>Quantized</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>` : ''}
</body></html>
`
}
