/** Recognizing grids and points: FOMO, CenterNet, heat maps, poses, landmarks. */
import { elements } from '../graph/graph.ts'
import type { TensorInfo } from '../graph/types.ts'
import { type About, only } from './about.ts'
import type { Head } from './head.ts'
import { holdsProbabilities, largestValue, smallestValue } from './values.ts'

/** A single grid [rows, columns, channels] and how many pixels of the input a cell has. */
function grid(about: About): { rows: number; columns: number; channels: number; stride: number } | undefined {
  if (about.outputs.length !== 1 || about.outputs[0]!.shape.length !== 4) return undefined
  const [, rows, columns, channels] = about.outputs[0]!.shape as [number, number, number, number]
  return { rows, columns, channels, stride: about.input.width / columns }
}

export function fomo(about: About): Head | undefined {
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

export function fastestDet(about: About): Head | undefined {
  const g = grid(about)
  const fits = g && g.channels >= 6 && Math.abs(g.stride - 16) < 1 && !holdsProbabilities(about.outputs[0]!)
  return (about.forced && g) || (fits && about.outputs[0]!.scale > 0)
    ? { kind: 'fastestdet', output: 0, scoreThreshold: 0.6, iouThreshold: 0.45, range: 'unit', bgr: true }
    : undefined
}

export function centerNet(about: About): Head | undefined {
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

export function dbFace(about: About): Head | undefined {
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

export function centerFace(about: About): Head | undefined {
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

export function objectron(about: About): Head | undefined {
  const grids = gridsOf(about, [1, 16])
  if (!grids || (grids.stride !== 16 && !about.forced)) return undefined
  const [heat, offsets] = grids.at as [number, number]
  return { kind: 'objectron', heat, offsets, scoreThreshold: 0.6, iouThreshold: 1, range: 'unit' }
}

/** How many key points people and faces usually have; numbers of classes that are as usual are left out. */
const HEAT_POINTS = [13, 14, 15, 16, 17, 18, 68, 98]

export function heatmaps(about: About): Head | undefined {
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

export function moveNet(about: About): Head | undefined {
  const at = only(about, (s) => s.length === 2 && s[0] === 17 && s[1] === 3)
  return at === undefined || about.outputs.length > 1
    ? undefined
    : { kind: 'movenet', output: at, scoreThreshold: 0.2, iouThreshold: 1, framing: 'square', range: 'raw' }
}

export function moveNetMulti(about: About): Head | undefined {
  const at = only(about, (s) => s.length === 2 && s[1] === 56 && s[0]! <= 20)
  return at === undefined
    ? undefined
    : { kind: 'movenet-multi', output: at, scoreThreshold: 0.2, iouThreshold: 1, framing: 'square', range: 'raw' }
}

export function poseNet(about: About): Head | undefined {
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

export function landmarks(about: About): Head | undefined {
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
