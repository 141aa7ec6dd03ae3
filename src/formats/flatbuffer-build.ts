/**
 * Writes FlatBuffers, back to front as the format wants: children first, then the tables that point at them.
 * Offsets are distances from the end of the buffer, so they stay valid while it grows.
 * Source: flatbuffers.dev, "FlatBuffer internals".
 */

/** What a table slot holds. `offset` is a child made by this builder; a field equal to its default is left out. */
export type Field =
  | { kind: 'offset'; value: number }
  | { kind: 'int8' | 'uint8' | 'int32' | 'uint32' | 'uint64' | 'float32'; value: number }
  | { kind: 'bool'; value: boolean }

const SIZE: Record<Field['kind'], number> = {
  offset: 4,
  int8: 1,
  uint8: 1,
  int32: 4,
  uint32: 4,
  uint64: 8,
  float32: 4,
  bool: 1,
}

export const offset = (value: number): Field => ({ kind: 'offset', value })
export const i8 = (value: number): Field => ({ kind: 'int8', value })
export const u8 = (value: number): Field => ({ kind: 'uint8', value })
export const i32 = (value: number): Field => ({ kind: 'int32', value })
export const u32 = (value: number): Field => ({ kind: 'uint32', value })
export const u64 = (value: number): Field => ({ kind: 'uint64', value })
export const f32 = (value: number): Field => ({ kind: 'float32', value })
export const bool = (value: boolean): Field => ({ kind: 'bool', value })

export class FlatBufferBuilder {
  private bytes = new Uint8Array(1024)
  private view = new DataView(this.bytes.buffer)
  /** Bytes written so far, at the end of `bytes`. */
  private used = 0
  private readonly vtables = new Map<string, number>()

  private start(): number {
    return this.bytes.length - this.used
  }

  /** Makes room for `n` bytes that end up aligned to `align`, with `extra` bytes following later in front of them. */
  private reserve(n: number, align: number, extra = 0): number {
    const padding = (align - ((this.used + n + extra) % align)) % align
    const need = this.used + padding + n + extra
    if (need > this.bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.bytes.length, need + 1024))
      grown.set(this.bytes.subarray(this.start()), grown.length - this.used)
      this.bytes = grown
      this.view = new DataView(grown.buffer)
    }
    this.used += padding + n
    return this.start()
  }

  /** A vector of bytes whose first element is aligned to `align`. */
  byteVector(data: Uint8Array, align = 4): number {
    this.reserve(0, Math.max(4, align), data.length)
    const at = this.reserve(data.length, 1)
    this.bytes.set(data, at)
    return this.length(data.length)
  }

  private length(n: number): number {
    const at = this.reserve(4, 4)
    this.view.setUint32(at, n, true)
    return this.used
  }

  string(text: string): number {
    const data = new TextEncoder().encode(text)
    // A terminating zero follows, outside the length.
    const at = this.reserve(data.length + 1, 4)
    this.bytes.set(data, at)
    this.bytes[at + data.length] = 0
    return this.length(data.length)
  }

  int32Vector(values: ArrayLike<number>): number {
    return this.vector(values, 4, (at, v) => this.view.setInt32(at, v, true))
  }
  float32Vector(values: ArrayLike<number>): number {
    return this.vector(values, 4, (at, v) => this.view.setFloat32(at, v, true))
  }
  int64Vector(values: ArrayLike<number>): number {
    return this.vector(values, 8, (at, v) => this.view.setBigInt64(at, BigInt(v), true))
  }

  private vector(values: ArrayLike<number>, width: number, write: (at: number, value: number) => void): number {
    this.reserve(0, Math.max(4, width), values.length * width)
    const at = this.reserve(values.length * width, 1)
    for (let i = 0; i < values.length; i++) write(at + i * width, values[i]!)
    return this.length(values.length)
  }

  /** A vector of children. */
  offsetVector(children: readonly number[]): number {
    const at = this.reserve(4 * children.length, 4)
    const end = this.used
    // A relative offset counts from its own place to the child's.
    children.forEach((child, i) => this.view.setUint32(at + 4 * i, end - 4 * i - child, true))
    return this.length(children.length)
  }

  /** A table with fields by slot number; undefined slots are absent. */
  table(fields: readonly (Field | undefined)[]): number {
    const end = this.used
    const places = new Array<number>(fields.length).fill(0)
    // Wide fields first: no gaps between them.
    for (const width of [8, 4, 1]) {
      fields.forEach((f, slot) => {
        if (!f || SIZE[f.kind] !== width) return
        const at = this.reserve(width, width)
        places[slot] = this.used
        this.write(at, f)
      })
    }
    this.reserve(4, 4)
    const start = this.used
    const slots = fields.length - [...fields].reverse().findIndex((f) => f !== undefined)
    const count = fields.some((f) => f !== undefined) ? slots : 0
    const vtable = [4 + 2 * count, start - end, ...places.slice(0, count).map((p) => (p ? start - p : 0))]
    const key = vtable.join()
    let known = this.vtables.get(key)
    if (known === undefined) {
      const at = this.reserve(2 * vtable.length, 2)
      vtable.forEach((v, i) => this.view.setUint16(at + 2 * i, v, true))
      known = this.used
      this.vtables.set(key, known)
    }
    this.view.setInt32(this.bytes.length - start, known - start, true)
    return start
  }

  private write(at: number, f: Field): void {
    switch (f.kind) {
      case 'offset':
        this.view.setUint32(at, this.bytes.length - at - f.value, true)
        break
      case 'int32':
        this.view.setInt32(at, f.value, true)
        break
      case 'uint32':
        this.view.setUint32(at, f.value, true)
        break
      case 'uint64':
        this.view.setBigUint64(at, BigInt(f.value), true)
        break
      case 'float32':
        this.view.setFloat32(at, f.value, true)
        break
      case 'bool':
        this.bytes[at] = f.value ? 1 : 0
        break
      default:
        this.view.setUint8(at, f.value & 255)
    }
  }

  /** The finished buffer with its four-letter file identifier. */
  finish(root: number, identifier: string): Uint8Array {
    this.reserve(0, 16, 8)
    const at = this.reserve(8, 1)
    for (let i = 0; i < 4; i++) this.bytes[at + 4 + i] = identifier.charCodeAt(i)
    this.view.setUint32(at, this.used - root, true)
    return this.bytes.slice(at)
  }
}
