/** Tracking: assignment against brute force, ids on made-up films with crossings, gaps and unsure frames. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { assign } from '../src/vision/assign.ts'
import { createTracker, type Trackable } from '../src/vision/tracker.ts'

/** The least sum over all ways to pair rows with columns, pairs without cost left out at 1e6 each. */
function leastSum(costs: readonly (readonly number[])[]): number {
  const columns = costs[0]?.length ?? 0
  const best = (row: number, used: number): number => {
    if (row === costs.length) return 0
    let least = 1e6 + best(row + 1, used)
    for (let c = 0; c < columns; c++) {
      if (!(used & (1 << c)) && Number.isFinite(costs[row]![c])) {
        least = Math.min(least, costs[row]![c]! + best(row + 1, used | (1 << c)))
      }
    }
    return least
  }
  return best(0, 0)
}

test('property: an assignment costs the least', () => {
  const cost = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(Infinity))
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(cost, { minLength: 25, maxLength: 25 }),
      (rows, columns, all) => {
        const costs = Array.from({ length: rows }, (_, r) => all.slice(r * 5, r * 5 + columns))
        const pairs = assign(costs)
        assert.is(new Set(pairs.map(([r]) => r)).size, pairs.length)
        assert.is(new Set(pairs.map(([, c]) => c)).size, pairs.length)
        const sum = pairs.reduce((n, [r, c]) => n + costs[r]![c]!, 0) + 1e6 * (rows - pairs.length)
        assert.is(sum, leastSum(costs))
      },
    ),
    { seed: 5, numRuns: 400 },
  )
  assert.equal(assign([]), [])
})

interface Thing extends Trackable {
  name: string
}
const thing = (name: string, x: number, y: number, score = 0.9): Thing => ({
  name,
  box: { x, y, width: 40, height: 80 },
  score,
  index: 0,
})

/** Ids that a name had in a film. */
function idsOf(frames: readonly (readonly Thing[])[], options = {}): Map<string, Set<number>> {
  const tracker = createTracker(options)
  const ids = new Map<string, Set<number>>()
  for (const frame of frames) {
    for (const { name, id } of tracker.update(frame)) ids.set(name, (ids.get(name) ?? new Set()).add(id))
  }
  return ids
}

test('two that cross keep their ids', () => {
  const film = Array.from({ length: 60 }, (_, t) => [thing('a', 10 + 6 * t, 100), thing('b', 370 - 6 * t, 130)])
  const ids = idsOf(film.map((f, t) => (t % 2 ? f : [...f].reverse())))
  assert.equal([...ids.get('a')!].length, 1)
  assert.equal([...ids.get('b')!].length, 1)
  assert.is.not([...ids.get('a')!][0], [...ids.get('b')!][0])
})

test('a gap is bridged, a long one is not; unsure frames keep a track alive', () => {
  const walk = (gap: number): Thing[][] =>
    Array.from({ length: 80 }, (_, t) => (t >= 30 && t < 30 + gap ? [] : [thing('a', 10 + 3 * t, 50)]))
  assert.is(idsOf(walk(12)).get('a')!.size, 1)
  assert.is(idsOf(walk(40)).get('a')!.size, 2)
  const unsure = Array.from({ length: 60 }, (_, t) => [thing('a', 10 + 3 * t, 50, t > 20 && t < 50 ? 0.2 : 0.9)])
  assert.is(idsOf(unsure).get('a')!.size, 1)
})

test('unsure things begin no track, a flicker is not shown, classes stay apart', () => {
  assert.is(idsOf(Array.from({ length: 9 }, () => [thing('a', 5, 5, 0.3)])).size, 0)
  const flicker = [[thing('a', 0, 0)], [thing('a', 0, 0), thing('b', 300, 300)], [thing('a', 0, 0)]]
  assert.equal([...idsOf(flicker).keys()], ['a'])
  const change = [[thing('a', 0, 0)], [{ ...thing('b', 0, 0), index: 1 }], [{ ...thing('b', 0, 0), index: 1 }]]
  const ids = idsOf(change)
  assert.is.not([...ids.get('a')!][0], [...ids.get('b')!][0])
})

test('ids are not used again, reset forgets', () => {
  const tracker = createTracker({ patience: 0 })
  const first = tracker.update([thing('a', 0, 0)])[0]!.id
  tracker.reset()
  const second = tracker.update([thing('a', 0, 0)])[0]!.id
  assert.is(second, first + 1)
  assert.throws(() => createTracker({ sure: 2 }), /usage\/option/)
})

test.run()
