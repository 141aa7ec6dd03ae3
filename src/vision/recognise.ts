/**
 * Which head a network has: by what its file says, else by the shapes and ranges of its outputs. Decodes nothing, so
 * that asking costs no decoder. No dependencies.
 */
import { ThimbleError } from '../errors.ts'
import { elements, type Metadata } from '../graph.ts'
import { inputGeometry } from '../image/geometry.ts'
import { checkValue, type Rule, text } from '../options.ts'
import type { TensorInfo } from '../types.ts'
import {
  type About,
  cells,
  coordinatesOf,
  isPlane,
  only,
  prototypesOf,
  pyramidOf,
  PYRAMIDS,
  ULTRALYTICS,
} from './about.ts'
import { describedHead } from './described.ts'
import type { Framing, Head, HeadKind } from './head.ts'
import type { BlazeHead } from './heads/blazeface.ts'
import type { Size } from './heads/head.ts'
import type { YoloGridHead } from './heads/yolo-grid.ts'
import type { Extras } from './heads/yolo.ts'
import { behindOf, levels, retinaFace, scrfd, simcc, yuNet } from './recognise-levels.ts'
import { holdsProbabilities, inner, largestValue, shapesOf, smallestValue } from './values.ts'

/** What is known of a network. */
export interface Network {
  inputs: readonly TensorInfo[]
  outputs: readonly TensorInfo[]
  metadata?: Metadata
}

const YOLO5 = { ...ULTRALYTICS, iouThreshold: 0.45 } as const
const SSD = { scoreThreshold: 0.5, iouThreshold: 0.5 } as const
const TF_SSD = { ...SSD, range: 'signed', boxScales: [10, 10, 5, 5], scores: 'sigmoid' } as const
const MEDIAPIPE = { scoreThreshold: 0.5, iouThreshold: 0.3, framing: 'mediapipe' } as const

/** Key points behind `rest` values, one of them a class score at least. */
function pointsBehind(about: About, rest: number): Extras | undefined {
  const said = about.metadata.extra?.keypoints
  if (Array.isArray(said) && said.length === 2) {
    const [points, pointValues] = said as [number, 2 | 3]
    return rest > points * pointValues ? { points, pointValues } : undefined
  }
  // A person with COCO's 17 points, unless the labels say that these are classes.
  return rest === 52 && about.labels !== 52 ? { points: 17, pointValues: 3 } : undefined
}

/** What Ultralytics' own word in the file is. */
const taskSaid = ({ metadata }: About): unknown => (metadata.extra?.ultralytics as { task?: unknown } | undefined)?.task

/** Whether the last of a table's values, `rest` of them behind the box, is an angle. */
function isTurned(about: About, output: TensorInfo, rest: number): boolean {
  const task = taskSaid(about)
  if (task !== undefined) return task === 'obb'
  if (about.labels !== undefined) return rest - 1 === about.labels
  // Neither shares nor probabilities reach that far below zero.
  const below = (smallestValue(output) ?? 0) < -0.15 && (largestValue(output) ?? Infinity) < 4
  return below || /\bobb\b|dota/i.test(`${about.metadata.name} ${about.metadata.description}`)
}

/** YOLOv8's table in either layout, with what is behind the classes. */
function yolo8(about: About, kind: 'yolo8' | 'yolo8-pose' | 'yolo8-seg' | 'yolo8-obb'): Head | undefined {
  const at = about.shapes.findIndex((s) => {
    if (s.length !== 2) return false
    const [a, b] = s as [number, number]
    if (pyramidOf(about.input, b) && a >= 5) return true
    if (!pyramidOf(about.input, a) || b < 5) return false
    // [cells, 85] is YOLOX or YOLOv6; [cells, 84] has no objectness.
    return (
      about.forced || taskSaid(about) === 'obb' || b - 4 === about.labels || (about.labels === undefined && b === 84)
    )
  })
  if (at < 0) return undefined
  const [a, b] = about.shapes[at] as [number, number]
  const columns = pyramidOf(about.input, b) !== undefined
  const values = columns ? a : b
  const masks = prototypesOf(about, at)
  const points = masks ? undefined : pointsBehind(about, values - 4)
  const turned = !masks && !points && values >= 6 && isTurned(about, about.outputs[at]!, values - 4)
  const is = masks ? 'yolo8-seg' : points ? 'yolo8-pose' : turned ? 'yolo8-obb' : 'yolo8'
  const any = about.forced && !masks && (kind === 'yolo8' || kind === 'yolo8-obb')
  if (kind !== is && !any) return undefined
  const extras: Extras = kind === 'yolo8-obb' ? { turned: true } : kind === is ? (masks ?? points ?? {}) : {}
  const behind = (extras.points ?? 0) * (extras.pointValues ?? 3) + (extras.masks ?? 0) + (extras.turned ? 1 : 0)
  if (values - 4 - behind < 1) return undefined
  return {
    kind,
    output: at,
    layout: columns ? 'columns' : 'rows',
    coordinates: coordinatesOf(about.outputs[at]!),
    classes: values - 4 - behind,
    ...extras,
    ...ULTRALYTICS,
  }
}

function yolo5(about: About): Head | undefined {
  const at = about.shapes.findIndex(
    (s) =>
      s.length === 2 &&
      s[1]! >= 5 &&
      (PYRAMIDS.some((strides) => 3 * cells(about.input, strides) === s[0]) ||
        (pyramidOf(about.input, s[0]!) !== undefined &&
          (about.forced || coordinatesOf(about.outputs[about.shapes.indexOf(s)]!) === 'pixels'))),
  )
  if (at < 0) return undefined
  const output = about.outputs[at]!
  const masks = prototypesOf(about, at)
  const percent = (output.dtype === 'int8' || output.dtype === 'uint8') && output.scale >= 0.1
  return {
    kind: 'yolo5',
    output: at,
    layout: 'rows',
    coordinates: coordinatesOf(output),
    classes: about.shapes[at]![1]! - 5 - (masks?.masks ?? 0),
    ...masks,
    ...YOLO5,
    ...(percent && { percent, framing: undefined }),
  } as Head
}

function yolox(about: About): Head | undefined {
  const at = about.shapes.findIndex(
    (s) => s.length === 2 && (pyramidOf(about.input, s[0]!) || pyramidOf(about.input, s[1]!)),
  )
  const [a = 0, b = 0] = about.shapes[at] ?? []
  const rows = pyramidOf(about.input, a) !== undefined
  const values = rows ? b : a
  if (at < 0 || values < 6 || (!rows && !about.forced)) return undefined
  return {
    kind: 'yolox',
    output: at,
    layout: rows ? 'rows' : 'columns',
    classes: values - 5,
    strides: pyramidOf(about.input, rows ? a : b)!,
    ...YOLO5,
    framing: 'corner',
    range: 'raw',
    bgr: true,
  }
}

function yoloNms(about: About): Head | undefined {
  const at = about.shapes.findIndex((s) => {
    const [n = 0, values = 0] = s
    return (
      s.length === 2 &&
      values >= 6 &&
      values <= 100 &&
      n >= 10 &&
      n <= 1000 &&
      n % 10 === 0 &&
      !pyramidOf(about.input, n)
    )
  })
  if (at < 0) return undefined
  const rest = about.shapes[at]![1]! - 6
  const masks = prototypesOf(about, at)
  const extras: Extras | undefined =
    rest === 0
      ? {}
      : masks?.masks === rest
        ? masks
        : rest === 1 && (about.forced || taskSaid(about) === 'obb' || about.labels !== 3)
          ? { turned: true }
          : rest === 51 || (about.forced && rest % 3 === 0)
            ? { points: rest / 3, pointValues: 3 }
            : undefined
  if (!extras) return undefined
  const form = extras.turned && ({ form: 'centre' } as const)
  const head = {
    kind: 'yolo-nms',
    output: at,
    coordinates: coordinatesOf(about.outputs[at]!),
    ...extras,
    ...form,
  } as const
  // Rows of the same kind but for their beginning, and photos stretched: only the file's own words tell.
  const detr = rest === 0 && /rt-?detr/i.test(`${about.metadata.name} ${about.metadata.description}`)
  const { framing: _framing, ...stretched } = ULTRALYTICS
  return detr ? { ...head, form: 'centre', coordinates: 'shares', ...stretched } : { ...head, ...ULTRALYTICS }
}

/** How many queries networks that give a set have. */
const isSet = (n: number): boolean => n >= 50 && n <= 1000 && n % 50 === 0

function detr(about: About): Head | undefined {
  const { shapes, outputs, labels, forced } = about
  const common = { kind: 'detr', scoreThreshold: 0.25, iouThreshold: 1 } as const
  const [shape] = shapes
  if (outputs.length === 1 && shape?.length === 2) {
    const [n, values] = shape as [number, number]
    const table = isSet(n) && values >= 5 && !pyramidOf(about.input, n)
    const said = forced || (labels === undefined ? values >= 24 : values - 4 === labels && values !== 6)
    const shares = (largestValue(outputs[0]!) ?? 1) < 4
    // What Ultralytics exports: probabilities, photos stretched.
    return table && said && (shares || forced)
      ? { ...common, boxes: 0, scores: 0, how: 'identity', range: 'unit' }
      : undefined
  }
  const boxes = shapes.findIndex((s) => s.length === 2 && s[1] === 4 && isSet(s[0]!))
  const n = shapes[boxes]?.[0]
  const scores = only(about, (s, i) => i !== boxes && s.length === 2 && s[0] === n && s[1] !== 4)
  if (boxes < 0 || scores === undefined || outputs.length !== 2 || pyramidOf(about.input, n!)) return undefined
  const classes = shapes[scores]![1]!
  const nothing = labels === undefined ? classes === 92 : classes === labels + 1
  return {
    ...common,
    boxes,
    scores,
    how: holdsProbabilities(outputs[scores]!) ? 'identity' : nothing ? 'softmax' : 'sigmoid',
    scoreThreshold: 0.5,
  }
}

/** Boxes and scores of a YOLO as outputs of their own; perhaps the best classes' numbers as well. */
function yoloParts(about: About): Head | undefined {
  const { shapes, outputs } = about
  const boxes = shapes.findIndex(
    (s) => s.length === 2 && s.includes(4) && pyramidOf(about.input, s[0] === 4 ? s[1]! : s[0]!),
  )
  if (boxes < 0) return undefined
  const rows = shapes[boxes]![1] === 4
  const count = shapes[boxes]![rows ? 0 : 1]!
  const extras = behindOf(about, { taken: [boxes], count, rows })
  const rest = outputs.flatMap((_, i) => ([boxes, extras.behind, extras.prototypes].includes(i) ? [] : [i]))
  if (rest.length < 1 || rest.length > 2) return undefined
  const coordinates = coordinatesOf(outputs[boxes]!)
  const common = { kind: 'yolo-parts', boxes, coordinates, ...extras, ...ULTRALYTICS } as const
  if (rest.length === 2) {
    if (rest.some((i) => elements(outputs[i]!.shape) !== count)) return undefined
    const isNumbers = (i: number): boolean =>
      /class|idx|label/i.test(outputs[i]!.name) ||
      /^u?int(32|64)$/.test(outputs[i]!.dtype) ||
      (/^u?int8$/.test(outputs[i]!.dtype) && !holdsProbabilities(outputs[i]!))
    const classes = rest.findLast(isNumbers) ?? rest[1]!
    const scores = rest.find((i) => i !== classes)!
    return { ...common, scores, classes, layout: rows ? 'rows' : 'columns', form: 'corners' }
  }
  const [scores] = rest as [number]
  const shape = shapes[scores]!
  const fits = shape.length === 1 ? shape[0] === count : shape.length === 2 && shape[rows ? 0 : 1] === count
  // Rows are corners (YOLO-NAS, Qualcomm's), columns Ultralytics' own centres and sizes.
  return fits ? { ...common, scores, layout: rows ? 'rows' : 'columns', form: rows ? 'corners' : 'centre' } : undefined
}

type Pair = readonly [number, number]
/** Anchors of the usual networks, in pixels of a 416 input; finest grid first. */
const COCO_9: readonly (readonly Pair[])[] = [
  [
    [10, 13],
    [16, 30],
    [33, 23],
  ],
  [
    [30, 61],
    [62, 45],
    [59, 119],
  ],
  [
    [116, 90],
    [156, 198],
    [373, 326],
  ],
]
const TINY_6: readonly (readonly Pair[])[] = [
  [
    [23, 27],
    [37, 58],
    [81, 82],
  ],
  [
    [81, 82],
    [135, 169],
    [344, 319],
  ],
]
/** STM32 model zoo's st_yolo_lc and tiny_yolo_v2, as shares of the input. */
const ST_5: readonly Pair[] = [
  [0.076023, 0.258508],
  [0.163031, 0.413531],
  [0.234769, 0.702585],
  [0.427054, 0.715892],
  [0.748154, 0.857092],
]

function yoloGrid(about: About): Head | undefined {
  const grids = about.shapes
    .map((shape, output) => ({ shape, output }))
    .filter(({ shape: [rows = 0, columns = 0, channels = 0] }) => {
      const stride = about.input.width / columns
      return (
        channels >= 15 &&
        Math.abs(stride - about.input.height / rows) < 1 &&
        [8, 16, 32].some((s) => Math.abs(stride - s) < 1)
      )
    })
    .sort((a, b) => b.shape[1]! - a.shape[1]!)
  const channels = grids[0]?.shape[2] ?? 0
  if (grids.length !== about.outputs.length || grids.some(({ shape }) => shape[2] !== channels)) return undefined
  const common = { kind: 'yolo-grid', ...SSD, range: 'unit' } as const
  const anchored = (anchors: readonly (readonly Pair[])[]): YoloGridHead['grids'] =>
    grids.map(({ output }, i) => ({ output, anchors: anchors[i]! }))
  if (
    grids.length === 1 &&
    channels % 5 === 0 &&
    channels >= 30 &&
    channels !== 85 &&
    !holdsProbabilities(about.outputs[0]!)
  ) {
    return { ...common, grids: anchored([ST_5]), unit: 'shares', version: 'v2' }
  }
  if (channels % 3 !== 0 || channels < 18) return undefined
  if (grids.length === 2) return { ...common, grids: anchored(TINY_6), unit: 'pixels', version: 'v3' }
  if (grids.length === 3) return { ...common, grids: anchored(COCO_9), unit: 'pixels', version: 'v3' }
  return undefined
}

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

function blaze(about: About, kind: BlazeHead['kind']): Head | undefined {
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

function postprocess(about: About): Head | undefined {
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

function ultraFace(about: About): Head | undefined {
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

function ssd(about: About): Head | undefined {
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

function pyramid(about: About, kind: 'ssd-fpn' | 'efficientdet'): Head | undefined {
  const table = boxesAndScores(about)
  const count = cells(about.input, [8, 16, 32, 64, 128])
  if (table?.count !== count * (kind === 'ssd-fpn' ? 6 : 9)) return undefined
  const common = { kind, levels: [3, 7] as const, aspectRatios: [1, 2, 0.5], ...TF_SSD, ...scoresOf(about) }
  return kind === 'ssd-fpn'
    ? { ...common, anchorScale: 4, scalesPerOctave: 2, background: hasBackground(about, table.classes) }
    : { ...common, anchorScale: about.input.width >= 512 ? 4 : 3, scalesPerOctave: 3, boxScales: [1, 1, 1, 1] }
}

function ssdAnchors(about: About): Head | undefined {
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

/** A single grid [rows, columns, channels] and how many pixels of the input a cell has. */
function grid(about: About): { rows: number; columns: number; channels: number; stride: number } | undefined {
  if (about.outputs.length !== 1 || about.outputs[0]!.shape.length !== 4) return undefined
  const [, rows, columns, channels] = about.outputs[0]!.shape as [number, number, number, number]
  return { rows, columns, channels, stride: about.input.width / columns }
}

function fomo(about: About): Head | undefined {
  const g = grid(about)
  if (!g || g.channels < 2 || g.rows * g.columns < 4) return undefined
  const output = about.outputs[0]!
  const coarse = g.stride >= 7.5 && g.stride <= 32
  const fits = coarse && (holdsProbabilities(output) || (output.dtype === 'float32' && g.channels <= 16))
  const said = about.labels === undefined || about.labels === g.channels - 1 || about.labels === g.channels
  return about.forced || (fits && said)
    ? { kind: 'fomo', output: 0, scoreThreshold: 0.5, iouThreshold: 1, range: 'unit', crop: true }
    : undefined
}

function fastestDet(about: About): Head | undefined {
  const g = grid(about)
  const fits = g && g.channels >= 6 && Math.abs(g.stride - 16) < 1 && !holdsProbabilities(about.outputs[0]!)
  return (about.forced && g) || (fits && about.outputs[0]!.scale > 0)
    ? { kind: 'fastestdet', output: 0, scoreThreshold: 0.6, iouThreshold: 0.45, range: 'unit', bgr: true }
    : undefined
}

function centerNet(about: About): Head | undefined {
  if (about.outputs.some((o) => o.shape.length !== 4)) return undefined
  const pairs = about.shapes.flatMap((s, i) => (s.at(-1) === 2 ? [i] : []))
  const heat = about.shapes.findIndex((_, i) => !pairs.slice(0, 2).includes(i))
  const [rows, columns] = about.outputs[heat]?.shape.slice(1) ?? []
  const same = about.outputs.every((o) => o.shape[1] === rows && o.shape[2] === columns)
  if (about.outputs.length < 2 || about.outputs.length > 3 || pairs.length === 0 || heat < 0 || !same) return undefined
  if (about.outputs.length !== 1 + Math.min(2, pairs.length) || about.input.width / columns! > 8.5) return undefined
  if (about.outputs.length === 2 && !about.forced) return undefined
  const [first, second] = pairs as [number, number?]
  // Offsets lie within 0..1, sizes do not: told by the range where it is known, else by order (sizes first).
  const swapped =
    second !== undefined &&
    (largestValue(about.outputs[first]!) ?? Infinity) < (largestValue(about.outputs[second]!) ?? 0)
  const [sizes, offsets] = swapped ? [second, first] : [first, second]
  return {
    kind: 'centernet',
    heat,
    sizes,
    ...(offsets !== undefined && { offsets }),
    ...(!holdsProbabilities(about.outputs[heat]!) &&
      largestValue(about.outputs[heat]!) !== undefined && { logits: true }),
    scoreThreshold: 0.3,
    iouThreshold: 1,
  }
}

/** The outputs that have these channels each, on a grid of one size; undefined where one is missing. */
function gridsOf(about: About, channels: readonly number[]): { at: number[]; stride: number } | undefined {
  const at = channels.map((n) => about.outputs.findIndex((o) => o.shape.length === 4 && o.shape[3] === n))
  const [first] = at.map((i) => about.outputs[i]?.shape.slice(1, 3).join())
  if (first === undefined || at.some((i) => about.outputs[i]?.shape.slice(1, 3).join() !== first)) return undefined
  return { at, stride: about.input.width / about.outputs[at[0]!]!.shape[2]! }
}

function dbFace(about: About): Head | undefined {
  const grids = gridsOf(about, [1, 4, 10])
  if (!grids || about.outputs.length !== 3 || (grids.stride !== 4 && !about.forced)) return undefined
  const [heat, sides, points] = grids.at as [number, number, number]
  return { kind: 'dbface', heat, sides, points, scoreThreshold: 0.4, iouThreshold: 0.5, range: 'unit', bgr: true }
}

/** Outputs in the order that converters number them in names: `PartitionedCall:2`. */
const numbered = (outputs: readonly TensorInfo[], at: readonly number[]): number[] => {
  const number = (i: number): number => Number(/:(\d+)$/.exec(outputs[i]!.name)?.[1] ?? i)
  return at.toSorted((a, b) => number(a) - number(b))
}

function centerFace(about: About): Head | undefined {
  const grids = gridsOf(about, [1, 10, 2])
  if (!grids || about.outputs.length !== 4 || (grids.stride !== 4 && !about.forced)) return undefined
  const [heat, points, pair] = grids.at as [number, number, number]
  const shape = about.outputs[pair]!.shape.join()
  const pairs = about.outputs.flatMap((o, i) => (o.shape.join() === shape ? [i] : []))
  if (pairs.length !== 2) return undefined
  const [sizes, offsets] = numbered(about.outputs, pairs) as [number, number]
  return {
    kind: 'centerface',
    heat,
    sizes,
    offsets,
    points,
    scoreThreshold: 0.35,
    iouThreshold: 0.3,
    range: 'raw',
  }
}

function objectron(about: About): Head | undefined {
  const grids = gridsOf(about, [1, 16])
  if (!grids || (grids.stride !== 16 && !about.forced)) return undefined
  const [heat, offsets] = grids.at as [number, number]
  return { kind: 'objectron', heat, offsets, scoreThreshold: 0.6, iouThreshold: 1, range: 'unit' }
}

/** How many key points people and faces usually have; numbers of classes that are as usual are left out. */
const HEAT_POINTS = [13, 14, 15, 16, 17, 18, 68, 98]

function heatmaps(about: About): Head | undefined {
  if (about.outputs.length !== 1 || about.outputs[0]!.shape.length !== 4) return undefined
  const output = about.outputs[0]!
  const [, a, b, c] = output.shape as [number, number, number, number]
  const layout = about.input.height / b === about.input.width / c && about.input.height > b ? 'first' : 'last'
  const [rows, columns, points] = layout === 'first' ? [b, c, a] : [a, b, c]
  const quarter = about.input.height === 4 * rows && about.input.width === 4 * columns
  const named = about.metadata.labels?.some((label) => /nose|wrist|knee|ankle/i.test(label))
  const fits = quarter && HEAT_POINTS.includes(points) && (about.labels === undefined || named === true)
  if (!fits && !about.forced) return undefined
  const logits = (smallestValue(output) ?? 0) < -1
  return {
    kind: 'heatmaps',
    output: 0,
    layout,
    ...(logits && { logits }),
    scoreThreshold: 0.2,
    iouThreshold: 1,
  }
}

function moveNet(about: About): Head | undefined {
  const at = only(about, (s) => s.length === 2 && s[0] === 17 && s[1] === 3)
  return at === undefined || about.outputs.length > 1
    ? undefined
    : { kind: 'movenet', output: at, scoreThreshold: 0.2, iouThreshold: 1, framing: 'square', range: 'raw' }
}

function moveNetMulti(about: About): Head | undefined {
  const at = only(about, (s) => s.length === 2 && s[1] === 56 && s[0]! <= 20)
  return at === undefined
    ? undefined
    : { kind: 'movenet-multi', output: at, scoreThreshold: 0.2, iouThreshold: 1, framing: 'square', range: 'raw' }
}

function poseNet(about: About): Head | undefined {
  const byChannels = (n: number): number[] =>
    about.outputs.flatMap((o, i) => (o.shape.length === 4 && o.shape[3] === n ? [i] : []))
  const [heat] = byChannels(17)
  const [offsets] = byChannels(34)
  const displacements = byChannels(32)
  if (heat === undefined || offsets === undefined) return undefined
  const named = displacements.find((i) => /bwd|back/i.test(about.outputs[i]!.name))
  const backwards = named ?? displacements[1]
  const forwards = displacements.find((i) => i !== backwards)
  return {
    kind: 'posenet',
    heat,
    offsets,
    ...(displacements.length === 2 && { forwards: forwards!, backwards: backwards! }),
    ...(!holdsProbabilities(about.outputs[heat]!) && { logits: true }),
    people: 5,
    scoreThreshold: 0.5,
    iouThreshold: 1,
    range: 'signed',
  }
}

const LANDMARKS: readonly { count: number; values: 2 | 3 | 5; range: 'unit' | 'signed' }[] = [
  { count: 63, values: 3, range: 'unit' },
  { count: 1404, values: 3, range: 'unit' },
  { count: 1434, values: 3, range: 'unit' },
  { count: 195, values: 5, range: 'unit' },
  { count: 165, values: 5, range: 'unit' },
  { count: 136, values: 2, range: 'unit' },
  { count: 196, values: 2, range: 'unit' },
  { count: 212, values: 2, range: 'unit' },
  { count: 213, values: 3, range: 'unit' },
  { count: 10, values: 2, range: 'unit' },
]

function landmarks(about: About): Head | undefined {
  const sizes = about.outputs.map((o) => elements(o.shape))
  const entry = LANDMARKS.find(
    (l) =>
      sizes.includes(l.count) &&
      about.labels !== l.count &&
      (l.count > 100 || about.outputs.length > 1 || about.forced),
  )
  const flat = entry && about.shapes[sizes.indexOf(entry.count)]!.length === 1
  if (!entry || !flat) return undefined
  const output = sizes.indexOf(entry.count)
  const presence = sizes.findIndex((n, i) => n === 1 && i !== output)
  const heat = about.outputs.findIndex((o) => o.shape.length === 4 && o.shape[3]! * entry.values === entry.count)
  const shares = entry.values === 2 || (largestValue(about.outputs[output]!) ?? Infinity) < 4
  // InsightFace's 106 points lie in -1..1.
  const signed = entry.count === 212 && (smallestValue(about.outputs[output]!) ?? -1) < -0.5
  return {
    kind: 'landmarks',
    output,
    values: entry.values,
    coordinates: signed ? 'signed' : shares ? 'shares' : 'pixels',
    ...(entry.count === 195 && { look: [33, 34] as const }),
    ...(entry.values === 5 && heat >= 0 && { heat }),
    ...(presence >= 0 && {
      presence,
      // Hands' and poses' flags are probabilities, faces' a logit.
      presenceIs:
        holdsProbabilities(about.outputs[presence]!) || entry.count === 63 || entry.values === 5
          ? 'probability'
          : 'logit',
    }),
    scoreThreshold: 0.5,
    iouThreshold: 1,
    framing: entry.values === 2 ? 'square' : 'mediapipe',
    range: entry.range,
  }
}

function segmentation(about: About): Head | undefined {
  const common = { kind: 'segmentation', scoreThreshold: 0.5, iouThreshold: 1 } as const
  const planes = about.outputs.filter((o) => isPlane(o.shape, about.input))
  if (planes.length !== about.outputs.length || planes.length === 0) return undefined
  const [first] = planes as [TensorInfo]
  const all = planes.map((_, i) => i)
  if (planes.length > 1) {
    const pairs = planes.every((o) => o.shape.join() === first.shape.join() && o.shape.length === 4 && o.shape[3] === 2)
    return pairs ? { ...common, outputs: all, form: 'last' } : undefined
  }
  const [, a, b, c] = first.shape as [number, number, number, number?]
  const whole = /^u?int(16|32|64)$/.test(first.dtype)
  if (first.shape.length < 4) return { ...common, outputs: all, form: whole || about.forced ? 'indices' : 'mask' }
  if (first.shape.length !== 4) return undefined
  if (c === 1 || a === 1) {
    if (whole) return { ...common, outputs: all, form: 'indices' }
    const indices = (first.dtype === 'uint8' || first.dtype === 'int8') && first.scale === 1
    if (indices || first.dtype === 'bool') return { ...common, outputs: all, form: 'indices' }
    if (holdsProbabilities(first)) return { ...common, outputs: all, form: 'mask' }
    return about.forced || about.metadata.task === 'segmentation'
      ? { ...common, outputs: all, form: 'mask', logits: largestValue(first) !== undefined }
      : undefined
  }
  return { ...common, outputs: all, form: isPlane([1, a, b], about.input) ? 'last' : 'first' }
}

/** How many times larger than the input a picture of 1 or 3 channels is; undefined where the output is none. */
function enlargement({ input, outputs }: About): number | undefined {
  const [, height = 0, width = 0, channels = 0] = outputs[0]!.shape
  const times = height / input.height
  const whole = Number.isInteger(times) && times >= 1 && times <= 8 && width === times * input.width
  return outputs.length === 1 && outputs[0]!.shape.length === 4 && whole && (channels === 3 || channels === 1)
    ? times
    : undefined
}

function picture(about: About): Head | undefined {
  const output = about.outputs[0]!
  const times = enlargement(about)
  if (times === undefined) return undefined
  const [least, most] = [smallestValue(output), largestValue(output)]
  const known = least !== undefined && most !== undefined
  const values = !known ? 'auto' : most > 2 ? 'raw' : least < -0.25 ? 'signed' : 'unit'
  // As large as the input are also three classes' scores: softmax or logits, as the range or the name tells.
  const painted =
    output.shape[3] === 3 &&
    about.labels !== 3 &&
    (/tanh|sigmoid|generator|style/i.test(output.name) ||
      (known && Math.abs(most - 1) < 0.1 && Math.abs(least + 1) < 0.1) ||
      (known && least >= 0 && most > 100))
  return about.forced || times > 1 || painted
    ? { kind: 'picture', output: 0, values, scoreThreshold: 0, iouThreshold: 1 }
    : undefined
}

function map(about: About): Head | undefined {
  const at = only(about, (s) => s.filter((d) => d !== 1).length === 2)
  const plane = about.outputs.length === 1 && at === 0 && isPlane(about.outputs[0]!.shape, about.input)
  return plane || (about.forced && at === 0)
    ? { kind: 'map', output: 0, scoreThreshold: 0, iouThreshold: 1 }
    : undefined
}

/** Every kind, the surer signs first. */
const KINDS: readonly (readonly [kind: HeadKind, read: (about: About) => Head | undefined])[] = [
  ['movenet', moveNet],
  ['movenet-multi', moveNetMulti],
  ['posenet', poseNet],
  ['dbface', dbFace],
  ['centerface', centerFace],
  ['objectron', objectron],
  ['scrfd', scrfd],
  ['yunet', yuNet],
  ['retinaface', retinaFace],
  ['simcc', simcc],
  ['yolo-levels', (about) => levels(about, 'yolo-levels')],
  ['nanodet', (about) => levels(about, 'nanodet')],
  ['picodet', (about) => levels(about, 'picodet')],
  ['rtmdet', (about) => levels(about, 'rtmdet')],
  ['blazeface', (about) => blaze(about, 'blazeface')],
  ['palm', (about) => blaze(about, 'palm')],
  ['blazepose', (about) => blaze(about, 'blazepose')],
  ['yolo-parts', yoloParts],
  ['postprocess', postprocess],
  ['yolo8-seg', (about) => yolo8(about, 'yolo8-seg')],
  ['yolo8-pose', (about) => yolo8(about, 'yolo8-pose')],
  ['yolo8-obb', (about) => yolo8(about, 'yolo8-obb')],
  ['yolo8', (about) => yolo8(about, 'yolo8')],
  ['yolo5', yolo5],
  ['yolox', yolox],
  ['yolo-nms', yoloNms],
  ['ultraface', ultraFace],
  ['ssd', ssd],
  ['ssd-fpn', (about) => pyramid(about, 'ssd-fpn')],
  ['efficientdet', (about) => pyramid(about, 'efficientdet')],
  ['detr', detr],
  ['ssd-anchors', ssdAnchors],
  ['yolo-grid', yoloGrid],
  ['fomo', fomo],
  ['centernet', centerNet],
  ['fastestdet', fastestDet],
  ['landmarks', landmarks],
  ['heatmaps', heatmaps],
  ['picture', picture],
  ['segmentation', segmentation],
  ['map', map],
]
/**
 * Names that `--head` takes.
 *
 * @example
 * import { headKinds } from 'thimble/vision'
 * console.log(headKinds.includes('yolo8')) // true
 */
export const headKinds: readonly HeadKind[] = KINDS.map(([kind]) => kind)

function about({ inputs, outputs, metadata = {} }: Network, forced: boolean): About | undefined {
  if (inputs.length !== 1 || outputs.length === 0) return undefined
  try {
    const { width, height } = inputGeometry(inputs[0]!)
    const shapes = outputs.map((o) => inner(o.shape))
    return { input: { width, height }, outputs, shapes, labels: metadata.labels?.length, metadata, forced }
  } catch {
    return undefined
  }
}

const NETWORK: Rule = {
  expected: 'a loaded model',
  accepts: (v) => [(v as Network | null)?.inputs, (v as Network | null)?.outputs].every(Array.isArray),
}

/**
 * The head of a network; undefined where nothing fits, a classifier's [1, classes] among them. `kind` asks for one
 * kind.
 * Errors: `format/metadata` for a description that is not one; `usage/head` for a kind that the outputs can't be;
 * `usage/option`.
 *
 * @example
 * import { loadModel } from 'thimble'
 * import { headOf } from 'thimble/vision'
 * using model = await loadModel('faces.thimble')
 * console.log(headOf(model)?.kind)
 */
export function headOf(network: Network, kind?: HeadKind): Head | undefined {
  checkValue('headOf: network', network, NETWORK)
  if (kind !== undefined) checkValue('headOf: kind', kind, text)
  const described = describedHead(network.metadata ?? {}, network.outputs.length)
  if (described && (kind === undefined || kind === described.kind)) return described
  const known = about(network, kind !== undefined)
  if (kind === undefined) {
    if (!known) return undefined
    for (const [, read] of KINDS) {
      const head = read(known)
      if (head) return head
    }
    return undefined
  }
  const head = known && KINDS.find(([name]) => name === kind)?.[1](known)
  if (head) return head
  throw new ThimbleError('usage/head', `the outputs can't be those of a ${kind} head`, {
    expected: headKinds.includes(kind) ? `a network of that kind` : headKinds.join(', '),
    got: shapesOf(network.outputs),
  })
}

/** The framing part of a head. */
export const framingOf = ({ framing, range, bgr, crop }: Head): Framing => ({
  ...(framing && { framing }),
  ...(range && { range }),
  ...(bgr && { bgr }),
  ...(crop && { crop }),
})
