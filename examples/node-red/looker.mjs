/** The thread of a node: loads the model, then answers picture after picture. */
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { fileOf } from './models.mjs'

const { task, model: name, folders } = workerData

/** A module of thimble as it is installed beside the flows, or beside this node. */
function installed(module) {
  for (const folder of folders) {
    const require = createRequire(join(folder, 'package.json'))
    try {
      require.resolve(module)
    } catch {
      continue
    }
    return require(module)
  }
  throw new Error('thimble is not installed: npm install thimble in the folder of the flows')
}

/** What a task's function gives, by its name in the answer, and how it is asked. */
async function opened() {
  const { createClassifier, loadModel } = installed('thimble')
  const load = async (wanted, role) => loadModel(fileOf(wanted, role, folders))
  const model = await load(name, task)
  if (task === 'classify') {
    const classifier = await createClassifier(model)
    return {
      about: model,
      look: (picture, { threshold, top }) =>
        classifier.classify(picture, {
          ...(top !== undefined && { topK: top }),
          ...(threshold !== undefined && { scoreThreshold: threshold }),
        }),
      timings: () => classifier.timings,
    }
  }
  const vision = installed('thimble/vision')
  const made = new Map()
  /** Thresholds belong to what is made of a model; the latest few are kept. */
  const at = async (threshold) => {
    if (!made.has(threshold)) {
      const options = threshold === undefined ? {} : { scoreThreshold: threshold }
      made.set(threshold, await make(vision, options))
      if (made.size > 4) made.delete(made.keys().next().value)
    }
    return made.get(threshold)
  }
  const make = async ({ createDetector, createPoseEstimator, createSegmenter, createFaceFinder }, options) => {
    switch (task) {
      case 'detect':
        return createDetector(model, options)
      case 'pose':
        return createPoseEstimator(model, options)
      case 'segment':
        return createSegmenter(model, options)
      case 'faces':
        return createFaceFinder({ detector: model }, options)
      default:
        throw new Error(`no task is called ${task}`)
    }
  }
  await at(undefined)
  return {
    about: model,
    look: async (picture, { threshold, top = 100 }) => {
      const finder = await at(threshold)
      if (task === 'segment') {
        const { classes, instances, width, height } = await finder.segment(picture)
        return { classes, ...(instances && { instances }), width, height }
      }
      const found = await (task === 'detect' ? finder.detect : task === 'pose' ? finder.estimate : finder.find)(picture)
      return found.slice(0, top)
    },
    timings: () => [...made.values()].at(-1).timings,
  }
}

const port = parentPort
const message = (error) => (error instanceof Error ? error.message : String(error))
const ready = opened()
ready.then(
  ({ about }) => port.postMessage({ ready: `${task}: ${about.metadata.name ?? basename(name ?? task)}` }),
  (error) => port.postMessage({ error: message(error) }),
)

/** One after the other, in the order of the questions. */
let last = Promise.resolve()
port.on('message', ({ id, picture, limits }) => {
  last = last.then(async () => {
    try {
      const { look, timings } = await ready
      const start = performance.now()
      const found = await look(picture, limits)
      port.postMessage({ id, answer: { found, task, ms: performance.now() - start, timings: { ...timings() } } })
    } catch (error) {
      port.postMessage({ id, error: message(error) })
    }
  })
})
