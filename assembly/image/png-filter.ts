/** PNG's row filters, undone. Source: PNG specification, third edition, 9. */
/**
 * Undoes a row's filter in place; false where there is no such filter. `above`: the finished row above; both have 16
 * zero bytes before them. `step`: bytes of a pixel, at least 1.
 */
export function unfilter(kind: u8, row: usize, above: usize, bytes: usize, step: usize): bool {
  const end = row + bytes
  if (kind == 0) return true
  if (kind == 1) {
    for (let p = row + step; p < end; p++) store<u8>(p, load<u8>(p) + load<u8>(p - step))
  } else if (kind == 2) addAbove(row, above, bytes)
  else if (kind == 3) {
    const q = above - row
    for (let p = row; p < end; p++) {
      store<u8>(p, load<u8>(p) + ((<i32>load<u8>(p - step) + <i32>load<u8>(p + q)) >> 1))
    }
  } else if (kind == 4) {
    if (step == 3) paeth(row, above, bytes, 3)
    else if (step == 4) paeth(row, above, bytes, 4)
    else paeth(row, above, bytes, step)
  } else return false
  return true
}

function addAbove(row: usize, above: usize, bytes: usize): void {
  if (ASC_FEATURE_SIMD) {
    for (let i: usize = 0; i < bytes; i += 16) {
      v128.store(row + i, i8x16.add(v128.load(row + i), v128.load(above + i)))
    }
    return
  }
  for (let i: usize = 0; i < bytes; i++) store<u8>(row + i, load<u8>(row + i) + load<u8>(above + i))
}


@inline function paeth(row: usize, above: usize, bytes: usize, step: usize): void {
  const end = row + bytes
  for (let s: usize = 0; s < step; s++) {
    let a = 0
    let c = 0
    let q = above + s
    for (let p = row + s; p < end; p += step, q += step) {
      const b = <i32>load<u8>(q)
      const toA = b - c
      const toB = a - c
      const pa = abs(toA)
      const pb = abs(toB)
      const pc = abs(toA + toB)
      const near = pb <= pc ? b : c
      const distance = pb <= pc ? pb : pc
      a = (<i32>load<u8>(p) + (pa <= distance ? a : near)) & 255
      store<u8>(p, a)
      c = b
    }
  }
}
