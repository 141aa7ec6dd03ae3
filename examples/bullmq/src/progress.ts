/** A bar with the time that is left: `progress [--run NAME]`. Ends when every photo has a result. */
import { SingleBar, Presets } from 'cli-progress'
import { connect, resultsKey, runKey, runName } from './run.ts'

const run = runName()
const redis = connect()
const total = Number((await redis.hget(runKey(run), 'total')) ?? 0)
if (!total) {
  console.error(`no run is called ${run}`)
  process.exit(1)
}
const bar = new SingleBar(
  { format: `${run} {bar} {percentage} %  {value}/{total}  {eta_formatted} left` },
  Presets.shades_classic,
)
bar.start(total, 0)
let done = 0
while ((done = await redis.hlen(resultsKey(run))) < total) {
  bar.update(done)
  await new Promise((resolve) => setTimeout(resolve, 1000))
}
bar.update(done)
bar.stop()
redis.disconnect()
