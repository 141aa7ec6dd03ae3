/**
 * One walk over the outer dimensions d0, d1, d2 of a record whose operands have strides of their own: for each, `row`
 * of the class R, which extends that record. It gets where the row's results go and returns where the next one's do.
 */
// @ts-ignore: decorator
@inline
export function eachOuter<R>(record: usize): void {
  const r = changetype<R>(record)
  let to: usize = r.output
  for (let i = 0; i < r.d0; i++) {
    for (let j = 0; j < r.d1; j++) {
      for (let k = 0; k < r.d2; k++) to = r.row(i, j, k, to)
    }
  }
}
