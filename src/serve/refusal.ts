/** What a request is refused with: a status, a code and a sentence. */
import { ThimbleError } from '../base/errors.ts'
import type { Incoming } from './exchange.ts'

export class Refusal extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Record<string, string>
  constructor(status: number, code: string, message: string, headers: Record<string, string> = {}) {
    super(message)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

/** What a client whose request was not taken may do. */
export const RETRY = { 'retry-after': '1' }

const STATUS: Record<string, number> = {
  'image/too-large': 413,
  'image/unsupported-format': 415,
  'image/unknown-format': 415,
  'usage/model': 404,
  'runtime/busy': 503,
  'runtime/threads': 503,
  'runtime/memory': 503,
  'runtime/timeout': 504,
}

/** What an error is to a client: its own fault with 4xx, a full queue and a late answer 503 and 504. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof URIError) return new Refusal(400, 'path', 'the path is damaged')
  if (!(error instanceof ThimbleError)) return new Refusal(500, 'runtime/internal', 'a fault of the server')
  const status = STATUS[error.code] ?? (/^(image|usage)\//.test(error.code) ? 400 : 500)
  return new Refusal(status, error.code, error.message, status === 503 ? RETRY : {})
}

/** Errors: 405 for a method that a route does not have. */
export function allow(request: Pick<Incoming, 'method'>, ...methods: string[]): void {
  if (methods.includes(request.method)) return
  throw new Refusal(405, 'method', `${request.method} is not allowed here; use ${methods.join(' or ')}`, {
    allow: methods.join(', '),
  })
}
