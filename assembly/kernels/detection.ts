/**
 * Box decoding and non-maximum suppression of SSD detectors, in floats.
 * Source: TFLite's custom op TFLite_Detection_PostProcess (kernels/detection_postprocess.cc), whose order of
 * operations, tie breaking and roundings this keeps. Where the fast form leaves its outputs unwritten, this writes
 * zeros.
 */
import { DetectionRecord } from '../layout'

/** exp in f64, within an ulp (fdlibm's algorithm). */
function exp(x: f64): f64 {
  if (x != x) return x
  if (x > 709.782712893384) return Infinity
  if (x < -745.1332191019411) return 0
  const k = <i32>(1.4426950408889634 * x + (x < 0 ? -0.5 : 0.5))
  const hi = x - <f64>k * 6.9314718036912381649e-1
  const lo = <f64>k * 1.90821492927058770002e-10
  const r = hi - lo
  const t = r * r
  const c =
    r -
    t *
      (1.66666666666666019037e-1 +
        t *
          (-2.77777777770155933842e-3 +
            t * (6.61375632143793436117e-5 + t * (-1.6533902205465251539e-6 + t * 4.13813679705723846039e-8))))
  const y = 1 - (lo - (r * c) / (2 - c) - hi)
  // 2^k in two factors, each a normal number.
  const half = k >> 1
  return y * power(half) * power(k - half)
}

/** 2^k for a normal result. */
// @ts-ignore: decorator
@inline
function power(k: i32): f64 {
  return reinterpret<f64>((<i64>(k + 1023)) << 52)
}

/** Corners (ymin, xmin, ymax, xmax) of all boxes: products and quotients in f64, the rest in f32. */
function decode(r: DetectionRecord, boxes: usize): void {
  for (let i = 0; i < r.count; i++) {
    const code: usize = r.boxes + i * (r.boxStride << 2)
    const anchor: usize = r.anchors + (i << 4)
    const to: usize = boxes + (i << 4)
    const height = <f64>load<f32>(anchor, 8)
    const width = <f64>load<f32>(anchor, 12)
    const y = <f32>((<f64>load<f32>(code) / <f64>r.yScale) * height + <f64>load<f32>(anchor))
    const x = <f32>((<f64>load<f32>(code, 4) / <f64>r.xScale) * width + <f64>load<f32>(anchor, 4))
    const h = <f32>(0.5 * exp(<f64>load<f32>(code, 8) / <f64>r.hScale) * height)
    const w = <f32>(0.5 * exp(<f64>load<f32>(code, 12) / <f64>r.wScale) * width)
    store<f32>(to, y - h)
    store<f32>(to, x - w, 4)
    store<f32>(to, y + h, 8)
    store<f32>(to, x + w, 12)
  }
}

/** Intersection over union of two decoded boxes. */
function overlap(a: usize, b: usize): f32 {
  const areaA = (load<f32>(a, 8) - load<f32>(a)) * (load<f32>(a, 12) - load<f32>(a, 4))
  const areaB = (load<f32>(b, 8) - load<f32>(b)) * (load<f32>(b, 12) - load<f32>(b, 4))
  if (areaA <= 0 || areaB <= 0) return 0
  const h = max<f32>(min<f32>(load<f32>(a, 8), load<f32>(b, 8)) - max<f32>(load<f32>(a), load<f32>(b)), 0)
  const w = max<f32>(min<f32>(load<f32>(a, 12), load<f32>(b, 12)) - max<f32>(load<f32>(a, 4), load<f32>(b, 4)), 0)
  const shared = h * w
  return shared / (areaA + areaB - shared)
}

/**
 * Stable descending merge sort of n indices by the scores they name; `spare` has room for n more. Returns where the
 * result is.
 */
function sort(indices: usize, spare: usize, n: i32, scores: usize, stride: i32): usize {
  let from = indices
  let to = spare
  for (let width = 1; width < n; width <<= 1) {
    for (let left = 0; left < n; left += width << 1) {
      const middle = min(left + width, n)
      const right = min(middle + width, n)
      let a = left
      let b = middle
      for (let k = left; k < right; k++) {
        let takeA = a < middle
        if (takeA && b < right) {
          takeA = !(
            score(scores, stride, load<i32>(from + (b << 2))) > score(scores, stride, load<i32>(from + (a << 2)))
          )
        }
        store<i32>(to + (k << 2), load<i32>(from + ((takeA ? a++ : b++) << 2)))
      }
    }
    const t = from
    from = to
    to = t
  }
  return from
}

// @ts-ignore: decorator
@inline
function score(scores: usize, stride: i32, i: i32): f32 {
  return load<f32>(scores + i * stride)
}

/**
 * Greedy suppression over one score a box. Returns how many are kept, at most `most`; their indices, best first, go to
 * `selected`. `work`: 9 bytes a box.
 */
function suppress(
  r: DetectionRecord,
  boxes: usize,
  scores: usize,
  stride: i32,
  most: i32,
  selected: usize,
  work: usize,
): i32 {
  let n = 0
  for (let i = 0; i < r.count; i++) {
    if (score(scores, stride, i) >= r.scoreThreshold) store<i32>(work + (n++ << 2), i)
  }
  const order = sort(work, work + (r.count << 2), n, scores, stride)
  const gone: usize = work + (r.count << 3)
  memory.fill(gone, 0, n)
  let kept = 0
  for (let i = 0; i < n && kept < most; i++) {
    if (load<u8>(gone + i)) continue
    const best = load<i32>(order + (i << 2))
    store<i32>(selected + (kept++ << 2), best)
    for (let j = i + 1; j < n; j++) {
      if (
        !load<u8>(gone + j) &&
        overlap(boxes + (best << 4), boxes + (load<i32>(order + (j << 2)) << 4)) > r.iouThreshold
      ) {
        store<u8>(gone + j, 1)
      }
    }
  }
  return kept
}

/** Indices of n scores, best first, equal ones in order. `work` has room for 2 n. Returns where they are. */
function ranked(work: usize, n: i32, scores: usize): usize {
  for (let i = 0; i < n; i++) store<i32>(work + (i << 2), i)
  return sort(work, work + (n << 2), n, scores, 4)
}

function emit(r: DetectionRecord, at: i32, box: usize, kind: i32, value: f32): void {
  memory.copy(r.outBoxes + (at << 4), box, 16)
  store<f32>(r.outClasses + (at << 2), <f32>kind)
  store<f32>(r.outScores + (at << 2), value)
}

/** Suppression over each box's best class; the best `maxClasses` of a kept box are given. */
function fast(r: DetectionRecord, boxes: usize, work: usize): i32 {
  const scores: usize = r.scores + (r.labelOffset << 2)
  const stride = (r.classes + r.labelOffset) << 2
  const top = work
  const selected: usize = top + (r.count << 2)
  const rest: usize = selected + (r.count << 2)
  for (let i = 0; i < r.count; i++) {
    let most = load<f32>(scores + i * stride)
    for (let c = 1; c < r.classes; c++) {
      const v = load<f32>(scores + i * stride + (c << 2))
      if (v > most) most = v
    }
    store<f32>(top + (i << 2), most)
  }
  const kept = suppress(r, boxes, top, 4, r.maxDetections, selected, rest)
  const each = min(r.maxClasses, r.classes)
  for (let k = 0; k < kept; k++) {
    const i = load<i32>(selected + (k << 2))
    const row: usize = scores + i * stride
    const order = ranked(rest, r.classes, row)
    for (let c = 0; c < each; c++) {
      const kind = load<i32>(order + (c << 2))
      emit(r, k * r.maxClasses + c, boxes + (i << 4), kind, load<f32>(row + (kind << 2)))
    }
  }
  return kept
}

/** Suppression class by class; the best of all classes so far are kept. */
function regular(r: DetectionRecord, boxes: usize, work: usize): i32 {
  const room = r.count + r.maxDetections
  const stride = (r.classes + r.labelOffset) << 2
  // Box and class of each result so far, its score, and room to sort them.
  const found = work
  const values: usize = found + (room << 2)
  const ranks: usize = values + (room << 2)
  const spare: usize = ranks + (room << 3)
  const selected: usize = spare + (r.maxDetections << 3)
  const rest: usize = selected + (r.count << 2)
  let size = 0
  for (let c = 0; c < r.classes; c++) {
    const scores: usize = r.scores + ((c + r.labelOffset) << 2)
    const kept = suppress(r, boxes, scores, stride, min(r.perClass, r.count), selected, rest)
    for (let k = 0; k < kept; k++) {
      const i = load<i32>(selected + (k << 2))
      store<i32>(found + ((size + k) << 2), i * r.classes + c)
      store<f32>(values + ((size + k) << 2), score(scores, stride, i))
    }
    size += kept
    const most = min(size, r.maxDetections)
    const order = ranked(ranks, size, values)
    for (let k = 0; k < most; k++) {
      const i = load<i32>(order + (k << 2))
      store<i32>(spare + (k << 3), load<i32>(found + (i << 2)))
      store<f32>(spare + (k << 3), load<f32>(values + (i << 2)), 4)
    }
    for (let k = 0; k < most; k++) {
      store<i32>(found + (k << 2), load<i32>(spare + (k << 3)))
      store<f32>(values + (k << 2), load<f32>(spare + (k << 3), 4))
    }
    size = most
  }
  for (let k = 0; k < size; k++) {
    const entry = load<i32>(found + (k << 2))
    emit(r, k, boxes + ((entry / r.classes) << 4), entry % r.classes, load<f32>(values + (k << 2)))
  }
  return size
}

/**
 * Shapes: boxes [count, boxStride] f32, the first four numbers used; scores [count, labelOffset + classes] f32; anchors
 * [count, 4] f32 (y, x, h, w). Outputs f32: boxes [m, 4], classes [m], scores [m], how many [1]; m = maxDetections *
 * maxClasses. Requires: no negative anchor sizes; scratch as lowerDetection sizes it.
 */
export function detection(record: usize): void {
  const r = changetype<DetectionRecord>(record)
  const boxes: usize = r.scratch
  const work: usize = boxes + (r.count << 4)
  const most = r.maxDetections * r.maxClasses
  memory.fill(r.outBoxes, 0, most << 4)
  memory.fill(r.outClasses, 0, most << 2)
  memory.fill(r.outScores, 0, most << 2)
  decode(r, boxes)
  store<f32>(r.outCount, <f32>(r.regular ? regular(r, boxes, work) : fast(r, boxes, work)))
}
