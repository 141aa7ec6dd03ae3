/** A run's results as JSON Lines on stdout, in the list's order: `results [--run NAME] > results.jsonl`. */
import { once } from 'node:events'
import { connect, resultsKey, runKey, runName } from './run.ts'

const PAGE = 1000
const run = runName()
const redis = connect()
const total = Number((await redis.hget(runKey(run), 'total')) ?? 0)
let missing = 0
for (let first = 0; first < total; first += PAGE) {
  const places = Array.from({ length: Math.min(PAGE, total - first) }, (_, i) => String(first + i))
  const page = await redis.hmget(resultsKey(run), ...places)
  const lines = page.filter((line) => line !== null)
  missing += page.length - lines.length
  if (lines.length && !process.stdout.write(`${lines.join('\n')}\n`)) await once(process.stdout, 'drain')
}
redis.disconnect()
if (!total) console.error(`no run is called ${run}, or it is still being added`)
else if (missing) console.error(`${missing} of ${total} photos have no result yet`)
process.exitCode = total && !missing ? 0 : 1
