/**
 * XXH32 of data whose length is a multiple of 16. Finds every change within one word, and others but for one in 2^32.
 * Source: the XXH32 algorithm of xxHash, seed 0. The middle part is also in the runtime (assembly/checksum.ts).
 */
import { int32View } from '../base/words.ts'

const P1 = 0x9e3779b1 | 0
const P2 = 0x85ebca77 | 0
const P3 = 0xc2b2ae3d | 0

/** The four lanes before any data. */
export const xxh32Start = (): Int32Array<ArrayBuffer> => Int32Array.of((P1 + P2) | 0, P2, 0, -P1 | 0)

/** Takes `bytes`, a multiple of 16 of them, into the lanes. */
export function xxh32Blocks(lanes: Int32Array, bytes: Uint8Array): void {
  const words = int32View(bytes)
  let a = lanes[0]!
  let b = lanes[1]!
  let c = lanes[2]!
  let d = lanes[3]!
  for (let i = 0; i < words.length; i += 4) {
    a = (a + Math.imul(words[i]!, P2)) | 0
    b = (b + Math.imul(words[i + 1]!, P2)) | 0
    c = (c + Math.imul(words[i + 2]!, P2)) | 0
    d = (d + Math.imul(words[i + 3]!, P2)) | 0
    a = Math.imul((a << 13) | (a >>> 19), P1)
    b = Math.imul((b << 13) | (b >>> 19), P1)
    c = Math.imul((c << 13) | (c >>> 19), P1)
    d = Math.imul((d << 13) | (d >>> 19), P1)
  }
  lanes[0] = a
  lanes[1] = b
  lanes[2] = c
  lanes[3] = d
}

const rotate = (v: number, by: number): number => (v << by) | (v >>> (32 - by))

/** The hash, as an unsigned number, of all that the lanes have taken in. `length`: its bytes. */
export function xxh32End(lanes: Int32Array, length: number): number {
  let h = (rotate(lanes[0]!, 1) + rotate(lanes[1]!, 7) + rotate(lanes[2]!, 12) + rotate(lanes[3]!, 18) + length) | 0
  h = Math.imul(h ^ (h >>> 15), P2)
  h = Math.imul(h ^ (h >>> 13), P3)
  return (h ^ (h >>> 16)) >>> 0
}
