/** gemmlowp's fixed-point arithmetic on int32, as TFLite's builtin kernels use it for roots and reciprocals. */

const MOST = 2 ** 31 - 1
const LEAST = -(2 ** 31)
const saturated = (v: number): number => Math.min(Math.max(v, LEAST), MOST)

/** The high half of 2 * a * b, rounded half up. */
export function doublingHighProduct(a: number, b: number): number {
  if (a === LEAST && b === LEAST) return MOST
  return Number((BigInt(a) * BigInt(b) + (1n << 30n)) >> 31n)
}

/** x / 2^exponent, half away from zero; from 32 on as x86 shifts. */
export function roundingShift(x: number, exponent: number): number {
  const mask = exponent > 31 ? -1 : Number(BigInt.asIntN(32, (1n << BigInt(exponent)) - 1n))
  return (x >> (exponent & 31)) + Number((x & mask) > (mask >> 1) + Number(x < 0))
}

/**
 * 1 / sqrt(input) for input >= 0 as a Q31 multiplier and a left shift; 0 counts as 1.
 * Source: TFLite GetInvSqrtQuantizedMultiplierExp.
 */
export function inverseSqrt(input: number): { multiplier: number; shift: number } {
  if (input <= 1) return { multiplier: MOST, shift: 0 }
  let right = 11
  while (input >= 2 ** 29) {
    input = Math.trunc(input / 4)
    right++
  }
  const pairs = Math.trunc((Math.clz32(input) - 1) / 2) - 1
  right -= pairs
  input *= 4 ** pairs
  // Three integer bits.
  const half = roundingShift(input >> 1, 1)
  const threeHalves = 2 ** 28 + 2 ** 27
  let x = 2 ** 28
  for (let i = 0; i < 5; i++) {
    const cube = saturated(doublingHighProduct(doublingHighProduct(x, x), x) * 2 ** 6)
    const difference = (doublingHighProduct(threeHalves, x) - doublingHighProduct(half, cube)) | 0
    x = saturated(difference * 2 ** 3)
  }
  const multiplier = doublingHighProduct(x, 1518500250)
  return right < 0 ? { multiplier: (multiplier << -right) | 0, shift: 0 } : { multiplier, shift: -right }
}

/**
 * 1 / x for x from 1 to 2^31 - 1 as a Q31 number between 1/2 and 1, and how many bits x is above 1.
 * Source: TFLite GetReciprocal.
 */
export function reciprocal(x: number): { multiplier: number; bits: number } {
  const headroom = Math.clz32(x)
  const fraction = x * 2 ** headroom - 2 ** 31
  const half = Math.trunc((fraction + MOST + 1) / 2)
  let y = (1515870810 + doublingHighProduct(half, -1010580540)) | 0
  for (let i = 0; i < 3; i++) {
    const rest = (2 ** 29 - doublingHighProduct(half, y)) | 0
    y = (y + saturated(doublingHighProduct(y, rest) * 4)) | 0
  }
  return { multiplier: saturated(y * 2), bits: 31 - headroom }
}
