/**
 * The tab "Teach": classes of one's own. Hold a button while the camera looks at a thing, and it is learned; what the
 * camera sees is named all the while. Everything happens in a worker of its own, which starts when the tab is chosen.
 * What was learned is kept in the browser and goes on at the next visit.
 */
import { live } from './camera.js'
import { $, megabytes, noProblem, problem } from './dom.js'
import { clearOverlay } from './overlay.js'
import { keepTaught, taughtModel } from './store.js'
import { registerTab } from './tabs.js'

/** The class of pictures of nothing that is taught, and what they are called. */
const NONE = 'none'
const UNKNOWN = 'unknown'
/** Most pictures of a class taken from the camera. */
const MOST = 60
/** Milliseconds between two pictures of the same thing: the next frame is much like the last. */
const PAUSE = 120

const panel = document.createElement('section')
panel.id = 'teach'
panel.setAttribute('aria-label', 'Teach')
panel.innerHTML = `
  <ol id="teach-classes" class="teach-classes"></ol>
  <div class="teach-tools">
    <button id="teach-more" class="button" type="button">One more class</button>
    <button id="teach-save" class="button primary" type="button" disabled>Download the model</button>
    <label class="button"><input id="teach-open" type="file" accept=".thimble,.tflite">Go on with one …</label>
  </div>
  <p id="teach-status" class="teach-status" aria-live="polite"></p>`
const style = document.createElement('link')
style.rel = 'stylesheet'
style.href = 'teach.css'
document.head.append(style)

const part = (name) => panel.querySelector(`#teach-${name}`)
const say = (text) => {
  part('status').textContent = text
}

// ── The worker ───────────────────────────────────────────────────────────────────────────────────────────────────────

let worker
let requests = 0
const waiting = new Map()

function ask(action, details = {}, transfer = []) {
  const id = ++requests
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject })
    worker.postMessage({ id, action, ...details }, transfer)
  })
}

/** The address of the base model, as the offline copy of the page has it. */
async function baseUrl() {
  const list = await (await fetch('models/manifest.json')).json()
  const found =
    list.find(({ name }) => name === 'mobilenet_v2_1.0_224') ?? list.find(({ task }) => task === 'classification')
  if (!found) throw new Error('this page comes with no model to learn on')
  return `models/${found.file}${found.sha256 ? `?${found.sha256.slice(0, 12)}` : ''}`
}

let started
/** Starts the worker once; what fails is tried again the next time. */
function start() {
  started ??= (async () => {
    worker = new Worker('teach-worker.js', { type: 'module' })
    worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = waiting.get(id)
      waiting.delete(id)
      if (error === undefined) resolve(result)
      else reject(new Error(error))
    }
    worker.onerror = (event) => {
      event.preventDefault?.()
      for (const { reject } of waiting.values()) reject(new Error('the thread that learns did not start'))
      waiting.clear()
    }
    const url = await baseUrl()
    if (!(await resume())) update(await ask('start', { url }))
  })()
  return started.catch((error) => {
    started = undefined
    throw error
  })
}

/** Goes on with what the browser has kept; false where there is nothing, or nothing that this page can read. */
async function resume() {
  const kept = await taughtModel()
  if (!kept) return false
  try {
    goOn(await ask('start', { bytes: await kept.arrayBuffer() }))
    return true
  } catch {
    await keepTaught()
    return false
  }
}

/** Shows the classes of a learned file in place of those before. */
function goOn(state) {
  for (const entry of classes.splice(0)) entry.row.remove()
  addClass(NONE)
  update(state)
}

/** Has the browser keep what is learned now; nothing where there is nothing to tell apart. */
async function keep(state) {
  await keepTaught(state.trained ? new Blob([(await ask('save', { format: 'thimble' })).bytes]) : undefined)
  return state
}

// ── Classes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `{ label, row, name, count, bar, share, hold }`, in the order of the page; the last is that of nothing. */
const classes = []
/** The class whose button is held down. */
let held
let taken = 0

const known = (label) => classes.some((c) => c.label === label)

function addClass(label) {
  const row = document.createElement('li')
  row.innerHTML = `
    <input class="teach-name" maxlength="40" spellcheck="false">
    <button class="button teach-hold" type="button" aria-pressed="false"></button>
    <label class="button"><input type="file" accept="image/*" multiple>Photos …</label>
    <button class="button teach-remove" type="button">Remove</button>
    <div class="teach-answer"><div class="track"><div class="bar"></div></div><span class="teach-share"></span></div>`
  const find = (selector) => row.querySelector(selector)
  const entry = {
    label,
    count: 0,
    row,
    name: find('.teach-name'),
    hold: find('.teach-hold'),
    bar: find('.bar'),
    share: find('.teach-share'),
  }
  entry.name.value = label === NONE ? 'none of these' : label
  entry.name.ariaLabel = 'Name of the class'
  entry.name.readOnly = label === NONE
  entry.name.onchange = () => rename(entry)
  find('.teach-remove').ariaLabel = `Remove ${label}`
  find('.teach-remove').onclick = () => removeClass(entry)
  find('input[type=file]').onchange = async ({ target }) => {
    await addPhotos(entry, [...target.files])
    target.value = ''
  }
  holdable(entry)
  const before = classes.findIndex((c) => c.label === NONE)
  if (label === NONE || before < 0) classes.push(entry)
  else classes.splice(before, 0, entry)
  part('classes').replaceChildren(...classes.map((c) => c.row))
  showCount(entry)
  return entry
}

function showCount({ hold, count, label }) {
  hold.textContent = count ? `Hold to teach more (${count})` : 'Hold to teach'
  hold.ariaLabel = `Hold to teach ${label}, ${count} pictures so far`
}

/** A name can be changed as long as nothing was learned under it. */
function rename(entry) {
  const label = entry.name.value.trim()
  if (!label || label === UNKNOWN || (label !== entry.label && known(label)) || entry.count) {
    if (entry.count && label !== entry.label)
      say('A class keeps its name once it was taught: remove it to begin again.')
    entry.name.value = entry.label
    return
  }
  entry.label = label
  showCount(entry)
}

async function removeClass(entry) {
  if (held === entry) release()
  try {
    if (entry.count) update(await keep(await ask('remove', { label: entry.label })))
  } catch (error) {
    return problem(error)
  }
  if (entry.label === NONE) return
  classes.splice(classes.indexOf(entry), 1)
  entry.row.remove()
}

/** What the worker knows after a training, shown at once and then kept. */
async function showKept(state) {
  update(state)
  await keep(state)
}

/** What the worker knows, shown. */
function update({ counts, trained, photoBytes, leaveOneOut, trainMs }) {
  for (const label of Object.keys(counts)) if (!known(label)) addClass(label)
  for (const entry of classes) {
    entry.count = counts[entry.label] ?? 0
    showCount(entry)
  }
  part('save').disabled = !trained
  panel.dataset.trained = String(trained)
  const total = Object.values(counts).reduce((a, b) => a + b, 0)
  if (!trained) return say(total ? 'Now teach a second class.' : 'Hold a button while the camera looks at the thing.')
  if (trainMs === undefined) return
  say(
    `${total} pictures learned in ${Math.round(trainMs)} ms; ${Math.round(leaveOneOut * 100)} % right on pictures held back; ` +
      `kept in the model and this browser: ${megabytes(photoBytes)}, no picture itself.`,
  )
}

function showAnswer(predictions) {
  const best = predictions[0]?.label
  for (const { label, row, bar, share } of classes) {
    const score = predictions.find((p) => p.label === (label === NONE ? UNKNOWN : label))?.score ?? 0
    bar.style.transform = `scaleX(${score})`
    share.textContent = predictions.length ? `${Math.round(score * 100)} %` : ''
    row.classList.toggle('best', best === (label === NONE ? UNKNOWN : label))
  }
  $('caption').hidden = best === undefined
  $('caption').textContent = best ?? ''
}

// ── Holding a button ─────────────────────────────────────────────────────────────────────────────────────────────────

function press(entry) {
  if (held === entry) return
  release()
  noProblem()
  held = entry
  taken = 0
  entry.hold.setAttribute('aria-pressed', 'true')
  if (!live()) $('camera').click()
}

function release() {
  if (!held) return
  held.hold.setAttribute('aria-pressed', 'false')
  held = undefined
  // What came since the last training is learned now.
  if (started) started.then(() => ask('train')).then(showKept, problem)
}

function holdable(entry) {
  const { hold } = entry
  hold.onpointerdown = (event) => {
    if (event.button !== 0) return
    hold.setPointerCapture(event.pointerId)
    press(entry)
  }
  hold.onpointerup = hold.onpointercancel = hold.onlostpointercapture = release
  hold.oncontextmenu = (event) => event.preventDefault()
  hold.onkeydown = (event) => {
    if (event.key !== ' ' && event.key !== 'Enter') return
    event.preventDefault()
    if (!event.repeat) press(entry)
  }
  hold.onkeyup = hold.onblur = release
}

async function addPhotos(entry, files) {
  noProblem()
  try {
    await start()
    for (const file of files) showLook(await ask('look', { file, label: entry.label }))
    await showKept(await ask('train'))
  } catch (error) {
    problem(error)
  }
}

// ── The tab ──────────────────────────────────────────────────────────────────────────────────────────────────────────

function showLook(answer) {
  update(answer)
  showAnswer(answer.predictions)
}

/** The class that a frame is a picture of: not every frame, and not for ever. */
function labelNow() {
  if (!held || performance.now() - taken < PAUSE) return undefined
  if (held.count >= MOST) {
    say(`${MOST} pictures are enough: look at it from another side, or teach another class.`)
    return undefined
  }
  taken = performance.now()
  return held.label
}

part('more').onclick = () => {
  let n = classes.length
  while (known(`thing ${n}`)) n++
  addClass(`thing ${n}`).name.select()
}
part('save').onclick = async () => {
  try {
    const { bytes } = await ask('save', { format: 'thimble' })
    const link = document.createElement('a')
    link.href = URL.createObjectURL(new Blob([bytes]))
    link.download = 'mine.thimble'
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
    say(`mine.thimble, ${megabytes(bytes.byteLength)}: thimble classify --model mine.thimble photo.jpg`)
  } catch (error) {
    problem(error)
  }
}
part('open').onchange = async ({ target }) => {
  const [file] = target.files
  target.value = ''
  if (!file) return
  noProblem()
  try {
    await start()
    const bytes = await file.arrayBuffer()
    goOn(await keep(await ask('start', { bytes }, [bytes])))
    say(`${file.name} goes on where it was.`)
  } catch (error) {
    problem(`“${file.name}” can't be taught: ${error.message}`)
  }
}

for (const label of [NONE, 'thing 1', 'thing 2']) addClass(label)
update({ counts: {}, trained: false })

registerTab({
  id: 'teach',
  title: 'Teach',
  hint: 'Your own things: hold a button while the camera looks at one. Two are enough to begin with.',
  panel,
  async enter() {
    clearOverlay()
    try {
      await start()
    } catch (error) {
      problem(error)
    }
  },
  leave: release,
  async look(picture) {
    await start()
    return ask('look', { ...picture, label: picture.frame && labelNow() }, picture.frame ? [picture.frame] : [])
  },
  show: showLook,
})
