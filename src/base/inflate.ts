/**
 * Raw DEFLATE data of zip archives, by the decoder that PNG uses (assembly/image/inflate.ts) as a module of its own.
 */
import { fromBase64 } from './base64.ts'
import { ThimbleError } from './errors.ts'
import inflateModule from '../generated/inflate.ts'

interface Exports {
  memory: WebAssembly.Memory
  input(bytes: number): number
  inflate(bytes: number): number
}

let made: Exports | undefined

/** Made when it is first asked for. */
const instance = (): Exports =>
  (made ??= new WebAssembly.Instance(new WebAssembly.Module(fromBase64(inflateModule))).exports as unknown as Exports)

/**
 * Decompresses a raw DEFLATE stream that must come to exactly `size` bytes.
 * Errors: `format/zip` for an invalid stream or any other size.
 */
export function inflate(input: Uint8Array, size: number): Uint8Array {
  const { memory, input: room, inflate: run } = instance()
  const at = room(input.length)
  if (at !== 0) new Uint8Array(memory.buffer).set(input, at)
  const out = at === 0 ? 0 : run(size)
  const data = out === 0 ? undefined : new Uint8Array(memory.buffer).slice(out, out + size)
  // What was large is not kept.
  if (memory.buffer.byteLength > KEPT_BYTES) made = undefined
  if (data) return data
  throw new ThimbleError('format/zip', 'compressed data is damaged in the archive behind the model', {
    expected: `a deflate stream of ${size} bytes`,
    hint: 'the file is truncated or damaged',
  })
}

const KEPT_BYTES = 1 << 20
