/** What `watch` does beside printing: events by --on, their frames by --out, a broker by --mqtt. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ThimbleError } from '../base/errors.ts'
import type { LiveFrame } from '../live/demuxer.ts'
import { conditionsOf, eventRecord, Events, type LiveEvent, type Seen } from '../live/events.ts'
import { Hub, type Mqtt, slug } from '../live/mqtt.ts'
import type { Taken } from '../live/watch.ts'
import { fromRaw } from '../image/raw-frame.ts'
import type { PictureAnswer } from '../serve/questions.ts'
import { flag, number, text, whole } from './args.ts'
import type { Args, OptionSpec } from './command.ts'
import { packageVersion } from './package.ts'
import { peer } from './peer.ts'
import { printable } from '../base/markup.ts'
import { note } from './report.ts'
import { encodePng } from './tensor-picture.ts'

export const EVENT_OPTIONS: Record<string, OptionSpec> = {
  on: {
    type: 'string',
    multiple: true,
    value: 'LABEL>SCORE',
    help: 'an event while it is seen, e.g. "person>0.6"; may be given more than once; * is any label',
    check: conditionsIn,
  },
  confirm: {
    type: 'string',
    value: 'N',
    help: 'frames of the latest 2N-1 that begin an event (default: 3)',
    check: eventNumbers,
  },
  cooldown: {
    type: 'string',
    value: 'S',
    help: 'seconds without it that end an event (default: 5)',
    check: eventNumbers,
  },
  out: { type: 'string', short: 'o', value: 'DIR', help: 'keep the frames of events here, and events.jsonl' },
  keep: {
    type: 'string',
    value: 'N',
    help: 'with --out: most frames of one event (default: 100)',
    check: eventNumbers,
  },
  mqtt: { type: 'string', value: 'URL', help: 'tell a broker, e.g. mqtt://user:password@host:1883 (package mqtt)' },
  name: { type: 'string', value: 'NAME', help: 'with --mqtt: of the camera, part of the topics (default: camera)' },
  discovery: { type: 'string', value: 'PREFIX', help: "Home Assistant's (default: homeassistant)" },
  'no-discovery': { type: 'boolean', help: 'with --mqtt: nothing for Home Assistant' },
}

/** When events begin and end, and how many frames are kept of one. Errors: `usage/option`. */
function eventNumbers(args: Args): { confirm: number; cooldownMs: number; most: number } {
  return {
    confirm: whole(args, 'confirm', 3, { min: 1, max: 1000 }),
    cooldownMs: number(args, 'cooldown', 5, { min: 0, max: 86_400 }) * 1000,
    most: whole(args, 'keep', 100, { min: 1, max: 1_000_000 }),
  }
}

/** Conditions of every --on. Errors: `usage/option`. */
function conditionsIn(args: Args) {
  return ((args.options.on ?? []) as string[]).flatMap(conditionsOf)
}

/** Everything with a label that an answer has. */
export function seenIn({ fields }: PictureAnswer): Seen[] {
  const lists = ['predictions', 'detections', 'faces', 'poses', 'classes'].map((name) => fields[name])
  return lists
    .filter((list) => Array.isArray(list))
    .flat()
    .map((found: { label: string; score?: number; share?: number }) => ({
      label: found.label,
      score: found.score ?? found.share ?? 0,
    }))
}

/** The frame as a file: as it came, or as PNG. */
function fileOf(frame: LiveFrame): { bytes: Uint8Array; extension: string } {
  if ('encoded' in frame) return { bytes: frame.encoded, extension: 'jpg' }
  return { bytes: encodePng(fromRaw(frame)), extension: 'png' }
}

/** Frames of events in a folder, named for time, label and frame; a line each event in events.jsonl. */
class Folder {
  private readonly kept = new Map<number, number>()
  private readonly dir: string
  private readonly most: number

  constructor(dir: string, most: number) {
    this.dir = dir
    this.most = most
    attempt(dir, () => mkdirSync(dir, { recursive: true }))
  }

  keep(event: LiveEvent, { frame, index, time }: Taken): void {
    const kept = this.kept.get(event.id) ?? 0
    if (kept >= this.most) return
    this.kept.set(event.id, kept + 1)
    const { bytes, extension } = fileOf(frame)
    const clock = new Date(time).toISOString().replace(/:/g, '-')
    const name = `${clock}_${String(event.id).padStart(4, '0')}_${slug(event.label)}_${index}.${extension}`
    attempt(name, () => writeFileSync(join(this.dir, name), bytes))
  }

  tell(event: LiveEvent): void {
    if (event.type === 'end') this.kept.delete(event.id)
    const line = `${JSON.stringify(eventRecord(event))}\n`
    attempt('events.jsonl', () => appendFileSync(join(this.dir, 'events.jsonl'), line))
  }
}

function attempt(name: string, write: () => void): void {
  try {
    write()
  } catch (error) {
    throw new ThimbleError('usage/file', `${printable(name)} can't be written: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

export interface Outputs {
  /** `seen` reads the frames' bytes. */
  needsFrames: boolean
  /** After a frame was answered. Errors: `usage/file`. */
  seen(taken: Taken, answer: PictureAnswer, record: object): void
  /** Rejects when the broker refuses for good: `usage/mqtt`. */
  refused: Promise<never>
  /** Ends events, says goodbye. */
  end(): Promise<void>
}

async function hubOf(args: Args, conditions: ReturnType<typeof conditionsOf>): Promise<Hub | undefined> {
  const url = text(args, 'mqtt')
  if (url === undefined) return undefined
  if (!URL.canParse(url) || !/^(mqtts?|wss?|tcp|ssl|tls):$/.test(new URL(url).protocol)) {
    throw new ThimbleError('usage/option', '--mqtt is not usable', {
      expected: 'mqtt://HOST:1883, mqtts://… or ws://…',
      got: JSON.stringify(url),
    })
  }
  const module = await peer<Mqtt & { default?: Mqtt }>('mqtt', '--mqtt')
  return new Hub(module.default ?? module, {
    url,
    name: text(args, 'name') ?? 'camera',
    ...(flag(args, 'no-discovery') ? {} : { discovery: text(args, 'discovery') ?? 'homeassistant' }),
    conditions,
    model: basename(text(args, 'model') ?? text(args, 'task') ?? 'classify'),
    version: packageVersion(),
    note,
  })
}

/** Errors: `usage/option`, `usage/dependency`, `usage/file`. */
export async function outputsOf(args: Args): Promise<Outputs> {
  const conditions = conditionsIn(args)
  const { confirm, cooldownMs, most } = eventNumbers(args)
  const dir = text(args, 'out')
  if (dir !== undefined && !conditions.length) {
    throw new ThimbleError('usage/option', '--out keeps the frames of events, and none are asked for', {
      hint: 'add --on, e.g. --on "person>0.6"',
    })
  }
  const events = conditions.length ? new Events({ conditions, confirm, cooldownMs }) : undefined
  const folder = dir === undefined ? undefined : new Folder(dir, most)
  const hub = await hubOf(args, conditions)
  const tell = (event: LiveEvent): void => {
    folder?.tell(event)
    hub?.event(event)
  }
  const refused = new Promise<never>((_, reject) => {
    void hub?.refused.then((cause) =>
      reject(new ThimbleError('usage/mqtt', `the broker refuses: ${cause.message}`, { cause })),
    )
  })
  refused.catch(() => {})
  return {
    needsFrames: events !== undefined && (folder !== undefined || hub !== undefined),
    refused,
    seen(taken, answer, record) {
      hub?.answer(record, answer.words)
      const changes = events?.see(seenIn(answer), taken)
      changes?.events.forEach(tell)
      let snapshot = false
      for (const { event, best } of changes?.inFrame ?? []) {
        folder?.keep(event, taken)
        snapshot ||= best
      }
      if (snapshot && hub) hub.snapshot(fileOf(taken.frame).bytes)
    },
    async end() {
      events?.end().forEach(tell)
      await hub?.end()
    },
  }
}
