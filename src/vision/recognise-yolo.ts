/** Recognizing heads of the YOLO family, and of detectors that answer with sets. */
import { elements } from '../graph/graph.ts'
import type { TensorInfo } from '../graph/types.ts'
import { type About, cells, coordinatesOf, only, prototypesOf, pyramidOf, PYRAMIDS, ULTRALYTICS, SSD } from './about.ts'
import type { Head } from './head.ts'
import type { YoloGridHead } from './heads/yolo-grid.ts'
import type { Extras } from './heads/yolo.ts'
import { behindOf } from './recognise-levels.ts'
import { holdsProbabilities, largestValue, smallestValue } from './values.ts'

const YOLO5 = { ...ULTRALYTICS, iouThreshold: 0.45 } as const

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
export function yolo8(about: About, kind: 'yolo8' | 'yolo8-pose' | 'yolo8-seg' | 'yolo8-obb'): Head | undefined {
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

export function yolo5(about: About): Head | undefined {
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

export function yolox(about: About): Head | undefined {
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

export function yoloNms(about: About): Head | undefined {
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

export function detr(about: About): Head | undefined {
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
export function yoloParts(about: About): Head | undefined {
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

export function yoloGrid(about: About): Head | undefined {
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
