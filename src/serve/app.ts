/**
 * One HTTP application for every host: a Request in, a Response out. Its own routes, those of DeepStack and
 * CodeProject.AI, and the Open Inference Protocol, version 2. `thimble serve` and examples/cloudflare-worker are this.
 * Needs nothing but fetch's classes; who answers is given to it.
 */
import type { HostRequest, HostResponse } from '../host.ts'
import { Bodies, type BodyLimits } from './bodies.ts'
import { deepstack } from './deepstack.ts'
import { readInfer, tensorOf, writeInfer } from './inference.ts'
import { Metrics } from './metrics.ts'
import { mediaType, numberIn, pictureOf } from './picture.ts'
import {
  type Answers,
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
  models: ReadonlyMap<string, { model: string; about: Description }>
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
  /** From here on new work is refused, and readiness denied. */
  stop(): void
}

const SAFE = { 'x-content-type-options': 'nosniff' }
/** What a picture may ask of its answer. */
const SCORE = { least: 0, most: 1 }
const TOP = { least: 1, most: 10_000, whole: true }

const json = (value: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store', ...SAFE, ...headers },
  })

/** Compares without telling by the time where texts differ. */
function sameText(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array]
  return y.reduce((different, byte, i) => different | (byte ^ (x[i] ?? 0)), x.length ^ y.length) === 0
}

/** The key that a request gives before its body; undefined where it gives none. */
const givenKey = (request: Request, url: URL): string | undefined =>
  /^Bearer (.*)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ??
  request.headers.get('x-api-key') ??
  url.searchParams.get('api_key') ??
  undefined

/** A detector of faces and nothing else. */
const findsFaces = ({ task, labels }: Description): boolean =>
  task === 'detect' && labels.length === 1 && labels[0] === 'face'

/**
 * Makes the application. What a client sends is at fault with 4xx; a full queue and a late answer are 503, with
 * Retry-After, and 504.
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
  const { answers, models, limits, cors = false } = options
  const bodies = new Bodies(limits)
  const metrics = new Metrics()
  let stopping = false

  const firstFor = (task: TaskName): string | undefined => {
    const fits = (about: Description): boolean => (task === 'faces' ? findsFaces(about) : about.task === task)
    return [...models.values()].find(({ about }) => fits(about))?.model
  }

  const checkKey = (given: string | undefined): void => {
    if (options.apiKey === undefined || sameText(given ?? '', options.apiKey)) return
    throw new Refusal(401, 'key', 'the API key is missing or wrong', { 'www-authenticate': 'Bearer' })
  }
  const keyed = (request: Request, url: URL): void => checkKey(givenKey(request, url))

  /** One request with a body, within the limits. */
  function admitted<T>(work: () => Promise<T>): Promise<T> {
    if (stopping) throw new Refusal(503, 'ending', 'the server is ending', RETRY)
    return bodies.admit(work)
  }

  function ask(
    request: Request,
    url: URL,
    { task, least, named }: { task: TaskName; least?: number | undefined; named?: string | undefined },
  ): Promise<PictureAnswer> {
    return admitted(async () => {
      // A form may hold the key: only that is read before it is known.
      const early = givenKey(request, url)
      if (mediaType(request) !== 'multipart/form-data' || early !== undefined) checkKey(early)
      const { bytes, fields } = pictureOf(await bodies.read(request), request, url)
      if (early === undefined) checkKey(fields.get('api_key'))
      const wanted = named ?? fields.get('model')
      const known = wanted ? models.get(wanted) : undefined
      if (wanted && !known) throw new Refusal(404, 'usage/model', `no model is called ${wanted.slice(0, 80)}`)
      const model = known?.model ?? firstFor(task)
      const threshold = numberIn(fields, 'min_confidence', SCORE) ?? numberIn(fields, 'threshold', SCORE) ?? least
      const top = numberIn(fields, 'top', TOP)
      const question: PictureQuestion = { task, picture: bytes }
      if (model !== undefined) question.model = model
      if (threshold !== undefined) question.threshold = threshold
      if (top !== undefined) question.top = top
      return answers.answer(question)
    })
  }

  const vision = async (request: Request, url: URL, path: string): Promise<Response> =>
    json(
      await deepstack(request, path, {
        version: options.version,
        models: [...models.keys()],
        detectors: [...models].filter(([, m]) => m.about.task === 'detect').map(([name]) => name),
        ask: (task, least, named) => ask(request, url, { task, least, named }),
        drain: () => admitted(() => bodies.read(request)),
      }),
    )

  /** Open Inference Protocol v2. */
  async function protocol(request: Request, url: URL, path: string): Promise<Response> {
    if (path === '/v2') return json({ name: 'thimble', version: options.version, extensions: ['binary_tensor_data'] })
    if (path === '/v2/health/live') return json({ live: true })
    if (path === '/v2/health/ready') return json({ ready: !stopping }, stopping ? 503 : 200)
    keyed(request, url)
    if (path === '/v2/repository/index') {
      return json([...models.keys()].map((name) => ({ name, version: '1', state: 'READY' })))
    }
    const [, encoded, version, what] =
      /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/.exec(path) ?? []
    if (encoded === undefined) throw new Refusal(404, 'not-found', 'no such route')
    const name = decodeURIComponent(encoded)
    const known = models.get(name)
    if (!known || (version !== undefined && version !== '1')) {
      throw new Refusal(404, 'usage/model', `no model is called ${name.slice(0, 80)}`)
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
    allow(request, 'POST')
    return admitted(async () => {
      const header = request.headers.get('inference-header-content-length')
      const body = await bodies.read(request)
      const length = header === null ? undefined : /^\d{1,12}$/.test(header) ? Number(header) : NaN
      const asked = readInfer(body, length, about)
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

  const gauges = (): Gauges => ({
    thimble_requests_under_way: ['Requests that are being answered.', bodies.underWay],
    thimble_inferences_under_way: ['Questions that are being answered.', answers.busy],
    thimble_queue_length: ['Questions that wait for a thread.', answers.waiting],
    thimble_models: ['Named models.', models.size],
    ...options.gauges?.(),
  })

  const health = (): Response => {
    const about = [...models].map(
      ([
        name,
        {
          about: { task, inputs, labels, variant, memoryBytes },
        },
      ]) => ({
        name,
        task,
        input: inputs[0]?.shape,
        classes: labels.length,
        ...(variant === undefined ? {} : { variant }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
      }),
    )
    // Who has no key learns no more than that it runs.
    const models_ = options.apiKey === undefined ? { models: about } : {}
    return json({ status: stopping ? 'ending' : 'ok', ...models_ }, stopping ? 503 : 200)
  }

  function pageFile(path: string): Response | undefined {
    const file = options.page?.(path === '/' ? 'index.html' : path.slice(1))
    return file && new Response(file.body as BodyInit, { headers: { ...SAFE, ...file.headers } })
  }

  async function answer(request: Request, url: URL, path: string): Promise<Response> {
    if (path === '/healthz') {
      allow(request, 'GET', 'HEAD')
      return health()
    }
    if (path.startsWith('/v1/')) return vision(request, url, path)
    if (path === '/v2' || path.startsWith('/v2/')) return protocol(request, url, path)
    if (path === '/metrics') {
      allow(request, 'GET', 'HEAD')
      keyed(request, url)
      return new Response(metrics.text(gauges()), {
        headers: { ...SAFE, 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
      })
    }
    const task = TASKS.find((t) => path === `/${t}`)
    if (!task) {
      const file = pageFile(path)
      if (!file) {
        throw new Refusal(
          404,
          'not-found',
          `there is POST ${TASKS.map((t) => `/${t}`).join(', ')}, /v1/vision/…, /v2, GET /healthz, /metrics`,
        )
      }
      allow(request, 'GET', 'HEAD')
      return file
    }
    allow(request, 'POST')
    const { model, width, height, fields, timings } = await ask(request, url, { task })
    const name = [...models].find(([, m]) => m.model === model)?.[0] ?? model
    return json({ model: name, ...(width === undefined ? {} : { width, height }), ...fields, timings })
  }

  /** The error as the clients of a route read it. */
  function refused({ status, code, message, headers }: Refusal, path: string): Response {
    if (path.startsWith('/v1/')) {
      // DeepStack's clients know one status for pictures that can't be taken.
      const known = code.startsWith('image/') ? 400 : status
      return json({ success: false, error: message, code: known }, known, headers)
    }
    // The protocol wants a text.
    if (path.startsWith('/v2')) return json({ error: message }, status, headers)
    return json({ error: { code, message } }, status, headers)
  }

  const preflight = (): Response =>
    new Response(null, {
      status: 204,
      headers: {
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': 'authorization, content-type, x-api-key, inference-header-content-length',
      },
    })

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
        response = cors && request.method === 'OPTIONS' ? preflight() : await answer(request, url, path)
      } catch (thrown) {
        const refusal = refusalOf(thrown)
        error = refusal.status === 500 && thrown instanceof Error ? thrown.message : refusal.message
        response = refused(refusal, path)
      }
      if (cors) response.headers.set('access-control-allow-origin', '*')
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
  const route = /^\/v1\/vision\/(detection|face|scene|custom)/.exec(path)
  if (route) return route[0]
  if (path.startsWith('/v1/')) return '/v1'
  if (/^\/v2\/models\/[^/]+.*\/infer$/.test(path)) return '/v2/models/infer'
  return path.startsWith('/v2') ? '/v2' : 'other'
}
