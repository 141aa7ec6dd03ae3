/** The models of a task: those of the page and the user's own, which one runs, and what it is. */
import { $, megabytes, ms, noProblem, problem } from './dom.js'
import { ask } from './model-thread.js'
import { clearNumbers } from './results.js'
import { forgetModel, keepModel, ownModels } from './store.js'

/** Names of the page's models that people understand, the first of a task first; of others, their description. */
const TITLES = {
  'mobilenet_v2_1.0_224': '1,000 things: most exact',
  'mobilenet_v2_1.0_192': '1,000 things: exact',
  'mobilenet_v2_1.0_160': '1,000 things: twice as fast',
  'mobilenet_v2_1.0_128': '1,000 things: 3 times as fast',
  'mobilenet_v2_1.0_96': '1,000 things: 5 times as fast',
  efficientnet_lite0_224: '1,000 things: second opinion',
  'dogs_mobilenet_v2_1.0_160': 'Dogs: which breed',
  ssdlite_mobilenet_v2_coco_300: 'Everyday things, 80 kinds',
  face_detector_tiny_416: 'Faces, small ones too',
  blazeface_short_128: 'Faces close by: the fastest',
  face_detector_ssd_mobilenet_v1_512: 'Faces in groups: slow, exact',
  pose_landmarks_33_256: 'People, 33 points of each',
  pose_detector_224: 'People, 4 points: fast',
  hand_landmarks_21_224: 'Hands, 21 points of each',
  palm_detector_192: 'Palms, 7 points: fast',
  face_mesh_468_192: 'Faces, 468 points of each',
  selfie_segmentation_256: 'The person in the foreground',
}
/** The task that a manifest's entry is for here; others are parts of something. */
const TASK = {
  classification: 'classify',
  detection: 'detect',
  faces: 'faces',
  pose: 'pose',
  hands: 'pose',
  segmentation: 'segment',
}
const taskOf = ({ name, task }) => (name === 'face_mesh_468_192' ? 'pose' : TASK[task])
/** What describes the faces that a detector finds, by the start of its name. */
const FACE_PARTS = { landmarks: 'face_landmarks_68', ageGender: 'face_age_gender', expression: 'face_expression' }
/** What finds whom a landmark network looks at. */
const FINDERS = {
  pose_landmarks_33_256: { finder: 'pose_detector_224' },
  hand_landmarks_21_224: { finder: 'palm_detector_192' },
  face_mesh_468_192: { finder: 'blazeface_short_128' },
}

/** Models by task: `{ key, title, task, url | record, parts?, element }`. */
const entries = []
/** The entry that runs, and what it said of itself, by task. */
const running = {}
let current
let loading = Promise.resolve()
let loadingKey

/** When the model of the task can be asked, or has failed. */
export const modelReady = () => loading.catch(() => {})
export const modelFor = (task) => running[task]

const choiceOf = (task) => {
  try {
    return localStorage.getItem(`thimble:${task}`)
  } catch {
    return null
  }
}
const chose = ({ task, key }) => {
  try {
    localStorage.setItem(`thimble:${task}`, key)
  } catch {
    // Nothing is remembered in this browser.
  }
}

// ── The list ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function showList(task) {
  const of = (own) => entries.filter((entry) => entry.task === task && (entry.record !== undefined) === own)
  const options = (list) =>
    list.map((entry) => {
      const option = new Option(entry.title, entry.key)
      option.selected = entry === running[task]?.entry
      return option
    })
  const mine = document.createElement('optgroup')
  mine.label = 'Yours, kept in this browser'
  mine.append(...options(of(true)))
  $('models').replaceChildren(...options(of(false)), ...(of(true).length ? [mine] : []))
  if (!running[task]) $('models').selectedIndex = -1
  $('models').hidden = $('models').length === 0
  $('no-model').hidden = $('models').length > 0
  $('forget').hidden = running[task]?.entry.record === undefined
}

const addOwn = (record) => {
  const entry = { key: `own ${record.id ?? record.name}`, title: record.name, task: record.task, record }
  entries.push(entry)
  return entry
}

/** Reads what the page comes with and what the user has kept. */
export async function listModels() {
  const response = await fetch('models/manifest.json')
  if (!response.ok) throw new Error(`the server answered ${response.status}`)
  const shipped = await response.json()
  const url = ({ file, sha256 }) => `models/${file}${sha256 ? `?${sha256.slice(0, 12)}` : ''}`
  const part = (name) => {
    const found = shipped.find((entry) => entry.name.startsWith(name))
    return found && url(found)
  }
  const partsOf = (names) =>
    Object.fromEntries(
      Object.entries(names)
        .map(([role, name]) => [role, part(name)])
        .filter(([, found]) => found),
    )
  for (const entry of shipped) {
    const task = taskOf(entry)
    if (!task) continue
    const title = TITLES[entry.name] ?? entry.description ?? entry.name
    const names = task === 'faces' ? FACE_PARTS : FINDERS[entry.name]
    entries.push({ key: entry.name, title, task, url: url(entry), ...(names && { parts: partsOf(names) }) })
  }
  const order = Object.keys(TITLES)
  const place = ({ key }) => (order.includes(key) ? order.indexOf(key) : order.length)
  entries.sort((a, b) => place(a) - place(b))
  for (const record of await ownModels()) addOwn(record)
}

// ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function showFacts(facts) {
  const rows = [
    ['looks at', `${facts.shape.slice(1, 3).reverse().join(' × ')} pixels, ${facts.dtype}`],
    ...(facts.classes
      ? [
          [
            'knows',
            `${facts.classes.toLocaleString('en')} ${facts.classes === 1 ? 'kind' : 'kinds'} of things${facts.named ? '' : ', without names: open a label file'}${facts.labelsFile ? `, names from ${facts.labelsFile}` : ''}`,
          ],
        ]
      : []),
    ['memory', `${megabytes(facts.memoryBytes)}, of them ${megabytes(facts.arenaBytes)} work space`],
    ...(facts.loadMs === undefined
      ? []
      : [
          [
            'loaded',
            `${megabytes(facts.fileBytes)}${facts.downloadMs ? `, fetched in ${ms(facts.downloadMs)} ms` : ''}, ready in ${ms(facts.loadMs)} ms, first run ${ms(facts.firstMs)} ms`,
          ],
        ]),
    ['answer', facts.reads],
    ...(facts.license ? [['licence', facts.license]] : []),
    ['runs as', `${facts.variant}: ${facts.why}`],
  ]
  $('facts').replaceChildren(
    ...rows.flatMap(([term, text]) => {
      const dt = document.createElement('dt')
      const dd = document.createElement('dd')
      dt.textContent = term
      dd.textContent = text
      return [dt, dd]
    }),
  )
}

/** Shows the list and the facts of a task. */
function showModel(task) {
  showList(task)
  const { facts, entry } = running[task] ?? {}
  $('about').hidden = !facts
  if (facts) showFacts(facts)
  if (facts) document.documentElement.dataset.ready = entry.key
  else delete document.documentElement.dataset.ready
}

// ── Loading ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Loads the model of an entry; where that fails, the list shows the one that still runs. The facts, or undefined. */
async function load(entry, task) {
  noProblem()
  $('progress').classList.remove('done')
  $('progress').value = 0
  const { record, url, title, parts } = entry
  const attempt = (async () => {
    const bytes = await record?.bytes.arrayBuffer()
    const labels = await record?.labels?.bytes.arrayBuffer()
    const details = { name: title, ...(task && { task }), ...(parts && { parts }), ...(labels && { labels }) }
    return ask('load', bytes ? { ...details, bytes } : { ...details, url }, bytes ? [bytes] : [])
  })()
  loading = attempt
  loadingKey = entry.key
  try {
    const facts = await attempt
    if (record?.labels) facts.labelsFile = record.labels.name
    clearNumbers()
    running[facts.task] = { entry, facts }
    return facts
  } catch (error) {
    problem(`“${title}” can't be used: ${error.message}`)
    return undefined
  } finally {
    if (loading === attempt) {
      $('progress').classList.add('done')
      loadingKey = undefined
      if (current) showModel(current)
    }
  }
}

/** Shows the models of a task and loads the one that was chosen last. */
export async function enterTask(task) {
  current = task
  showModel(task)
  if (running[task]) return
  const of = entries.filter((entry) => entry.task === task)
  const wanted = of.find(({ key }) => key === choiceOf(task)) ?? of[0]
  if (!wanted || loadingKey === wanted.key) return modelReady()
  const facts = await load(wanted, task)
  // What was kept may have become unreadable; the page's own model stands in.
  if (!facts && wanted !== of[0] && current === task) await load(of[0], task)
}

/** The model that the list names. True where it runs. */
export async function chooseModel() {
  const entry = entries.find(({ key, task }) => key === $('models').value && task === current)
  const facts = entry && (await load(entry, current))
  if (facts) chose(entry)
  return facts !== undefined
}

/** A model of the user, which is kept; one of the same name and task gives way. The task, or undefined. */
export async function openModel(file) {
  const record = { name: file.name, bytes: new Blob([await file.arrayBuffer()]) }
  const entry = { key: `own ${file.name}`, title: file.name, record }
  const facts = await load(entry)
  if (!facts) return undefined
  const { task } = facts
  const before = entries.findIndex((e) => e.record?.name === record.name && e.task === task)
  const old = before < 0 ? undefined : entries.splice(before, 1)[0]
  Object.assign(record, { task }, old?.record.id !== undefined && { id: old.record.id })
  record.id = await keepModel(record)
  Object.assign(entry, { task, key: `own ${record.id ?? record.name}` })
  entries.push(entry)
  chose(entry)
  if (current === task) showModel(task)
  return task
}

export async function forgetOwn() {
  const task = current
  const { entry } = running[task]
  entries.splice(entries.indexOf(entry), 1)
  if (entry.record.id !== undefined) await forgetModel(entry.record.id)
  delete running[task]
  await enterTask(task)
}

/** Names for the model of the task; kept beside a model of the user. True where they fit. */
export async function openLabels(file) {
  noProblem()
  const mine = running[current]
  try {
    if (!mine) throw new Error('there is no model yet')
    const bytes = await file.arrayBuffer()
    mine.facts = {
      ...mine.facts,
      ...(await ask('labels', { task: current, bytes: bytes.slice(0) })),
      labelsFile: file.name,
    }
    const { record } = mine.entry
    if (record) {
      record.labels = { name: file.name, bytes: new Blob([bytes]) }
      await keepModel(record)
    }
    showModel(current)
    return true
  } catch (error) {
    problem(`“${file.name}” is not a label file for this model: ${error.message}`)
    return false
  }
}
