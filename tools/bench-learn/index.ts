/**
 * `npm run bench:learn -- FOLDER… [--base MODEL]… [--shots 1,5,10,20] [--seeds 10] [--classes N or FROM-TO]
 * [--asked 40] [--speed RUNS]`
 *
 * FOLDER holds one folder a class. For each number of photos a class, `seeds` times: photos drawn anew, the others
 * asked (at most `asked` a class); accuracy of `thimble learn`'s int8 head, of last-layer training in float, of
 * k-nearest neighbours and of imprinting, as mean and standard deviation; and by how much ours is ahead in the same
 * draws, with the standard error of its mean. Then half of the classes are not taught: how well the unknown are told
 * from the known. Features are taken once and kept in build/bench-learn.
 */
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { table } from '../../src/cli/text.ts'
import { random } from '../../src/quantize/augment.ts'
import { root } from '../../test/util.ts'
import { embed, type Embedded } from './embed.ts'
import { floatHead, imprinted, neighbours, ours, type Said, type Trial } from './methods.ts'
import { speed } from './speed.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    base: { type: 'string', multiple: true, default: [join(root, 'weights/mobilenet_v2_1.0_224.thimble')] },
    shots: { type: 'string', default: '1,5,10,20' },
    seeds: { type: 'string', default: '10' },
    classes: { type: 'string', default: '1-1000' },
    asked: { type: 'string', default: '40' },
    speed: { type: 'string', default: '3' },
    unknown: { type: 'boolean', default: true },
  },
  allowNegative: true,
})
const shots = values.shots.split(',').map(Number)
const seeds = Number(values.seeds)
const asked = Number(values.asked)
const range = values.classes.split('-').map(Number)
const [from, to] = range.length > 1 ? range : [1, ...range]
const cache = join(root, 'build/bench-learn')

function shuffled<T>(list: readonly T[], next: () => number): T[] {
  return list
    .map((v) => ({ v, key: next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ v }) => v)
}

/** Photos of some classes dealt into those shown and those asked. */
function deal(set: Embedded, taught: readonly number[], shot: number, seed: number): Trial {
  const next = random(seed * 1000 + shot)
  const parts = taught.map((c) =>
    shuffled(
      [...set.labels.keys()].filter((i) => set.labels[i] === c),
      next,
    ),
  )
  return {
    set,
    taught,
    seed,
    shown: parts.flatMap((p) => p.slice(0, shot)),
    asked: parts.flatMap((p) => p.slice(Math.max(...shots), Math.max(...shots) + asked)),
  }
}

const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length
const spread = (list: readonly number[]): number => Math.sqrt(mean(list.map((v) => (v - mean(list)) ** 2)))
const cell = (list: readonly number[]): string => `${mean(list).toFixed(1)} ± ${spread(list).toFixed(1)}`

const OURS = 'learn (int8)'
const METHODS: Record<string, (trial: Trial) => Promise<Said[]> | Said[]> = {
  [OURS]: (trial) => ours(trial),
  'float head': floatHead,
  'neighbours 3': (trial) => neighbours(trial, 3),
  'neighbours 10': (trial) => neighbours(trial, 10),
  imprinting: imprinted,
}
/** Methods that ours is compared with, draw by draw. */
const RIVALS = ['float head', 'imprinting']

/** Mean of differences with its standard error. */
function ahead(own: readonly number[], other: readonly number[]): string {
  const differences = own.map((v, i) => v - other[i]!)
  const error = spread(differences) / Math.sqrt(Math.max(1, differences.length - 1))
  const by = mean(differences)
  return `${by < 0 ? '' : '+'}${by.toFixed(1)} ± ${error.toFixed(1)}`
}

async function accuracy(set: Embedded): Promise<void> {
  const taught = set.classes.map((_, c) => c)
  const rows: string[][] = []
  for (const shot of shots) {
    const found: Record<string, number[]> = Object.fromEntries(Object.keys(METHODS).map((name) => [name, []]))
    for (let seed = 1; seed <= seeds; seed++) {
      const trial = deal(set, taught, shot, seed)
      for (const [name, method] of Object.entries(METHODS)) {
        const said = await method(trial)
        const right = said.filter(({ best }, i) => taught[best] === set.labels[trial.asked[i]!])
        found[name]!.push((100 * right.length) / said.length)
      }
    }
    rows.push([
      String(shot),
      ...Object.values(found).map(cell),
      ...RIVALS.map((name) => ahead(found[OURS]!, found[name]!)),
    ])
  }
  const head = ['photos a class', ...Object.keys(METHODS), ...RIVALS.map((name) => `ahead of ${name}`)]
  process.stdout.write(
    `\n${table(
      [head, ...rows],
      head.map((_, i) => i),
    )}`,
  )
}

/** Chance that a known one is surer than an unknown one. */
function auroc(known: readonly number[], unknown: readonly number[]): number {
  let wins = 0
  for (const a of known) for (const b of unknown) wins += a > b ? 1 : a === b ? 0.5 : 0
  return wins / (known.length * unknown.length)
}

/** Share of the unknown that pass where 95 % of the known do. */
function passing(known: readonly number[], unknown: readonly number[]): number {
  const bar = [...known].sort((a, b) => a - b)[Math.floor(known.length * 0.05)]!
  return unknown.filter((s) => s >= bar).length / unknown.length
}

const UNKNOWN_METHODS: Record<string, (trial: Trial) => Promise<Said[]> | Said[]> = {
  [OURS]: (trial) => ours(trial, 0.95),
  'softmax confidence': floatHead,
  'neighbours 10': (trial) => neighbours(trial, 10),
}

/** `strangers`: another set, none of which is taught; else the second half of the classes. */
async function unknown(set: Embedded, strangers?: Embedded): Promise<void> {
  const joined: Embedded = strangers
    ? {
        ...set,
        photos: [...set.photos, ...strangers.photos],
        labels: [...set.labels, ...strangers.labels.map(() => -1)],
      }
    : set
  const rows: string[][] = []
  for (const shot of shots) {
    const found: Record<string, { area: number[]; pass: number[] }> = Object.fromEntries(
      Object.keys(UNKNOWN_METHODS).map((name) => [name, { area: [], pass: [] }]),
    )
    const atThreshold: { kept: number[]; passed: number[] } = { kept: [], passed: [] }
    for (let seed = 1; seed <= seeds; seed++) {
      const order = shuffled([...set.classes.keys()], random(seed))
      const taught = strangers ? order : order.slice(0, Math.ceil(order.length / 2))
      const trial = deal(set, taught, shot, seed)
      const others = [...joined.labels.keys()].filter((i) => !taught.includes(joined.labels[i]!))
      const whole = { ...trial, set: joined, asked: [...trial.asked, ...others] }
      const split = trial.asked.length
      for (const [name, method] of Object.entries(UNKNOWN_METHODS)) {
        const said = await method(whole)
        const sure = said.map((s) => s.sure)
        found[name]!.area.push(100 * auroc(sure.slice(0, split), sure.slice(split)))
        found[name]!.pass.push(100 * passing(sure.slice(0, split), sure.slice(split)))
        if (name !== OURS) continue
        const share = (part: readonly Said[]): number => (100 * part.filter((s) => s.best >= 0).length) / part.length
        atThreshold.kept.push(share(said.slice(0, split)))
        atThreshold.passed.push(share(said.slice(split)))
      }
    }
    rows.push([
      String(shot),
      ...Object.values(found).flatMap(({ area, pass }) => [cell(area), mean(pass).toFixed(0)]),
      `${mean(atThreshold.kept).toFixed(0)} / ${mean(atThreshold.passed).toFixed(0)}`,
    ])
  }
  const head = [
    'photos a class',
    ...Object.keys(UNKNOWN_METHODS).flatMap((name) => [`${name}: AUROC`, 'pass']),
    'at its threshold: known / unknown pass',
  ]
  process.stdout.write(
    `\n${table(
      [head, ...rows],
      head.map((_, i) => i),
    )}`,
  )
}

for (const base of values.base) {
  const sets: Embedded[] = []
  for (const folder of positionals) {
    sets.push(await embed(base, folder, { cache, classes: [from!, to!], most: Math.max(...shots) + asked }))
  }
  for (const [i, set] of sets.entries()) {
    process.stdout.write(
      `\n${set.name}: ${set.classes.length} classes, ${set.labels.length} photos, on ${basename(base)}; accuracy in percent, ${seeds} seeds\n`,
    )
    await accuracy(set)
    if (!values.unknown) continue
    process.stdout.write(`\n${set.name}: half of the classes taught, the other half unknown; percent\n`)
    await unknown(set)
    const strangers = sets[(i + 1) % sets.length]!
    if (strangers === set) continue
    process.stdout.write(`\n${set.name}: all classes taught, ${strangers.name} unknown; percent\n`)
    await unknown(set, strangers)
  }
}
if (Number(values.speed)) {
  const { wholeMs, photosMs, trainMs, peakBytes } = speed(Number(values.speed))
  process.stdout.write(
    `\n5 classes of 20 photos, 640x480, least of ${values.speed}: ${(wholeMs / 1000).toFixed(2)} s in all, ` +
      `photos ${(photosMs / 1000).toFixed(2)} s, training ${trainMs.toFixed(0)} ms; at most ${(peakBytes / 1e6).toFixed(0)} MB\n`,
  )
}
