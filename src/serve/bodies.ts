/** Bodies of requests: how many may be under way, how large they may be together and one by one, and how slow. */
import type { BodyReader, Incoming } from './exchange.ts'
import { Refusal, RETRY } from './refusal.ts'

/** Limits of what comes in. */
export interface BodyLimits {
  /** Bytes of one body. */
  maxBytes: number
  /** Requests that may be under way, those whose body is being read included. */
  maxRequests: number
  /** Bytes of the bodies that are being read, together. Default: as many as may be under way. */
  maxHeldBytes?: number
  /** Milliseconds that a body may take to arrive. Default 30,000. */
  arriveMs?: number
}

const UPLOAD_MS = 30_000

export class Bodies {
  underWay = 0
  private held = 0
  private readonly limits: BodyLimits

  constructor(limits: BodyLimits) {
    this.limits = limits
  }

  /** Does the work of one request, or refuses it: memory stays bounded. */
  async admit<T>(work: () => Promise<T>): Promise<T> {
    if (this.underWay >= this.limits.maxRequests) throw this.busy()
    this.underWay++
    try {
      return await work()
    } finally {
      this.underWay--
    }
  }

  /** The whole body. Errors: 400, 408, 413, 415, 503. */
  async read(request: Incoming): Promise<Uint8Array> {
    const { maxBytes } = this.limits
    if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw this.tooLarge()
    if ((request.headers.get('content-encoding') ?? 'identity') !== 'identity') {
      throw new Refusal(415, 'content-encoding', 'compressed bodies are not read')
    }
    const chunks: Uint8Array[] = []
    const sum = (): number => chunks.reduce((n, chunk) => n + chunk.length, 0)
    try {
      if (request.body) await this.readChunks(request.body.getReader(), chunks)
      return joined(chunks)
    } finally {
      this.held -= sum()
    }
  }

  private async readChunks(reader: BodyReader, chunks: Uint8Array[]): Promise<void> {
    const { maxBytes, maxHeldBytes = Infinity, arriveMs = UPLOAD_MS } = this.limits
    let length = 0
    let late = false
    const clock = setTimeout(() => {
      late = true
      // Ends the read that is waited for.
      void reader.cancel().catch(() => {})
    }, arriveMs)
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (late) throw new Refusal(408, 'body-slow', `the body took more than ${arriveMs / 1000} seconds to arrive`)
        if (done || !value) return
        length += value.length
        this.held += value.length
        chunks.push(value)
        if (length > maxBytes) throw this.tooLarge()
        if (this.held > maxHeldBytes) throw this.busy()
      }
    } catch (error) {
      void reader.cancel().catch(() => {})
      if (error instanceof Refusal) throw error
      throw new Refusal(400, 'body-incomplete', 'the body stopped arriving before its end')
    } finally {
      clearTimeout(clock)
    }
  }

  private tooLarge(): Refusal {
    return new Refusal(413, 'body-too-large', `the body is larger than ${this.limits.maxBytes} bytes; send less`)
  }

  private busy(): Refusal {
    return new Refusal(503, 'busy', 'too many requests are under way; send yours again in a moment', RETRY)
  }
}

/** Parts as one. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
