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

const start = async (): Promise<Classifier> => createClassifier(await loadModel(module), { image, imageLimits: LIMITS })

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

/** The body, never more than MAX_BODY of it. */
async function readBody(request: Request): Promise<Uint8Array> {
  const tooLarge = (): Refusal =>
    new Refusal(413, 'body-too-large', `the body is larger than ${MAX_BODY} bytes; send a smaller photo`)
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BODY) throw tooLarge()
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = request.body?.getReader()
  while (reader) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > MAX_BODY) {
      await reader.cancel()
      throw tooLarge()
    }
    chunks.push(value)
  }
  if (length === 0) throw new Refusal(400, 'body-empty', 'the body is empty; send the bytes of a JPEG or PNG file')
  if (chunks.length === 1) return chunks[0]!
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
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
    const { decodeMs, preprocessMs, inferMs } = classifier.timings
    return json({
      model: classifier.model.metadata.name ?? 'model',
      predictions,
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
