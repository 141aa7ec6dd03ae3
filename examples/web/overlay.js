/** Boxes, points and masks over the picture on show, in pixels of the screen. */
import { $ } from './dom.js'

/** Okabe and Ito's, told apart by the colour-blind; the package's pictures have the same. */
const PALETTE = ['#009e73', '#e69f00', '#56b4e9', '#d55e00', '#cc79a7', '#0072b2', '#f0e442']
const isLight = (colour) => ['#e69f00', '#56b4e9', '#f0e442', '#cc79a7'].includes(colour)

export const colourOf = (i) => PALETTE[i % PALETTE.length]

const canvas = $('overlay')
const context = canvas.getContext('2d')
let shown

/** Where the picture lies in its frame: scale, and its left upper corner, in pixels of the canvas. */
function placed({ width, height }) {
  const scale = Math.min(canvas.width / width, canvas.height / height)
  return { scale, left: (canvas.width - width * scale) / 2, top: (canvas.height - height * scale) / 2 }
}

function drawLabel(text, { x, y }, colour, unit) {
  const size = 13 * unit
  context.font = `600 ${size}px system-ui, sans-serif`
  const [width, height] = [context.measureText(text).width + 0.9 * size, 1.5 * size]
  const left = Math.max(0, Math.min(x, canvas.width - width))
  const top = Math.max(0, y - height < 0 ? y : y - height)
  context.fillStyle = colour
  context.beginPath()
  context.roundRect(left, top, width, height, 0.3 * size)
  context.fill()
  context.fillStyle = isLight(colour) ? '#111' : '#fff'
  context.textBaseline = 'middle'
  context.fillText(text, left + 0.45 * size, top + height / 2)
}

function stroke(colour, width, path) {
  context.beginPath()
  path()
  context.lineJoin = 'round'
  context.lineCap = 'round'
  for (const [style, lines] of [
    ['rgb(0 0 0 / 0.55)', width * 1.9],
    [colour, width],
  ]) {
    context.strokeStyle = style
    context.lineWidth = lines
    context.stroke()
  }
}

function draw() {
  const { clientWidth, clientHeight } = canvas.parentElement
  const unit = Math.min(2, devicePixelRatio || 1)
  canvas.width = Math.round(clientWidth * unit)
  canvas.height = Math.round(clientHeight * unit)
  if (!shown) return
  const { marks, mask, picture, mirrored } = shown
  const { scale, left, top } = placed(picture)
  const x = (at) => left + (mirrored ? picture.width - at : at) * scale
  const y = (at) => top + at * scale
  if (mask) {
    context.save()
    if (mirrored) context.transform(-1, 0, 0, 1, 2 * left + picture.width * scale, 0)
    context.imageSmoothingEnabled = true
    context.drawImage(mask, left, top, picture.width * scale, picture.height * scale)
    context.restore()
  }
  for (const { box, outline, colour } of marks) {
    if (!box) continue
    if (outline) {
      stroke(colour, 2.5 * unit, () => {
        for (const corner of outline) context.lineTo(x(corner[0]), y(corner[1]))
        context.closePath()
      })
      continue
    }
    const at = x(mirrored ? box.x + box.width : box.x)
    stroke(colour, 2.5 * unit, () => context.roundRect(at, y(box.y), box.width * scale, box.height * scale, 4 * unit))
  }
  for (const { points = [], bones = [], colour } of marks) {
    const few = points.length <= 40
    stroke(few ? colour : 'rgb(255 255 255 / 0.8)', (few ? 2.5 : 0.8) * unit, () => {
      for (const [a, b] of bones) {
        context.moveTo(x(points[a].x), y(points[a].y))
        context.lineTo(x(points[b].x), y(points[b].y))
      }
    })
    for (const point of points) {
      if (point.faint) continue
      context.beginPath()
      context.arc(x(point.x), y(point.y), (few ? 4 : 1.3) * unit, 0, 2 * Math.PI)
      context.fillStyle = few ? '#fff' : '#ffe650'
      context.fill()
      if (!few) continue
      context.strokeStyle = colour
      context.lineWidth = 2 * unit
      context.stroke()
    }
  }
  for (const { box, caption, colour } of marks) {
    if (box && caption) {
      drawLabel(caption, { x: x(mirrored ? box.x + box.width : box.x) - unit, y: y(box.y) }, colour, unit)
    }
  }
}

/**
 * Draws over the picture. `picture`: its size; `marks`: `{ box?, outline?: [x, y][], caption?, colour, points?: { x, y,
 * faint? }[], bones? }` in its pixels; `mask`: an ImageBitmap stretched over it.
 */
export function showOverlay({ picture, marks = [], mask }) {
  if (shown?.mask !== mask) shown?.mask?.close()
  shown = { picture, marks, mask, mirrored: !$('video').hidden && $('video').classList.contains('mirrored') }
  draw()
}

export function clearOverlay() {
  shown?.mask?.close()
  shown = undefined
  draw()
}

new ResizeObserver(draw).observe(canvas.parentElement)
