/** Predictions as bars, and what a picture cost. */
import { $, ms } from './dom.js'

const rows = Array.from({ length: 5 }, () => {
  const row = document.createElement('li')
  row.innerHTML =
    '<span class="label"></span><span class="share"></span><div class="track"><div class="bar"></div></div>'
  return { row, label: row.querySelector('.label'), share: row.querySelector('.share'), bar: row.querySelector('.bar') }
})

export function showPredictions(predictions) {
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
export function showWaiting(text) {
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

/** Forgets the times of another model. */
export const clearNumbers = () => {
  times = []
  $('numbers').hidden = true
  $('history').classList.remove('used')
}

export function showNumbers({ inferMs, preprocessMs, decodeMs }, fps) {
  $('infer').textContent = ms(inferMs)
  $('prepare').textContent = ms(preprocessMs + decodeMs)
  $('numbers').hidden = false
  // A photo has no frames a second, and no history.
  $('frames').hidden = fps === undefined
  $('history').toggleAttribute('hidden', fps === undefined)
  if (fps !== undefined) $('fps').textContent = fps.toFixed(fps < 9.95 ? 1 : 0)
  times = [...times, inferMs].slice(-HISTORY)
  const top = Math.max(...times) * 1.15
  $('history').classList.toggle('used', times.length > 3)
  $('history').firstElementChild.setAttribute(
    'points',
    times.length < 2 ? '' : times.map((t, i) => `${(i / (HISTORY - 1)) * 240},${36 - (t / top) * 36}`).join(' '),
  )
}
