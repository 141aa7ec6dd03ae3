/**
 * The model's own thread: loads models, classifies pictures, answers in order. One request in, one answer with its id
 * out.
 */
import { createClassifier, loadModel, ThimbleError } from './thimble/browser.js'

const MAX_PIXELS = 50_000_000
const TOP = 5

let model
let classifier
let labels

const canvas = new OffscreenCanvas(1, 1)
const context = canvas.getContext('2d', { willReadFrequently: true })

/** Bytes of a model on the server; tells how far it is. */
async function download(url, id) {
  const response = await fetch(url)
  if (!response.ok) throw new ThimbleError('format/fetch', `the server answered ${response.status} for ${url}`)
  const total = Number(response.headers.get('content-length')) || 0
  const chunks = []
  let length = 0
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read()
    if (done) break
    chunks.push(value)
    length += value.length
    if (total) postMessage({ id, progress: Math.min(1, length / total) })
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer())
}

/** Loads beside the old model and replaces it only when the new one works. */
async function load({ id, url, bytes, name }) {
  const start = performance.now()
  const data = bytes ? new Uint8Array(bytes) : await download(url, id)
  const fetched = performance.now()
  const next = await loadModel(data)
  try {
    const nextClassifier = await createClassifier(next, { topK: TOP })
    const loaded = performance.now()
    nextClassifier.classify({
      data: new Uint8Array(next.inputs[0].shape[1] * next.inputs[0].shape[2] * 3),
      width: next.inputs[0].shape[2],
      height: next.inputs[0].shape[1],
      channels: 3,
    })
    model?.dispose()
    model = next
    classifier = nextClassifier
    labels = undefined
    return {
      ...facts(name),
      fileBytes: data.length,
      downloadMs: url ? fetched - start : 0,
      loadMs: loaded - fetched,
      firstMs: performance.now() - loaded,
    }
  } catch (error) {
    next.dispose()
    throw error
  }
}

const facts = (name) => ({
  name: model.metadata.name ?? name,
  variant: model.variant,
  why: model.why,
  shape: model.inputs[0].shape,
  dtype: model.inputs[0].dtype,
  memoryBytes: model.memoryBytes,
  arenaBytes: model.arenaBytes,
  named: classifier.labels.length > 0,
  classes: classifier.labels.length || model.outputs[0].shape.reduce((a, b) => a * b, 1),
  assumed: classifier.assumed,
  license: model.metadata.license,
})

async function setLabels({ bytes, name }) {
  if (!model) throw new Error('there is no model yet')
  classifier = await createClassifier(model, { labels: new Uint8Array(bytes), topK: TOP })
  labels = name
  return { ...facts(), labelsFile: labels }
}

/** Pixels of a file (decoded by the browser, turned upright) or of a camera frame, over white. */
async function pixelsOf({ file, frame }) {
  let bitmap = frame
  if (file) {
    try {
      bitmap = await createImageBitmap(file, { imageOrientation: 'from-image', colorSpaceConversion: 'none' })
    } catch {
      throw new ThimbleError(
        'image/unreadable',
        `this browser can't read ${file.name ? `“${file.name}”` : 'this file'} as a picture`,
        { hint: 'use a JPEG, PNG or WebP file' },
      )
    }
  }
  const { width, height } = bitmap
  try {
    if (width * height > MAX_PIXELS)
      throw new ThimbleError('image/too-large', `the picture has ${Math.round((width * height) / 1e6)} megapixels`, {
        expected: 'at most 50',
        hint: 'scale it down first',
      })
    canvas.width = width
    canvas.height = height
    context.fillStyle = '#fff'
    context.fillRect(0, 0, width, height)
    context.drawImage(bitmap, 0, 0)
    return context.getImageData(0, 0, width, height)
  } finally {
    bitmap.close()
  }
}

async function classify(request) {
  if (!classifier) throw new Error('there is no model: choose one of the list, or open a .tflite file')
  const start = performance.now()
  const pixels = await pixelsOf(request)
  const decoded = performance.now()
  const predictions = classifier.classify(pixels)
  return {
    predictions,
    decodeMs: decoded - start,
    preprocessMs: classifier.timings.preprocessMs,
    inferMs: classifier.timings.inferMs,
    width: pixels.width,
    height: pixels.height,
  }
}

/** An error in words for this page: without its code, and without hints that are for programs. */
function sentence({ code, message }) {
  if (code === 'usage/not-a-classifier')
    return 'it does not answer with one score per class, and this page shows nothing else'
  if (!code) return message
  return message
    .slice(code.length + 2)
    .replace(/; (use run|give it raw tensors|use thimble|pass |give createClassifier)[^;]*$/, '')
}

const ACTIONS = { load, labels: setLabels, classify }
let last = Promise.resolve()
onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      postMessage({ id: data.id, result: await ACTIONS[data.action](data) })
    } catch (error) {
      postMessage({ id: data.id, error: { code: error.code ?? 'internal', message: sentence(error) } })
    }
  })
}
