/** Counts of right answers and of equal ones, as numbers and as text. */
import { labelOf } from '../../src/answers/labels.ts'
import type { Compared } from './sides.ts'
import type { Labelled } from './truth.ts'

export type Answered = Labelled & Compared

/** Share of photos, in percent, with the 95 % interval that so many photos allow. */
export interface Share {
  count: number
  percent: number
  interval: readonly [low: number, high: number]
}

export interface Summary {
  photos: number
  int8: { top1: Share; top5: Share }
  float?: { top1: Share; top5: Share }
  /** The same best class, right or wrong; float's best in the int8 model's five best. */
  agreement?: { top1: Share; top5: Share }
  /** Photos that one of the two names rightly and the other does not. */
  lost?: number
  won?: number
  /** 10 log10(sum of float outputs squared / sum of squared differences), over all photos, dB. */
  sqnr?: number
}

const round = (v: number, digits = 2): number => Number(v.toFixed(digits))

/** Source: Wilson 1927, the score interval, z = 1.96. */
export function share(count: number, total: number): Share {
  const z = 1.959964
  const p = count / total
  const middle = p + (z * z) / (2 * total)
  const half = z * Math.sqrt((p * (1 - p)) / total + (z * z) / (4 * total * total))
  const scale = 100 / (1 + (z * z) / total)
  return {
    count,
    percent: round((100 * count) / total),
    interval: [round((middle - half) * scale), round((middle + half) * scale)],
  }
}

export function summarize(answers: readonly Answered[]): Summary {
  const total = answers.length
  const of = (f: (a: Answered) => boolean): Share => share(answers.filter(f).length, total)
  const right = (side: 'int8' | 'float', a: Answered, among: number): boolean =>
    a[side]!.best.slice(0, among).includes(a.truth)
  const int8 = { top1: of((a) => right('int8', a, 1)), top5: of((a) => right('int8', a, 5)) }
  if (!answers.every((a) => a.float)) return { photos: total, int8 }
  const sum = (f: (a: Answered) => number): number => answers.reduce((s, a) => s + f(a), 0)
  return {
    photos: total,
    int8,
    float: { top1: of((a) => right('float', a, 1)), top5: of((a) => right('float', a, 5)) },
    agreement: {
      top1: of((a) => a.float!.best[0] === a.int8.best[0]),
      top5: of((a) => a.int8.best.includes(a.float!.best[0]!)),
    },
    lost: answers.filter((a) => right('float', a, 1) && !right('int8', a, 1)).length,
    won: answers.filter((a) => !right('float', a, 1) && right('int8', a, 1)).length,
    sqnr: round(10 * Math.log10(sum((a) => a.signal) / sum((a) => a.noise))),
  }
}

const shareText = ({ count, percent, interval: [low, high] }: Share): string =>
  `${percent.toFixed(1).padStart(5)} %  (${count}; 95 %: ${low.toFixed(1)} to ${high.toFixed(1)})`

/** What people are told. */
export function summaryText(summary: Summary): string {
  const { photos, int8, float, agreement } = summary
  const lines = [`${photos} photos`]
  const row = (name: string, s: Share): void => void lines.push(`  ${name.padEnd(30)}${shareText(s)}`)
  for (const [name, side] of [
    ['float', float],
    ['int8', int8],
  ] as const) {
    if (!side) continue
    row(`${name} top-1`, side.top1)
    row(`${name} top-5`, side.top5)
  }
  if (agreement) {
    row('same top-1', agreement.top1)
    row("float's top-1 in int8's top-5", agreement.top5)
    lines.push(`  int8 wrong where float is right: ${summary.lost}; right where float is wrong: ${summary.won}`)
    lines.push(`  signal to noise of the outputs: ${summary.sqnr!.toFixed(2)} dB`)
  }
  return lines.join('\n')
}

/** The photos on which int8 and float differ, a line each. */
export const differences = (answers: readonly Answered[], labels: readonly string[]): string[] =>
  answers
    .filter((a) => a.float && a.float.best[0] !== a.int8.best[0])
    .map((a) => {
      const named = (i: number | undefined): string =>
        i === undefined ? 'nothing' : `${labelOf(labels, i)}${i === a.truth ? ' (right)' : ''}`
      return `${a.file}: float ${named(a.float!.best[0])}, int8 ${named(a.int8.best[0])}`
    })
