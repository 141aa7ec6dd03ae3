/**
 * The camera: one stream at a time. Every start and stop begins a new session, and what an older one still waits for
 * is dropped when it comes, its stream stopped.
 */
import { $, noProblem, problem } from './dom.js'
import { showNumbers } from './results.js'

const REASONS = {
  NotAllowedError: 'the browser was not allowed to use the camera',
  NotFoundError: 'there is no camera',
  NotReadableError: 'the camera is in use by another program',
  InsecureContext: 'cameras need https or localhost',
}

let session = 0
let on = false
let facing = 'environment'

/** Whether the camera runs or is about to. */
export const live = () => on

const endStream = (stream) => {
  for (const track of stream?.getTracks() ?? []) track.stop()
}

function shownAs(running) {
  $('camera').textContent = running ? 'Stop camera' : 'Start camera'
  $('camera').setAttribute('aria-pressed', String(running))
  $('predictions').setAttribute('aria-live', running ? 'off' : 'polite')
  if (!running) $('flip').hidden = true
}

/** `tab`: the one that is asked. `show`: shows the video. `stopped`: shows what was there before. */
export async function startCamera({ tab, show, stopped }) {
  const mine = ++session
  const current = () => mine === session
  const fail = (text) => {
    if (!current()) return
    stopCamera({ stopped })
    problem(text)
  }
  noProblem()
  on = true
  shownAs(true)
  endStream($('video').srcObject)
  $('video').srcObject = null
  let stream
  try {
    if (!navigator.mediaDevices) throw new DOMException('', 'InsecureContext')
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: facing, width: { ideal: 640 }, height: { ideal: 480 } },
      audio: false,
    })
    if (!current()) return endStream(stream)
    $('video').srcObject = stream
    $('video').classList.toggle('mirrored', stream.getVideoTracks()[0].getSettings().facingMode === 'user')
    await $('video').play()
    if (!current()) return endStream(stream)
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput')
    if (!current()) return endStream(stream)
    show()
    $('flip').hidden = cameras.length < 2
  } catch (error) {
    endStream(stream)
    return fail(`No camera picture: ${REASONS[error.name] ?? error.message}`)
  }
  await watch(tab, current, fail)
}

export function stopCamera({ stopped }) {
  if (!on) return
  session++
  on = false
  endStream($('video').srcObject)
  $('video').srcObject = null
  shownAs(false)
  stopped()
}

/** The other camera. */
export function flipCamera(host) {
  facing = facing === 'user' ? 'environment' : 'user'
  return startCamera(host)
}

const nextFrame = () =>
  new Promise((resolve) =>
    $('video').requestVideoFrameCallback
      ? $('video').requestVideoFrameCallback(resolve)
      : requestAnimationFrame(resolve),
  )

/** Frame after frame, the next one asked for when the last is answered; another tab is asked from the next frame on. */
async function watch(tab, current, fail) {
  let before = performance.now()
  let fps
  while (current()) {
    await nextFrame()
    if (!current()) return
    const asked = tab()
    let answer
    try {
      answer = await asked.look({ frame: await createImageBitmap($('video')) })
    } catch (error) {
      if (asked !== tab()) continue
      return fail(error)
    }
    if (!current()) return
    if (asked !== tab()) continue
    const now = performance.now()
    fps = fps === undefined ? 1000 / (now - before) : fps * 0.9 + 100 / (now - before)
    before = now
    asked.show(answer, true)
    showNumbers(answer, fps)
  }
}
