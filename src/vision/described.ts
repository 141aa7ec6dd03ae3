/**
 * Heads that a model file describes (`extra.head`, or `extra.detection` as Thimble's first detectors have it), checked
 * field by field.
 */
import { ThimbleError } from '../base/errors.ts'
import type { Metadata } from '../graph/graph.ts'
import { shown } from '../options/options.ts'
import type { Head, HeadKind } from './head.ts'

type Fields = Record<string, unknown>
type Check = (value: unknown) => boolean
interface Field {
  check: Check
  expected: string
  optional?: boolean
}

const MAX_MAPS = 16
const MAX_SIDE = 512

const bad = (field: string, expected: string, got: unknown): never => {
  throw new ThimbleError(
    'format/metadata',
    `the model file's description of its head: ${field || 'it'} is not usable`,
    { expected, got: shown(got) },
  )
}
const isObject = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v)

const isReal =
  (min: number, max: number): Check =>
  (v) =>
    typeof v === 'number' && v >= min && v <= max
const real = (min: number, max: number): Field => ({
  check: isReal(min, max),
  expected: `a number from ${min} to ${max}`,
})
const whole = (min: number, max: number): Field => ({
  check: (v) => isReal(min, max)(v) && Number.isInteger(v),
  expected: `a whole number from ${min} to ${max}`,
})
const word = (...words: string[]): Field => ({ check: (v) => words.includes(v as string), expected: words.join(', ') })
const flag: Field = { check: (v) => typeof v === 'boolean', expected: 'true or false' }
const optional = (field: Field): Field => ({ ...field, optional: true })
const list = ([least, most]: readonly [number, number], of: Field): Field => ({
  check: (v) => Array.isArray(v) && v.length >= least && v.length <= most && v.every(of.check),
  expected: `${least} to ${most} of: ${of.expected}`,
})
const pairs = (min: number, max: number, field = real): Field => list([1, MAX_MAPS], list([2, 2], field(min, max)))

const coded = {
  boxScales: list([4, 4], real(1e-3, 1e3)),
  scores: word('sigmoid', 'softmax', 'identity'),
  background: optional(flag),
}
const ratios = list([1, 8], real(0.01, 100))
const anchors = pairs(1e-6, 1e4)

type FieldsByName = Record<string, Field>
type ByKind<K extends HeadKind = HeadKind> = Record<K, FieldsByName>

const coordinates = word('shares', 'pixels', 'auto')
const layout = word('rows', 'columns')

type Ssd = 'postprocess' | 'ssd' | 'ssd-fpn' | 'efficientdet' | 'ssd-anchors'
function ssdFields(out: Field): ByKind<Ssd> {
  const pyramid = {
    levels: list([2, 2], whole(0, 10)),
    anchorScale: real(0.1, 100),
    scalesPerOctave: whole(1, 8),
    aspectRatios: ratios,
    ...coded,
  }
  return {
    postprocess: { boxes: out, classes: out, scores: out, count: optional(out) },
    ssd: {
      maps: pairs(1, MAX_SIDE, whole),
      minScale: real(0, 1),
      maxScale: real(0, 1),
      aspectRatios: ratios,
      between: optional(word('square', 'last')),
      ...coded,
    },
    'ssd-fpn': pyramid,
    efficientdet: pyramid,
    'ssd-anchors': { scores: out, offsets: optional(out), anchors: optional(out) },
  }
}

/** A list of levels: the stride of each, and which outputs are what. */
const levelList = (names: readonly string[], of: Field, maybe: readonly string[] = []): Field =>
  list([1, 8], {
    check: (v) =>
      isObject(v) &&
      whole(1, 1024).check(v.stride) &&
      names.every((name) => of.check(v[name])) &&
      maybe.every((name) => v[name] === undefined || of.check(v[name])),
    expected: `{ stride, ${names.join(', ')} }`,
  })

type Table = 'yolo5' | 'yolo8' | 'yolo8-pose' | 'yolo8-seg' | 'yolo8-obb'
type Levels = 'yolo-levels' | 'nanodet' | 'picodet' | 'rtmdet' | 'scrfd'
type Yolo = Table | Levels | 'yolo-nms' | 'yolox' | 'yolo-grid' | 'yolo' | 'yolo-parts'
function yoloFields(out: Field): ByKind<Yolo> {
  const extras = {
    points: optional(whole(1, 1000)),
    pointValues: optional(whole(2, 3)),
    masks: optional(whole(1, 256)),
    prototypes: optional(out),
    turned: optional(flag),
  }
  const rows = { output: out, layout, coordinates, classes: whole(0, 10_000), percent: optional(flag), ...extras }
  const part: Field = {
    check: (v) =>
      isObject(v) && out.check(v.output) && [v.column, v.row].every((n) => n === undefined || whole(0, 1e6).check(n)),
    expected: '{ output, column, row }',
  }
  const levels = {
    levels: levelList(['boxes', 'scores'], part, ['points', 'coefficients']),
    classes: whole(1, 10_000),
    anchors: whole(1, 16),
    bins: whole(1, 64),
    unit: word('strides', 'pixels'),
    centre: word('corner', 'middle'),
    logits: flag,
    layout,
    points: optional(whole(1, 1000)),
    masks: extras.masks,
    prototypes: extras.prototypes,
  }
  return {
    'yolo-levels': levels,
    nanodet: levels,
    picodet: levels,
    rtmdet: levels,
    scrfd: levels,
    yolo5: rows,
    yolo8: rows,
    'yolo8-pose': rows,
    'yolo8-seg': rows,
    'yolo8-obb': rows,
    'yolo-nms': { output: out, coordinates, form: optional(word('centre', 'corners')), ...extras },
    yolox: { output: out, layout, classes: whole(1, 10_000), strides: list([1, 8], whole(1, 1024)) },
    'yolo-grid': {
      grids: list([1, 8], {
        check: (v) => isObject(v) && out.check(v.output) && anchors.check(v.anchors),
        expected: '{ output, anchors }',
      }),
      unit: word('cells', 'pixels', 'shares'),
      version: word('v2', 'v3', 'v5'),
      activated: optional(flag),
    },
    yolo: { anchors },
    'yolo-parts': {
      boxes: out,
      scores: out,
      classes: optional(out),
      behind: optional(out),
      ...extras,
      layout,
      form: word('centre', 'corners'),
      coordinates,
    },
  }
}

type Blaze = 'blazeface' | 'palm' | 'blazepose'
type Boxes =
  | Blaze
  | 'retinaface'
  | 'yunet'
  | 'fomo'
  | 'centernet'
  | 'centerface'
  | 'detr'
  | 'fastestdet'
  | 'dbface'
  | 'ultraface'
  | 'objectron'
function boxFields(out: Field): ByKind<Boxes> {
  const blaze = { maps: pairs(1, MAX_SIDE, whole), points: whole(0, 100), activated: optional(flag) }
  return {
    blazeface: blaze,
    palm: blaze,
    blazepose: blaze,
    fomo: { output: out, scores: optional(word('identity', 'softmax')) },
    centernet: { heat: out, sizes: out, offsets: optional(out), logits: optional(flag) },
    centerface: { heat: out, sizes: out, offsets: out, points: out },
    detr: { boxes: out, scores: out, how: word('identity', 'sigmoid', 'softmax') },
    fastestdet: { output: out },
    ultraface: { boxes: out, scores: out, coded: optional(flag) },
    retinaface: { boxes: out, scores: out, points: out, logits: optional(flag) },
    yunet: { levels: levelList(['classes', 'objects', 'boxes', 'points'], out) },
    dbface: { heat: out, sides: out, points: out },
    objectron: { heat: out, offsets: out },
  }
}

type Points = 'simcc' | 'movenet' | 'movenet-multi' | 'posenet' | 'landmarks' | 'heatmaps'
function pointFields(out: Field): ByKind<Points> {
  return {
    simcc: { across: out, down: out },
    movenet: { output: out },
    'movenet-multi': { output: out },
    posenet: {
      heat: out,
      offsets: out,
      forwards: optional(out),
      backwards: optional(out),
      logits: optional(flag),
      people: whole(1, 100),
    },
    landmarks: {
      output: out,
      values: whole(2, 5),
      coordinates: word('pixels', 'shares', 'signed'),
      presence: optional(out),
      presenceIs: optional(word('logit', 'probability')),
      look: optional(list([2, 2], whole(0, 1000))),
      heat: optional(out),
    },
    heatmaps: { output: out, layout: word('last', 'first'), logits: optional(flag) },
  }
}

function pictureFields(out: Field): ByKind<'segmentation' | 'map' | 'picture'> {
  return {
    segmentation: {
      outputs: list([1, 16], out),
      form: word('indices', 'last', 'first', 'mask'),
      logits: optional(flag),
    },
    map: { output: out },
    picture: { output: out, values: word('raw', 'unit', 'signed', 'auto') },
  }
}

/** Fields of each kind; `out` is the number of an output. */
const kinds = (out: Field): ByKind => ({
  ...ssdFields(out),
  ...yoloFields(out),
  ...boxFields(out),
  ...pointFields(out),
  ...pictureFields(out),
})

const COMMON: Record<string, Field> = {
  scoreThreshold: real(0, 1),
  iouThreshold: real(0, 1),
  framing: optional(word('letterbox', 'corner', 'square', 'mediapipe')),
  range: optional(word('raw', 'unit', 'signed', 'imagenet', 'caffe')),
  bgr: optional(flag),
  crop: optional(flag),
}

/** A head from JSON, with its known fields alone; `outputs` is how many the network has. Errors: `format/metadata`. */
export function readHead(from: unknown, outputs: number): Head {
  if (!isObject(from)) return bad('', 'an object', from)
  const fields = kinds(whole(0, Math.max(0, outputs - 1)))[from.kind as HeadKind]
  if (!Object.hasOwn(from, 'kind') || fields === undefined) return bad('kind', 'a kind of head', from.kind)
  const head: Fields = { kind: from.kind }
  for (const [name, { check, expected, optional }] of Object.entries({ ...fields, ...COMMON })) {
    const value = from[name]
    if (value === undefined && optional) continue
    if (!check(value)) return bad(name, expected, value)
    head[name] = value
  }
  return head as unknown as Head
}

/** The head that metadata describe; undefined when they describe none. Errors: `format/metadata`. */
export function describedHead({ extra }: Metadata, outputs: number): Head | undefined {
  const from = extra?.head ?? extra?.detection
  return from === undefined ? undefined : readHead(from, outputs)
}
