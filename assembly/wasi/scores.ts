/** The model's output -> scores and the best of them, as src/classifier.ts and src/labels.ts. */
import { thimble_output_ptr } from '../exec'
import { alloc } from '../image/memory'
import {
  DTYPE_INT16,
  DTYPE_INT32,
  DTYPE_INT8,
  DTYPE_UINT8,
  SCORES_AUTO,
  SCORES_IDENTITY,
  SCORES_SIGMOID,
  SCORES_SOFTMAX,
} from './config'
import { settings } from './settings'

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

/** Real value of output element i. */
function real(i: i32): f32 {
  const s = settings()
  const at: usize = thimble_output_ptr(s.outputIndex)
  let q: i32
  if (s.outputType == DTYPE_INT8) q = load<i8>(at + i)
  else if (s.outputType == DTYPE_UINT8) q = load<u8>(at + i)
  else if (s.outputType == DTYPE_INT16) q = load<i16>(at + ((<usize>i) << 1))
  else if (s.outputType == DTYPE_INT32) q = load<i32>(at + ((<usize>i) << 2))
  else return load<f32>(at + ((<usize>i) << 2))
  return s.outputScale > 0 ? <f32>(<f64>(q - s.outputZeroPoint) * <f64>s.outputScale) : <f32>q
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

/** Computes all scores; false when there is no memory. */
export function computeScores(): bool {
  const s = settings()
  const n = s.outputCount
  scores = alloc(<u64>n * 4)
  if (scores == 0) return false
  for (let i = 0; i < n; i++) setScore(i, real(i))
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
  const n = settings().outputCount
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
