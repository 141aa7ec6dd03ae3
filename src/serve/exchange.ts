/**
 * A request and its answer in what the routes need of them. fetch's `Request` is an `Incoming`; a host that has
 * requests of its own, as node:http does, gives the same without the time that fetch's classes take.
 */

/** The body of a request as it arrives. */
export interface BodyReader {
  /** The next bytes, or that there are none. Rejects where the body breaks off. */
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>
  /** Ends the read that waits, as done; what still arrives is nobody's. */
  cancel(): Promise<void>
}

/** A request. */
export interface Incoming {
  readonly method: string
  /** The whole address. */
  readonly url: string
  readonly headers: { get(name: string): string | null }
  readonly body: { getReader(): BodyReader } | null
}

/** An answer. */
export interface Outgoing {
  status: number
  headers: Record<string, string>
  body: string | Uint8Array | null
}
