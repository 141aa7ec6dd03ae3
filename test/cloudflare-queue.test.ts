/** examples/cloudflare-queue in workerd, with miniflare's R2, Queues and D1. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier, loadModel } from '../src/node.ts'
import { need, root } from './util.ts'
import { built, bundleWorker, esbuild, miniflare, pack } from './worker-host.ts'

const test = suite('cloudflare-queue')
const SAMPLES = join(root, 'weights/samples')

interface Row {
  key: string
  predictions: unknown
  error: string | null
}

need(
  test,
  'photos in the bucket have rows in the database; what fails goes to the dead letters and is written down',
  {
    resource: (miniflare && esbuild && built) || undefined,
    missing: 'miniflare is not installed; .ci/engines.sh node installs it',
  },
  async () => {
    const model = pack(join(root, 'weights/mobilenet_v2_1.0_160.thimble'))
    const mf = new miniflare!.Miniflare({
      modules: [
        { type: 'ESModule', path: 'worker.mjs', contents: await bundleWorker('cloudflare-queue') },
        { type: 'CompiledWasm', path: 'model.wasm', contents: model },
        { type: 'CompiledWasm', path: 'image.wasm', contents: readFileSync(join(root, 'dist/image.wasm')) },
      ],
      compatibilityDate: '2026-01-01',
      cf: false,
      r2Buckets: ['PHOTOS'],
      d1Databases: ['RESULTS'],
      queueProducers: { QUEUE: 'photos' },
      queueConsumers: {
        photos: { maxBatchSize: 10, maxBatchTimeout: 0.2, maxRetries: 0, deadLetterQueue: 'photos-dead' },
        'photos-dead': { maxBatchSize: 10, maxBatchTimeout: 0.2 },
      },
    })
    try {
      await mf.ready
      const database = await mf.getD1Database('RESULTS')
      const sql = readFileSync(join(root, 'examples/cloudflare-queue/schema.sql'), 'utf8')
      await database.exec(sql.replace(/--.*\n/g, '').replace(/\n/g, ' '))
      const bucket = await mf.getR2Bucket('PHOTOS')
      const astronaut = readFileSync(join(SAMPLES, 'astronaut.jpg'))
      const coffee = readFileSync(join(SAMPLES, 'coffee.jpg'))
      await bucket.put('a/astronaut.jpg', astronaut)
      await bucket.put('coffee.jpg', coffee)
      await bucket.put('damaged.jpg', coffee.subarray(0, 100))
      const queue = await mf.getQueueProducer('QUEUE')
      // A key that R2 refuses, so that reading it fails.
      const refused = 'z'.repeat(2000)
      // Twice, as a queue may; one that was deleted since; an event that brings no photo.
      for (const key of ['a/astronaut.jpg', 'coffee.jpg', 'damaged.jpg', 'a/astronaut.jpg', 'gone.jpg', refused]) {
        await queue.send({ action: 'PutObject', object: { key } })
      }
      await queue.send({ action: 'DeleteObject', object: { key: 'coffee.jpg' } })
      const rows = async (): Promise<Row[]> => {
        const text = await (await mf.dispatchFetch('http://worker/results')).text()
        return text
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line) as Row)
      }
      const end = Date.now() + 30_000
      while ((await rows()).length < 4 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 100))
      const found = await rows()
      assert.equal(
        found.map((row) => row.key),
        ['a/astronaut.jpg', 'coffee.jpg', 'damaged.jpg', refused],
      )
      assert.match(found[3]!.error!, /given up/)
      const classifier = await createClassifier(await loadModel(join(root, 'weights/mobilenet_v2_1.0_160.thimble')))
      assert.equal(found[0]!.predictions, classifier.classify(astronaut))
      assert.equal(found[1]!.predictions, classifier.classify(coffee))
      assert.match(found[2]!.error!, /image\//)
      const one = await mf.dispatchFetch('http://worker/results/a%2Fastronaut.jpg')
      assert.equal(((await one.json()) as Row).predictions, found[0]!.predictions)
      assert.is((await mf.dispatchFetch('http://worker/results/none')).status, 404)
    } finally {
      await mf.dispose()
    }
  },
)

test.run()
