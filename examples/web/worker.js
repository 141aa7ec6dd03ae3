/**
 * The models' own thread: loads them, one a task, looks at pictures, answers in order. One request in, one answer with
 * its id out.
 */
import { createClassifier, loadModel, ThimbleError } from './thimble/browser.js'
import {
  createDetector,
  createFaceFinder,
  createPoseEstimator,
  createSegmenter,
  headOf,
  skeletonOf,
  taskOfHead,
} from './thimble/vision.js'

const MAX_PIXELS = 50_000_000
const TOP = 5

/** By task: what answers, and its model. */
const loaded = {}

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
    if (total && id !== undefined) postMessage({ id, progress: Math.min(1, length / total) })
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer())
}

/** What a model of the user is for. */
function guess(model) {
  const head = headOf(model)
  return head ? taskOfHead(head) : 'classify'
}

/** What answers a task: its `look` gives fields of the answer and times. */
const MAKERS = {
  async classify(model, { labels }) {
    const classifier = await createClassifier(model, { ...labels, topK: TOP })
    return {
      labels: classifier.labels,
      reads: classifier.assumed,
      look: (pixels) => ({ predictions: classifier.classify(pixels), ...classifier.timings }),
    }
  },
  async detect(model, { labels }) {
    const detector = await createDetector(model, labels)
    return {
      labels: detector.labels,
      reads: `boxes (${detector.head.kind})`,
      look: (pixels) => ({ detections: detector.detect(pixels), ...timed(detector.timings) }),
    }
  },
  async faces(detector, { parts, labels }) {
    const finder = await createFaceFinder({ detector, ...parts }, labels)
    return {
      labels: finder.detector.labels,
      reads: ['boxes', ...Object.keys(parts).map((part) => PARTS[part])].join(', '),
      look(pixels) {
        const faces = finder.find(pixels).map(({ points, ...face }) => ({
          ...face,
          ...(points && { points: points.map(([x, y]) => ({ x, y })), bones: skeletonOf(points.length).bones }),
        }))
        const { preprocessMs } = finder.detector.timings
        return { faces, preprocessMs, inferMs: finder.timings.detectMs + finder.timings.describeMs - preprocessMs }
      },
    }
  },
  async pose(model, { parts, labels }) {
    const finder = parts.finder && (await createPoseEstimator(parts.finder))
    const estimator = await createPoseEstimator(model, { ...labels, ...(finder && { finder }) })
    return {
      labels: [],
      reads: `points (${estimator.head.kind})${finder ? ' of each person who is found' : ''}`,
      look: (pixels) => ({ poses: estimator.estimate(pixels).map(drawablePose), ...timed(estimator.timings) }),
    }
  },
  async segment(model, { labels }) {
    const segmenter = await createSegmenter(model, labels)
    return {
      labels: segmenter.labels,
      reads: `a class for every pixel (${segmenter.head.kind})`,
      look: (pixels) => ({ ...painted(segmenter.segment(pixels), segmenter.background), ...timed(segmenter.timings) }),
    }
  },
}
const PARTS = { landmarks: '68 points', ageGender: 'age and gender', expression: 'expression' }

/** What a network makes of its outputs is part of the inference. */
const timed = ({ preprocessMs, inferMs, headMs }) => ({ preprocessMs, inferMs: inferMs + headMs })

/** Points that score less are faint. */
const FAINT = 0.3

function drawablePose({ points, ...pose }) {
  const marked = points.map(({ x, y, score = 1 }) => ({ x, y, faint: score < FAINT }))
  const bones = skeletonOf(points.length).bones.filter(([a, b]) => !marked[a].faint && !marked[b].faint)
  return { ...pose, points: marked, bones }
}

/** Red, green, blue of the palette in overlay.js. */
const COLOURS = [0x009e73, 0xe69f00, 0x56b4e9, 0xd55e00, 0xcc79a7, 0x0072b2, 0xf0e442]
const hex = (colour) => `#${colour.toString(16).padStart(6, '0')}`
/** Longest side of a mask's picture: the page stretches it. */
const MASK_SIDE = 640

/** A segmentation as a picture to lay over the photo, and its classes with their colours. */
function painted({ width, height, classes, mask, offset, map }, background) {
  const step = Math.max(1, Math.ceil(Math.max(width, height) / MASK_SIDE))
  const [w, h] = [Math.floor(width / step) || 1, Math.floor(height / step) || 1]
  const image = new ImageData(w, h)
  const values = new Uint32Array(image.data.buffer)
  const order = classes.map(({ index }) => (offset ? index + 1 : index))
  const blank = offset || background
  const coloured = order.filter((value) => !(blank && value === 0)).sort((a, b) => a - b)
  const colour = new Map(coloured.map((value, i) => [value, COLOURS[i % COLOURS.length]]))
  const swapped = (rgb, alpha) => ((alpha << 24) | ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const at = y * step * width + x * step
      if (map) {
        const share = (map.data[at] - map.min) / (map.max - map.min || 1)
        if (!Number.isNaN(share)) values[y * w + x] = swapped(0x010101 * Math.round(255 * share), 225)
        continue
      }
      const found = colour.get(mask[at])
      if (found !== undefined) values[y * w + x] = swapped(found, 140)
    }
  }
  surface.width = w
  surface.height = h
  surface.getContext('2d').putImageData(image, 0, 0)
  return {
    classes: classes.map((found, i) => ({
      ...found,
      ...(colour.has(order[i]) && { colour: hex(colour.get(order[i])) }),
    })),
    mask: surface.transferToImageBitmap(),
  }
}
const surface = new OffscreenCanvas(1, 1)

/** Loads beside the old model of the task and replaces it only when the new one works. */
async function load({ id, task: wanted, url, bytes, name, labels, parts = {} }) {
  const start = performance.now()
  const data = bytes ? new Uint8Array(bytes) : await download(url, id)
  const others = Object.entries(wanted === 'faces' || wanted === 'pose' ? parts : {})
  const files = await Promise.all(others.map(([, file]) => download(file)))
  const fetched = performance.now()
  const models = []
  try {
    const model = await loadModel(data)
    models.push(model)
    const task = wanted ?? guess(model)
    const described = {}
    for (const [i, [role]] of others.entries()) {
      described[role] = await loadModel(files[i])
      models.push(described[role])
    }
    const options = { labels: labels ? { labels: new Uint8Array(labels) } : {}, parts: described }
    const answerer = await MAKERS[task](model, options)
    const ready = performance.now()
    const [height, width] = model.inputs[0].shape.slice(1, 3)
    answerer.look({ data: new Uint8Array(width * height * 3), width, height, channels: 3 }).mask?.close()
    loaded[task]?.models.forEach((old) => old.dispose())
    loaded[task] = { ...answerer, models, name, options }
    return {
      ...facts(task),
      fileBytes: data.length,
      downloadMs: url ? fetched - start : 0,
      loadMs: ready - fetched,
      firstMs: performance.now() - ready,
    }
  } catch (error) {
    models.forEach((model) => model.dispose())
    throw error
  }
}

function facts(task) {
  const { models, labels, reads } = loaded[task]
  const [model] = models
  const sum = (field) => models.reduce((bytes, one) => bytes + one[field], 0)
  return {
    task,
    variant: model.variant,
    why: model.why,
    shape: model.inputs[0].shape,
    dtype: model.inputs[0].dtype,
    memoryBytes: sum('memoryBytes'),
    arenaBytes: sum('arenaBytes'),
    named: labels.length > 0,
    classes: labels.length || (task === 'classify' ? model.outputs[0].shape.reduce((a, b) => a * b, 1) : 0),
    reads,
    license: model.metadata.license,
  }
}

async function setLabels({ task, bytes }) {
  const { models, options } = loaded[task]
  const changed = { ...options, labels: { labels: new Uint8Array(bytes) } }
  Object.assign(loaded[task], await MAKERS[task](models[0], changed), { options: changed })
  return facts(task)
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

async function look(request) {
  const start = performance.now()
  const pixels = await pixelsOf(request)
  const decodeMs = performance.now() - start
  const { width, height } = pixels
  return { ...loaded[request.task].look(pixels), decodeMs, width, height }
}

/** An error in words for this page: without its code, and without hints that are for programs. */
function sentence({ code, message }) {
  if (code === 'usage/not-a-classifier')
    return 'its answer is neither names, boxes, points nor masks that this page knows'
  if (!code) return message
  return message
    .slice(code.length + 2)
    .replace(/; (use run|give it raw tensors|use thimble|pass |give createClassifier)[^;]*$/, '')
}

const ACTIONS = { load, labels: setLabels, look }
let last = Promise.resolve()
onmessage = ({ data }) => {
  last = last.then(async () => {
    try {
      const result = await ACTIONS[data.action](data)
      postMessage({ id: data.id, result }, result.mask ? [result.mask] : [])
    } catch (error) {
      postMessage({ id: data.id, error: { code: error.code ?? 'internal', message: sentence(error) } })
    }
  })
}
