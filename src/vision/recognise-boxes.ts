/** Recognizing boxes at anchors: BlazeFace and its kind, SSD, EfficientDet, UltraFace. */
import { elements } from '../graph/graph.ts'
import { type About, cells, only, pyramidOf, SSD } from './about.ts'
import type { Head } from './head.ts'
import type { BlazeHead } from './heads/blazeface.ts'
import type { Size } from './heads/head.ts'
import { holdsProbabilities, largestValue } from './values.ts'

const TF_SSD = { ...SSD, range: 'signed', boxScales: [10, 10, 5, 5], scores: 'sigmoid' } as const
const MEDIAPIPE = { scoreThreshold: 0.5, iouThreshold: 0.3, framing: 'mediapipe' } as const

const BLAZE: readonly {
  kind: BlazeHead['kind']
  points: number
  side: number
  maps: BlazeHead['maps']
  threshold?: number
}[] = [
  {
    kind: 'blazeface',
    points: 6,
    side: 128,
    maps: [
      [8, 2],
      [16, 6],
    ],
  },
  {
    kind: 'blazeface',
    points: 6,
    side: 256,
    maps: [
      [16, 2],
      [32, 6],
    ],
  },
  { kind: 'blazeface', points: 6, side: 192, maps: [[4, 1]], threshold: 0.6 },
  {
    kind: 'palm',
    points: 7,
    side: 192,
    maps: [
      [8, 2],
      [16, 6],
    ],
  },
  {
    kind: 'palm',
    points: 7,
    side: 256,
    maps: [
      [8, 2],
      [16, 2],
      [32, 2],
      [32, 4],
    ],
  },
  {
    kind: 'palm',
    points: 7,
    side: 128,
    maps: [
      [8, 2],
      [16, 6],
    ],
  },
  {
    kind: 'blazepose',
    points: 4,
    side: 224,
    maps: [
      [8, 2],
      [16, 2],
      [32, 6],
    ],
  },
  {
    kind: 'blazepose',
    points: 4,
    side: 128,
    maps: [
      [8, 2],
      [16, 6],
    ],
  },
]

/** Anchors of MediaPipe's maps; layers of one stride are one map. */
const blazeCount = (input: Size, maps: BlazeHead['maps']): number =>
  maps.reduce((sum, [stride, anchors]) => sum + anchors * cells(input, [stride]), 0)

export function blaze(about: About, kind: BlazeHead['kind']): Head | undefined {
  const entry = BLAZE.find((e) => {
    const width = 4 + 2 * e.points
    const rows = about.outputs
      .filter((o) => o.shape.at(-1) === width)
      .reduce((n, o) => n + elements(o.shape) / width, 0)
    return (
      e.kind === kind &&
      rows > 0 &&
      rows === blazeCount(about.input, e.maps) &&
      (about.forced || about.input.width === e.side)
    )
  })
  if (!entry) return undefined
  const scores = about.outputs.find((o) => o.shape.at(-1) !== 4 + 2 * entry.points)
  const activated = scores !== undefined && holdsProbabilities(scores)
  return {
    kind,
    maps: entry.maps,
    points: entry.points,
    ...MEDIAPIPE,
    scoreThreshold: entry.threshold ?? 0.5,
    range: kind === 'palm' && about.input.width === 192 ? 'unit' : 'signed',
    ...(activated && { activated }),
  }
}

export function postprocess(about: About): Head | undefined {
  const boxes = only(about, (s) => s.at(-1) === 4 && s.length === 2)
  const n = about.shapes[boxes ?? -1]?.[0]
  const lists = about.shapes.flatMap((s, i) => (s.length === 1 && s[0] === n && i !== boxes ? [i] : []))
  if (boxes === undefined || n === 1 || lists.length !== 2) return undefined
  const count = only(about, (s) => s.length === 1 && s[0] === 1)
  return {
    kind: 'postprocess',
    boxes,
    classes: lists[0]!,
    scores: lists[1]!,
    ...(count !== undefined && { count }),
    ...SSD,
  }
}

/** Feature maps of SSD MobileNet for an input of a given size: 1/16, then halved (rounded up) down to 1. */
function ssdMaps({ width, height }: Size): [number, number][] {
  const maps: [number, number][] = [[Math.ceil(height / 16), Math.ceil(width / 16)]]
  while (maps.length < 6) {
    const [h, w] = maps.at(-1)!
    maps.push([Math.ceil(h / 2), Math.ceil(w / 2)])
  }
  return maps
}

/** Outputs [n, 4] and [n, classes] for a number of anchors. */
function boxesAndScores(about: About): { count: number; classes: number } | undefined {
  if (about.outputs.length !== 2) return undefined
  const shapes = about.outputs.map((o) => o.shape.filter((d, i) => d !== 1 || i === o.shape.length - 1).slice(-2))
  const boxes = shapes.findIndex((s) => s.length === 2 && s[1] === 4)
  const scores = shapes.findIndex((s, i) => i !== boxes && s.length === 2 && s[0] === shapes[boxes]?.[0])
  return boxes < 0 || scores < 0 ? undefined : { count: shapes[boxes]![0]!, classes: shapes[scores]![1]! }
}

/** Boxes of each cell of UltraFace's maps, by their strides. */
const ULTRAFACE = [
  [8, 3],
  [16, 2],
  [32, 2],
  [64, 3],
] as const

export function ultraFace(about: About): Head | undefined {
  const table = boxesAndScores(about)
  const count = ULTRAFACE.reduce((sum, [stride, each]) => sum + each * cells(about.input, [stride]), 0)
  if (table?.classes !== 2 || (table.count !== count && !about.forced)) return undefined
  const boxes = about.outputs.findIndex((o) => o.shape.at(-1) === 4)
  // Boxes within the photo are no more than a little outside of 0..1.
  const coded = (largestValue(about.outputs[boxes]!) ?? 0) > 3
  const thresholds = { scoreThreshold: 0.7, iouThreshold: 0.3 }
  return { kind: 'ultraface', boxes, scores: 1 - boxes, ...(coded && { coded }), ...thresholds, range: 'signed' }
}

/** Whether class 0 is the background. */
const hasBackground = (about: About, classes: number): boolean =>
  about.labels === undefined ? classes === 91 || classes === 21 || classes === 2 : classes === about.labels + 1

export function ssd(about: About): Head | undefined {
  const table = boxesAndScores(about)
  const maps = ssdMaps(about.input)
  if (table?.count !== maps.reduce((n, [h, w], i) => n + h * w * (i === 0 ? 3 : 6), 0)) return undefined
  return {
    kind: 'ssd',
    maps,
    minScale: 0.2,
    maxScale: 0.95,
    aspectRatios: [1, 2, 0.5, 3, 0.3333],
    between: 'last',
    background: hasBackground(about, table.classes),
    ...TF_SSD,
    ...scoresOf(about),
  }
}

/** Scores that are probabilities already. */
const scoresOf = (about: About): { scores: 'identity' } | undefined =>
  about.outputs.some((o) => o.shape.at(-1) !== 4 && holdsProbabilities(o)) ? { scores: 'identity' } : undefined

export function pyramid(about: About, kind: 'ssd-fpn' | 'efficientdet'): Head | undefined {
  const table = boxesAndScores(about)
  const count = cells(about.input, [8, 16, 32, 64, 128])
  if (table?.count !== count * (kind === 'ssd-fpn' ? 6 : 9)) return undefined
  const common = { kind, levels: [3, 7] as const, aspectRatios: [1, 2, 0.5], ...TF_SSD, ...scoresOf(about) }
  return kind === 'ssd-fpn'
    ? { ...common, anchorScale: 4, scalesPerOctave: 2, background: hasBackground(about, table.classes) }
    : { ...common, anchorScale: about.input.width >= 512 ? 4 : 3, scalesPerOctave: 3, boxScales: [1, 1, 1, 1] }
}

export function ssdAnchors(about: About): Head | undefined {
  const common = { kind: 'ssd-anchors', ...SSD, range: 'signed' } as const
  const fours = about.shapes.flatMap((s, i) => (s.length === 2 && s[1] === 4 ? [i] : []))
  const n = about.shapes[fours[0] ?? -1]?.[0]
  const scores = about.shapes.findIndex((s, i) => s.length === 2 && s[0] === n && !fours.slice(0, 2).includes(i))
  if (about.shapes.length === 3 && fours.length >= 2 && scores >= 0) {
    // Anchors lie within the image, offsets around zero: the later output is the offsets' in ST's exports, named :1.
    const [first, second] = fours as [number, number]
    const named = fours.find((i) => /:1$/.test(about.outputs[i]!.name))
    const offsets = named ?? first
    return { ...common, scores, offsets, anchors: offsets === first ? second : first }
  }
  const [rows = 0, width = 0] = about.shapes[0] ?? []
  const single = about.shapes.length === 1 && about.shapes[0]!.length === 2 && width >= 10 && rows > width
  return single && !pyramidOf(about.input, rows) ? { ...common, scores: 0 } : undefined
}
