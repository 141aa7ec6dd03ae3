/**
 * The kept corpus of the fuzzer (`npm run fuzz`): the smallest inputs that reach each branch, and one for every fault
 * that was found. Each ends in a result or in one ThimbleError, as fuzzing demands.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import { judge } from '../tools/fuzz/judge.ts'
import type { FuzzTarget } from '../tools/fuzz/target.ts'
import { TARGETS } from '../tools/fuzz/targets.ts'
import { root } from './util.ts'

const test = suite('corpus')
const CORPUS = join(root, 'test/corpus')
const MAX_BYTES = 300_000

let total = 0
for (const target of TARGETS) {
  const folder = join(CORPUS, target.name)
  const files = existsSync(folder) ? readdirSync(folder).sort() : []
  test(`${target.name}: ${files.length} files`, async () => {
    assert.ok(files.length > 0, 'nothing is kept')
    for (const name of files) {
      const bytes = new Uint8Array(readFileSync(join(folder, name)))
      total += bytes.length
      const finding = await judge(target, bytes)
      assert.is(finding?.detail, undefined, `test/corpus/${target.name}/${name}`)
    }
  })
}

test('every folder is a target, and all of it is small', () => {
  assert.equal(readdirSync(CORPUS).sort(), TARGETS.map((t) => t.name).sort())
  assert.ok(total <= MAX_BYTES, `${total} bytes`)
})

test('the judge: other errors, several lines and slowness are findings, a refusal and an answer are none', async () => {
  const verdict = async (run: FuzzTarget['run']): Promise<string | undefined> =>
    (await judge({ name: 'x', about: '', seeds: () => [], run }, new Uint8Array(1)))?.key
  const refusal = new ThimbleError('format/zip', 'damaged')
  const twoLines = new ThimbleError('format/zip', 'damaged')
  Object.defineProperty(twoLines, 'message', { value: 'format/zip: one\ntwo' })
  const fail = (error: Error) => (): never => {
    throw error
  }
  assert.is(await verdict(() => 1), undefined)
  assert.is(await verdict(fail(refusal)), undefined)
  assert.is(await verdict(async () => Promise.reject(refusal)), undefined)
  assert.match((await verdict(fail(new RangeError('x'))))!, /^RangeError /)
  assert.match((await verdict(async () => Promise.reject(new TypeError('x'))))!, /^TypeError /)
  assert.is(await verdict(fail(twoLines)), 'message format/zip')
  const busy = (ms: number) => (): void => {
    const until = process.cpuUsage()
    for (let used = 0; used < ms * 1000;) {
      const { user, system } = process.cpuUsage(until)
      used = user + system
    }
  }
  assert.is(await verdict(busy(1100)), 'slow')
})

test.run()
