/** Architectures on this machine: memory planned, time measured; and the widths and resolutions that fit a budget. */
import { elements } from '../graph/graph.ts'
import { loadGraph } from '../engine/load-graph.ts'
import type { LoadOptions } from '../graph/types.ts'
import {
  ARCHITECTURES,
  buildArch,
  countArch,
  published,
  publishedTop1,
  type ArchCounts,
  type ArchName,
  type ArchSpec,
  type Published,
} from './index.ts'

export interface ArchRow extends ArchCounts {
  name: ArchName
  title: string
  /** Width multiplier. */
  alpha: number
  /** Resolution multiplier: size over the architecture's own. */
  rho: number
  size: number
  published?: Published
  /** Planned memory of activations and scratch; absent when only counted. */
  arenaBytes?: number
  /** Linear memory in all: arena, weights, plan. */
  memoryBytes?: number
  medianMs?: number
  runs?: number
  gmacPerSecond?: number
}

export interface MeasureOptions extends Pick<LoadOptions, 'variant' | 'plan'> {
  /** Most runs. */
  runs: number
  /** Stop measuring one architecture after this many ms, once three runs are in. */
  limitMs: number
}

/** Counts only. */
export function countRow(spec: ArchSpec): ArchRow {
  const graph = buildArch(spec, 'shape')
  const { alpha = 1 } = spec
  const own = ARCHITECTURES[spec.name]
  const size = spec.size ?? own.size
  const known = published(spec)
  return {
    name: spec.name,
    title: own.title,
    alpha,
    rho: size / own.size,
    size,
    ...countArch(graph),
    ...(known ? { published: known } : {}),
  }
}

/** Counts, plans and times one architecture with random int8 weights and a random image. */
export async function measureRow(spec: ArchSpec, o: MeasureOptions): Promise<ArchRow> {
  const row = countRow(spec)
  const model = await loadGraph(buildArch(spec), o)
  try {
    const input = new Int8Array(elements(model.inputs[0]!.shape))
    for (let i = 0, s = 1; i < input.length; i++) {
      s = (Math.imul(s, 1103515245) + 12345) >>> 0
      input[i] = s >>> 24
    }
    const out = model.run(input)
    const times: number[] = []
    for (
      const start = performance.now();
      times.length < o.runs && (times.length < 3 || performance.now() - start < o.limitMs);
    ) {
      const t = performance.now()
      model.run(input, { out })
      times.push(performance.now() - t)
    }
    times.sort((a, b) => a - b)
    const medianMs = (times[(times.length - 1) >> 1]! + times[times.length >> 1]!) / 2
    return {
      ...row,
      arenaBytes: model.arenaBytes,
      memoryBytes: model.memoryBytes,
      medianMs,
      runs: times.length,
      gmacPerSecond: row.macs / medianMs / 1e6,
    }
  } finally {
    model.dispose()
  }
}

/** The paper's grid: MobileNet V1 at four widths and four resolutions, most accurate first (published top-1). */
export const BUDGET_GRID: readonly ArchSpec[] = [1, 0.75, 0.5, 0.25]
  .flatMap((alpha) => [224, 192, 160, 128].map((size): ArchSpec => ({ name: 'mobilenet_v1', alpha, size })))
  .sort((a, b) => (publishedTop1(b) ?? 0) - (publishedTop1(a) ?? 0))

export interface Budget {
  ms?: number
  arenaBytes?: number
}

export const fits = (row: ArchRow, budget: Budget): boolean =>
  (budget.ms === undefined || (row.medianMs ?? Infinity) <= budget.ms) &&
  (budget.arenaBytes === undefined || (row.arenaBytes ?? Infinity) <= budget.arenaBytes)

/** The most accurate row that fits. */
export const pick = (rows: readonly ArchRow[], budget: Budget): ArchRow | undefined =>
  rows
    .filter((r) => fits(r, budget))
    .sort((a, b) => (b.published?.top1 ?? 0) - (a.published?.top1 ?? 0) || b.macs - a.macs)[0]
