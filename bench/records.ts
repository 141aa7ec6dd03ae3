/**
 * What runs leave behind: `results/by-processor/PROCESSOR/DATE.json`, one file a run. A run adds its file; nothing of
 * another machine or day is written over. Tables and charts are made of the files.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Processor } from '../src/cli/processor.ts'
import { own } from './measure.ts'
import { chart, summary, table, type Report } from './report.ts'

/** `AMD EPYC`, x64, with AVX2 at best: `amd-epyc-x64-avx2`. */
export const slugOf = ({ name, arch, features }: Processor): string =>
  [name, arch, features?.at(-1) ?? '']
    .join(' ')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')

/** Writes a run's file into `folder` and returns its path; a second run of a day gets a number. */
export function record(folder: string, report: Report): string {
  const place = join(folder, slugOf(report.processor))
  mkdirSync(place, { recursive: true })
  const day = report.date.slice(0, 10)
  let path = join(place, `${day}.json`)
  for (let n = 2; existsSync(path); n++) path = join(place, `${day}-${n}.json`)
  writeFileSync(path, `${JSON.stringify(report, null, 1)}\n`)
  return path
}

/** A processor's newest run. */
export interface Newest {
  slug: string
  report: Report
}

/** `2026-11-30-10` is newer than `2026-11-30-9` and `2026-11-30`. */
const order = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true })

/** The newest run of every processor, those without VNNI first. */
export function newest(folder: string): Newest[] {
  const slugs = existsSync(folder) ? readdirSync(folder).sort() : []
  const found = slugs.map((slug) => {
    const names = readdirSync(join(folder, slug)).filter((name) => name.endsWith('.json'))
    const last = names
      .map((name) => name.slice(0, -5))
      .sort(order)
      .at(-1)!
    return { slug, report: JSON.parse(readFileSync(join(folder, slug, `${last}.json`), 'utf8')) as Report }
  })
  return found.sort((a, b) => Number(hasVnni(a.report.processor)) - Number(hasVnni(b.report.processor)))
}

const hasVnni = ({ features }: Processor): boolean => features?.some((f) => f.includes('VNNI')) ?? false

/** `AMD EPYC (AVX2, no VNNI)`. */
const titleOf = ({ name, arch, features }: Processor): string => {
  const best = features?.at(-1) ?? 'vector extensions not known'
  return `${name} (${best}${features && arch === 'x64' && !features.some((f) => f.includes('VNNI')) ? ', no VNNI' : ''})`
}

const ms = (v: number): string => (v < 1 ? v.toFixed(3) : v < 10 ? v.toFixed(2) : v.toFixed(1))

/** Thimble beside native LiteRT on every processor: one row a processor and network. */
export function processors(all: readonly Newest[]): string {
  const rows = all.flatMap(({ report }) =>
    report.networks.flatMap(({ name, peers }) => {
      const measured = peers.filter((p) => p.medianMs !== undefined)
      const native = measured.find((p) => p.id === 'litert')
      const nodes = measured.filter((p) => own(p) && p.where.startsWith('Node'))
      const last = (fast: boolean) => nodes.filter((p) => p.name.includes('fast') === fast).at(-1)
      const cell = (p: (typeof nodes)[number] | undefined): string =>
        p ? `${ms(p.medianMs!)} (**${p.ratios?.litert?.toFixed(2) ?? '-'}**)` : '-'
      if (!native || nodes.length === 0) return []
      return [
        `| ${titleOf(report.processor)} | ${name} | ${ms(native.medianMs!)} | ${cell(last(false))} | ${cell(last(true))} | ${report.date.slice(0, 10)} |`,
      ]
    }),
  )
  return [
    '| processor | network | LiteRT, ms | Thimble, Node | `fast` | measured |',
    '|---|---|--:|--:|--:|---|',
    ...rows,
  ].join('\n')
}

/** Writes every processor's tables and chart beside its runs, and returns the section for docs/benchmarks.md. */
export function writeTables(folder: string, link: string): string {
  const all = newest(folder)
  for (const { slug, report } of all) {
    writeFileSync(join(folder, slug, 'table.md'), `${table(report)}\n`)
    writeFileSync(join(folder, slug, 'latency.svg'), chart(report))
  }
  const sections = all.map(({ slug, report }) =>
    [
      `### ${titleOf(report.processor)}`,
      '',
      `![Median latency](${link}/${slug}/latency.svg)`,
      '',
      summary(report),
      '',
      `Everything that was measured, and what was not run: [${slug}](${link}/${slug}/table.md).`,
    ].join('\n'),
  )
  return [
    'Milliseconds an inference, and the ratio to native LiteRT on the same machine:',
    '',
    processors(all),
    '',
    ...sections.flatMap((s) => [s, '']),
  ].join('\n')
}

/** A page's text with what stands between its bench markers replaced; undefined where it has none. */
export function intoPage(page: string, section: string): string | undefined {
  const [open, close] = ['<!-- bench -->', '<!-- /bench -->']
  const [a, b] = [page.indexOf(open), page.indexOf(close)]
  return a < 0 || b < a ? undefined : `${page.slice(0, a + open.length)}\n${section.trimEnd()}\n${page.slice(b)}`
}
