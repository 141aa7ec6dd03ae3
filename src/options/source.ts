/** What a caller may hand to `loadModel`, and the bytes of what is fetched. */
import { ThimbleError } from '../base/errors.ts'
import { kindOf } from './options.ts'
import type { Model } from '../graph/types.ts'

/** What to do about a value that is still a promise; undefined for any other. */
export const awaitHint = (value: unknown): string | undefined =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function' ? 'it is a promise: await it' : undefined

/** The error for a value that is no source of a model. */
export const notASource = (value: unknown, expected: string, hint?: string): ThimbleError =>
  new ThimbleError('usage/source', 'not a model source', {
    expected,
    got: kindOf(value),
    hint: awaitHint(value) ?? hint,
  })

/** Errors: `usage/model` for what is not a loaded model, `caller` says for whom. */
export function expectModel(model: Model, caller: string): void {
  if (Array.isArray((model as Model | null | undefined)?.inputs) && typeof model.run === 'function') return
  throw new ThimbleError('usage/model', `${caller} takes a loaded model`, {
    expected: 'what loadModel gives',
    got: kindOf(model),
    hint: awaitHint(model) ?? 'load it with loadModel',
  })
}

/** Whether bytes are a WebAssembly module. */
export const isWasm = (bytes: Uint8Array): boolean =>
  bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d

/** Whether it is a string that names a place on a network or a file by URL. */
export const isUrl = (source: string): boolean => /^(https?|file|blob):|^data:[^/]*\//i.test(source)

/** Fetches bytes. Errors: `format/fetch` where nothing answers, with another status than success, or not to the end. */
export async function fetchBytes(source: string | URL | Response): Promise<Uint8Array<ArrayBuffer>> {
  const response = source instanceof Response ? source : await request(source)
  if (!response.ok) {
    throw new ThimbleError('format/fetch', `the server answered ${response.status}`, {
      got: response.url,
      hint: 'check the address of the model',
    })
  }
  try {
    return new Uint8Array(await response.arrayBuffer())
  } catch (cause) {
    throw new ThimbleError('format/fetch', `the response can't be read (${(cause as Error).message})`, {
      got: response.url,
      hint: response.bodyUsed ? 'a body can be read once: hand over the response before it is read' : 'try again',
      cause,
    })
  }
}

async function request(address: string | URL): Promise<Response> {
  try {
    return await fetch(address)
  } catch (cause) {
    const { message, cause: why } = cause as Error
    throw new ThimbleError(
      'format/fetch',
      `nothing answers (${why instanceof Error && why.message ? why.message : message})`,
      {
        got: String(address),
        hint: 'check the address of the model and the connection',
        cause,
      },
    )
  }
}
