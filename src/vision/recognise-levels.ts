/** Heads whose outputs come one for each grid, and detectors of faces with five points: recognised from shapes. */
import { elements } from '../graph/graph.ts'
import type { TensorInfo } from '../graph/types.ts'
import { type About, cells, prototypesOf, ULTRALYTICS } from './about.ts'
import type { Head } from './head.ts'
import type { Level, LevelsHead, Part } from './heads/levels.ts'
import { holdsProbabilities, inner, largestValue } from './values.ts'

const STRIDES = [4, 8, 16, 32, 64]
/** Bins of a side in YOLOv8 and later, DAMO-YOLO, NanoDet and PicoDet. */
const BINS = [16, 17, 8]

/** One output as cells of a grid: its stride, and how many numbers each cell has. */
interface Grid {
  output: number
  stride: number
  width: number
  /** Channels come first. */
  first: boolean
}

/** The grid that an output covers. */
function gridOf(about: About, { shape }: TensorInfo, output: number): Grid | undefined {
  const { width, height } = about.input
  const of = (stride: number): readonly [number, number] => [Math.ceil(height / stride), Math.ceil(width / stride)]
  const [a = 0, b = 0, c = 0] = shape.length === 4 ? shape.slice(1) : []
  const last = STRIDES.find((s) => a === of(s)[0] && b === of(s)[1])
  if (last !== undefined) return { output, stride: last, width: c, first: false }
  const first = STRIDES.find((s) => b === of(s)[0] && c === of(s)[1])
  if (first !== undefined) return { output, stride: first, width: a, first: true }
  const [rows = 0, values = 1] = shape.length === 3 ? shape.slice(1) : shape
  if (shape.length < 2 || shape.length > 3) return undefined
  const each = STRIDES.flatMap((s) => [1, 2].map((n) => [s, n] as const))
  const found = each.find(([s, n]) => n * cells(about.input, [s]) === rows)
  return found && { output, stride: found[0], width: found[1] * values, first: false }
}

/** The outputs by their strides, finest first, where each of three grids or more has the same numbers of values. */
function levelsOf(about: About, without: number | undefined): Grid[][] | undefined {
  const grids = about.outputs.flatMap((o, i) => (i === without ? [] : [gridOf(about, o, i)]))
  if (!grids.every((g) => g !== undefined)) return undefined
  const strides = [...new Set(grids.map((g) => g.stride))].sort((a, b) => a - b)
  const levels = strides.map((s) => grids.filter((g) => g.stride === s).sort((a, b) => a.output - b.output))
  const widths = (level: readonly Grid[]): string =>
    level
      .map((g) => g.width)
      .sort()
      .join()
  const same = levels.every((l) => widths(l) === widths(levels[0]!)) && grids.every((g) => g.first === grids[0]!.first)
  return levels.length >= 3 && same && strides.at(-1)! === strides[0]! * 2 ** (strides.length - 1) ? levels : undefined
}

/** The prototypes' output: the one plane of 32 numbers finer than a stride of 8. */
const plane = (about: About): number | undefined => {
  const at = about.outputs.findIndex((o, i) => (gridOf(about, o, i)?.stride ?? 8) < 8 && o.shape.includes(32))
  return at < 0 ? undefined : at
}

type Parts = Pick<Level, 'boxes' | 'scores' | 'points' | 'coefficients'>

/** What the outputs of one level are, by their numbers of values. */
function partsOf(
  about: About,
  level: readonly Grid[],
  masks: boolean,
): { bins: number; parts: Parts; classes: number } | undefined {
  const { labels } = about
  if (level.length === 1) {
    const [{ output, width }] = level as [Grid]
    const bins = BINS.find((n) =>
      labels === undefined ? width === 4 * n + 80 || width === 4 * n + 1 : width === 4 * n + labels,
    )
    if (!bins) return undefined
    return { bins, classes: width - 4 * bins, parts: { boxes: { output }, scores: { output, column: 4 * bins } } }
  }
  const extra = level.findLast((g) => (masks ? g.width === 32 : g.width === 51 && level.length === 3))
  const rest = level.filter((g) => g !== extra)
  if (rest.length !== 2 || (level.length === 3 && !extra)) return undefined
  const isBox = (g: Grid): boolean => g.width % 4 === 0 && (BINS.includes(g.width / 4) || g.width === 4)
  // Both may be as wide as a box: the scores have as many values as there are labels, or are probabilities.
  const boxes =
    rest.find((g, i) => isBox(g) && rest[1 - i]!.width === labels) ??
    rest.find((g, i) => isBox(g) && (!isBox(rest[1 - i]!) || !holdsProbabilities(about.outputs[g.output]!)))
  const scores = rest.find((g) => g !== boxes)
  if (!boxes || !scores) return undefined
  const behind: Part | undefined = extra && { output: extra.output }
  return {
    bins: boxes.width / 4,
    classes: scores.width,
    parts: {
      boxes: { output: boxes.output },
      scores: { output: scores.output },
      ...(behind && (masks ? { coefficients: behind } : { points: behind })),
    },
  }
}

const NANODET = { scoreThreshold: 0.35, iouThreshold: 0.6, range: 'imagenet' } as const
const FAMILY = {
  'yolo-levels': { centre: 'middle', unit: 'strides', ...ULTRALYTICS },
  nanodet: { centre: 'corner', unit: 'strides', ...NANODET, bgr: true },
  picodet: { centre: 'middle', unit: 'strides', ...NANODET, scoreThreshold: 0.5 },
  rtmdet: {
    centre: 'corner',
    unit: 'pixels',
    ...NANODET,
    scoreThreshold: 0.3,
    iouThreshold: 0.65,
    framing: 'corner',
    bgr: true,
  },
} as const

/** YOLOv8 and later before its end, NanoDet, PicoDet, RTMDet. */
export function levels(about: About, kind: keyof typeof FAMILY): Head | undefined {
  if (kind === 'nanodet' && about.outputs.length === 1) return nanoDetTable(about)
  const prototypes = kind === 'yolo-levels' ? plane(about) : undefined
  const grids = levelsOf(about, prototypes)
  const read = grids?.map((level) => partsOf(about, level, prototypes !== undefined))
  const [first] = read ?? []
  if (!first || !read!.every((r) => r !== undefined)) return undefined
  const own = first.bins === 1 ? 'rtmdet' : first.bins === 8 ? 'picodet' : 'yolo-levels'
  if (own !== kind && !about.forced) return undefined
  const scores = about.outputs[first.parts.scores.output]!
  const wide = first.bins > 1 || (largestValue(about.outputs[first.parts.boxes.output]!) ?? Infinity) > 64
  const head: LevelsHead = {
    kind,
    levels: read.map((r, i) => ({ stride: grids![i]![0]!.stride, ...r.parts })),
    classes: first.classes,
    anchors: 1,
    bins: first.bins,
    logits: !holdsProbabilities(scores) && kind !== 'picodet',
    layout: grids![0]![0]!.first ? 'columns' : 'rows',
    ...(first.parts.points && { points: 17 }),
    ...(prototypes !== undefined && { masks: 32, prototypes }),
    ...FAMILY[kind],
  }
  return wide ? head : { ...head, unit: 'strides' }
}

/** NanoDet-Plus' one table [cells, classes + 32]: scores, then four sides of 8 bins. */
function nanoDetTable(about: About): Head | undefined {
  const [rows = 0, width = 0] = about.shapes[0] ?? []
  const strides = [8, 16, 32, 64]
  const said = about.forced || width - 32 === (about.labels ?? 80)
  if (about.shapes[0]!.length !== 2 || rows !== cells(about.input, strides) || width < 33 || !said) return undefined
  const row = (i: number): number => cells(about.input, strides.slice(0, i))
  const part = (i: number, column: number): Part => ({ output: 0, column, row: row(i) })
  return {
    kind: 'nanodet',
    levels: strides.map((stride, i) => ({ stride, boxes: part(i, width - 32), scores: part(i, 0) })),
    classes: width - 32,
    anchors: 1,
    bins: 8,
    logits: false,
    layout: 'rows',
    ...FAMILY.nanodet,
  }
}

/** The outputs of a level with these widths, each once. */
const inOrder = (level: readonly Grid[], widths: readonly number[]): number[] | undefined => {
  const found = widths.map((w) => level.find((g) => g.width === w)?.output)
  return level.length === widths.length && found.every((f) => f !== undefined) ? found : undefined
}

/** SCRFD: scores, distances and five points, for one or two candidates a cell. */
export function scrfd(about: About): Head | undefined {
  const grids = levelsOf(about, undefined)
  const anchors = [2, 1].find((n) => grids?.[0] && inOrder(grids[0], [n, 4 * n, 10 * n]))
  const bare = [2, 1].find((n) => grids?.[0] && inOrder(grids[0], [n, 4 * n]))
  const each = anchors ?? (about.forced || bare === 2 ? bare : undefined)
  if (!grids || !each || grids[0]![0]!.first) return undefined
  const at = grids.map((level) => inOrder(level, anchors ? [each, 4 * each, 10 * each] : [each, 4 * each])!)
  return {
    kind: 'scrfd',
    levels: at.map(([scores, boxes, points], i) => ({
      stride: grids[i]![0]!.stride,
      boxes: { output: boxes! },
      scores: { output: scores! },
      ...(points !== undefined && { points: { output: points } }),
    })),
    classes: 1,
    anchors: each,
    bins: 1,
    unit: 'strides',
    centre: 'corner',
    logits: about.outputs[at[0]![0]!]!.scale > 0 && !holdsProbabilities(about.outputs[at[0]![0]!]!),
    layout: 'rows',
    ...(anchors && { points: 5 }),
    scoreThreshold: 0.5,
    iouThreshold: 0.4,
    framing: 'corner',
    range: 'signed',
  }
}

export function yuNet(about: About): Head | undefined {
  const grids = levelsOf(about, undefined)
  const widths = grids?.[0]?.map((g) => g.width).sort((a, b) => a - b)
  if (widths?.join() !== '1,1,4,10' || grids!.some((l) => l.some((g) => g.first))) return undefined
  return {
    kind: 'yunet',
    levels: grids!.map((level) => {
      const [classes, objects] = level.filter((g) => g.width === 1) as [Grid, Grid]
      const of = (width: number): number => level.find((g) => g.width === width)!.output
      return {
        stride: level[0]!.stride,
        classes: classes.output,
        objects: objects.output,
        boxes: of(4),
        points: of(10),
      }
    }),
    scoreThreshold: 0.7,
    iouThreshold: 0.3,
    range: 'raw',
    bgr: true,
  }
}

export function retinaFace(about: About): Head | undefined {
  const count = 2 * cells(about.input, [8, 16, 32])
  const of = (width: number): number =>
    about.outputs.findIndex((o) => o.shape.at(-1) === width && elements(o.shape) === width * count)
  const [boxes, scores, points] = [of(4), of(2), of(10)]
  if (about.outputs.length !== 3 || boxes < 0 || scores < 0 || points < 0) return undefined
  return {
    kind: 'retinaface',
    boxes,
    scores,
    points,
    ...(about.outputs[scores]!.scale > 0 && !holdsProbabilities(about.outputs[scores]!) && { logits: true }),
    scoreThreshold: 0.6,
    iouThreshold: 0.4,
    range: 'caffe',
    bgr: true,
  }
}

export function simcc(about: About): Head | undefined {
  const [a, b] = about.outputs.map((o) => inner(o.shape))
  if (about.outputs.length !== 2 || a?.length !== 2 || b?.length !== 2 || a[0] !== b[0] || a[0]! < 5) return undefined
  const times = (shape: readonly number[], side: number): number => shape[1]! / side
  const fits = (x: readonly number[], y: readonly number[]): boolean =>
    [1, 2, 3, 4].some((n) => times(x, about.input.width) === n && times(y, about.input.height) === n)
  // A square input does not tell them apart: the width comes first, unless the names say otherwise.
  const named = /(simcc)?_?y\b/i.test(about.outputs[0]!.name) && /(simcc)?_?x\b/i.test(about.outputs[1]!.name)
  const across = fits(a, b) && !(named && fits(b, a)) ? 0 : fits(b, a) ? 1 : -1
  if (across < 0) return undefined
  return {
    kind: 'simcc',
    across,
    down: 1 - across,
    scoreThreshold: 0.3,
    iouThreshold: 1,
    framing: 'square',
    range: 'imagenet',
  }
}

/** The output of a YOLO in parts that holds points or mask coefficients; `taken` are those known. */
export function behindOf(
  about: About,
  { taken, count, rows }: { taken: readonly number[]; count: number; rows: boolean },
): { behind?: number; masks?: number; prototypes?: number; points?: number; pointValues?: 3 } {
  const width = (i: number): number => {
    const shape = about.shapes[i]!
    return shape.length === 2 && shape[rows ? 0 : 1] === count ? shape[rows ? 1 : 0]! : 0
  }
  const free = about.outputs.flatMap((_, i) => (taken.includes(i) ? [] : [i]))
  const protos = prototypesOf(about, -1)
  const masks = protos && free.findLast((i) => width(i) === protos.masks)
  if (masks !== undefined && free.length >= 2) return { behind: masks, ...protos }
  const points = free.findLast((i) => width(i) === 51)
  return points !== undefined && free.length >= 2 ? { behind: points, points: 17, pointValues: 3 } : {}
}
