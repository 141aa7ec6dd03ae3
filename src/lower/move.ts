/** Copies between two layouts of the same bytes: what every op that only moves data comes down to. */
import { OP_COPY, OP_STRIDED_COPY } from '../generated/layout.ts'
import { tensorBytes, type Tensor } from '../graph/graph.ts'
import { merge } from './broadcast.ts'
import type { Context } from './context.ts'
import { rowwise, Value } from './program.ts'

/** One loop of a copy, and the bytes from one turn to the next on either side; 0 or negative steps are fine. */
export interface Loop {
  size: number
  from: number
  to: number
}

export interface Move {
  from: Value
  to: Value
  /** Outermost first. */
  loops: readonly Loop[]
  /** Bytes of one run, which lie together on both sides. */
  bytes: number
  /** Where the first run begins, in bytes. Default 0. */
  inOffset?: number
  outOffset?: number
  kernel: string
}

/** Loops over `shape` with a step for each dimension on either side. */
export const loopsOf = (shape: readonly number[], from: readonly number[], to: readonly number[]): Loop[] =>
  shape.map((size, i) => ({ size, from: from[i]!, to: to[i]! }))

/** Most loops of one strided-copy record. */
const MOST = 4

/**
 * Emits a copy. Loops that run on through each other are one; of more than four, the shortest become steps of their
 * own.
 */
export function moveBytes(cx: Context, move: Move): void {
  const { from, to, kernel, inOffset = 0, outOffset = 0 } = move
  if (move.loops.some((l) => l.size === 0)) return
  const loops: Loop[] = merge(move.loops, ['from', 'to'])
  let { bytes } = move
  const last = loops[loops.length - 1]
  if (last && last.from === bytes && last.to === bytes) {
    bytes *= last.size
    loops.pop()
  }
  if (loops.length > MOST) {
    const shortest = loops.reduce((a, l, i) => (l.size < loops[a]!.size ? i : a), 0)
    const { size, from: stepIn, to: stepOut } = loops[shortest]!
    const inner = loops.filter((_, i) => i !== shortest)
    for (let i = 0; i < size; i++) {
      moveBytes(cx, {
        ...move,
        loops: inner,
        bytes,
        inOffset: inOffset + i * stepIn,
        outOffset: outOffset + i * stepOut,
      })
    }
    return
  }
  const [d0, d1, d2, d3] = [...Array<Loop>(MOST - loops.length).fill({ size: 1, from: 0, to: 0 }), ...loops] as [
    Loop,
    Loop,
    Loop,
    Loop,
  ]
  const buffers = { reads: [from.buffer], writes: [to.buffer] }
  if (loops.length <= 1) {
    const rows = d3.size
    cx.push({
      record: 'CopyRecord',
      op: OP_COPY,
      kernel,
      rows: rowwise(rows),
      ...buffers,
      fields: () => ({
        input: from.address() + inOffset,
        inRowStride: d3.from,
        inRing: rows,
        output: to.address() + outOffset,
        outRowStride: d3.to,
        outRing: rows,
        bytes,
        xor: 0,
      }),
    })
    return
  }
  cx.push({
    record: 'StridedCopyRecord',
    op: OP_STRIDED_COPY,
    kernel,
    rows: rowwise(1),
    ...buffers,
    fields: () => ({
      input: from.address() + inOffset,
      output: to.address() + outOffset,
      d0: d0.size,
      d1: d1.size,
      d2: d2.size,
      d3: d3.size,
      in0: d0.from,
      in1: d1.from,
      in2: d2.from,
      in3: d3.from,
      out0: d0.to,
      out1: d1.to,
      out2: d2.to,
      out3: d3.to,
      bytes,
    }),
  })
}

/** Fills a value with one element, given as kernels see it. */
export function fillValue(cx: Context, y: Value, element: Uint8Array): void {
  const bytes = tensorBytes(y.tensor)
  if (element.every((v) => v === element[0])) {
    cx.steps.push(
      ...cx.fillStep(y.buffer, () => ({ rows: 1, output: y.address(), outRowStride: 0, bytes, value: element[0]! })),
    )
    return
  }
  const width = element.length
  const t: Tensor = { name: 'fill value', shape: [], dtype: y.tensor.dtype }
  const from = new Value(t, { n: 1, h: 1, w: 1, c: width }, cx.buffers.constant(t.name, element))
  moveBytes(cx, { from, to: y, loops: [{ size: bytes / width, from: 0, to: width }], bytes: width, kernel: 'fill' })
}
