/** One line on stderr that says how far a long list is; silent when stderr is no terminal. */
import { cut } from './text.ts'

export interface Progress {
  /** Shows that item `index` (from 0) is being worked on. */
  at(index: number, name: string): void
  /** Clears the line, so that something else can be printed. */
  clear(): void
}

export function progress(total: number, stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY || total < 2) return { at: () => {}, clear: () => {} }
  let shown = false
  let last = 0
  return {
    at(index, name) {
      const now = performance.now()
      if (shown && now - last < 50) return
      last = now
      shown = true
      const digits = String(total).length
      stream.write(
        `\r\x1b[K${String(index + 1).padStart(digits)}/${total}  ${cut(name, (stream.columns || 80) - 2 * digits - 5)}`,
      )
    },
    clear() {
      if (shown) stream.write('\r\x1b[K')
      shown = false
    },
  }
}

export interface Stages {
  /** Shows how far a named stage is. */
  at(stage: string, done: number, total: number): void
  clear(): void
}

/** One line on stderr about work in stages, with the time it has taken; silent when stderr is no terminal. */
export function stages(stream: NodeJS.WriteStream = process.stderr): Stages {
  if (!stream.isTTY) return { at: () => {}, clear: () => {} }
  const start = performance.now()
  return {
    at(stage, done, total) {
      const filled = Math.round((20 * done) / total)
      stream.write(
        `\r\x1b[K${stage.padEnd(12)}${'#'.repeat(filled)}${'.'.repeat(20 - filled)} ${done}/${total}  ${((performance.now() - start) / 1000).toFixed(0)} s`,
      )
    },
    clear() {
      stream.write('\r\x1b[K')
    },
  }
}
