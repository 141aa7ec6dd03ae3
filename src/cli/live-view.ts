/** The view of `watch` on a terminal: what the newest frame shows, drawn over what the one before showed. */
import type { Taken } from '../live/watch.ts'
import type { PictureAnswer } from '../serve/questions.ts'
import { printable } from '../base/markup.ts'
import { bar, cut, ms } from './text.ts'
import { seenIn } from './watch-events.ts'

const ROWS = 8
const BAR = 24
/** Frames over which the rate is taken. */
const RATE = 30
/** A terminal that is drawn more often only flickers. */
const DRAW_MS = 50

export interface ViewState {
  source: string
  frame: { width: number; height: number; index: number; time: number }
  answer: Pick<PictureAnswer, 'fields' | 'words' | 'timings'>
  fps: number
  dropped: number
}

/** The lines of the view, at most `columns` wide. */
export function viewLines({ source, frame, answer, fps, dropped }: ViewState, columns: number): string[] {
  const { decodeMs, preprocessMs, inferMs } = answer.timings
  const clock = new Date(frame.time).toTimeString().slice(0, 8)
  const size = frame.width ? `${frame.width}x${frame.height}  ` : ''
  const head =
    `${clock}  ${printable(source)}  ${size}#${frame.index}  ${fps.toFixed(1)} fps  ` +
    `${ms(decodeMs)} + ${ms(preprocessMs)} + ${ms(inferMs)} ms  ${dropped} dropped`
  const seen = seenIn({ ...answer } as PictureAnswer).sort((a, b) => b.score - a.score)
  const named = Math.max(8, Math.min(28, columns - BAR - 12))
  const rows = seen.slice(0, ROWS).map(({ label, score }) => {
    const percent = `${(score * 100).toFixed(0)} %`.padStart(6)
    return `  ${cut(printable(label), named).padEnd(named)} ${percent}  ${bar(score, BAR)}`
  })
  if (!rows.length) rows.push(`  ${answer.words}`)
  if (seen.length > ROWS) rows.push(`  ${seen.length - ROWS} more`)
  return [head, ...rows].map((line) => cut(line.trimEnd(), columns))
}

export class LiveView {
  private readonly out: NodeJS.WriteStream
  private drawn = 0
  private drawnAt = -Infinity
  private latest: string[] = []
  private readonly times: number[] = []

  constructor(out: NodeJS.WriteStream) {
    this.out = out
  }

  show(source: string, { frame, index, time }: Taken, answer: PictureAnswer, dropped: number): void {
    const now = performance.now()
    this.times.push(now)
    if (this.times.length > RATE) this.times.shift()
    const span = now - this.times[0]!
    const width = answer.width ?? frame.width
    const height = answer.height ?? frame.height
    const fps = span > 0 ? ((this.times.length - 1) * 1000) / span : 0
    const state = { source, frame: { width, height, index, time }, answer, fps, dropped }
    this.latest = viewLines(state, Math.max(20, this.out.columns))
    if (now - this.drawnAt >= DRAW_MS) this.draw()
  }

  /** The last frame stays on the screen. */
  end(): void {
    this.draw()
  }

  private draw(): void {
    if (!this.latest.length) return
    // Up over the last view, and each line cleared to its end.
    const up = this.drawn ? `\x1b[${this.drawn}A` : ''
    const rest = Math.max(0, this.drawn - this.latest.length)
    const lines = [...this.latest, ...new Array<string>(rest).fill('')]
    this.out.write(up + lines.map((line) => `\r${line}\x1b[K\n`).join(''))
    this.drawn = lines.length
    this.drawnAt = performance.now()
    this.latest = []
  }
}
