/** A run as Markdown and as a chart. */
import type { Processor } from '../src/cli/processor.ts'
import { escapeMarkup } from '../src/base/markup.ts'
import { own, type NetworkResult, type PeerResult, type Plan } from './measure.ts'

export interface Report {
  date: string
  processor: Processor
  machine: string
  /** What a reader has to know about this run. */
  note?: string
  /** Not known of runs that were told, not recorded. */
  loadAverage?: [number, number]
  command?: string
  plan?: Plan
  versions: { node: string[]; chromium?: string | undefined; python?: string | undefined }
  networks: NetworkResult[]
}

const ms = (v: number | undefined): string =>
  v === undefined ? '' : v < 1 ? v.toFixed(3) : v < 10 ? v.toFixed(2) : v.toFixed(1)
const kilobytes = (v: number | undefined): string =>
  v === undefined ? '' : v < 1e6 ? `${Math.round(v / 1e3)} kB` : `${(v / 1e6).toFixed(1)} MB`
const times = (v: number | undefined): string => (v === undefined ? '' : v.toFixed(2))
const label = (p: PeerResult): string => `${p.name} (${p.where}${p.arithmetic === 'float32' ? ', float32' : ''})`

function agreement(p: PeerResult, network: NetworkResult): string {
  if (p.id === network.reference) return 'reference'
  const a = p.agreement
  if (!a) return ''
  if (a.identical === a.compared) return 'identical'
  return `${a.identical}/${a.compared} identical, off by ≤ ${Number(a.maxDifference.toPrecision(3))}`
}

function latency(network: NetworkResult): string {
  const lacking = network.peers.filter(own).every((p) => p.skipped) ? network.peers.find(own)?.skipped : undefined
  const rows = network.peers
    .filter((p) => !p.skipped)
    .map((p) => {
      const bold = (s: string): string => (own(p) && s ? `**${s}**` : s)
      const memory = p.memory && p.memory.peakBytes - p.memory.baseBytes
      return [
        bold(label(p)),
        bold(ms(p.medianMs)),
        ms(p.minMs),
        bold(times(p.ratios?.litert)),
        bold(times(p.ratios?.['litert-js'])),
        ms(p.startMs),
        ms(p.loadMs),
        ms(p.firstMs),
        memory === undefined ? '' : kilobytes(memory),
        agreement(p, network),
      ]
    })
  const head = [
    '',
    'median ms',
    'min ms',
    '÷ LiteRT',
    '÷ LiteRT.js',
    'start ms',
    'load ms',
    'first ms',
    'memory added',
    'output bytes',
  ]
  return [
    `### ${network.name} (${network.input}, ${kilobytes(network.bytes)})`,
    '',
    `| ${head.join(' | ')} |`,
    `|---|${head
      .slice(1)
      .map(() => '---:')
      .join('|')}|`,
    ...rows.map((r) => `| ${r.join(' | ')} |`),
    ...(lacking ? [`| **Thimble** | ${lacking} |${' |'.repeat(head.length - 2)}`] : []),
    '',
    ...skips(network),
  ].join('\n')
}

function skips(network: NetworkResult): string[] {
  const byReason = new Map<string, string[]>()
  for (const p of network.peers) {
    if (!p.skipped) continue
    const reason = p.skipped.replace(/[.\s]+$/, '')
    byReason.set(reason, [...(byReason.get(reason) ?? []), label(p)])
  }
  return byReason.size
    ? [`Not run: ${[...byReason].map(([reason, labels]) => `${labels.join(', ')}: ${reason}`).join('; ')}.`, '']
    : []
}

/** What a page downloads for each library, from the first network that it ran. */
function downloads(report: Report): string {
  const seen = new Map<string, PeerResult>()
  for (const p of report.networks.flatMap((n) => n.peers)) if (p.download && !seen.has(p.name)) seen.set(p.name, p)
  if (seen.size === 0) return ''
  const rows = [...seen.values()].map(
    ({ name, download: d }) =>
      `| ${name} | ${kilobytes(d!.wasmBytes)} | ${kilobytes(d!.jsBytes)} | ${kilobytes(d!.wasmBytes + d!.jsBytes)} | ${kilobytes(d!.wasmGzipBytes + d!.jsGzipBytes)} |`,
  )
  return [
    '### What a page downloads, without the model',
    '',
    '| | wasm | JavaScript, minified | together | gzip |',
    '|---|---:|---:|---:|---:|',
    ...rows,
    '',
  ].join('\n')
}

function about(report: Report): string[] {
  const { versions: v, plan } = report
  const engines = [
    `Node ${v.node.join(', ')}`,
    ...(v.chromium ? [`Chromium ${v.chromium}`] : []),
    ...(v.python ? [`Python ${v.python}`] : []),
  ]
  const load = report.loadAverage?.map((l) => l.toFixed(1)).join(' to ')
  return [
    `Measured on ${report.machine}; ${engines.join('; ')}; ${report.date.slice(0, 10)}${load ? `; load average ${load}` : ''}.`,
    ...(report.note ? [report.note] : []),
    ...(report.command && plan
      ? [
          `Command: \`${report.command}\`. One thread each. Every peer has its own process or page; they take turns (${plan.rounds} rounds of ${plan.turnMs} ms each), so that what slows the machine slows all.`,
        ]
      : []),
    'An inference is what a user does: hand the input over, infer, read the output. A ratio is the median over rounds of the two medians in that round. Float peers run twins of the same network with dequantized weights; ONNX twins are made by tf2onnx.',
  ]
}
const STARTS =
  '*start*: importing the library and starting its engine; *load*: model bytes to ready; *memory added*: peak resident memory of the process above what it held before the library was loaded.'

/** Everything that was measured, as Markdown. */
export function table(report: Report): string {
  return [...about(report), STARTS, '', ...report.networks.map(latency), downloads(report)].join('\n')
}

/** Rows by peer, in the order in which peers first appear. */
function byPeer(report: Report): { own: boolean; label: string; results: (PeerResult | undefined)[] }[] {
  const ids = [...new Set(report.networks.flatMap((n) => n.peers.filter((p) => !p.skipped).map((p) => p.id)))]
  return ids.map((id) => {
    const results = report.networks.map((n) => n.peers.find((p) => p.id === id && !p.skipped))
    const first = results.find((p) => p !== undefined)!
    return { own: own(first), label: label(first), results }
  })
}

/** One run in short: medians and ratios of all networks in one table, starts of the first, downloads. */
export function summary(report: Report): string {
  const bold = (own: boolean, s: string): string => (own && s ? `**${s}**` : s)
  const rows = byPeer(report)
  const medians = rows.map(({ own, label, results }) => {
    const cells = results.map((p) =>
      p ? `${ms(p.medianMs)}${p.ratios?.litert === undefined ? '' : ` (${bold(own, times(p.ratios.litert))})`}` : '-',
    )
    const agreed = results.map((p) => p?.agreement).filter((a) => a !== undefined)
    const identical = agreed.filter((a) => a.identical === a.compared).length
    const isReference = report.networks.some((n, i) => n.reference !== undefined && results[i]?.id === n.reference)
    return `| ${bold(own, label)} | ${cells.join(' | ')} | ${agreed.length ? `${identical} of ${agreed.length}` : isReference ? 'reference' : ''} |`
  })
  const first = report.networks[0]!
  const starts = rows
    .map(({ own, label, results: [p] }) => {
      const memory = p?.memory && kilobytes(p.memory.peakBytes - p.memory.baseBytes)
      return (
        p?.startMs !== undefined &&
        `| ${bold(own, label)} | ${ms(p.startMs)} | ${ms(p.loadMs)} | ${ms(p.firstMs)} | ${memory ?? ''} |`
      )
    })
    .filter((row) => typeof row === 'string')
  return [
    `Median milliseconds an inference, and the ratio to native LiteRT; in how many networks all output bytes are LiteRT's.`,
    '',
    `| | ${report.networks.map((n) => n.name).join(' | ')} | same bytes |`,
    `|---|${report.networks.map(() => '--:').join('|')}|--:|`,
    ...medians,
    '',
    ...about(report),
    '',
    ...(starts.length
      ? [
          `${first.name} from a cold process or page; ${STARTS}`,
          '',
          '| | start ms | load ms | first inference ms | memory added |',
          '|---|--:|--:|--:|--:|',
          ...starts,
          '',
        ]
      : []),
    downloads(report),
  ].join('\n')
}

/** Horizontal bars of median latency, one panel a network, Thimble's in colour. Reads on light and dark pages. */
export function chart(report: Report): string {
  const [width, left, bar, gap] = [860, 310, 16, 6]
  const parts: string[] = []
  let y = 8
  for (const network of report.networks) {
    const measured = network.peers.filter((p) => p.medianMs !== undefined).sort((a, b) => a.medianMs! - b.medianMs!)
    if (measured.length === 0) continue
    const longest = measured.at(-1)!.medianMs!
    parts.push(`<text x="8" y="${y + 16}" class="t">${escapeMarkup(network.name)}: median ms, shorter is better</text>`)
    y += 28
    for (const p of measured) {
      const length = Math.max(2, (p.medianMs! / longest) * (width - left - 80))
      parts.push(
        `<text x="${left - 8}" y="${y + 12}" class="l">${escapeMarkup(label(p))}</text><rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="${bar}" rx="2" class="${own(p) ? 'own' : p.arithmetic === 'float32' ? 'float' : 'peer'}"/><text x="${(left + length + 6).toFixed(1)}" y="${y + 12}" class="v">${ms(p.medianMs)}</text>`,
      )
      y += bar + gap
    }
    y += 16
  }
  const style =
    'text{font:12px system-ui,sans-serif;fill:#57606a}.t{font-weight:600;font-size:14px}.l{text-anchor:end}.own{fill:#0a7d5a}.peer{fill:#8c959f}.float{fill:#c3cad1}@media(prefers-color-scheme:dark){text{fill:#adb5bd}.own{fill:#2fbf8f}.peer{fill:#6e7681}.float{fill:#484f58}}'
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" role="img" aria-label="Median latency of Thimble and its peers"><style>${style}</style>\n${parts.join('\n')}\n</svg>\n`
}
