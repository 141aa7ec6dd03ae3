/** The page's own tabs: what is asked of the models, and how the answers are shown. */
import { $ } from './dom.js'
import { enterTask, modelFor, modelReady } from './models.js'
import { ask } from './model-thread.js'
import { clearOverlay, colourOf, showOverlay } from './overlay.js'
import { showRows, showWaiting } from './results.js'
import { registerTab } from './tabs.js'

const percent = (score) => `${Math.round(score * 100)} %`

/** Scores of the latest frames, averaged: single frames flicker. */
let smooth = new Map()

function smoothed(predictions) {
  for (const [label, score] of smooth) smooth.set(label, score * 0.7)
  for (const { label, score } of predictions) smooth.set(label, (smooth.get(label) ?? 0) + score * 0.3)
  const best = [...smooth].sort((a, b) => b[1] - a[1])
  for (const [label] of best.slice(12)) smooth.delete(label)
  return best.slice(0, predictions.length).map(([label, score]) => ({ label, score }))
}

function caption(text) {
  $('caption').textContent = text ?? ''
  $('caption').hidden = text === undefined
}

/** A colour for every kind, the same from frame to frame. */
const colours = new Map()
const colourFor = (label) => {
  if (!colours.has(label)) colours.set(label, colourOf(colours.size))
  return colours.get(label)
}

/** A row for each kind of thing: how many, and the best score. */
function counted(found) {
  const kinds = new Map()
  for (const { label, score } of found) {
    const { count = 0, best = 0 } = kinds.get(label) ?? {}
    kinds.set(label, { count: count + 1, best: Math.max(best, score) })
  }
  return [...kinds].map(([label, { count, best }]) => ({
    label: count > 1 ? `${label} × ${count}` : label,
    score: best,
    colour: colourFor(label),
  }))
}

const impression = ({ age, gender, expression }) =>
  [gender?.label, age === undefined ? undefined : `about ${Math.round(age)}`, expression?.label]
    .filter(Boolean)
    .join(', ')

const SHOW = {
  classify({ predictions }, live) {
    const shown = live ? smoothed(predictions) : predictions
    clearOverlay()
    showRows(shown)
    caption(live ? (shown[0]?.score > 0.3 ? shown[0].label : '…') : undefined)
    if (!live) $('photo').alt = shown[0] ? `Photo, probably ${shown[0].label}` : 'Photo'
  },
  detect({ detections, ...picture }) {
    showOverlay({
      picture,
      marks: detections.map(({ box, label, score, turned }) => ({
        box,
        ...(turned && { outline: turned.corners }),
        caption: `${label} ${percent(score)}`,
        colour: colourFor(label),
      })),
    })
    showRows(counted(detections), 'Nothing that this model knows')
  },
  faces({ faces, ...picture }) {
    showOverlay({
      picture,
      marks: faces.map(({ box, points, bones }, i) => ({
        box,
        caption: faces.length > 1 ? String(i + 1) : '',
        colour: colourOf(i),
        ...(points && { points, bones }),
      })),
    })
    showRows(
      faces.map((face, i) => ({
        label: `${faces.length > 1 ? `${i + 1}: ` : ''}${impression(face) || 'a face'}`,
        score: face.score,
        colour: colourOf(i),
      })),
      'No face',
    )
  },
  pose({ poses, ...picture }) {
    showOverlay({
      picture,
      marks: poses.map(({ points, bones }, i) => ({ points, bones, colour: colourOf(i) })),
    })
    showRows(
      poses.map(({ label, score, points }, i) => ({
        label: `${label}, ${points.length} points`,
        score,
        colour: colourOf(i),
      })),
      'Nobody',
    )
  },
  segment({ classes, mask, ...picture }) {
    showOverlay({ picture, mask })
    showRows(
      classes.map(({ label, share, colour }) => ({ label, score: share, ...(colour && { colour }) })),
      'Nothing that this model knows',
    )
  },
}

const TABS = [
  ['classify', 'What is it?', 'One name for the whole picture.'],
  ['detect', 'Find things', 'Where the things are that the model knows, and how many.'],
  ['faces', 'Faces', 'Where faces are, and what small networks guess of them: an impression, no fact.'],
  ['pose', 'Poses', 'Joints of a body, a hand or a face.'],
  ['segment', 'Cut out', 'Which pixels belong to what.'],
]

for (const [task, title, hint] of TABS) {
  registerTab({
    id: task,
    title,
    hint,
    enter() {
      smooth = new Map()
      clearOverlay()
      caption()
      showWaiting('Waiting for a photo')
      return enterTask(task)
    },
    async look(picture) {
      await modelReady()
      if (!modelFor(task)) {
        picture.frame?.close()
        throw new Error('there is no model for this: open one of your own')
      }
      return ask('look', { task, ...picture }, picture.frame ? [picture.frame] : [])
    },
    show: SHOW[task],
  })
}
