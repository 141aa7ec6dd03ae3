/**
 * CPU milliseconds of a request to the example Worker in workerd, decoding included: what counts against the 10 ms of
 * Cloudflare's free plan. The isolate is warm; models take turns; the least of the rounds is printed.
 *
 * Usage: npm run bench:worker -- [MODEL…] [--photo FILE] [--rounds N]
 *   MODEL        names or files that `thimble pack` takes (default: mobilenet_v2_1.0_224, _160, _128 and _96)
 *   --photo      default: bench/frame-640x480.jpg, 48 kB
 *   --rounds     of 10 requests each (default 14)
 * Needs `bash .ci/engines.sh npm` (miniflare, esbuild).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { processor } from '../../src/cli/processor.ts'
import { root } from '../../test/util.ts'
import { bundleWorker, esbuild, miniflare, pack, type RunningWorker, startWorker } from '../../test/worker-host.ts'

const SIZES = [224, 160, 128, 96]
const MODELS = "import model from './model.wasm'\nexport const MODELS = { model }\n"
const FREE_PLAN_MS = 10
const REQUESTS = 10
const WARM_UP = 60

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { photo: { type: 'string' }, rounds: { type: 'string', default: '14' } },
})
if (!miniflare || !esbuild) throw new Error('miniflare and esbuild are not here: bash .ci/engines.sh npm')

interface Timings {
  decodeMs: number
  preprocessMs: number
  inferMs: number
}
const STAGES = ['decodeMs', 'preprocessMs', 'inferMs'] as const
interface Row extends Timings {
  name: string
  worker: RunningWorker
  cpuMs: number
  /** Of workerd alone: a request that is refused before anything is computed. */
  emptyMs: number
}

const photo = readFileSync(values.photo ?? join(root, 'bench/frame-640x480.jpg'))
const headers = { 'content-type': 'image/jpeg' }
const classify = async (worker: RunningWorker, body: Uint8Array): Promise<{ timings?: Timings }> => {
  const response = await worker.fetch('/classify', { method: 'POST', body, headers })
  return (await response.json()) as { timings?: Timings }
}

/** CPU milliseconds of one request, the mean of a round. */
async function round(worker: RunningWorker, body: Uint8Array, each?: (timings: Timings) => void): Promise<number> {
  const from = worker.cpuMs()
  for (let i = 0; i < REQUESTS; i++) {
    const { timings } = await classify(worker, body)
    if (timings) each?.(timings)
  }
  return (worker.cpuMs() - from) / REQUESTS
}

const script = await bundleWorker('cloudflare-worker', MODELS)
const image = readFileSync(join(root, 'dist/image.wasm'))
const names = positionals.length > 0 ? positionals : SIZES.map((size) => `mobilenet_v2_1.0_${size}`)
const rows: Row[] = []
for (const name of names) {
  const worker = await startWorker(script, { 'model.wasm': pack(name), 'image.wasm': image })
  for (let i = 0; i < WARM_UP; i++) await classify(worker, photo)
  const none = Infinity
  rows.push({ name, worker, cpuMs: none, emptyMs: none, decodeMs: none, preprocessMs: none, inferMs: none })
}
for (let n = 0; n < Number(values.rounds); n++) {
  for (const row of rows) {
    // The Worker's clock has whole milliseconds: the mean of a round tells more than any request.
    const sum: Timings = { decodeMs: 0, preprocessMs: 0, inferMs: 0 }
    const add = (timings: Timings): void => STAGES.forEach((key) => (sum[key] += timings[key] / REQUESTS))
    row.cpuMs = Math.min(row.cpuMs, await round(row.worker, photo, add))
    for (const key of STAGES) row[key] = Math.min(row[key], sum[key])
    row.emptyMs = Math.min(row.emptyMs, await round(row.worker, Uint8Array.of(1)))
  }
}
for (const { worker } of rows) await worker.stop()

const text = (ms: number): string => ms.toFixed(1)
console.log(`${values.photo ?? 'bench/frame-640x480.jpg'}, ${photo.length} bytes; ${processor().features?.join(', ')}`)
for (const { name, cpuMs, emptyMs, decodeMs, preprocessMs, inferMs } of rows) {
  const parts = `decode ${text(decodeMs)}, resize ${text(preprocessMs)}, network ${text(inferMs)}`
  const within = cpuMs <= FREE_PLAN_MS ? 'within' : 'more than'
  console.log(
    `${name}: ${text(cpuMs)} ms CPU a request, ${within} ${FREE_PLAN_MS} (workerd's own ${text(emptyMs)}; ${parts})`,
  )
}
