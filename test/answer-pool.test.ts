/** Worker threads that end: replaced a few times, then whoever asks is told; answers in between count from anew. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AnswerPool } from '../src/cli/answer-pool.ts'

const test = suite('answer-pool')
const script = (text: string): URL => new URL(`data:text/javascript,${encodeURIComponent(text)}`)
const args = { positionals: [], options: {} }
const pool = (text: string, timeoutMs = 0): AnswerPool =>
  new AnswerPool(args, { threads: 2, queue: 4, timeoutMs, script: script(text) })
const ask = (p: AnswerPool, model: string): Promise<string> =>
  p.answer({ model, describe: true }).then(
    (answer) => JSON.stringify(answer),
    (error: Error) => error.message,
  )

test('threads that die at once are started a few times, and then no more', async () => {
  const dying = pool("throw new Error('no such thing')")
  const answers = await Promise.all(['a', 'b', 'c'].map((m) => ask(dying, m)))
  for (const answer of answers) assert.match(answer, /^runtime\/threads: .*no such thing/)
  let last = ''
  for (let i = 0; i < 20 && !/again and again/.test(last); i++) last = await ask(dying, 'd')
  assert.match(last, /^runtime\/threads: worker threads end again and again: no such thing/)
  assert.is(dying.busy, 0)
  await dying.end()
})

test('a question that kills its thread costs that question; answers between count from anew', async () => {
  const some = pool(`
    import { parentPort } from 'node:worker_threads'
    parentPort.on('message', ({ id, question }) => {
      if (question.model === 'bad') throw new Error('too much')
      parentPort.postMessage({ id, answer: question.model })
    })`)
  for (let i = 0; i < 8; i++) {
    assert.match(await ask(some, 'bad'), /^runtime\/threads: a worker thread ended: too much/)
    assert.is(await ask(some, 'good'), '"good"')
  }
  await some.end()
})

test('a question that takes too long is no loss', async () => {
  const slow = pool(
    `
    import { parentPort } from 'node:worker_threads'
    parentPort.on('message', ({ id, question }) => {
      if (question.model !== 'slow') parentPort.postMessage({ id, answer: question.model })
    })`,
    1500,
  )
  const late = await Promise.all(Array.from({ length: 6 }, () => ask(slow, 'slow')))
  for (const answer of late) assert.match(answer, /^runtime\/timeout/)
  let answer = ''
  for (let i = 0; i < 5 && answer !== '"quick"'; i++) answer = await ask(slow, 'quick')
  assert.is(answer, '"quick"')
  await slow.end()
})

test.run()
