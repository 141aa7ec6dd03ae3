/** The one error class of Thimble. Codes are grouped by the phase that found the fault. */

/** `phase/what`, e.g. `format/version`; docs/errors.md lists all with cause and cure. */
export type ErrorCode = `${'format' | 'lower' | 'plan' | 'image' | 'runtime' | 'usage'}/${string}`

/** Where a fault is, what was expected and found, and what to do: the fields of a `ThimbleError`. */
export interface ErrorDetail {
  /** Index and type of the op at fault, e.g. `CONV_2D at op 12`. */
  op?: string
  /** Name of the tensor at fault. */
  tensor?: string | undefined
  expected?: string | number | undefined
  got?: string | number | undefined
  /** The error that this one came from. */
  cause?: unknown
  /** What to do about it, one clause. */
  hint?: string | undefined
}

/**
 * Everything that can be wrong with a model, an image or a call.
 * `message` is one line: `<code>: what; where; expected …, got …; what to do`.
 *
 * @example
 * import { loadModel, ThimbleError } from 'thimble'
 * try {
 *   await loadModel('nowhere.tflite')
 * } catch (error) {
 *   if (error instanceof ThimbleError && error.code === 'format/file') console.log('no such file')
 * }
 */
export class ThimbleError extends Error {
  readonly code: ErrorCode
  readonly op?: string | undefined
  readonly tensor?: string | undefined
  readonly expected?: string | number | undefined
  readonly got?: string | number | undefined
  readonly hint?: string | undefined

  constructor(code: ErrorCode, what: string, detail: ErrorDetail = {}) {
    const parts = [what]
    if (detail.op !== undefined) parts.push(`in ${detail.op}`)
    if (detail.tensor !== undefined) parts.push(`tensor "${detail.tensor}"`)
    if (detail.expected !== undefined || detail.got !== undefined) {
      parts.push(
        [
          detail.expected !== undefined ? `expected ${detail.expected}` : '',
          detail.got !== undefined ? `got ${detail.got}` : '',
        ]
          .filter(Boolean)
          .join(', '),
      )
    }
    let line = `${code}: ${parts.join('; ')}`
    if (detail.hint) line += `; ${detail.hint}`
    // Names come from files: keep the message one printable line.
    super(
      line.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').slice(0, 2000),
      detail.cause === undefined ? undefined : { cause: detail.cause },
    )
    this.name = 'ThimbleError'
    this.code = code
    this.op = detail.op
    this.tensor = detail.tensor
    this.expected = detail.expected
    this.got = detail.got
    this.hint = detail.hint
  }
}
