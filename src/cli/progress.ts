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
      stream.write(`\r\x1b[K${String(index + 1).padStart(digits)}/${total}  ${cut(name, (stream.columns || 80) - 2 * digits - 5)}`)
    },
    clear() {
      if (shown) stream.write('\r\x1b[K')
      shown = false
    }
  }
}
