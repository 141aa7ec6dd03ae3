/**
 * Events: something that was asked for is seen in enough of the latest frames, and later no more. A single frame
 * neither begins nor ends one: a detector that blinks gives one event, not ten.
 */
import { ThimbleError } from '../base/errors.ts'

/** What is asked for: a label with at least a score. `*` is any label. */
export interface Condition {
  label: string
  /** Least score, 0 to 1. */
  score: number
}

/** Something that was seen in a frame. */
export interface Seen {
  label: string
  score: number
}

export interface EventOptions {
  conditions: readonly Condition[]
  /** Frames with the label, among the latest `2 * confirm - 1`, that begin an event. */
  confirm: number
  /** Milliseconds without the label that end it. */
  cooldownMs: number
}

export interface LiveEvent {
  type: 'start' | 'end'
  /** Counted from 1 on. */
  id: number
  label: string
  /** Best score so far, and its frame. */
  score: number
  frame: number
  /** Milliseconds since 1970. `endTime`: when the label was last seen. */
  startTime: number
  endTime?: number
}

/** An event as it is told in JSON: its times in ISO 8601. */
export function eventRecord({ startTime, endTime, ...rest }: LiveEvent): object {
  const iso = (time: number): string => new Date(time).toISOString()
  return { ...rest, start: iso(startTime), ...(endTime === undefined ? {} : { end: iso(endTime) }) }
}

/** What one frame changed. */
export interface Changes {
  events: LiveEvent[]
  /** Events that are on and have their label in this frame; `best` where none of its frames had a higher score. */
  inFrame: { event: LiveEvent; best: boolean }[]
}

/**
 * `person>0.6`, `person>=0.6` or `person`; several with commas between them.
 * Errors: `usage/option`.
 */
export function conditionsOf(text: string): Condition[] {
  return text.split(',').map((part) => {
    const [, label = '', score] = /^\s*([^<>=]*?)\s*(?:>=?\s*(\d*\.?\d+))?\s*$/.exec(part) ?? []
    const least = score === undefined ? 0 : Number(score)
    if (label === '' || !(least <= 1)) {
      throw new ThimbleError('usage/option', '--on is not usable', {
        expected: 'LABEL or LABEL>SCORE with a score from 0 to 1, e.g. "person>0.6"',
        got: JSON.stringify(part.trim()),
      })
    }
    return { label, score: least }
  })
}

interface Watched {
  /** Frame counts, of all frames that were seen, in which the label was there: the latest ones. */
  hits: number[]
  lastSeen: number
  event?: LiveEvent
}

export class Events {
  private readonly options: EventOptions
  private readonly watched = new Map<string, Watched>()
  private count = 0
  private ids = 0

  constructor(options: EventOptions) {
    this.options = options
  }

  /** Labels whose event is on. */
  get on(): string[] {
    return [...this.watched].filter(([, w]) => w.event).map(([label]) => label)
  }

  /** What a frame shows: `time` in milliseconds since 1970. */
  see(seen: readonly Seen[], { index, time }: { index: number; time: number }): Changes {
    const { confirm } = this.options
    const best = this.wanted(seen)
    const changes: Changes = { events: this.ended(time, best), inFrame: [] }
    this.count++
    for (const [label, score] of best) {
      const watched = this.watched.get(label) ?? { hits: [], lastSeen: time }
      this.watched.set(label, watched)
      watched.hits = [...watched.hits, this.count].filter((at) => at > this.count - (2 * confirm - 1))
      watched.lastSeen = time
      const begins = !watched.event && watched.hits.length >= confirm
      if (begins) watched.event = { type: 'start', id: ++this.ids, label, score, frame: index, startTime: time }
      const { event } = watched
      if (!event) continue
      if (begins) changes.events.push({ ...event })
      const better = begins || score > event.score
      if (better) Object.assign(event, { score, frame: index })
      changes.inFrame.push({ event: { ...event }, best: better })
    }
    return changes
  }

  /** Ends what is on. */
  end(): LiveEvent[] {
    return [...this.watched.values()].flatMap((w) => this.close(w))
  }

  /** Best score of every label that a condition asks for. */
  private wanted(seen: readonly Seen[]): Map<string, number> {
    const best = new Map<string, number>()
    for (const { label, score } of seen) {
      const asked = this.options.conditions.some((c) => (c.label === label || c.label === '*') && score >= c.score)
      if (asked && score > (best.get(label) ?? -1)) best.set(label, score)
    }
    return best
  }

  private ended(time: number, present: ReadonlyMap<string, number>): LiveEvent[] {
    const ended: LiveEvent[] = []
    for (const [label, watched] of this.watched) {
      if (present.has(label) || time - watched.lastSeen < this.options.cooldownMs) continue
      ended.push(...this.close(watched))
      this.watched.delete(label)
    }
    return ended
  }

  private close(watched: Watched): LiveEvent[] {
    if (!watched.event) return []
    const ended: LiveEvent = { ...watched.event, type: 'end', endTime: watched.lastSeen }
    delete watched.event
    return [ended]
  }
}
