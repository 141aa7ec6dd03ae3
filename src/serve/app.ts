/**
 * The HTTP application: a Request in, a Response out. Its own routes, those of DeepStack and CodeProject.AI, and the Open
 * Inference Protocol, version 2. What a client sends is at fault with 4xx; a full queue and a late answer are 503 and 504.
 */
import { timingSafeEqual } from 'node:crypto'
import { ThimbleError } from '../errors.ts'
import { readInfer, tensorOf, writeInfer } from './inference.ts'
import { Metrics } from './metrics.ts'
import { boundaryOf, formFields } from './multipart.ts'
import { PAGE } from './page.ts'
import type { Answers } from '../cli/answer-pool.ts'
import { type Description, type PictureAnswer, type PictureQuestion, type TaskName, TASKS } from '../cli/answers.ts'

export interface AppOptions {
  answers: Answers
  /** Named models, as MODEL of the command line, with what they are. */
  models: ReadonlyMap<string, { model: string; about: Description }>
  version: string
  maxBytes: number
  /** Requests that may be under way, those whose body is being read included. */
  maxRequests: number
  apiKey?: string
  /** One finished request. */
  log?(entry: { method: string; path: string; status: number; ms: number; error?: string }): void
}

export interface App {
  fetch(request: Request): Promise<Response>
  /** From here on readiness is denied. */
  stop(): void
}

/** A refusal with its status. */
class Refused extends Error {
  readonly status: number
  readonly headers: Record<string, string>
  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

const SAFE = { 'x-content-type-options': 'nosniff' }
const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json', ...SAFE, ...headers } })

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

/** What an error is to a client. */
function refusalOf(error: unknown): Refused {
  if (error instanceof Refused) return error
  if (!(error instanceof ThimbleError)) return new Refused(500, 'runtime/internal: a fault of the server')
  const status = STATUS[error.code] ?? (/^(image|usage)\//.test(error.code) ? 400 : 500)
  return new Refused(status, error.message, status === 503 ? { 'retry-after': '1' } : {})
}

function sameText(a: string, b: string): boolean {
  const [x, y] = [Buffer.from(a), Buffer.from(b)]
  return x.length === y.length && timingSafeEqual(x, y)
}

/** A body of at most `most` bytes. */
async function readBody(request: Request, most: number): Promise<Uint8Array> {
  const tooLarge = (): Refused => new Refused(413, `the body is larger than ${most} bytes`)
  const said = Number(request.headers.get('content-length') ?? 0)
  if (said > most) throw tooLarge()
  if ((request.headers.get('content-encoding') ?? 'identity') !== 'identity') {
    throw new Refused(415, 'compressed bodies are not read')
  }
  const parts: Uint8Array[] = []
  let length = 0
  if (request.body) {
    try {
      for await (const part of request.body as unknown as AsyncIterable<Uint8Array>) {
        if ((length += part.length) > most) throw tooLarge()
        parts.push(part)
      }
    } catch (error) {
      throw error instanceof Refused ? error : new Refused(400, 'the body broke off')
    }
  }
  const body = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    body.set(part, at)
    at += part.length
  }
  return body
}

interface Picture {
  bytes: Uint8Array
  /** Fields of the form and of the query. */
  fields: Map<string, string>
}

/** The picture of a body: the whole of it, or the form's `image`, else its first file. */
function pictureOf(body: Uint8Array, request: Request, url: URL): Picture {
  const fields = new Map(url.searchParams)
  const type = request.headers.get('content-type') ?? ''
  let bytes: Uint8Array | undefined = body
  if (/^multipart\//i.test(type)) {
    const boundary = boundaryOf(type)
    const form = boundary === undefined ? undefined : formFields(body, boundary)
    if (!form) throw new Refused(400, 'the form is damaged')
    for (const f of form) {
      if (f.filename === undefined && f.bytes.length < 1024) fields.set(f.name, new TextDecoder().decode(f.bytes))
    }
    bytes = (form.find((f) => f.name === 'image') ?? form.find((f) => f.filename !== undefined))?.bytes
  }
  if (!bytes || bytes.length === 0) {
    throw new Refused(400, 'no image: send it as the body, or as the field image of a form')
  }
  return { bytes, fields }
}

/** A number of a form or query. */
function numberIn(fields: Map<string, string>, name: string, low: number, high: number): number | undefined {
  const value = fields.get(name)
  if (value === undefined || value === '') return undefined
  const n = Number(value)
  if (!(n >= low && n <= high)) throw new Refused(400, `${name} is out of range: expected ${low} to ${high}`)
  return n
}

interface Scored {
  label: string
  score: number
  box?: { x: number; y: number; width: number; height: number }
}

/** Boxes as DeepStack gives them, best first. */
const predictions = (found: Scored[]): object[] =>
  [...found]
    .sort((a, b) => b.score - a.score)
    .map(({ label, score, box }) => ({
      label,
      confidence: score,
      y_min: Math.round(box!.y),
      x_min: Math.round(box!.x),
      y_max: Math.round(box!.y + box!.height),
      x_max: Math.round(box!.x + box!.width),
    }))

export function createApp(options: AppOptions): App {
  const { answers, models } = options
  const metrics = new Metrics()
  let stopping = false
  let underWay = 0

  const firstFor = (task: TaskName): string | undefined => {
    const wanted = task === 'faces' ? undefined : task
    return [...models.values()].find(({ about }) => about.task === wanted)?.model
  }

  const keyed = (request: Request, fields?: Map<string, string>): void => {
    if (options.apiKey === undefined) return
    const given =
      /^Bearer (.*)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ??
      request.headers.get('x-api-key') ??
      fields?.get('api_key') ??
      ''
    if (!sameText(given, options.apiKey)) throw new Refused(401, 'the API key is missing or wrong')
  }

  /** Keeps memory bounded: no body is read beyond what may be under way. */
  async function admitted<T>(work: () => Promise<T>): Promise<T> {
    if (stopping || underWay >= options.maxRequests) {
      throw new Refused(503, stopping ? 'the server is ending' : 'too many requests', { 'retry-after': '1' })
    }
    underWay++
    try {
      return await work()
    } finally {
      underWay--
    }
  }

  async function ask(request: Request, url: URL, task: TaskName, named?: string): Promise<PictureAnswer> {
    return admitted(async () => {
      const { bytes, fields } = pictureOf(await readBody(request, options.maxBytes), request, url)
      keyed(request, fields)
      const wanted = named ?? fields.get('model')
      const known = wanted === undefined || wanted === '' ? undefined : models.get(wanted)
      if (wanted && !known) throw new Refused(404, `no model is called ${wanted.slice(0, 80)}`)
      const model = known?.model ?? firstFor(task)
      const threshold = numberIn(fields, 'min_confidence', 0, 1) ?? numberIn(fields, 'threshold', 0, 1)
      const top = numberIn(fields, 'top', 1, 10_000)
      const question: PictureQuestion = { task, picture: bytes }
      if (model !== undefined) question.model = model
      if (threshold !== undefined) question.threshold = threshold
      if (top !== undefined) question.top = Math.floor(top)
      return answers.answer(question)
    })
  }

  /** The routes that Blue Iris, Frigate, Agent DVR and Home Assistant call. */
  async function deepstack(request: Request, url: URL, path: string): Promise<Response> {
    if (/^\/v1\/(server\/)?status\/(ping|version|list)$/.test(path)) {
      const [major = 0, minor = 0, patch = 0] = options.version.split('.').map(Number)
      return json({
        success: true,
        message: `thimble ${options.version}`,
        version: { major, minor, patch },
        models: [...models.keys()],
      })
    }
    if (request.method !== 'POST') throw new Refused(405, 'POST a form with the field image', { allow: 'POST' })
    const [, kind = '', name] = /^\/v1\/vision\/(detection|face|scene|custom)(?:\/([^/]+))?$/.exec(path) ?? []
    const of = (answer: PictureAnswer, list: Scored[]): Response => {
      const { decodeMs, preprocessMs, inferMs } = answer.timings
      const found = predictions(list)
      const words = found.length
        ? `Found ${list
            .map((d) => d.label)
            .slice(0, 5)
            .join(', ')}`
        : 'No objects found'
      return json({
        success: true,
        message: words,
        count: found.length,
        predictions: found,
        inferenceMs: Math.round(inferMs),
        processMs: Math.round(decodeMs + preprocessMs + inferMs),
        code: 200,
        command: 'detect',
      })
    }
    if (kind === 'custom' && name === 'list') {
      await readBody(request, options.maxBytes)
      return json({ success: true, models: [...models].filter(([, m]) => m.about.task === 'detect').map(([n]) => n) })
    }
    if (kind === 'scene' && !name) {
      const answer = await ask(request, url, 'classify')
      const [best] = answer.fields.predictions as Scored[]
      return json({ success: true, label: best?.label ?? 'unknown', confidence: best?.score ?? 0 })
    }
    if (kind === 'face' && !name) {
      const answer = await ask(request, withConfidence(url), 'faces')
      return of(answer, answer.fields.faces as Scored[])
    }
    if (kind === 'face' && name === 'list') return json({ success: true, faces: [] })
    if (kind === 'face') throw new Refused(501, 'faces are found here, not registered or recognized')
    if ((kind === 'detection' && !name) || (kind === 'custom' && name)) {
      const answer = await ask(
        request,
        withConfidence(url),
        'detect',
        kind === 'custom' ? decodeURIComponent(name!) : undefined,
      )
      return of(answer, answer.fields.detections as Scored[])
    }
    throw new Refused(404, 'no such route')
  }

  /** DeepStack's own threshold where the client gives none; a form's field overrides the query. */
  const withConfidence = (url: URL): URL => {
    const changed = new URL(url)
    if (!changed.searchParams.has('min_confidence')) changed.searchParams.set('min_confidence', '0.4')
    return changed
  }

  /** Open Inference Protocol v2. */
  async function protocol(request: Request, path: string): Promise<Response> {
    if (path === '/v2') return json({ name: 'thimble', version: options.version, extensions: ['binary_tensor_data'] })
    if (path === '/v2/health/live') return json({ live: true })
    if (path === '/v2/health/ready') return json({ ready: !stopping }, stopping ? 503 : 200)
    keyed(request)
    if (path === '/v2/repository/index') {
      return json([...models.keys()].map((name) => ({ name, version: '1', state: 'READY' })))
    }
    const [, encoded, version, what] =
      /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/.exec(path) ?? []
    if (encoded === undefined) throw new Refused(404, 'no such route')
    const name = decodeURIComponent(encoded)
    const known = models.get(name)
    if (!known || (version !== undefined && version !== '1')) {
      throw new Refused(404, `no model is called ${name.slice(0, 80)}`)
    }
    const { about, model } = known
    if (what === 'ready') return json({ name, ready: true })
    if (what === undefined) {
      return json({
        name,
        versions: ['1'],
        platform: 'thimble',
        inputs: about.inputs.map(tensorOf),
        outputs: about.outputs.map(tensorOf),
      })
    }
    if (request.method !== 'POST') throw new Refused(405, 'infer is a POST', { allow: 'POST' })
    return admitted(async () => {
      const header = request.headers.get('inference-header-content-length')
      const body = await readBody(request, options.maxBytes)
      const asked = readInfer(
        body,
        header === null ? undefined : /^\d{1,12}$/.test(header) ? Number(header) : NaN,
        about,
      )
      const { outputs } = await answers.answer({ model, inputs: asked.inputs })
      const written = writeInfer(name, asked, outputs, about.outputs)
      const binary = written.headerLength !== undefined
      return new Response(written.body as BodyInit, {
        headers: {
          ...SAFE,
          'content-type': binary ? 'application/octet-stream' : 'application/json',
          ...(binary && { 'inference-header-content-length': String(written.headerLength) }),
        },
      })
    })
  }

  const gauges = (): Record<string, [string, number]> => ({
    thimble_requests_under_way: ['Requests that are being answered.', underWay],
    thimble_inferences_under_way: ['Questions that threads are answering.', answers.busy],
    thimble_queue_length: ['Questions that wait for a thread.', answers.waiting],
    thimble_models: ['Named models.', models.size],
    process_resident_memory_bytes: ['Resident memory.', process.memoryUsage.rss()],
  })

  async function answer(request: Request, url: URL, path: string): Promise<Response> {
    if (path === '/' && request.method === 'GET') {
      return new Response(PAGE, {
        headers: {
          ...SAFE,
          'content-type': 'text/html; charset=utf-8',
          'content-security-policy':
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src blob:",
        },
      })
    }
    if (path === '/healthz') return json({ status: stopping ? 'ending' : 'ok' }, stopping ? 503 : 200)
    if (path.startsWith('/v1/')) return deepstack(request, url, path)
    if (path === '/v2' || path.startsWith('/v2/')) return protocol(request, path)
    if (path === '/metrics') {
      keyed(request)
      return new Response(metrics.text(gauges()), {
        headers: { ...SAFE, 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      })
    }
    const task = TASKS.find((t) => path === `/${t}`)
    if (!task) throw new Refused(404, 'no such route')
    if (request.method !== 'POST') throw new Refused(405, 'POST an image', { allow: 'POST' })
    const { model, width, height, fields, timings } = await ask(request, url, task)
    const name = [...models].find(([, m]) => m.model === model)?.[0] ?? model
    return json({ model: name, ...(width === undefined ? {} : { width, height }), ...fields, timings })
  }

  return {
    stop() {
      stopping = true
    },
    async fetch(request) {
      const start = performance.now()
      const url = new URL(request.url)
      const path = url.pathname.replace(/(.)\/$/, '$1')
      let response: Response
      let error: string | undefined
      try {
        response = await answer(request, url, path)
      } catch (thrown) {
        const refused = thrown instanceof URIError ? new Refused(400, 'the path is damaged') : refusalOf(thrown)
        error = refused.status === 500 && thrown instanceof Error ? thrown.message : refused.message
        const body = path.startsWith('/v1/')
          ? { success: false, error: refused.message, code: refused.status }
          : { error: refused.message }
        response = json(body, refused.status, refused.headers)
      }
      const ms = performance.now() - start
      metrics.count(routeOf(path), response.status, ms / 1000)
      options.log?.({
        method: request.method,
        path,
        status: response.status,
        ms: Math.round(ms * 1000) / 1000,
        ...(error === undefined ? {} : { error }),
      })
      return response
    },
  }
}

/** A path as one of few. */
function routeOf(path: string): string {
  if (path === '/' || path === '/healthz' || path === '/metrics' || TASKS.some((t) => path === `/${t}`)) return path
  const vision = /^\/v1\/vision\/(detection|face|scene|custom)/.exec(path)
  if (vision) return vision[0]
  if (path.startsWith('/v1/')) return '/v1'
  if (/^\/v2\/models\/[^/]+.*\/infer$/.test(path)) return '/v2/models/infer'
  return path.startsWith('/v2') ? '/v2' : 'other'
}
