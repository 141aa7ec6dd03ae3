/**
 * A worker: takes batches and answers them until it is ended. One process a core, on as many machines as there are.
 * Ctrl-C and SIGTERM end it after the batch; a batch of a worker that dies is given to another.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Job, UnrecoverableError, Worker } from 'bullmq'
import { createClassifier, loadModel } from 'thimble'
import { type Batch, connect, option, QUEUE, type Result, resultsKey, runKey } from './run.ts'

const FETCH_MS = 30_000
const MAX_BYTES = 64 * 1024 * 1024

const redis = connect()
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A shipped model by its name, any other by its path. */
const pathOf = (model: string): string =>
  /[/\\]/.test(model)
    ? model
    : join(dirname(createRequire(import.meta.url).resolve('thimble/package.json')), `weights/${model}.thimble`)

type Asker = (source: string, bytes: Uint8Array) => Result
const askers = new Map<string, Promise<Asker>>()

async function openRun(run: string): Promise<Asker> {
  const { model, sha256: wanted, top } = await redis.hgetall(runKey(run))
  if (!model) throw new UnrecoverableError(`no run is called ${run}`)
  const bytes = await readFile(pathOf(model))
  const digest = sha256(bytes)
  if (wanted && wanted !== digest) throw new UnrecoverableError(`${model} is another file here: sha256 ${digest}`)
  const classifier = await createClassifier(await loadModel(bytes), { topK: Number(top ?? 5) })
  return (source, photo) => ({ source, sha256: sha256(photo), model: digest, predictions: classifier.classify(photo) })
}

function askerOf(run: string): Promise<Asker> {
  const known = askers.get(run) ?? openRun(run)
  askers.set(run, known)
  known.catch(() => askers.delete(run))
  return known
}

async function read(source: string): Promise<Uint8Array> {
  if (!/^https?:/.test(source)) return readFile(source)
  const response = await fetch(source, { signal: AbortSignal.timeout(FETCH_MS) })
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`.trim())
  if (Number(response.headers.get('content-length')) > MAX_BYTES) throw new Error(`larger than ${MAX_BYTES} bytes`)
  return new Uint8Array(await response.arrayBuffer())
}

/** Answers what has no result yet. A photo that can't be had makes the batch come again, after the others are kept. */
async function answer({ data, attemptsMade, opts }: Job<Batch>): Promise<void> {
  const { run, first, sources } = data
  const asker = await askerOf(run)
  const places = sources.map((_, i) => String(first + i))
  const known = await redis.hmget(resultsKey(run), ...places)
  const last = attemptsMade + 1 >= (opts.attempts ?? 1)
  const results: Record<string, string> = {}
  let failed: unknown
  await Promise.all(
    sources.map(async (source, i) => {
      if (known[i]) return
      const keep = (result: Result): void => void (results[places[i]!] = JSON.stringify(result))
      let bytes: Uint8Array
      try {
        bytes = await read(source)
      } catch (error) {
        failed = error
        if (last) keep({ source, error: (error as Error).message })
        return
      }
      try {
        keep(asker(source, bytes))
      } catch (error) {
        // The photo's own fault: tried again it would be the same.
        keep({ source, error: (error as Error).message })
      }
    }),
  )
  if (Object.keys(results).length) await redis.hset(resultsKey(run), results)
  if (failed && !last) throw failed instanceof Error ? failed : new Error(String(failed))
}

const lockDuration = Number(option('lock-seconds', '30')) * 1000
const worker = new Worker<Batch>(QUEUE, answer, {
  connection: redis,
  // Photos of the next batch are read while one is answered.
  concurrency: 2,
  lockDuration,
  stalledInterval: lockDuration,
  // Answers can be given again, so a worker that dies takes no chance from its batch.
  maxStalledCount: 100,
})
worker.on('failed', (job, error) => console.error(`${job?.id}: ${error.message}`))
worker.on('error', () => {})
await worker.waitUntilReady()
console.log(`worker ${process.pid} is ready`)
const end = (): void => {
  void worker.close().then(() => redis.disconnect())
}
process.once('SIGINT', end).once('SIGTERM', end)
