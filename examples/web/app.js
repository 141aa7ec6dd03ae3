/**
 * The page: takes pictures, models and labels from wherever they come, asks the tab that is chosen, shows what it says.
 */
import { flipCamera, live, startCamera, stopCamera } from './camera.js'
import { $, noProblem, problem } from './dom.js'
import { chooseModel, forgetOwn, listModels, openLabels, openModel } from './models.js'
import { clearOverlay } from './overlay.js'
import { clearNumbers, showNumbers, showWaiting } from './results.js'
import { chooseTab, currentTab, startTabs } from './tabs.js'
import './tasks.js'
import './teach.js'

// ── Photos ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The photo on show, and the one asked for last: only its answer is shown. */
let lastPhoto
let wanted

/** Shows the photo, the video or the invitation, in a frame of its shape, within reason. */
function show(element, { width, height } = { width: 4, height: 3 }) {
  $('photo').hidden = element !== 'photo'
  $('video').hidden = element !== 'video'
  $('invitation').hidden = element !== 'invitation'
  $('caption').hidden = true
  $('frame').style.setProperty('--ratio', Math.min(16 / 9, Math.max(3 / 4, width / height || 4 / 3)))
  $('frame').classList.toggle('empty', element === 'invitation')
}

async function openPhoto(file) {
  stopCamera(host)
  noProblem()
  wanted = file
  const tab = currentTab()
  const current = () => wanted === file && tab === currentTab() && !live()
  try {
    const answer = await tab.look({ file })
    if (!current()) return
    if (lastPhoto !== file) {
      URL.revokeObjectURL($('photo').src)
      $('photo').src = URL.createObjectURL(file)
      $('photo').alt = 'Photo'
      lastPhoto = file
    }
    show('photo', answer)
    tab.show(answer, false)
    showNumbers(answer)
  } catch (error) {
    if (!current()) return
    wanted = lastPhoto
    problem(error)
  }
}

/** The photo once more, after the tab, the model or the labels changed. */
async function again() {
  if (wanted && !live()) await openPhoto(wanted)
}

/** What the camera needs of the page. */
const host = {
  tab: currentTab,
  show: () => show('video', { width: $('video').videoWidth, height: $('video').videoHeight }),
  stopped: () => {
    clearOverlay()
    clearNumbers()
    show('invitation')
    showWaiting('Waiting for a photo')
    wanted = lastPhoto
    if (lastPhoto) void again()
  },
}

// ── Where things come from ───────────────────────────────────────────────────────────────────────────────────────────

const MODEL = /\.(tflite|thimble|lite)$/i
const LABELS = /\.(txt|json|csv|labels|names)$/i

async function takeModel(file) {
  const task = await openModel(file)
  if (!task) return
  if (currentTab().id === task) await again()
  else await chooseTab(task)
}

async function takeLabels(file) {
  if (await openLabels(file)) await again()
}

function open(file) {
  if (!file) return undefined
  if (MODEL.test(file.name)) return takeModel(file)
  if (LABELS.test(file.name) || file.type.startsWith('text/')) return takeLabels(file)
  return openPhoto(file)
}

for (const [id, take] of [
  ['file', openPhoto],
  ['model-file', takeModel],
  ['labels-file', takeLabels],
]) {
  $(id).onchange = async ({ target }) => {
    const [file] = target.files
    if (file) await take(file)
    target.value = ''
  }
}
$('models').onchange = async () => {
  if (await chooseModel()) await again()
}
$('forget').onclick = async () => {
  await forgetOwn()
  await again()
}
$('camera').onclick = () => (live() ? stopCamera(host) : startCamera(host))
$('flip').onclick = () => flipCamera(host)
for (const button of document.querySelectorAll('.sample')) {
  button.onclick = async () => {
    const name = button.dataset.photo
    let photo
    try {
      photo = new File([await (await fetch(name)).blob()], name)
    } catch {
      return problem('The sample photo could not be fetched')
    }
    return openPhoto(photo)
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
  const rank = ({ name }) => (MODEL.test(name) ? 0 : LABELS.test(name) ? 1 : 2)
  for (const file of [...event.dataTransfer.files].sort((a, b) => rank(a) - rank(b)).slice(0, 3)) await open(file)
})
document.addEventListener('visibilitychange', () => {
  if (document.hidden) stopCamera(host)
})

// ── Start ────────────────────────────────────────────────────────────────────────────────────────────────────────────

showWaiting('Waiting for a photo')
try {
  await listModels()
} catch {
  $('progress').classList.add('done')
  problem('The list of models could not be fetched. Open a .tflite file of your own')
}
await startTabs(again)

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
