/**
 * What a detector's outputs mean: read from the model file's metadata (`extra.detection`), checked field by field.
 * Decoders in ssd.ts and yolo.ts turn outputs of these kinds into candidates.
 */
import { ThimbleError } from '../errors.ts'
import { elements, type Metadata } from '../graph.ts'
import type { TensorInfo } from '../types.ts'

interface Thresholds {
  /** Candidates of one class that overlap more than this are one object. */
  iouThreshold: number
  /** What counts as a detection when the caller does not say. */
  scoreThreshold: number
}

/** Outputs [1, n, 4] (ty, tx, th, tw relative to anchors) and [1, n, classes]. */
export interface SsdHead extends Thresholds {
  kind: 'ssd'
  /** Height and width of each feature map, in the order of the anchors. */
  maps: readonly (readonly [number, number])[]
  /** Anchor sizes of the first and last map, as shares of the image; in between evenly. */
  minScale: number
  maxScale: number
  /**
   * Anchor shapes, width over height. The first map has three anchors: 0.1 square, and the scale at the 2nd and 3rd
   * ratio.
   */
  aspectRatios: readonly number[]
  /** Divisors of ty, tx, th, tw. */
  boxScales: readonly [number, number, number, number]
  scores: 'sigmoid' | 'identity'
}

/** Outputs centres [1, n, n, 2a], sizes [1, n, n, 2a] and scores [1, n, n, a], all before sigmoid and exp. */
export interface YoloHead extends Thresholds {
  kind: 'yolo'
  /** Width and height of each anchor, in grid cells. */
  anchors: readonly (readonly [number, number])[]
}

/** TFLite_Detection_PostProcess has decoded and suppressed already; the numbers say which output is which. */
export interface PostprocessHead extends Thresholds {
  kind: 'postprocess'
  boxes: number
  classes: number
  scores: number
  count: number
}

export type Head = SsdHead | YoloHead | PostprocessHead

const MAX_MAPS = 16
const MAX_SIDE = 512

const bad = (field: string, expected: string, got: unknown): never => {
  throw new ThimbleError('format/metadata', `the model file's extra.detection.${field} is not usable`, {
    expected,
    got: JSON.stringify(got)?.slice(0, 80) ?? 'nothing',
  })
}
type Fields = Record<string, unknown>
const isObject = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v)

function real(from: Fields, field: string, min: number, max: number): number {
  const v = from[field]
  return typeof v === 'number' && v >= min && v <= max ? v : bad(field, `a number from ${min} to ${max}`, v)
}

function list(from: Fields, field: string, counts: readonly [number, number], min: number, max: number): number[] {
  const v = from[field]
  const fits =
    Array.isArray(v) &&
    v.length >= counts[0] &&
    v.length <= counts[1] &&
    v.every((e) => typeof e === 'number' && e >= min && e <= max)
  return fits ? (v as number[]) : bad(field, `${counts[0]} to ${counts[1]} numbers from ${min} to ${max}`, v)
}

function pairs(from: Fields, field: string, min: number, max: number, whole: boolean): [number, number][] {
  const v = from[field]
  const pair = (p: unknown): boolean =>
    Array.isArray(p) &&
    p.length === 2 &&
    p.every((e) => typeof e === 'number' && e >= min && e <= max && (!whole || Number.isInteger(e)))
  return Array.isArray(v) && v.length >= 1 && v.length <= MAX_MAPS && v.every(pair)
    ? (v as [number, number][])
    : bad(field, `1 to ${MAX_MAPS} pairs of numbers from ${min} to ${max}`, v)
}

/** The head that metadata describe; undefined when they describe none. Errors: `format/metadata`. */
export function headOf(metadata: Metadata, outputs: readonly TensorInfo[]): Head | undefined {
  const from = metadata.extra?.detection
  if (from === undefined) return undefined
  if (!isObject(from)) return bad('', 'an object', from)
  const thresholds = {
    iouThreshold: real(from, 'iouThreshold', 0, 1),
    scoreThreshold: real(from, 'scoreThreshold', 0, 1),
  }
  switch (from.kind) {
    case 'ssd': {
      const scores =
        from.scores === 'sigmoid' || from.scores === 'identity'
          ? from.scores
          : bad('scores', 'sigmoid or identity', from.scores)
      return {
        kind: 'ssd',
        maps: pairs(from, 'maps', 1, MAX_SIDE, true),
        minScale: real(from, 'minScale', 0, 1),
        maxScale: real(from, 'maxScale', 0, 1),
        aspectRatios: list(from, 'aspectRatios', [1, 8], 0.01, 100),
        boxScales: list(from, 'boxScales', [4, 4], 1e-3, 1e3) as [number, number, number, number],
        scores,
        ...thresholds,
      }
    }
    case 'yolo':
      return { kind: 'yolo', anchors: pairs(from, 'anchors', 1e-3, 1e3, false), ...thresholds }
    case 'postprocess': {
      const at = (field: string): number => {
        const i = real(from, field, 0, outputs.length - 1)
        return Number.isInteger(i) ? i : bad(field, 'an output', i)
      }
      return {
        kind: 'postprocess',
        boxes: at('boxes'),
        classes: at('classes'),
        scores: at('scores'),
        count: at('count'),
        ...thresholds,
      }
    }
    default:
      return bad('kind', 'ssd, yolo or postprocess', from.kind)
  }
}

/** The one output with this many elements in its last dimension and altogether. Errors: `format/shape`. */
export function outputOf(
  outputs: readonly TensorInfo[],
  last: number,
  total: number,
  what: string,
  after = -1,
): number {
  const index = outputs.findIndex((o, i) => i > after && o.shape.at(-1) === last && elements(o.shape) === total)
  if (index < 0) {
    throw new ThimbleError('format/shape', `no output holds the detector's ${what}`, {
      expected: `[..., ${last}] of ${total} values`,
      got: outputs.map((o) => `[${o.shape.join(', ')}]`).join(', '),
    })
  }
  return index
}
