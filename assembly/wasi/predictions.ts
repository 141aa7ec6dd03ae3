/** Classes with their scores as the JSON of `thimble classify`. */
import { printLabelJson } from './labels'
import { found, score } from './scores'
import { ascii, byte, decimal, integer } from './text'

// @ts-ignore: decorator
@inline
export function nthBest(list: usize, i: i32): i32 {
  return load<i32>(list + ((<usize>i) << 2))
}

/** `list`: indices, best first, `found` of them. */
export function printPredictions(list: usize): void {
  ascii(', "predictions": [')
  for (let i = 0; i < found; i++) {
    const index = nthBest(list, i)
    ascii(i == 0 ? '\n    {"label": ' : ',\n    {"label": ')
    printLabelJson(index)
    ascii(', "index": ')
    integer(index)
    ascii(', "score": ')
    number(<f64>score(index))
    byte(0x7d)
  }
  ascii('\n  ]')
}

/** A score with nine digits behind the point; huge or infinite values are cut off. */
function number(value: f64): void {
  if (value < 0) byte(0x2d)
  decimal(<i64>nearest(min<f64>(abs<f64>(value), 1e9) * 1e9), 9)
}
