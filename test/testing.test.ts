/** TESTING.md states no more than there is. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Facts, facts, floor, testingPage } from '../tools/docs/testing.ts'
import { root } from './util.ts'

const NUMBER = /\d[\d,]*/g
const numbers = (page: string): number[] => page.match(NUMBER)!.map((n) => Number(n.replaceAll(',', '')))
/** The page without its numbers, and without how many folders' mutants were measured. */
const words = (page: string): string => page.replace(/^(Killed, of|No folder is).*$/m, '').replace(NUMBER, '#')
/** What a page overstates: numbers above those of another page of the same words. */
const overstated = (stated: string, counted: string): number[] => {
  const now = numbers(counted)
  return numbers(stated).filter((n, i) => n > now[i]!)
}

const page = readFileSync(join(root, 'TESTING.md'), 'utf8')
const now = facts()

test('TESTING.md says what its script says, and no number is above what is counted (tsx tools/docs/testing.ts)', () => {
  assert.is(words(page), words(testingPage(now)))
  assert.equal(overstated(page.replace(/^Killed, of.*$/m, ''), testingPage({ ...now, mutants: [] })), [])
})

test('nothing is counted as none', () => {
  for (const [name, value] of Object.entries(now)) {
    if (typeof value === 'number' && name !== 'findingsLeft') assert.ok(value > 0, name)
  }
})

test('numbers are rounded down; one that is too high is found', () => {
  assert.equal([7, 99, 100, 1119, 1006359].map(floor), ['7', '99', '100', '1,100', '1,000,000'])
  const fewer: Facts = { ...now, opCases: Math.floor(now.opCases / 2) }
  assert.equal(overstated(testingPage(now), testingPage(fewer)).length, 1)
  assert.equal(overstated(testingPage(fewer), testingPage(now)), [])
})

test.run()
