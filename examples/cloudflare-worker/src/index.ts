/**
 * Image classification at the edge.
 *
 *   POST /classify[?top=N]   body: a JPEG or PNG file; answers JSON with labels and timings
 *   GET  /                   a page to drop a photo on
 *   GET  /healthz            what is running
 *
 * Model and runtime are one compiled module (`npm run model`); a second small one decodes and resizes the photo.
 */
import { type Classifier, createClassifier, loadModel, ThimbleError } from 'thimble'
import image from 'thimble/image.wasm'
import module from './model.wasm'
import page from './page.html'
import { SMALL_JPEG } from './warm-up'

/** Largest request body in bytes, and largest photo: what fits an isolate's 128 MB beside the model. */
const MAX_BODY = 10 * 1024 * 1024
const LIMITS = { maxPixels: 25_000_000, maxBytes: 64 * 1024 * 1024 }
const MAX_TOP = 50
/** Uploads that are read at once, the bytes they may hold together, and how long one may take. */
const MAX_UPLOADS = 32
const MAX_HELD = 24 * 1024 * 1024
const UPLOAD_MS = 15_000

const start = async (): Promise<Classifier> =>
  createClassifier(await loadModel(module), { image, imageLimits: LIMITS, decode: 'fast' })

// Everything is loaded, and run a few times so that it is compiled, while the Worker starts: no request pays for it.
const WARM_UPS = 4
let classifier = await start()
for (let i = 0; i < WARM_UPS; i++) classifier.classify(SMALL_JPEG)

/** An answer that is not a prediction: a status and a sentence. */
class Refusal extends Error {
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

const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'access-control-allow-origin': '*',
      ...headers,
    },
  })

const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
}

const uploads = { count: 0, bytes: 0 }

const busy = (): Refusal =>
  new Refusal(503, 'busy', 'too many photos are on their way here; send yours again in a moment', {
    'retry-after': '2',
  })

/** The body's chunks: never more than MAX_BODY of one, than MAX_HELD of all together, or longer than UPLOAD_MS. */
async function readChunks(reader: ReadableStreamDefaultReader<Uint8Array>, chunks: Uint8Array[]): Promise<void> {
  let length = 0
  let late = false
  const clock = setTimeout(() => {
    late = true
    // Ends the read that is waited for.
    void reader.cancel().catch(() => {})
  }, UPLOAD_MS)
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (late) throw new Refusal(408, 'body-slow', `the photo took more than ${UPLOAD_MS / 1000} seconds to arrive`)
      if (done) return
      length += value.length
      uploads.bytes += value.length
      chunks.push(value)
      if (length > MAX_BODY) throw tooLarge()
      if (uploads.bytes > MAX_HELD) throw busy()
    }
  } catch (error) {
    void reader.cancel().catch(() => {})
    if (error instanceof Refusal) throw error
    throw new Refusal(400, 'body-incomplete', 'the photo stopped arriving before its end')
  } finally {
    clearTimeout(clock)
  }
}

const tooLarge = (): Refusal =>
  new Refusal(413, 'body-too-large', `the body is larger than ${MAX_BODY} bytes; send a smaller photo`)

/** The bytes of the body. */
async function readBody(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BODY) throw tooLarge()
  if (uploads.count >= MAX_UPLOADS) throw busy()
  const chunks: Uint8Array[] = []
  const sum = (): number => chunks.reduce((n, chunk) => n + chunk.length, 0)
  uploads.count++
  try {
    if (request.body) await readChunks(request.body.getReader(), chunks)
    const bytes = new Uint8Array(sum())
    let at = 0
    for (const chunk of chunks) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    if (at === 0) throw new Refusal(400, 'body-empty', 'the body is empty; send the bytes of a JPEG or PNG file')
    return bytes
  } finally {
    uploads.count--
    uploads.bytes -= sum()
  }
}

const STATUS: Record<string, number> = {
  'image/too-large': 413,
  'image/unknown-format': 415,
  'image/unsupported-format': 415,
}

async function classify(request: Request, url: URL): Promise<Response> {
  const type = (request.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
  if (
    type !== '' &&
    type !== 'application/octet-stream' &&
    type !== 'application/x-www-form-urlencoded' &&
    !type.startsWith('image/')
  ) {
    throw new Refusal(
      415,
      'media-type',
      `the body is ${type}; send the bytes of a JPEG or PNG file, with its own content type`,
    )
  }
  const top = Number(url.searchParams.get('top') ?? 5)
  if (!Number.isInteger(top) || top < 1 || top > MAX_TOP) {
    throw new Refusal(400, 'top', `top must be a whole number from 1 to ${MAX_TOP}`)
  }
  const bytes = await readBody(request)
  try {
    const predictions = classifier.classify(bytes, { topK: top })
    const { decodeMs, preprocessMs, inferMs, reduced } = classifier.timings
    return json({
      model: classifier.model.metadata.name ?? 'model',
      predictions,
      // A large JPEG is read at 1/reduced of its size: scores differ a little from those of the full one.
      decode: 'fast',
      reduced,
      timings: { decodeMs, preprocessMs, inferMs },
    })
  } catch (error) {
    if (error instanceof ThimbleError && error.code.startsWith('image/')) {
      throw new Refusal(STATUS[error.code] ?? 400, error.code, error.message)
    }
    // Not a fault that was foreseen: what was in memory is not trusted any more.
    classifier = await start()
    throw new Refusal(400, 'image/unreadable', "this photo can't be read")
  }
}

async function route(request: Request): Promise<Response> {
  const url = new URL(request.url)
  const { method } = request
  const allow = (...methods: string[]): void => {
    if (!methods.includes(method)) {
      throw new Refusal(405, 'method', `${method} is not allowed here; use ${methods.join(' or ')}`, {
        allow: methods.join(', '),
      })
    }
  }
  switch (url.pathname) {
    case '/':
      allow('GET', 'HEAD')
      return new Response(method === 'HEAD' ? null : page, { headers: PAGE_HEADERS })
    case '/healthz': {
      allow('GET', 'HEAD')
      const { model } = classifier
      return json({
        ok: true,
        model: model.metadata.name,
        variant: model.variant,
        input: model.inputs[0]!.shape,
        classes: classifier.labels.length,
        memoryBytes: model.memoryBytes,
      })
    }
    case '/classify':
      if (method === 'OPTIONS') {
        return new Response(null, {
          status: 204,
          headers: {
            'access-control-allow-origin': '*',
            'access-control-allow-methods': 'POST',
            'access-control-allow-headers': 'content-type',
          },
        })
      }
      allow('POST')
      return classify(request, url)
    default:
      throw new Refusal(404, 'not-found', 'there is GET /, GET /healthz and POST /classify')
  }
}

export default {
  async fetch(request: Request): Promise<Response> {
    try {
      return await route(request)
    } catch (error) {
      if (error instanceof Refusal) {
        return json({ error: { code: error.code, message: error.message } }, error.status, error.headers)
      }
      console.error(error)
      return json({ error: { code: 'internal', message: 'something went wrong here' } }, 500)
    }
  },
}
