import { littleEndian } from '../base/words.ts'

/** Bytes one after the other from an address on: static data that the packer makes, little endian. */
export class Blob {
  readonly base: number
  private readonly parts: { at: number; bytes: Uint8Array }[] = []
  private end: number

  constructor(base: number) {
    this.base = base
    this.end = base
  }

  /** Returns the address. */
  add(data: ArrayBufferView, alignment = 1): number {
    const at = Math.ceil(this.end / alignment) * alignment
    this.parts.push({ at, bytes: littleEndian(data) })
    this.end = at + data.byteLength
    return at
  }

  /** Words, the first at a multiple of four. */
  words(...values: readonly number[]): number {
    return this.add(Uint32Array.from(values), 4)
  }

  /** UTF-8: where it is and how long. */
  text(text: string): [address: number, bytes: number] {
    const bytes = new TextEncoder().encode(text)
    return [this.add(bytes), bytes.length]
  }

  /** Texts in UTF-8; returns the address of the list of their addresses, with one more for the last one's end. */
  texts(list: readonly string[]): number {
    const at = list.map((text) => this.text(text)[0])
    return this.words(...at, this.end)
  }

  bytes(): Uint8Array {
    const out = new Uint8Array(this.end - this.base)
    for (const { at, bytes } of this.parts) out.set(bytes, at - this.base)
    return out
  }
}
