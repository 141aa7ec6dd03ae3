/**
 * The teacher's own thread: features of pictures, training, the learned model. One request in, one answer with its id
 * out.
 */
import { createLearner } from './thimble/vision.js'

/** Photos after which the head is made anew while pictures keep coming. */
const EVERY = 4

let learner
let baseBytes
let untrained = 0
let trained = false

const canvas = new OffscreenCanvas(1, 1)
const context = canvas.getContext('2d', { willReadFrequently: true })

/** Pixels of a file (turned upright by the browser) or of a camera frame, over white. */
async function pixelsOf({ file, frame }) {
  const bitmap =
    frame ?? (await createImageBitmap(file, { imageOrientation: 'from-image', colorSpaceConversion: 'none' }))
  const { width, height } = bitmap
  canvas.width = width
  canvas.height = height
  context.fillStyle = '#fff'
  context.fillRect(0, 0, width, height)
  context.drawImage(bitmap, 0, 0)
  bitmap.close()
  return context.getImageData(0, 0, width, height)
}

async function base(url) {
  if (baseBytes) return baseBytes
  const response = await fetch(url)
  if (!response.ok) throw new Error(`the server answered ${response.status} for ${url}`)
  return (baseBytes = new Uint8Array(await response.arrayBuffer()))
}

const state = () => ({
  counts: Object.fromEntries(learner?.classes ?? []),
  trained,
  photoBytes: learner?.photoBytes ?? 0,
})

/** Begins anew, or with a file that was learned before. */
async function start({ url, bytes }) {
  const next = await createLearner(bytes ? new Uint8Array(bytes) : await base(url))
  if (bytes && next.classes.size === 0) {
    next.dispose()
    throw new Error('it keeps no photos, so it can’t be taught more: open a file that this page or thimble learn made')
  }
  learner?.dispose()
  learner = next
  trained = false
  untrained = 0
  if (learner.classes.size) await train()
  return state()
}

/** Trains where there is something to tell apart; says what the report says. */
async function train() {
  untrained = 0
  try {
    const { leaveOneOut, trainMs, crossValidation, unknown } = await learner.train()
    trained = true
    return { ...state(), leaveOneOut: crossValidation?.accuracy ?? leaveOneOut, trainMs, unknown }
  } catch (error) {
    if (error.code !== 'usage/classes') throw error
    trained = false
    return state()
  }
}

/** Looks at a picture; with a `label`, learns it first. */
async function look({ label, ...picture }) {
  const start = performance.now()
  const pixels = await pixelsOf(picture)
  const decodeMs = performance.now() - start
  let report = {}
  if (label !== undefined) {
    await learner.add(label, pixels)
    if (++untrained >= EVERY || !trained) report = await train()
  }
  const before = performance.now()
  const predictions = trained ? await learner.classify(pixels) : []
  const { width, height } = pixels
  return {
    ...state(),
    ...report,
    predictions,
    width,
    height,
    decodeMs,
    preprocessMs: 0,
    inferMs: performance.now() - before,
  }
}

async function remove({ label }) {
  learner.remove(label)
  return train()
}

async function save({ format }) {
  if (untrained) await train()
  const bytes = learner.export(format)
  return { bytes: bytes.slice().buffer }
}

const ACTIONS = { start, look, train, remove, save }
let last = Promise.resolve()
onmessage = ({ data: { id, action, ...request } }) => {
  last = last.then(async () => {
    try {
      const result = await ACTIONS[action](request)
      postMessage({ id, result }, result.bytes ? [result.bytes] : [])
    } catch (error) {
      const { code, message } = error
      postMessage({ id, error: code ? message.slice(code.length + 2) : message })
    }
  })
}
