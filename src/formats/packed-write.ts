/** Writes `.thimble` files; packed.ts says what is in them. */
import { ThimbleError } from '../base/errors.ts'
import { opLabel, type Quantization, type Tensor } from '../graph/graph.ts'
import { align, wordBytes } from '../base/words.ts'
import { checkMetadata } from './check-metadata.ts'
import { checkGraph } from './check.ts'
import { crc32 } from '../base/scan.ts'
import { ALIGN, isObject, writeFrame } from './packed-frame.ts'
import { pick } from './packed.ts'
import { encodeSteps, toLeb128, type ProgrammedGraph, type RecordedProgram } from './programs.ts'

interface Stored {
  at: number
  bytes: Uint8Array
}

/** The first of the pieces, in order, that begins behind `offset`. */
function nextOf(stored: readonly Stored[], offset: number): number {
  let low = 0
  for (let high = stored.length; low < high;) {
    const middle = (low + high) >> 1
    if (stored[middle]!.bytes.byteOffset <= offset) low = middle + 1
    else high = middle
  }
  return low
}

/** Pieces before the nearest one that are asked as well: larger ones may begin earlier. */
const LOOK_BACK = 8

/** A piece that holds `bytes`, the last one that may or one shortly before it. */
function holderOf(stored: readonly Stored[], last: number, { byteOffset, length }: Uint8Array): Stored | undefined {
  for (let i = last; i >= 0 && i > last - LOOK_BACK; i--) {
    const { bytes } = stored[i]!
    if (byteOffset + length <= bytes.byteOffset + bytes.length) return stored[i]
  }
  return undefined
}

/** The data part while it grows: where each piece goes, equal pieces once. */
class DataWriter {
  readonly pieces: { at: number; bytes: Uint8Array }[] = []
  length = 0
  private readonly byHash = new Map<number, number[]>()
  /** What of each buffer is stored, in order. */
  private readonly byBuffer = new Map<ArrayBufferLike, Stored[]>()

  add(bytes: Uint8Array): number {
    const stored = this.byBuffer.get(bytes.buffer) ?? []
    const next = nextOf(stored, bytes.byteOffset)
    const inside = holderOf(stored, next - 1, bytes)
    if (inside) return inside.at + bytes.byteOffset - inside.bytes.byteOffset
    const at = this.place(bytes)
    stored.splice(next, 0, { at, bytes })
    this.byBuffer.set(bytes.buffer, stored)
    return at
  }

  private place(bytes: Uint8Array): number {
    const hash = crc32(bytes)
    const known = this.byHash.get(hash) ?? []
    for (const i of known) {
      const other = this.pieces[i]!.bytes
      if (other.length === bytes.length && other.every((b, k) => b === bytes[k])) return this.pieces[i]!.at
    }
    const at = this.length
    this.byHash.set(hash, [...known, this.pieces.push({ at, bytes }) - 1])
    this.length = align(at + bytes.length, ALIGN)
    return at
  }
}

function packQuantization({ scales, zeroPoints, axis }: Quantization, data: DataWriter): Record<string, unknown> {
  const along = axis === 0 ? {} : { axis }
  if (scales.length === 1) return { scale: scales[0], zeroPoint: zeroPoints[0], ...along }
  const zeros = zeroPoints.every((z) => z === 0) ? {} : { zeroPoints: data.add(wordBytes(zeroPoints)) }
  return { scales: data.add(wordBytes(scales)), ...zeros, count: scales.length, ...along }
}

function packTensor(
  { name, shape, dtype, quantization, data, initial }: Tensor,
  writer: DataWriter,
): Record<string, unknown> {
  return {
    name,
    shape: [...shape],
    dtype,
    ...(quantization ? { quantization: packQuantization(quantization, writer) } : {}),
    ...(data ? { data: writer.add(data) } : {}),
    ...(initial ? { initial: writer.add(initial) } : {}),
  }
}

function packProgram({ steps, ...head }: RecordedProgram, data: DataWriter): Record<string, unknown> {
  const numbers = encodeSteps(steps, (bytes) => data.add(bytes))
  const bytes = toLeb128(numbers)
  return { ...head, steps: data.add(bytes), bytes: bytes.length, count: numbers.length }
}

/** JSON with sorted keys, so that equal graphs give equal text. */
const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) =>
    isObject(v)
      ? Object.fromEntries(
          Object.keys(v)
            .sort()
            .map((k) => [k, v[k]]),
        )
      : v,
  )

/**
 * The packed file of a graph: the same bytes for the same graph, on every machine.
 * Errors: those of `checkGraph`; `format/unsupported-op` when the graph holds ops that Thimble has no form for (all of
 * them are named); `format/too-large` above 4 GB.
 */
export function writePacked(graph: ProgrammedGraph): Uint8Array {
  const unsupported = graph.ops.flatMap((op, i) => (op.type === 'UNSUPPORTED' ? [opLabel(op, i)] : []))
  if (unsupported.length > 0) {
    throw new ThimbleError('format/unsupported-op', `ops that can't be stored: ${unsupported.join(', ')}`)
  }
  checkGraph(graph)
  const data = new DataWriter()
  const programs = graph.programs ?? []
  const text = canonicalJson({
    tensors: graph.tensors.map((t) => packTensor(t, data)),
    ops: graph.ops.map((op) => ({
      type: op.type,
      inputs: [...op.inputs],
      outputs: [...op.outputs],
      attrs: pick(op.attrs, op.type),
    })),
    inputs: graph.inputs,
    outputs: graph.outputs,
    metadata: checkMetadata(graph.metadata),
    programs: programs.length ? programs.map((p) => packProgram(p, data)) : undefined,
  })
  return writeFrame(text, data.pieces, data.length, programs.length > 0)
}
