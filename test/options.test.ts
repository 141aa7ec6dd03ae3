/** Checking options: what each rule takes, what is said of what it does not take, and the nearest right word. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkLoadOptions } from '../src/options/load-options.ts'
import {
  callback,
  checkOptions,
  checkPreprocess,
  flag,
  group,
  labelNames,
  listOf,
  nearest,
  oneOf,
  real,
  type Rule,
  shown,
  text,
  whole,
} from '../src/options/options.ts'
import type { LoadOptions } from '../src/graph/types.ts'
import { refusal } from './util.ts'

const test = suite('options')

test('what each rule takes and refuses', () => {
  const rows: [string, Rule, unknown[], unknown[]][] = [
    ['whole', whole(1, 3), [1, 2, 3], [0, 4, 1.5, NaN, '2', null, 2n, [2], Infinity]],
    ['whole, no end', whole(0), [0, 2 ** 53 - 1], [-1, 2 ** 53, Infinity]],
    ['real', real(0, 1), [0, 0.5, 1], [-0.001, 1.001, NaN, Infinity, '0.5', null, true]],
    ['real, no ends', real(), [-1e30, 0], [NaN, Infinity, -Infinity]],
    ['oneOf', oneOf(['a', 'b']), ['a', 'b'], ['A', 'c', '', 0, null, ['a']]],
    ['flag', flag, [true, false], [0, 1, 'true', null]],
    ['text', text, ['', 'x'], [1, null, ['x']]],
    ['callback', callback, [() => 1, Math.sin], ['f', {}, null]],
    ['listOf', listOf(whole(0), 1, 2), [[1], [1, 2]], [[], [1, 2, 3], ['1'], 1, '1', { length: 1 }]],
    ['labelNames', labelNames, [['a'], [], 'a\nb'], [[1], ['a', null], {}, 3, null]],
  ]
  for (const [name, rule, good, bad] of rows) {
    for (const value of good) checkOptions('f', { x: value }, { x: rule })
    for (const value of bad) {
      const error = refusal(() => checkOptions<{ x?: unknown }>('f', { x: value }, { x: rule }))
      assert.is(error.code, 'usage/option', `${name}: ${shown(value)}`)
      assert.is(error.expected, rule.expected, name)
      assert.is(error.got, shown(value), name)
    }
  }
  assert.is(whole(1, 3).expected, 'a whole number from 1 to 3')
  assert.is(whole(1).expected, 'a whole number from 1 on')
  assert.is(real().expected, 'a number')
  assert.is(listOf(flag, 1, 3).expected, 'a list of 1 to 3, each true or false')
  assert.is(listOf(flag, 2, 2).expected, 'a list of 2, each true or false')
})

test('options that are none, unknown ones, and ones not given', () => {
  const rules = { topK: whole(1), scores: oneOf(['auto', 'softmax', 'sigmoid']) }
  const f = (given: unknown): object => checkOptions<object>('f', given as object, rules)
  assert.equal(f(undefined), {})
  for (const given of [null, 'labels.txt', 3, [], new Uint8Array(2), () => 1]) {
    assert.match(refusal(() => f(given)).message, /options of f are not an object/)
  }
  const given = { topK: undefined, scores: 'auto' }
  assert.is(f(given), given)
  f({ other: undefined })
  const unknown = refusal(() => f({ topk: 3 }))
  assert.is(unknown.message, 'usage/option: f has no option topk; expected topK, scores; did you mean topK?')
  assert.not.match(refusal(() => f({ colour: 3 })).message, /did you mean/)
  assert.match(refusal(() => f({ toString: 3 })).message, /no option toString/)
  const near = refusal(() => f({ scores: 'sofmax' }))
  assert.is(
    near.message,
    'usage/option: f: scores is not usable; expected auto, softmax, sigmoid, got "sofmax"; did you mean "softmax"?',
  )
  const inner = refusal(() => checkOptions('f', { limits: { max: 0 } }, { limits: group({ max: whole(1) }) }))
  assert.match(inner.message, /f: limits: max is not usable; expected a whole number from 1 on, got 0/)
})

test('the nearest word', () => {
  const words = ['speed', 'size', 'scoreThreshold', 'topK', 'bilinear', 'bilinear-fast', 'bilineal-slow']
  const rows: [string, string | undefined][] = [
    ['SPEED', 'speed'],
    ['score-threshold', 'scoreThreshold'],
    ['sped', 'speed'],
    ['psed', undefined],
    ['spede', 'speed'],
    ['sise', 'size'],
    ['siez', 'size'],
    ['thresholdScore', undefined],
    ['scoreTreshhold', 'scoreThreshold'],
    ['score', 'scoreThreshold'],
    ['fastest', undefined],
    ['', undefined],
    ['!!', undefined],
    ['bilinearfast', 'bilinear-fast'],
    ['bilin', undefined],
    ['x'.repeat(1000), undefined],
  ]
  for (const [given, want] of rows) assert.is(nearest(given, words), want, given)
})

test('values in few words', () => {
  const circle: Record<string, unknown> = {}
  circle.self = circle
  const rows: [unknown, string][] = [
    [undefined, 'nothing'],
    [NaN, 'NaN'],
    [-Infinity, '-Infinity'],
    [3n, '3'],
    ['a', '"a"'],
    [null, 'null'],
    [() => 1, 'a function'],
    [Symbol('x'), 'a symbol'],
    [Promise.resolve(1), 'a promise (await it first)'],
    [new Uint16Array(3), 'Uint16Array of 6 bytes'],
    [circle, 'Object'],
    ['x'.repeat(78), JSON.stringify('x'.repeat(78))],
    ['x'.repeat(79), `"${'x'.repeat(76)}...`],
  ]
  for (const [value, want] of rows) assert.is(shown(value), want)
})

test('loadModel: every option by its table', () => {
  const good: LoadOptions[] = [
    {},
    { variant: 'auto', kernels: 'x86', plan: 'size', fast: false, threads: 16, labels: ['a'] },
    { preprocess: { fit: 'crop', shorterSide: 256, method: 'area', channels: 'bgr', mean: [0], std: [1, 2, 3] } },
  ]
  for (const options of good) assert.is(checkLoadOptions(options), options)
  const bad: [unknown, RegExp][] = [
    [{ plan: 'fastest' }, /loadModel: plan is not usable; expected speed, size, got "fastest"$/],
    [{ plan: 'sized' }, /did you mean "size"\?/],
    [{ variant: 'SIMD' }, /did you mean "simd"\?/],
    [{ kernels: 'avx2' }, /expected auto, generic, x86, x86-vnni, arm, arm-dot/],
    [{ threads: 17 }, /a whole number from 1 to 16, got 17/],
    [{ threads: '2' }, /got "2"/],
    [{ fast: 1 }, /true or false, got 1/],
    [{ labels: 'labels.txt' }, /a list of names/],
    [{ lables: [] }, /did you mean labels\?/],
    [{ preprocess: 'imagenet' }, /an object of fit/],
  ]
  for (const [options, words] of bad) {
    const error = refusal(() => checkLoadOptions(options as LoadOptions))
    assert.is(error.code, 'usage/option')
    assert.match(error.message, words)
  }
})

test("a preprocessing: a caller's and a file's have the same limits", () => {
  const good = { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [0], std: [1] }
  assert.equal(checkPreprocess(good), good)
  assert.equal(checkPreprocess({ ...good, shorterSide: 16384 }, 'file'), { ...good, shorterSide: 16384 })
  const bad: [object, string][] = [
    [{ fit: 'strech' }, 'fit'],
    [{ method: 'cubic' }, 'method'],
    [{ channels: undefined }, 'channels'],
    [{ shorterSide: 16385 }, 'shorterSide'],
    [{ shorterSide: 0 }, 'shorterSide'],
    [{ mean: [1, 2] }, 'mean'],
    [{ mean: 0 }, 'mean'],
    [{ mean: [NaN] }, 'mean'],
    [{ std: [1, 0, 1] }, 'std'],
    [{ std: [] }, 'std'],
  ]
  for (const [change, field] of bad) {
    const own = refusal(() => checkPreprocess({ ...good, ...change }))
    const file = refusal(() => checkPreprocess({ ...good, ...change }, 'file'))
    assert.is(own.code, 'usage/preprocess')
    assert.is(file.code, 'format/metadata')
    assert.match(own.message, new RegExp(`preprocess\\.${field} `))
    assert.match(file.message, new RegExp(`metadata preprocess\\.${field} `))
  }
  assert.match(refusal(() => checkPreprocess({ ...good, sherterSide: 3 })).message, /did you mean shorterSide\?/)
  assert.equal(checkPreprocess({ ...good, newer: 3 }, 'file'), good)
  assert.is(refusal(() => checkPreprocess(null)).code, 'usage/preprocess')
  assert.is(refusal(() => checkPreprocess([], 'file')).code, 'format/metadata')
})

test.run()
