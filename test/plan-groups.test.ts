/** Which groups of steps are looked at when a program is cut into units, by the definition. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Candidates } from '../src/plan/candidates.ts'
import { lowered, network, shrinking } from './plan-networks.ts'

test('groups: those that save time, or have a step that alone needs more than some buffer that is always whole', () => {
  let saving = 0
  let needed = 0
  let useless = 0
  for (let seed = 0; seed < 24; seed++) {
    const l = lowered(seed < 20 ? network(seed, 5) : shrinking(seed))
    const { steps } = l
    const [inputs, outputs] = [l.inputs.map((p) => p.buffer), l.outputs.map((p) => p.buffer)]
    const candidates = new Candidates(steps, { inputs, outputs, threads: 1 })
    const { joins, atLeast } = candidates.live
    const singles = candidates.singles(0.5)
    candidates.groups(singles, 0.5).forEach((groups, first) => {
      const want: number[] = []
      for (let last = first + 1; last < steps.length && last - first < 8; last++) {
        if (!joins.slice(first, last).every(Boolean)) break
        const saves = steps.slice(first, last).some((s) => s.stream!.to.h * s.stream!.to.rowStride > 262144)
        const needs = singles.slice(first, last + 1).some((s) => s.bytes > atLeast)
        if (saves || needs) want.push(last)
        saving += Number(saves && !needs)
        needed += Number(needs && !saves)
        useless += Number(!saves && !needs)
      }
      assert.equal(
        groups.map((g) => g.last),
        want,
        `network ${seed}, step ${first}`,
      )
      for (const g of groups) {
        const saved = steps
          .slice(first, g.last)
          .reduce((sum, s) => sum + Math.max(0, s.stream!.to.h * s.stream!.to.rowStride - 262144) * 0.05, 0)
        assert.ok(Math.abs(g.saved - saved) < 1e-6)
      }
    })
  }
  assert.ok(needed > 5 && saving > 0, `${saving} save time, ${needed} memory, ${useless} nothing`)
})

test.run()
