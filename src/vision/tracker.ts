/**
 * The same things from frame to frame: ids that stay. No dependencies.
 * Source: ByteTrack (arXiv 2110.06864): sure detections are matched first, then unsure ones with the tracks that are
 * left; a track that nothing matches is kept for a while. Predictions are Kalman filters of constant velocity, one for
 * each of centre x, centre y, width and height, with SORT's noise in proportion to the box's height.
 */
import { ThimbleError } from '../base/errors.ts'
import { checkOptions, kindOf, real, type Rules, whole } from '../options/options.ts'
import type { Box } from './boxes.ts'
import { assign } from './assign.ts'

/** What can be tracked. */
export interface Trackable {
  box?: Box
  score: number
  /** Only things of one class are matched. Default 0. */
  index?: number
}

/** When a track begins, ends, and what belongs to it. */
export interface TrackerOptions {
  /** Detections from here on are sure: they are matched first. Default 0.5. */
  sure?: number
  /** Detections below this are ignored. Default 0.1. */
  least?: number
  /** What starts a new track must score this. Default: `sure` + 0.1. */
  start?: number
  /**
   * Least overlap (intersection over union) of a prediction and a sure detection. Default 0.2; unsure ones need 0.5.
   */
  overlap?: number
  /** Frames that a track outlives without a match. Default 30. */
  patience?: number
}

/** A thing with its track. */
export type Tracked<T extends Trackable> = T & {
  /** Stays with the thing; numbers are not used again. */
  id: number
  /** Frames since the track began, this one included. */
  age: number
}

/** Gives things of consecutive frames a number that stays. */
export interface Tracker {
  /** The tracked things of the next frame, in the order in which they were given. */
  update<T extends Trackable>(found: readonly T[]): Tracked<T>[]
  /** Forgets all tracks; ids go on. */
  reset(): void
}

/** Noise of positions and velocities, as shares of the box's height. Source: ByteTrack, kalman_filter.py. */
const POSITION = 1 / 20
const VELOCITY = 1 / 160

/** A Kalman filter of one number that moves evenly. */
class Filter {
  value: number
  private speed = 0
  /** Covariance of value and speed. */
  private vv: number
  private vs = 0
  private ss: number

  constructor(value: number, height: number) {
    this.value = value
    this.vv = (2 * POSITION * height) ** 2
    this.ss = (10 * VELOCITY * height) ** 2
  }

  predict(height: number): void {
    this.value += this.speed
    this.vv += 2 * this.vs + this.ss + (POSITION * height) ** 2
    this.vs += this.ss
    this.ss += (VELOCITY * height) ** 2
  }

  correct(measured: number, height: number): void {
    const gain = 1 / (this.vv + (POSITION * height) ** 2)
    const [k, l] = [this.vv * gain, this.vs * gain]
    const error = measured - this.value
    this.value += k * error
    this.speed += l * error
    this.ss -= l * this.vs
    this.vs *= 1 - k
    this.vv *= 1 - k
  }
}

class Track {
  readonly id: number
  readonly index: number
  /** Seen again after its first frame, or begun in the very first one. */
  confirmed: boolean
  age = 1
  /** Frames since the last match. */
  missed = 0
  private readonly filters: readonly [x: Filter, y: Filter, width: Filter, height: Filter]

  constructor(id: number, index: number, box: Box, confirmed: boolean) {
    this.id = id
    this.index = index
    this.confirmed = confirmed
    const [x, y, w, h] = measured(box).map((v) => new Filter(v, box.height)) as [Filter, Filter, Filter, Filter]
    this.filters = [x, y, w, h]
  }

  get box(): Box {
    const [x, y, w, h] = this.filters.map((f) => f.value) as [number, number, number, number]
    return { x: x - w / 2, y: y - h / 2, width: w, height: h }
  }

  predict(): void {
    this.age++
    this.missed++
    const height = Math.max(1, this.filters[3].value)
    for (const f of this.filters) f.predict(height)
  }

  match(box: Box): void {
    this.missed = 0
    this.confirmed = true
    const height = Math.max(1, this.filters[3].value)
    measured(box).forEach((v, i) => this.filters[i]!.correct(v, height))
  }
}

const measured = ({ x, y, width, height }: Box): [number, number, number, number] => [
  x + width / 2,
  y + height / 2,
  width,
  height,
]

/** Shared area over joint area. */
function overlapOf(a: Box, b: Box): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x)
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y)
  if (!(width > 0 && height > 0)) return 0
  return (width * height) / (a.width * a.height + b.width * b.height - width * height)
}

interface Item {
  at: number
  box: Box
  score: number
  index: number
}

/** Pairs of tracks and detections of one class that overlap enough, with the most overlap altogether. */
function pairs(tracks: readonly Track[], items: readonly Item[], least: number): [Track, Item][] {
  const costs = tracks.map((t) =>
    items.map((i) => {
      const overlap = t.index === i.index ? overlapOf(t.box, i.box) : 0
      return overlap >= least ? 1 - overlap : Infinity
    }),
  )
  return assign(costs).map(([t, i]) => [tracks[t]!, items[i]!])
}

const SHARE = real(0, 1)
const TRACKER: Rules<TrackerOptions> = { sure: SHARE, least: SHARE, start: SHARE, overlap: SHARE, patience: whole(0) }

/** Unsure detections must lie closer to a track. */
const UNSURE_OVERLAP = 0.5

/** Errors: `usage/option` for what is no list of things, or has a box or score that is no number. */
function checkFound(found: readonly Trackable[]): void {
  const wrong = Array.isArray(found)
    ? found.findIndex((thing: Partial<Trackable> | null) => {
        if (typeof thing !== 'object' || thing === null) return true
        const { box, score } = thing
        if (!box) return false
        return ![box.x, box.y, box.width, box.height, score].every((v) => Number.isFinite(v))
      })
    : undefined
  if (wrong === -1) return
  throw new ThimbleError('usage/option', 'update: what is tracked must be found things', {
    expected: 'a list of { box: { x, y, width, height }, score, index? }',
    got: wrong === undefined ? kindOf(found) : `something else at ${wrong}`,
  })
}

/**
 * Makes a tracker; give it each frame's detections in turn, those with low scores too. Errors: `usage/option`.
 *
 * @example
 * import { createTracker } from 'thimble/vision'
 * const tracker = createTracker()
 * for (const x of [10, 12, 14]) {
 *   const tracked = tracker.update([{ box: { x, y: 20, width: 50, height: 50 }, score: 0.9 }])
 *   console.log(tracked.map((t) => t.id))
 * }
 */
export function createTracker(options: TrackerOptions = {}): Tracker {
  checkOptions('createTracker', options, TRACKER)
  const { sure = 0.5, overlap = 0.2, patience = 30 } = options
  const { least = Math.min(0.1, sure), start = Math.min(1, sure + 0.1) } = options
  let tracks: Track[] = []
  let next = 1
  let frames = 0
  return {
    reset() {
      tracks = []
      frames = 0
    },
    update(found) {
      checkFound(found)
      frames++
      for (const track of tracks) track.predict()
      const items = found.flatMap(({ box, score, index = 0 }, at): Item[] =>
        box && score >= least ? [{ at, box, score, index }] : [],
      )
      const owners = new Map<number, Track>()
      const free = (): Item[] => items.filter((i) => !owners.has(i.at))
      const idle = (confirmed: boolean): Track[] => tracks.filter((t) => t.missed > 0 && t.confirmed === confirmed)
      const join = (list: readonly Track[], of: readonly Item[], enough: number): void => {
        for (const [track, item] of pairs(list, of, enough)) {
          track.match(item.box)
          owners.set(item.at, track)
        }
      }
      join(
        idle(true),
        free().filter((i) => i.score >= sure),
        overlap,
      )
      // Unsure ones only keep tracks alive that were there a frame ago.
      join(
        idle(true).filter((t) => t.missed === 1),
        free().filter((i) => i.score < sure),
        UNSURE_OVERLAP,
      )
      join(
        idle(false),
        free().filter((i) => i.score >= sure),
        overlap,
      )
      for (const item of free()) {
        if (item.score < start) continue
        const track = new Track(next++, item.index, item.box, frames === 1)
        tracks.push(track)
        owners.set(item.at, track)
      }
      tracks = tracks.filter((t) => t.missed === 0 || (t.confirmed && t.missed <= patience))
      return found.flatMap((thing, at) => {
        const track = owners.get(at)
        return track?.confirmed ? [{ ...thing, id: track.id, age: track.age }] : []
      })
    },
  }
}
