/**
 * What a run is in Redis. Answers are the same wherever they are computed, so a photo may be answered twice without
 * harm: results are kept by the photo's place in the list, and writing one again changes nothing.
 *
 *   thimble:RUN            hash: model, sha256 of the model, top, total
 *   thimble:RUN:results    hash: place in the list -> result, JSON
 *   BullMQ queue thimble   jobs of BATCH photos, by id RUN-FIRST
 */
import { Redis } from 'ioredis'

export const QUEUE = 'thimble'
/** Photos of one job: Redis is asked once for them, and a worker that dies loses at most these. */
export const BATCH = 32

export interface Batch {
  run: string
  /** Place of the first of them in the list. */
  first: number
  /** Paths that every worker can read, or http addresses. */
  sources: string[]
}

export type Result = { source: string } & (
  { sha256: string; model: string; predictions: { label: string; index: number; score: number }[] } | { error: string }
)

export const runKey = (run: string): string => `thimble:${run}`
export const resultsKey = (run: string): string => `thimble:${run}:results`

/** REDIS_URL, default redis://127.0.0.1:6379. A Redis that is away is waited for, as BullMQ's workers want it. */
export function connect(): Redis {
  const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', { maxRetriesPerRequest: null })
  let told = false
  redis.on('error', (error: Error) => {
    if (!told) console.error(`redis: ${error.message || error.name}; waiting for it`)
    told = true
  })
  redis.on('ready', () => (told = false))
  return redis
}

/** The value of `--name` on the command line. */
export function option(name: string, fallback: string): string {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback)
}

/** The run that the command line names. */
export function runName(): string {
  const name = option('run', 'default')
  if (/^[\w.-]{1,64}$/.test(name)) return name
  console.error('--run: letters, digits, points and dashes, at most 64')
  process.exit(2)
}
