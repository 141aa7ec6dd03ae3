/** One place between who brings frames and who looks at them: the newest wins, older ones are dropped and counted. */
export class Newest<T> {
  /** Frames that nobody looked at. */
  dropped = 0
  private waiting: { value: T } | undefined
  private ended = false
  private wake: (() => void) | undefined
  private emptied: (() => void) | undefined

  put(value: T): void {
    if (this.waiting) this.dropped++
    this.waiting = { value }
    this.wake?.()
  }

  /** No more will come; what waits is still given. */
  end(): void {
    this.ended = true
    this.wake?.()
    this.emptied?.()
  }

  /** Until the place is free: for sources that can wait. */
  async free(): Promise<void> {
    while (this.waiting && !this.ended) await new Promise<void>((resolve) => (this.emptied = resolve))
  }

  /** The newest frame as soon as there is one; undefined at the end. */
  async take(): Promise<T | undefined> {
    while (!this.waiting && !this.ended) await new Promise<void>((resolve) => (this.wake = resolve))
    const value = this.waiting?.value
    this.waiting = undefined
    this.emptied?.()
    return value
  }
}
