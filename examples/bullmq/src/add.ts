/**
 * Adds photos to a run: `add SOURCE [--run NAME] [--model MODEL] [--top N]`. SOURCE is a folder, or a file with a path
 * or an address a line. Adding the same list again is harmless: jobs have the same ids, photos with a result are left
 * out.
 */
import { createHash } from 'node:crypto'
import { createReadStream, opendirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { Queue } from 'bullmq'
import { type Batch, BATCH, connect, option, QUEUE, runKey, runName } from './run.ts'

const PICTURE = /\.(jpe?g|png|bmp|ppm|pgm)$/i

/** Paths of a folder's pictures, sorted, or the lines of a list. */
async function* sourcesOf(source: string): AsyncGenerator<string> {
  if (!statSync(source).isDirectory()) {
    for await (const line of createInterface({ input: createReadStream(source) })) if (line.trim()) yield line.trim()
    return
  }
  const names: string[] = []
  const dir = opendirSync(source, { recursive: true })
  for await (const entry of dir) {
    if (entry.isFile() && PICTURE.test(entry.name)) names.push(join(entry.parentPath, entry.name))
  }
  yield* names.sort()
}

const source = process.argv[2]
if (!source || source.startsWith('--')) {
  console.error('usage: add SOURCE [--run NAME] [--model MODEL] [--top N]')
  process.exit(2)
}
const run = runName()
const model = option('model', 'mobilenet_v2_1.0_224')
const isFile = /\.(thimble|tflite)$/.test(model)
const redis = connect()
const queue = new Queue<Batch>(QUEUE, { connection: redis })
await redis.hset(runKey(run), {
  model: isFile ? resolve(model) : model,
  ...(isFile && { sha256: createHash('sha256').update(readFileSync(model)).digest('hex') }),
  top: option('top', '5'),
})

let total = 0
let sources: string[] = []
const add = async (): Promise<void> => {
  if (!sources.length) return
  const first = total - sources.length
  await queue.add(
    'classify',
    { run, first, sources },
    {
      jobId: `${run}-${first}`,
      // A photo that can't be fetched is tried again; the last time its error is its result.
      attempts: 5,
      backoff: { type: 'exponential', delay: 1000 },
      removeOnComplete: true,
      removeOnFail: 1000,
    },
  )
  sources = []
}
for await (const one of sourcesOf(source)) {
  sources.push(/^https?:/.test(one) ? one : resolve(one))
  total++
  if (sources.length === BATCH) await add()
}
await add()
await redis.hset(runKey(run), 'total', total)
console.log(`${total} photos in run ${run}`)
await queue.close()
redis.disconnect()
