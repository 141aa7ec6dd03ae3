/** Answers as bars, and what a picture cost. */
import { $, ms } from './dom.js'

/** Most rows that are shown. */
const MOST = 8
const rows = Array.from({ length: MOST }, () => {
  const row = document.createElement('li')
  row.innerHTML =
    '<span class="label"></span><span class="share"></span><div class="track"><div class="bar"></div></div>'
  return { row, label: row.querySelector('.label'), share: row.querySelector('.share'), bar: row.querySelector('.bar') }
})

/** A row for each `{ label, score, colour? }`; `nothing`: what is said where there is none. */
export function showRows(answers, nothing = 'No answer') {
  const list = $('predictions')
  list.setAttribute('aria-busy', 'false')
  list.classList.remove('waiting')
  list.classList.toggle('nothing', answers.length === 0)
  const shown = answers.length ? answers.slice(0, MOST) : [{ label: nothing }]
  list.replaceChildren(...rows.slice(0, shown.length).map(({ row }) => row))
  shown.forEach(({ label, score, colour }, i) => {
    const share = Math.min(1, Math.max(0, score ?? 0))
    rows[i].label.textContent = label
    rows[i].label.title = label
    rows[i].share.textContent = score === undefined ? '' : `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`
    rows[i].bar.style.transform = `scaleX(${share})`
    rows[i].bar.style.background = colour ?? ''
  })
  if (answers.length > MOST) rows[MOST - 1].label.textContent += `, and ${answers.length - MOST} more`
}

/** Five empty rows, the first with a word. */
export function showWaiting(text) {
  $('predictions').classList.add('waiting')
  $('predictions').classList.remove('nothing')
  $('predictions').replaceChildren(...rows.slice(0, 5).map(({ row }) => row))
  rows.slice(0, 5).forEach(({ row, label, share, bar }, i) => {
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
