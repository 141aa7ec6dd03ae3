/** Errors on stderr: one line each, `thimble: <phase/code>: what, where, expected, got; what to do`. */
import { ThimbleError } from '../base/errors.ts'
import { printable } from '../base/markup.ts'

/** 2 when the call is at fault, else 1. */
export const exitCode = (error: unknown): number =>
  error instanceof ThimbleError && error.code.startsWith('usage/') ? 2 : 1

/** Writes an error as one line on stderr, `file` being the one it is about; returns the exit code. */
export function report(error: unknown, file?: string): number {
  let message = error instanceof Error ? error.message : String(error)
  if (!(error instanceof ThimbleError)) {
    message = `runtime/internal: ${message}`.replace(/\s+/g, ' ')
    if (process.env.THIMBLE_DEBUG) console.error(error)
  }
  // Errors about reading the file name it already.
  if (file !== undefined && !message.includes(file)) {
    message = message.replace(/^([a-z]+\/[a-z0-9-]+): /, `$1: ${printable(file)}: `)
  }
  process.stderr.write(`thimble: ${message}\n`)
  return exitCode(error)
}

/** Says on stderr what was decided and could be wrong, one line. */
export const note = (text: string): void => void process.stderr.write(`thimble: note: ${printable(text)}\n`)
