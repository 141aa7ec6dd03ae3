/**
 * The stopwatch. One driver runs inside each peer's own process or page and is the same code everywhere, so that every
 * peer is started, loaded, warmed and timed in the same way. A runner only says how its library is called.
 */

const ARRAYS = {
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float32: Float32Array,
}

export const isDtype = (name: string): name is Port['dtype'] => name in ARRAYS
type Values = InstanceType<(typeof ARRAYS)[Port['dtype']]>

/** The one input or output of a network, in the `.tflite` file's own terms. */
export interface Port {
  dtype: keyof typeof ARRAYS
  shape: number[]
  scale: number
  zeroPoint: number
}

/** A network in the form that a runner takes: its path on disk (processes) or its URL (pages). */
export interface Network {
  name: string
  location: string
  input: Port
  output: Port
  /** Library settings that make this peer a peer of its own, e.g. `{ fast: true }`. */
  options?: Record<string, unknown> | undefined
}

export interface Session {
  /** Takes the input, raw bytes in the input's dtype, and converts it to what the library wants. Not timed. */
  set(input: Uint8Array): void
  /** One inference as a user does it: hand the input over, infer, have the output in JavaScript memory. Timed. */
  run(): void | Promise<void>
  /** The last output in the output's dtype. Not timed. */
  output(): Uint8Array
  /** What the library says about itself: version, the wasm variant it picked, bytes it holds. */
  info?(): Record<string, unknown>
  close?(): void
}

export interface Runner {
  /** Imports the library and gets its engine ready, without a model. */
  start(network: Network): Promise<void>
  open(network: Network, bytes: Uint8Array): Promise<Session>
}

/** The values as numbers, whatever their type. */
export const numbers = (port: Port, bytes: Uint8Array): number[] =>
  Array.from(typed(port, bytes) as ArrayLike<number | bigint>, Number)

/** Bytes of values in the port's type. */
export function encode(port: Port, values: ArrayLike<number>): Uint8Array {
  return toBytes(
    port.dtype === 'int64'
      ? BigInt64Array.from(Array.from(values, (v) => BigInt(Math.round(v))))
      : ARRAYS[port.dtype].from(values),
  )
}

/** Real values of quantized bytes, for peers that run a float twin. */
export const toFloat = (port: Port, bytes: Uint8Array): Float32Array =>
  Float32Array.from(numbers(port, bytes), (q) => (q - port.zeroPoint) * port.scale)

/** Bytes of real values; those of a quantized port rounded to the nearest. */
export function fromFloat(port: Port, values: ArrayLike<number>): Uint8Array {
  if (port.dtype !== 'int8' && port.dtype !== 'uint8') return encode(port, values)
  const [low, high] = port.dtype === 'int8' ? [-128, 127] : [0, 255]
  return Uint8Array.from(
    values,
    (v) => Math.min(high, Math.max(low, Math.round(v / port.scale + port.zeroPoint))) & 255,
  )
}

/**
 * The same bytes with the sign bit turned: int8 q and uint8 q + 128 are the same real number when the zero point moves
 * along.
 */
export const flipSign = (bytes: Uint8Array): Uint8Array => bytes.map((b) => b ^ 128)

/** Raw bytes as the port's typed array: a view of single bytes, a copy of wider values. */
export function typed(port: Pick<Port, 'dtype'>, bytes: Uint8Array): Values {
  const type = ARRAYS[port.dtype]
  return type.BYTES_PER_ELEMENT === 1
    ? new type(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)
    : new type(bytes.slice().buffer)
}

/** `length` zeros of the port's type. */
export const zeros = (port: Pick<Port, 'dtype'>, length: number): Values => new ARRAYS[port.dtype](length)

export const toBytes = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength).slice()

const now = (): number => performance.now()
const BASE64_CHUNK = 8192

export function encodeBase64(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += BASE64_CHUNK) {
    text += String.fromCharCode(...bytes.subarray(i, i + BASE64_CHUNK))
  }
  return btoa(text)
}

export const decodeBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))

export interface Opened {
  startMs: number
  loadMs: number
  firstMs: number
  info: Record<string, unknown>
}

/** Answers the harness's commands for one runner. All times are milliseconds of `performance.now()`. */
export class Driver {
  private readonly load: () => Promise<Runner>
  private readonly read: (location: string) => Promise<Uint8Array>
  private session: Session | undefined

  constructor(load: () => Promise<Runner>, read: (location: string) => Promise<Uint8Array>) {
    this.load = load
    this.read = read
  }

  /**
   * Starts the library, loads the network, runs it once on `input` (base64). The file's bytes are read before the clock
   * starts.
   */
  async open(network: Network, input: string): Promise<Opened> {
    const bytes = await this.read(network.location)
    const data = decodeBase64(input)
    const a = now()
    const runner = await this.load()
    await runner.start(network)
    const b = now()
    this.session = await runner.open(network, bytes)
    const c = now()
    this.session.set(data)
    const d = now()
    await this.session.run()
    const e = now()
    return { startMs: b - a, loadMs: c - b, firstMs: e - d, info: this.session.info?.() ?? {} }
  }

  /** Timed inferences until `budgetMs` has passed or `maxRuns` is reached, at least one. Returns each one's time. */
  async block(budgetMs: number, maxRuns: number): Promise<number[]> {
    const session = this.session!
    const times: number[] = []
    const end = now() + budgetMs
    do {
      const a = now()
      const pending = session.run()
      if (pending) await pending
      times.push(now() - a)
    } while (times.length < maxRuns && now() < end)
    return times
  }

  /** Output bytes (base64) for an input (base64). */
  async answer(input: string): Promise<string> {
    this.session!.set(decodeBase64(input))
    await this.session!.run()
    return encodeBase64(this.session!.output())
  }

  close(): void {
    this.session?.close?.()
    this.session = undefined
  }
}
