/** What a reader refuses by name, all of it at once. */
import { ThimbleError } from '../base/errors.ts'

/** How many refusals a message names; the rest are counted. */
const NAMED = 8
const CODE = 'lower/unsupported-op'

/** A refusal's sentence without its code and its hint. */
const sentence = ({ message, hint }: ThimbleError): string => {
  const said = message.slice(`${CODE}: `.length)
  return hint !== undefined && said.endsWith(`; ${hint}`) ? said.slice(0, -hint.length - 2) : said
}

export class Refusals {
  private readonly found: ThimbleError[] = []

  get any(): boolean {
    return this.found.length > 0
  }

  add(error: ThimbleError): void {
    if (!this.found.some(({ message }) => message === error.message)) this.found.push(error)
  }

  /**
   * What `read` gives; undefined where it refuses something, which is kept. Throws all else, but behind a refusal,
   * where it may only follow from that.
   */
  attempt<T>(read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      if (error instanceof ThimbleError && error.code === CODE) this.add(error)
      else if (!this.any) throw error
      return undefined
    }
  }

  /** Throws `lower/unsupported-op` naming everything that was refused; a single refusal as it is. */
  finish(): void {
    const [only, ...more] = this.found
    if (!only) return
    if (more.length === 0) throw only
    const rest = this.found.length - NAMED
    const hints = [...new Set(this.found.flatMap(({ hint }) => hint ?? []))]
    throw new ThimbleError(
      CODE,
      `${this.found.slice(0, NAMED).map(sentence).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`,
      hints.length ? { hint: hints.join('; ') } : {},
    )
  }
}
