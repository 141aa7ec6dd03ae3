/** The page: takes pictures, models and labels from wherever they come, asks the worker, shows what it says. */

const $ = (id) => document.getElementById(id)
const ms = (n) => (n < 9.95 ? n.toFixed(1) : Math.round(n).toString())
const megabytes = (n) => `${(n / 1e6).toFixed(n < 1e6 ? 2 : 1)} MB`

// ── The worker: one promise a request ────────────────────────────────────────────────────────────────────────────────

const worker = new Worker('worker.js', { type: 'module' })
const waiting = new Map()
let requests = 0

function ask(action, details = {}, transfer = []) {
  const id = ++requests
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject })
    worker.postMessage({ id, action, ...details }, transfer)
  })
}

worker.onmessage = ({ data: { id, result, error, progress } }) => {
  if (progress !== undefined) return void ($('progress').value = progress)
  const { resolve, reject } = waiting.get(id)
  waiting.delete(id)
  if (error) reject(Object.assign(new Error(error.message), { code: error.code }))
  else resolve(result)
}
worker.onerror = (event) => {
  event.preventDefault?.()
  problem(
    "The model's thread did not start. This browser may be too old: module workers and WebAssembly SIMD are needed.",
  )
}

// ── Problems ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function problem(text) {
  const line = String(text?.message ?? text)
  $('problem').textContent = line.charAt(0).toUpperCase() + line.slice(1) + (/[.!?]$/.test(line) ? '' : '.')
  $('problem').hidden = false
}
const noProblem = () => {
  $('problem').hidden = true
}

// ── Predictions and numbers ──────────────────────────────────────────────────────────────────────────────────────────

const rows = Array.from({ length: 5 }, () => {
  const row = document.createElement('li')
  row.innerHTML =
    '<span class="label"></span><span class="share"></span><div class="track"><div class="bar"></div></div>'
  return { row, label: row.querySelector('.label'), share: row.querySelector('.share'), bar: row.querySelector('.bar') }
})

function showPredictions(predictions) {
  $('predictions').setAttribute('aria-busy', 'false')
  $('predictions').classList.remove('waiting')
  $('predictions').replaceChildren(...rows.slice(0, predictions.length).map(({ row }) => row))
  predictions.forEach(({ label, score }, i) => {
    const share = Math.min(1, Math.max(0, score))
    rows[i].label.textContent = label
    rows[i].label.title = label
    rows[i].share.textContent = `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`
    rows[i].bar.style.transform = `scaleX(${share})`
  })
}

/** Five empty rows, the first with a word. */
function showWaiting(text) {
  $('predictions').classList.add('waiting')
  $('predictions').replaceChildren(...rows.map(({ row }) => row))
  rows.forEach(({ row, label, share, bar }, i) => {
    label.textContent = i === 0 ? text : ''
    share.textContent = ''
    bar.style.transform = 'scaleX(0)'
    row.style.setProperty('--width', `${[0, 34, 46, 28, 40][i]}%`)
  })
}

const HISTORY = 60
let times = []

function showNumbers({ inferMs, preprocessMs, decodeMs }, fps) {
  $('infer').textContent = ms(inferMs)
  $('prepare').textContent = ms(preprocessMs + decodeMs)
  $('fps').textContent = fps === undefined ? '–' : fps.toFixed(fps < 9.95 ? 1 : 0)
  times = [...times, inferMs].slice(-HISTORY)
  const top = Math.max(...times) * 1.15
  $('history').classList.toggle('used', times.length > 3)
  $('history').firstElementChild.setAttribute(
    'points',
    times.length < 2 ? '' : times.map((t, i) => `${(i / (HISTORY - 1)) * 240},${36 - (t / top) * 36}`).join(' '),
  )
}

// ── Model ────────────────────────────────────────────────────────────────────────────────────────────────────────────

let shipped = []
let loading = Promise.resolve()
/** The photo on show, and the one asked for last: only its answer is shown. */
let lastPhoto
let wanted

function showFacts(facts) {
  const entries = [
    ['runs as', `${facts.variant}: ${facts.why}`],
    ['input', `${facts.shape.slice(1, 3).reverse().join(' × ')}, ${facts.dtype}`],
    [
      'classes',
      `${facts.classes.toLocaleString('en')}${facts.named ? '' : ', without names: open a label file'}${facts.labelsFile ? `, names from ${facts.labelsFile}` : ''}`,
    ],
    ['memory', `${megabytes(facts.memoryBytes)}, of them ${megabytes(facts.arenaBytes)} work space`],
    ...(facts.loadMs === undefined
      ? []
      : [
          [
            'loaded',
            `${megabytes(facts.fileBytes)} file${facts.downloadMs ? `, fetched in ${ms(facts.downloadMs)} ms` : ''}, ready in ${ms(facts.loadMs)} ms, first run ${ms(facts.firstMs)} ms`,
          ],
        ]),
    ['picture', facts.assumed],
    ...(facts.license ? [['licence', facts.license]] : []),
  ]
  $('facts').replaceChildren(
    ...entries.flatMap(([term, text]) => {
      const dt = document.createElement('dt')
      const dd = document.createElement('dd')
      dt.textContent = term
      dd.textContent = text
      return [dt, dd]
    }),
  )
}

let known = {}

async function loadModel(source, name) {
  noProblem()
  $('progress').classList.remove('done')
  $('progress').value = 0
  times = []
  loading = ask('load', { ...source, name }, source.bytes ? [source.bytes] : [])
  try {
    known = await loading
    showFacts(known)
    document.documentElement.dataset.ready = known.name ?? name
    return true
  } catch (error) {
    problem(`“${name}” can't be used: ${error.message}`)
    return false
  } finally {
    $('progress').classList.add('done')
  }
}

async function openModel(file) {
  if (!(await loadModel({ bytes: await file.arrayBuffer() }, file.name))) return
  let own = $('models').querySelector('option[data-own]')
  if (!own) {
    own = new Option('', '')
    own.dataset.own = ''
    $('models').append(own)
  }
  own.textContent = file.name
  own.file = file
  own.selected = true
  await again()
}

async function openLabels(file) {
  noProblem()
  try {
    known = { ...known, ...(await ask('labels', { text: await file.text(), name: file.name })) }
    showFacts(known)
    await again()
  } catch (error) {
    problem(`“${file.name}” is not a label file for this model: ${error.message}`)
  }
}

$('models').onchange = async () => {
  const option = $('models').selectedOptions[0]
  if (option.file) return openModel(option.file)
  if (await loadModel({ url: option.value }, option.textContent)) await again()
}

// ── Photos ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function show(element) {
  $('photo').hidden = element !== 'photo'
  $('video').hidden = element !== 'video'
  $('invitation').hidden = element !== 'invitation'
  $('caption').hidden = true
  $('frame').classList.toggle('empty', element === 'invitation')
}

async function openPhoto(file) {
  stopCamera()
  noProblem()
  wanted = file
  await loading.catch(() => {})
  try {
    const answer = await ask('classify', { file })
    if (wanted !== file) return
    URL.revokeObjectURL($('photo').src)
    $('photo').src = URL.createObjectURL(file)
    $('photo').alt = answer.predictions[0] ? `Photo, probably ${answer.predictions[0].label}` : 'Photo'
    show('photo')
    lastPhoto = file
    showPredictions(answer.predictions)
    showNumbers(answer)
  } catch (error) {
    if (wanted !== file) return
    wanted = lastPhoto
    problem(error)
  }
}

/** The photo once more, after the model or the labels changed. */
async function again() {
  if (wanted && !live) await openPhoto(wanted)
}

// ── Camera ───────────────────────────────────────────────────────────────────────────────────────────────────────────

let live = false
let facing = 'environment'

async function startCamera() {
  noProblem()
  let stream
  try {
    if (!navigator.mediaDevices) throw new DOMException('', 'InsecureContext')
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: facing, width: { ideal: 640 }, height: { ideal: 480 } },
      audio: false,
    })
  } catch (error) {
    const reasons = {
      NotAllowedError: 'the browser was not allowed to use the camera',
      NotFoundError: 'there is no camera',
      NotReadableError: 'the camera is in use by another program',
      InsecureContext: 'cameras need https or localhost',
    }
    return problem(`No camera picture: ${reasons[error.name] ?? error.message}`)
  }
  live = true
  $('video').srcObject = stream
  $('video').classList.toggle('mirrored', stream.getVideoTracks()[0].getSettings().facingMode === 'user')
  await $('video').play()
  show('video')
  $('camera').textContent = 'Stop camera'
  $('camera').setAttribute('aria-pressed', 'true')
  $('predictions').setAttribute('aria-live', 'off')
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput')
  $('flip').hidden = cameras.length < 2
  await watch()
}

function stopCamera() {
  if (!live) return
  live = false
  for (const track of $('video').srcObject?.getTracks() ?? []) track.stop()
  $('video').srcObject = null
  $('camera').textContent = 'Start camera'
  $('camera').setAttribute('aria-pressed', 'false')
  $('flip').hidden = true
  $('predictions').setAttribute('aria-live', 'polite')
  show(lastPhoto ? 'photo' : 'invitation')
}

/** Frame after frame, the next one asked for when the last is answered. Scores are averaged over a few frames. */
async function watch() {
  await loading.catch(() => {})
  const smooth = new Map()
  let before = performance.now()
  let fps
  while (live) {
    await new Promise((resolve) =>
      $('video').requestVideoFrameCallback
        ? $('video').requestVideoFrameCallback(resolve)
        : requestAnimationFrame(resolve),
    )
    if (!live) return
    let answer
    try {
      const frame = await createImageBitmap($('video'))
      answer = await ask('classify', { frame }, [frame])
    } catch (error) {
      if (!live) return
      stopCamera()
      return problem(error)
    }
    if (!live) return
    const now = performance.now()
    fps = fps === undefined ? 1000 / (now - before) : fps * 0.9 + 100 / (now - before)
    before = now
    for (const [label, score] of smooth) smooth.set(label, score * 0.7)
    for (const { label, score } of answer.predictions) smooth.set(label, (smooth.get(label) ?? 0) + score * 0.3)
    const best = [...smooth].sort((a, b) => b[1] - a[1])
    for (const [label] of best.slice(12)) smooth.delete(label)
    showPredictions(best.slice(0, 5).map(([label, score]) => ({ label, score })))
    showNumbers(answer, fps)
    $('caption').textContent = best[0][1] > 0.3 ? best[0][0] : '…'
    $('caption').hidden = false
  }
}

// ── Where things come from ───────────────────────────────────────────────────────────────────────────────────────────

function open(file) {
  if (!file) return
  if (/\.(tflite|thimble|lite)$/i.test(file.name)) return openModel(file)
  if (/\.(txt|json|csv|labels|names)$/i.test(file.name) || file.type.startsWith('text/')) return openLabels(file)
  return openPhoto(file)
}

for (const [id, take] of [
  ['file', openPhoto],
  ['model-file', openModel],
  ['labels-file', openLabels],
]) {
  $(id).onchange = async ({ target }) => {
    const [file] = target.files
    if (file) await take(file)
    target.value = ''
  }
}
$('camera').onclick = () => (live ? stopCamera() : startCamera())
$('flip').onclick = () => {
  facing = facing === 'user' ? 'environment' : 'user'
  stopCamera()
  startCamera()
}
for (const button of document.querySelectorAll('.sample')) {
  button.onclick = async () => {
    const name = button.dataset.photo
    try {
      await openPhoto(new File([await (await fetch(name)).blob()], name))
    } catch {
      problem('The sample photo could not be fetched')
    }
  }
}
addEventListener('paste', ({ clipboardData }) => open(clipboardData?.files[0]))
let over = 0
addEventListener('dragenter', () => document.body.classList.toggle('over', ++over > 0))
addEventListener('dragleave', () => document.body.classList.toggle('over', --over > 0))
addEventListener('dragover', (event) => event.preventDefault())
addEventListener('drop', async (event) => {
  event.preventDefault()
  over = 0
  document.body.classList.remove('over')
  // A model before its labels, labels before a photo.
  const rank = (file) =>
    /\.(tflite|thimble|lite)$/i.test(file.name) ? 0 : /\.(txt|json|csv|labels|names)$/i.test(file.name) ? 1 : 2
  for (const file of [...event.dataTransfer.files].sort((a, b) => rank(a) - rank(b)).slice(0, 3)) await open(file)
})
document.addEventListener('visibilitychange', () => {
  if (document.hidden) stopCamera()
})

// ── Start ────────────────────────────────────────────────────────────────────────────────────────────────────────────

showWaiting('Waiting for a photo')
try {
  shipped = await (await fetch('models/manifest.json')).json()
  $('models').replaceChildren(
    ...shipped
      .filter(({ task }) => task === 'classification')
      .map(({ name, file }) => new Option(name, `models/${file}`)),
  )
  await loadModel({ url: $('models').value }, $('models').selectedOptions[0].textContent)
} catch {
  problem('The list of models could not be fetched. Open a .tflite file of your own')
}

if ('serviceWorker' in navigator) {
  navigator.serviceWorker
    .register('sw.js')
    .then(() => navigator.serviceWorker.ready)
    .then(
      () => {
        $('offline').hidden = false
      },
      () => {},
    )
}
