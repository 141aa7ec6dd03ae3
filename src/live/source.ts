/** Where streams of bytes come from: standard input, files and HTTP. */
import { createReadStream, fstatSync, statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { ThimbleError } from '../base/errors.ts'

export interface ByteSource {
  /** What it is called in messages. */
  name: string
  /** A file waits until it is read on; what is live goes on by itself. */
  live: boolean
  chunks: AsyncIterable<Uint8Array>
  close(): void
}

const ofReadable = (name: string, live: boolean, stream: Readable): ByteSource => ({
  name,
  live,
  chunks: stream,
  close: () => void stream.destroy(),
})

/** Errors: `format/fetch`. */
async function ofUrl(url: string, timeoutMs: number): Promise<ByteSource> {
  const stop = new AbortController()
  // Covers the time to the first bytes; the stream itself may last for ever.
  const timer =
    timeoutMs > 0
      ? setTimeout(() => stop.abort(new Error(`no answer for ${timeoutMs / 1000} s`)), timeoutMs)
      : undefined
  let response: Response
  try {
    const { username, password } = new URL(url)
    const plain = new URL(url)
    plain.username = ''
    plain.password = ''
    const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')
    response = await fetch(plain, {
      signal: stop.signal,
      ...(username && { headers: { authorization: `Basic ${login}` } }),
    })
  } catch (error) {
    const { message, cause } = error as Error
    const why = cause instanceof Error ? cause.message || message : message
    throw new ThimbleError('format/fetch', `${withoutLogin(url)} can't be reached: ${why}`, { cause: error })
  } finally {
    clearTimeout(timer)
  }
  if (!response.ok || !response.body) {
    stop.abort()
    throw new ThimbleError(
      'format/fetch',
      `${withoutLogin(url)} answers ${response.status} ${response.statusText}`.trimEnd(),
      {
        expected: 'a stream of pictures',
      },
    )
  }
  return {
    name: withoutLogin(url),
    live: true,
    chunks: response.body as unknown as AsyncIterable<Uint8Array>,
    close: () => stop.abort(),
  }
}

/** An address without its user and password. */
export const withoutLogin = (url: string): string => url.replace(/\/\/[^/@]*@/, '//')

/** Errors: `usage/file`, `format/fetch`. */
export async function openSource(source: string, timeoutMs: number): Promise<ByteSource> {
  if (source === '-') return ofReadable('stdin', !fstatSync(0).isFile(), process.stdin)
  if (/^https?:\/\//i.test(source)) {
    if (!URL.canParse(source)) throw new ThimbleError('usage/file', `${source} is no address`)
    return ofUrl(source, timeoutMs)
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(source)?.[1]
  if (scheme) {
    throw new ThimbleError('usage/file', `${scheme} streams are not read`, {
      expected: '-, a file, or an http or https address',
      hint: `ffmpeg -i ${withoutLogin(source)} -f mjpeg - | thimble watch -`,
    })
  }
  const stat = statSync(source, { throwIfNoEntry: false })
  if (!stat) throw new ThimbleError('usage/file', `${source} can't be read: no such file`)
  if (stat.isDirectory()) throw new ThimbleError('usage/file', `${source} can't be read: it is a folder`)
  return ofReadable(source, !stat.isFile(), createReadStream(source, { highWaterMark: 1 << 18 }))
}
