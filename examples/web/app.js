/** The page: takes pictures, models and labels from wherever they come, asks the worker, shows what it says. */
import { flipCamera, live, startCamera, stopCamera } from './camera.js'
import { $, megabytes, ms, noProblem, problem } from './dom.js'
import { ask } from './model-thread.js'
import { clearNumbers, showNumbers, showPredictions, showWaiting } from './results.js'

// ── Model ────────────────────────────────────────────────────────────────────────────────────────────────────────────

let loading = Promise.resolve()
/** The option of the model that runs; undefined before the first. */
let running
/** The photo on show with its answer, and the photo asked for last: only its answer is shown. */
let lastPhoto
let lastAnswer
let wanted

function showFacts(facts) {
  const entries = [
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
    ['runs as', `${facts.variant}: ${facts.why}`],
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

/** Loads the model of an option; where that fails, the list shows the one that still runs. */
async function loadModel(option) {
  noProblem()
  $('progress').classList.remove('done')
  $('progress').value = 0
  const { file } = option
  const name = option.textContent
  const attempt = (async () => {
    const bytes = file && (await file.arrayBuffer())
    return ask('load', { name, ...(bytes ? { bytes } : { url: option.value }) }, bytes ? [bytes] : [])
  })()
  loading = attempt
  try {
    const facts = await attempt
    clearNumbers()
    running = option
    known = facts
    showFacts(known)
    if (loading === attempt) option.selected = true
    document.documentElement.dataset.ready = known.name ?? name
    return true
  } catch (error) {
    if (loading === attempt) {
      if (running) running.selected = true
      else $('models').selectedIndex = -1
    }
    problem(`“${name}” can't be used: ${error.message}`)
    return false
  } finally {
    if (loading === attempt) $('progress').classList.add('done')
  }
}

/** A model of the user stays in the list; one of the same name takes its place. */
async function openModel(file) {
  const option = new Option(file.name, '')
  option.file = file
  if (!(await loadModel(option))) return
  const before = [...$('models').options].find((o) => o.file?.name === file.name)
  if (before) before.replaceWith(option)
  else $('models').append(option)
  option.selected = true
  await again()
}

async function openLabels(file) {
  noProblem()
  try {
    const bytes = await file.arrayBuffer()
    known = { ...known, ...(await ask('labels', { bytes, name: file.name }, [bytes])) }
    showFacts(known)
    await again()
  } catch (error) {
    problem(`“${file.name}” is not a label file for this model: ${error.message}`)
  }
}

$('models').onchange = async () => {
  const option = $('models').selectedOptions[0]
  if (await loadModel(option)) await again()
}

// ── Photos ───────────────────────────────────────────────────────────────────────────────────────────────────────────

function show(element) {
  $('photo').hidden = element !== 'photo'
  $('video').hidden = element !== 'video'
  $('invitation').hidden = element !== 'invitation'
  $('caption').hidden = true
  // The frame has the picture's own shape, within reason.
  const { width, height } =
    element === 'video'
      ? { width: $('video').videoWidth, height: $('video').videoHeight }
      : element === 'photo'
        ? lastAnswer
        : { width: 4, height: 3 }
  $('frame').style.setProperty('--ratio', Math.min(16 / 9, Math.max(3 / 4, width / height || 4 / 3)))
  $('frame').classList.toggle('empty', element === 'invitation')
}

async function openPhoto(file) {
  stopCamera(host)
  noProblem()
  wanted = file
  await loading.catch(() => {})
  try {
    const answer = await ask('classify', { file })
    if (wanted !== file) return
    if (live()) return
    URL.revokeObjectURL($('photo').src)
    $('photo').src = URL.createObjectURL(file)
    $('photo').alt = answer.predictions[0] ? `Photo, probably ${answer.predictions[0].label}` : 'Photo'
    lastPhoto = file
    lastAnswer = answer
    show('photo')
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
  if (wanted && !live()) await openPhoto(wanted)
}

/** What the camera needs of the page. */
const host = {
  ready: () => loading.catch(() => {}),
  show: () => show('video'),
  stopped: () => {
    show(lastPhoto ? 'photo' : 'invitation')
    clearNumbers()
    if (!lastAnswer) return showWaiting('Waiting for a photo')
    showPredictions(lastAnswer.predictions)
    showNumbers(lastAnswer)
  },
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
$('camera').onclick = () => (live() ? stopCamera(host) : startCamera(host))
$('flip').onclick = () => flipCamera(host)
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
  if (document.hidden) stopCamera(host)
})

// ── Start ────────────────────────────────────────────────────────────────────────────────────────────────────────────

showWaiting('Waiting for a photo')
/** The shipped models that name what is in a whole photo; those for faces want a face alone. */
async function listModels() {
  const response = await fetch('models/manifest.json')
  if (!response.ok) throw new Error(`the server answered ${response.status}`)
  const shipped = (await response.json()).filter(({ task, name }) => task === 'classification' && !/^face/.test(name))
  $('models').replaceChildren(...shipped.map(({ name, file }) => new Option(titleOf(name), `models/${file}`)))
}

/** `mobilenet_v2_1.0_224` in words. */
const titleOf = (name) =>
  name.replace(/^mobilenet_v(\d)_([\d.]+)_(\d+)$/, (_, version, width, size) => {
    return `MobileNetV${version}${Number(width) === 1 ? '' : ` × ${width}`}, ${size} pixels`
  })

try {
  await listModels()
  await loadModel($('models').options[0])
} catch {
  $('progress').classList.add('done')
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
