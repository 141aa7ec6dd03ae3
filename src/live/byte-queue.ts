/** Bytes that came in pieces, taken out in other pieces. Memory stays at about twice the most that waited. */
export class ByteQueue {
  private buffer = new Uint8Array(1 << 16)
  private start = 0
  private end = 0

  get length(): number {
    return this.end - this.start
  }

  /** What waits; a view that holds until the next call of `push`. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(this.start, this.end)
  }

  push(chunk: Uint8Array): void {
    const wanted = this.length + chunk.length
    if (this.end + chunk.length > this.buffer.length) {
      const into = wanted * 2 > this.buffer.length ? new Uint8Array(wanted * 2) : this.buffer
      into.set(this.bytes)
      this.buffer = into
      this.end = this.length
      this.start = 0
    }
    this.buffer.set(chunk, this.end)
    this.end += chunk.length
  }

  drop(count: number): void {
    this.start = Math.min(this.end, this.start + count)
    if (this.start === this.end) {
      this.start = 0
      this.end = 0
    }
  }

  /** A copy of the first `count` bytes, which leave the queue. */
  take(count: number): Uint8Array {
    const taken = this.bytes.slice(0, count)
    this.drop(count)
    return taken
  }
}
