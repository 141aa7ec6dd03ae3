/** The model's output -> scores and the best of them, as src/classify/classifier.ts and src/answers/labels.ts. */
import { alloc } from '../image/memory'
import { SCORES_AUTO, SCORES_IDENTITY, SCORES_SIGMOID, SCORES_SOFTMAX } from './config'
import { settings } from './settings'
import { isFloat, outputInfo, real } from './values'

/** f32 each, in the output's order. */
let scores: usize = 0

// @ts-ignore: decorator
@inline
export function score(i: i32): f32 {
  return load<f32>(scores + ((<usize>i) << 2))
}

// @ts-ignore: decorator
@inline
function setScore(i: i32, value: f32): void {
  store<f32>(scores + ((<usize>i) << 2), value)
}

/** Between 0 and 1, adding up to one. */
function probabilities(n: i32): bool {
  let sum: f64 = 0
  for (let i = 0; i < n; i++) {
    const v = <f64>score(i)
    if (!(v >= -1e-6 && v <= 1 + 1e-6)) return false
    sum += v
  }
  return abs(sum - 1) < 0.02
}

/** One score p as those of two classes: 1 - p and p. */
function twoClasses(value: f32, how: i32): void {
  const probable = isFloat(settings().output0) && value >= 0 && value <= 1
  const given = how == SCORES_IDENTITY || (how != SCORES_SIGMOID && probable)
  const p = given ? <f64>value : 1 / (1 + NativeMath.exp(-(<f64>value)))
  setScore(0, <f32>(1 - p))
  setScore(1, <f32>p)
}

/** Computes all scores; false when there is no memory. */
export function computeScores(): bool {
  const s = settings()
  const n = s.classes
  scores = alloc(<u64>n * 4)
  if (scores == 0) return false
  if (outputInfo(s.output0).count == 1) {
    twoClasses(real(s.output0, 0), s.scores)
    return true
  }
  for (let i = 0; i < n; i++) setScore(i, real(s.output0, i))
  let how = s.scores
  if (how == SCORES_AUTO) how = probabilities(n) ? SCORES_IDENTITY : SCORES_SOFTMAX
  if (how == SCORES_SOFTMAX) softmax(n)
  else if (how == SCORES_SIGMOID) {
    for (let i = 0; i < n; i++) setScore(i, <f32>(1 / (1 + NativeMath.exp(-(<f64>score(i))))))
  }
  return true
}

function softmax(n: i32): void {
  let top: f64 = -Infinity
  for (let i = 0; i < n; i++) top = max<f64>(top, <f64>score(i))
  let sum: f64 = 0
  for (let i = 0; i < n; i++) sum += NativeMath.exp(<f64>score(i) - top)
  for (let i = 0; i < n; i++) setScore(i, <f32>(NativeMath.exp(<f64>score(i) - top) / sum))
}

/**
 * Indices (i32) of the k best scores, best first, equal ones in index order; 0 when there is no memory. `found` of
 * them.
 */
export let found: i32 = 0
export function best(k: i32): usize {
  const n = settings().classes
  const list = alloc(<u64>k * 4 + 4)
  if (list == 0) return 0
  found = 0
  for (let i = 0; i < n; i++) {
    const v = score(i)
    if (v != v || (found == k && !(v > score(load<i32>(list + ((<usize>(k - 1)) << 2)))))) continue
    let at = found < k ? found++ : k - 1
    for (; at > 0 && v > score(load<i32>(list + ((<usize>(at - 1)) << 2))); at--) {
      store<i32>(list + ((<usize>at) << 2), load<i32>(list + ((<usize>(at - 1)) << 2)))
    }
    store<i32>(list + ((<usize>at) << 2), i)
  }
  return list
}
