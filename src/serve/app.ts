/**
 * One HTTP application for every host: a Request in, a Response out. Its own routes, those of DeepStack and
 * CodeProject.AI, and the Open Inference Protocol, version 2. `thimble serve` and examples/cloudflare-worker are this.
 * Needs nothing but fetch's classes; who answers is given to it.
 */
import type { HostRequest, HostResponse } from '../base/host.ts'
import { checkValue, having } from '../options/options.ts'
import { Bodies, type BodyLimits } from './bodies.ts'
import { deepstack } from './deepstack.ts'
import type { Incoming, Outgoing } from './exchange.ts'
import { openInference } from './inference-routes.ts'
import { Metrics } from './metrics.ts'
import { mediaType, numberIn, pictureOf } from './picture.ts'
import {
  type Answers,
  namedModel,
  type NamedModel,
  type Description,
  type PictureAnswer,
  type PictureQuestion,
  type TaskName,
  TASKS,
} from './questions.ts'
import { allow, Refusal, refusalOf, RETRY } from './refusal.ts'

/** A file of the page at /. */
export interface PageFile {
  body: Uint8Array | string
  headers: Record<string, string>
}

/** A request that was answered, for a log. */
export interface LogEntry {
  method: string
  path: string
  status: number
  ms: number
  error?: string
}

/** Numbers of the host for /metrics: what each is, and its value. */
export type Gauges = Record<string, [help: string, value: number]>

/** Who answers, with which models, within which limits. */
export interface AppOptions {
  answers: Answers
  /** Named models, as `answers` knows them, with what they are. The first one for a task is the one it uses. */
  models: ReadonlyMap<string, NamedModel>
  version: string
  limits: BodyLimits
  /** Asked of every request but those for the page and for health. */
  apiKey?: string
  /** Files of the page by their path below /, which is `index.html` itself. */
  page?(path: string): PageFile | undefined
  /** Whether pages of other origins may ask. Default: no. */
  cors?: boolean
  gauges?(): Gauges
  /** One finished request. */
  log?(entry: LogEntry): void
}

/** The application. */
export interface HttpApp {
  fetch(request: HostRequest): Promise<HostResponse>
  /** The same for a host whose requests are not fetch's. */
  answer(request: Incoming): Promise<Outgoing>
  /** From here on new work is refused, and readiness denied. */
  stop(): void
}

const SAFE = { 'x-content-type-options': 'nosniff' }
/** What a picture may ask of its answer. */
const SCORE = { least: 0, most: 1 }
const TOP = { least: 1, most: 10_000, whole: true }

const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Outgoing => ({
  status,
  headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...SAFE, ...headers },
  body: JSON.stringify(value),
})

/** Compares without telling by the time where texts differ. */
function sameText(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array]
  return y.reduce((different, byte, i) => different | (byte ^ (x[i] ?? 0)), x.length ^ y.length) === 0
}

/** The key that a request gives before its body; undefined where it gives none. */
const givenKey = (request: Incoming, url: URL): string | undefined =>
  /^Bearer (.*)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ??
  request.headers.get('x-api-key') ??
  url.searchParams.get('api_key') ??
  undefined

/** What a request asks for; undefined where that is no address. */
function addressOf(request: Incoming): URL | undefined {
  try {
    return new URL(request.url)
  } catch {
    return undefined
  }
}

/** A detector of faces and nothing else. */
const findsFaces = ({ task, labels }: Description): boolean =>
  task === 'detect' && labels.length === 1 && labels[0] === 'face'

/**
 * Makes the application. What a client sends is at fault with 4xx; a full queue and a late answer are 503, with
 * Retry-After, and 504. Errors: `usage/option`.
 *
 * @example worker
 * import image from 'thimble/image.wasm'
 * import { answersOf, createApp, describeAll } from 'thimble/serve'
 * import packed from './model.wasm'
 * const answers = answersOf({ models: { things: packed }, image })
 * const app = createApp({
 *   answers,
 *   models: await describeAll(answers, ['things']),
 *   version: '1.0.0',
 *   limits: { maxBytes: 10e6, maxRequests: 32 },
 * })
 * export default { fetch: (request: Request) => app.fetch(request) }
 */
export function createApp(options: AppOptions): HttpApp {
  checkValue('createApp: options', options, having('answers', 'models', 'version', 'limits'))
  const app = new Application(options)
  return {
    stop: () => app.stop(),
    answer: (request) => app.answer(request),
    fetch: async (request) => {
      const { status, headers, body } = await app.answer(request)
      return new Response(body as BodyInit | null, { status, headers })
    },
  }
}

/** The routes, with what they share. */
class Application {
  private readonly options: AppOptions
  private readonly bodies: Bodies
  private readonly metrics = new Metrics()
  private stopping = false

  constructor(options: AppOptions) {
    this.options = options
    this.bodies = new Bodies(options.limits)
  }

  stop(): void {
    this.stopping = true
  }

  /** Any request, answered, counted and logged. */
  async answer(request: Incoming): Promise<Outgoing> {
    const { cors = false, log } = this.options
    const start = performance.now()
    const url = addressOf(request)
    const path = url?.pathname.replace(/(.)\/$/, '$1') ?? ''
    let response: Outgoing
    let error: string | undefined
    try {
      if (!url) throw new Refusal(400, 'url', 'the address is damaged')
      response = cors && request.method === 'OPTIONS' ? preflight() : await this.route(request, url, path)
    } catch (thrown) {
      const refusal = refusalOf(thrown)
      error = refusal.status === 500 && thrown instanceof Error ? thrown.message : refusal.message
      response = refused(refusal, path)
    }
    if (cors) response.headers['access-control-allow-origin'] = '*'
    const ms = performance.now() - start
    this.metrics.count(routeOf(path), response.status, ms / 1000)
    log?.({
      method: request.method,
      path,
      status: response.status,
      ms: Math.round(ms * 1000) / 1000,
      ...(error === undefined ? {} : { error }),
    })
    return response
  }

  private async route(request: Incoming, url: URL, path: string): Promise<Outgoing> {
    if (path.startsWith('/v1/')) return this.deepstack(request, url, path)
    if (path === '/v2' || path.startsWith('/v2/')) return this.protocol(request, url, path)
    const task = TASKS.find((t) => path === `/${t}`)
    if (task) {
      allow(request, 'POST')
      return this.task(request, url, task)
    }
    if (path === '/healthz') {
      allow(request, 'GET', 'HEAD')
      return this.health()
    }
    if (path === '/metrics') {
      allow(request, 'GET', 'HEAD')
      this.checkKey(givenKey(request, url))
      const headers = { ...SAFE, 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }
      return { status: 200, headers, body: this.metrics.text(this.gauges()) }
    }
    const page = this.page(path)
    allow(request, 'GET', 'HEAD')
    return page
  }

  private async task(request: Incoming, url: URL, task: TaskName): Promise<Outgoing> {
    const { models } = this.options
    const { model, width, height, fields, timings } = await this.ask(request, url, { task })
    const name = [...models].find(([, m]) => m.model === model)?.[0] ?? model
    return json({ model: name, ...(width === undefined ? {} : { width, height }), ...fields, timings })
  }

  private async deepstack(request: Incoming, url: URL, path: string): Promise<Outgoing> {
    const { models, version } = this.options
    return json(
      await deepstack(request, path, {
        version,
        models: [...models.keys()],
        detectors: [...models].filter(([, m]) => m.about.task === 'detect').map(([name]) => name),
        ask: (task, least, named) => this.ask(request, url, { task, least, named }),
        drain: () => this.admitted(() => this.bodies.read(request)),
      }),
    )
  }

  private async protocol(request: Incoming, url: URL, path: string): Promise<Outgoing> {
    const { answers, models, version } = this.options
    const {
      status = 200,
      body,
      headers,
    } = await openInference(request, path, {
      version,
      models,
      ready: !this.stopping,
      checkKey: () => this.checkKey(givenKey(request, url)),
      body: () => this.bodies.read(request),
      admitted: (work) => this.admitted(work),
      infer: (model, inputs) => answers.answer({ model, inputs }),
    })
    if (headers === undefined) return json(body, status)
    return { status, headers: { ...SAFE, ...headers }, body: body as Uint8Array }
  }

  /** Errors: 404 where there is no such page either. */
  private page(path: string): Outgoing {
    const file = this.options.page?.(path === '/' ? 'index.html' : path.slice(1))
    if (file) return { status: 200, headers: { ...SAFE, ...file.headers }, body: file.body }
    const tasks = TASKS.map((t) => `/${t}`).join(', ')
    throw new Refusal(404, 'not-found', `there is POST ${tasks}, /v1/vision/…, /v2, GET /healthz, /metrics`)
  }

  private health(): Outgoing {
    const { apiKey, models } = this.options
    const about = [...models].map(([name, { about }]) => {
      const { task, inputs, labels, variant, memoryBytes } = about
      return {
        name,
        task,
        input: inputs[0]?.shape,
        classes: labels.length,
        ...(variant === undefined ? {} : { variant }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      }
    })
    const status = this.stopping ? 'ending' : 'ok'
    // Who has no key learns no more than that it runs.
    return json({ status, ...(apiKey === undefined ? { models: about } : {}) }, this.stopping ? 503 : 200)
  }

  private gauges(): Gauges {
    const { answers, models, gauges } = this.options
    return {
      thimble_requests_under_way: ['Requests that are being answered.', this.bodies.underWay],
      thimble_inferences_under_way: ['Questions that are being answered.', answers.busy],
      thimble_queue_length: ['Questions that wait for a thread.', answers.waiting],
      thimble_models: ['Named models.', models.size],
      ...gauges?.(),
    }
  }

  private checkKey(given: string | undefined): void {
    const { apiKey } = this.options
    if (apiKey === undefined || sameText(given ?? '', apiKey)) return
    throw new Refusal(401, 'key', 'the API key is missing or wrong', { 'www-authenticate': 'Bearer' })
  }

  /** One request with a body, within the limits. */
  private admitted<T>(work: () => Promise<T>): Promise<T> {
    if (this.stopping) throw new Refusal(503, 'ending', 'the server is ending', RETRY)
    return this.bodies.admit(work)
  }

  private ask(request: Incoming, url: URL, { task, least, named }: Wanted): Promise<PictureAnswer> {
    return this.admitted(async () => {
      // A form may hold the key: only that is read before it is known.
      const early = givenKey(request, url)
      if (mediaType(request) !== 'multipart/form-data' || early !== undefined) this.checkKey(early)
      const { bytes, fields } = pictureOf(await this.bodies.read(request), request, url)
      if (early === undefined) this.checkKey(fields.get('api_key'))
      const model = this.modelFor(task, named ?? fields.get('model'))
      const threshold = numberIn(fields, 'min_confidence', SCORE) ?? numberIn(fields, 'threshold', SCORE) ?? least
      const top = numberIn(fields, 'top', TOP)
      const question: PictureQuestion = { task, picture: bytes }
      if (model !== undefined) question.model = model
      if (threshold !== undefined) question.threshold = threshold
      if (top !== undefined) question.top = top
      return this.options.answers.answer(question)
    })
  }

  /** The model that a client names, else the first one for the task. Errors: 404 for a name that none has. */
  private modelFor(task: TaskName, name: string | undefined): string | undefined {
    const { models } = this.options
    if (name) return namedModel(models, name).model
    const fits = (about: Description): boolean => (task === 'faces' ? findsFaces(about) : about.task === task)
    return [...models.values()].find(({ about }) => fits(about))?.model
  }
}

/** What a picture is asked, by its route and the fields of DeepStack. */
interface Wanted {
  task: TaskName
  least?: number | undefined
  named?: string | undefined
}

/** The error as the clients of a route read it. */
function refused({ status, code, message, headers }: Refusal, path: string): Outgoing {
  if (path.startsWith('/v1/')) {
    // DeepStack's clients know one status for pictures that can't be taken.
    const known = code.startsWith('image/') ? 400 : status
    return json({ success: false, error: message, code: known }, known, headers)
  }
  // The protocol wants a text.
  if (path.startsWith('/v2')) return json({ error: message }, status, headers)
  return json({ error: { code, message } }, status, headers)
}

const preflight = (): Outgoing => ({
  status: 204,
  headers: {
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': 'authorization, content-type, x-api-key, inference-header-content-length',
  },
  body: null,
})

/** A path as one of few. */
function routeOf(path: string): string {
  if (path === '/' || path === '/healthz' || path === '/metrics' || TASKS.some((t) => path === `/${t}`)) return path
  const route = /^\/v1\/vision\/(detection|face|scene|custom)/.exec(path)
  if (route) return route[0]
  if (path.startsWith('/v1/')) return '/v1'
  if (/^\/v2\/models\/[^/]+.*\/infer$/.test(path)) return '/v2/models/infer'
  return path.startsWith('/v2') ? '/v2' : 'other'
}
