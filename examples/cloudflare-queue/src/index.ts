/**
 * Photos that arrive in a bucket, classified by a queue's consumer.
 *
 *   R2 --event notification--> queue photos --> here --> D1, one row a photo
 *                                   after 5 tries --> queue photos-dead --> here --> D1, its error
 *   GET /results[?after=KEY]   JSON Lines by key, 1000 at once
 *   GET /results/KEY           one of them
 *
 * A queue delivers at least once; the answer is the same every time and is written over itself.
 */
import { type Classifier, createClassifier, loadModel, ThimbleError } from 'thimble'
import image from 'thimble/image.wasm'
import module from './model.wasm'

/** What is used of the platform. */
interface Bucket {
  get(key: string): Promise<{ size: number; arrayBuffer(): Promise<ArrayBuffer> } | null>
}
interface Statement {
  bind(...values: (string | number | null)[]): Statement
  run(): Promise<unknown>
  first<T>(): Promise<T | null>
  all<T>(): Promise<{ results: T[] }>
}
interface Env {
  PHOTOS: Bucket
  RESULTS: { prepare(sql: string): Statement }
}
/** R2's event notification: https://developers.cloudflare.com/r2/buckets/event-notifications/ */
interface Event {
  action: string
  object: { key: string }
}
interface Message {
  body: Event
  ack(): void
  retry(options?: { delaySeconds: number }): void
  attempts: number
}
interface Batch {
  queue: string
  messages: readonly Message[]
}
interface Row {
  key: string
  sha256: string | null
  model: string
  label: string | null
  score: number | null
  predictions: string | null
  error: string | null
}

/** What fits an isolate's 128 MB beside the model. */
const MAX_BYTES = 20 * 1024 * 1024
const LIMITS = { maxPixels: 25_000_000, maxBytes: 64 * 1024 * 1024 }
const MODEL = 'mobilenet_v2_1.0_224'
const PAGE = 1000
const DEAD = 'photos-dead'

let opened: Promise<Classifier> | undefined
const classifierOf = (): Promise<Classifier> =>
  (opened ??= loadModel(module).then((model) => createClassifier(model, { image, imageLimits: LIMITS })))

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const NOTHING: Omit<Row, 'key' | 'model'> = { sha256: null, label: null, score: null, predictions: null, error: null }

async function write(env: Env, row: Row): Promise<void> {
  await env.RESULTS.prepare(
    'INSERT OR REPLACE INTO results (key, sha256, model, label, score, predictions, error) VALUES (?, ?, ?, ?, ?, ?, ?)',
  )
    .bind(row.key, row.sha256, row.model, row.label, row.score, row.predictions, row.error)
    .run()
}

/** Throws what another try may mend; a photo that is at fault itself has its error as the answer. */
async function answer(env: Env, key: string): Promise<void> {
  const row: Row = { key, model: MODEL, ...NOTHING }
  const object = await env.PHOTOS.get(key)
  if (!object) return
  if (object.size > MAX_BYTES) {
    return write(env, { ...row, error: `larger than ${MAX_BYTES} bytes` })
  }
  const bytes = new Uint8Array(await object.arrayBuffer())
  row.sha256 = await sha256(bytes)
  const known = await env.RESULTS.prepare('SELECT 1 FROM results WHERE key = ? AND sha256 = ? AND model = ?')
    .bind(key, row.sha256, MODEL)
    .first()
  if (known) return
  try {
    const predictions = (await classifierOf()).classify(bytes)
    const [best] = predictions
    Object.assign(row, { label: best?.label, score: best?.score, predictions: JSON.stringify(predictions) })
  } catch (error) {
    if (!(error instanceof ThimbleError && error.code.startsWith('image/'))) throw error
    row.error = error.message
  }
  await write(env, row)
}

/** 10, 20, 40 … seconds. */
const delay = (attempts: number): number => Math.min(3600, 10 * 2 ** (attempts - 1))

function shown({ predictions, ...row }: Row): object {
  return { ...row, predictions: predictions === null ? null : (JSON.parse(predictions) as unknown) }
}

export default {
  async queue(batch: Batch, env: Env): Promise<void> {
    for (const message of batch.messages) {
      const { action, object } = message.body
      try {
        if (batch.queue === DEAD) {
          await write(env, { key: object.key, model: MODEL, ...NOTHING, error: 'given up after several tries' })
        } else if (/^(PutObject|CopyObject|CompleteMultipartUpload)$/.test(action)) await answer(env, object.key)
        message.ack()
      } catch (error) {
        console.error(`${object.key.slice(0, 100)}: ${(error as Error).message}`)
        message.retry({ delaySeconds: delay(message.attempts) })
      }
    }
  },

  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url)
    const [, one] = /^\/results\/(.+)$/.exec(url.pathname) ?? []
    if (one !== undefined) {
      const row = await env.RESULTS.prepare('SELECT * FROM results WHERE key = ?')
        .bind(decodeURIComponent(one))
        .first<Row>()
      return row ? Response.json(shown(row)) : Response.json({ error: 'no result' }, { status: 404 })
    }
    if (url.pathname !== '/results') return Response.json({ error: 'no such route' }, { status: 404 })
    const { results } = await env.RESULTS.prepare('SELECT * FROM results WHERE key > ? ORDER BY key LIMIT ?')
      .bind(url.searchParams.get('after') ?? '', PAGE)
      .all<Row>()
    const lines = results.map((row) => `${JSON.stringify(shown(row))}\n`)
    return new Response(lines.join(''), { headers: { 'content-type': 'application/jsonl' } })
  },
}
