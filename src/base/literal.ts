/**
 * A Python literal as `repr` writes it: dicts, lists, tuples, strings, numbers, True, False and None. Ultralytics keeps
 * a model's metadata so. No dependencies.
 */

/** Most levels of lists within lists, and most characters read. */
const MAX_DEPTH = 32
const MAX_CHARACTERS = 1 << 24

const ESCAPES: Record<string, string> = { n: '\n', t: '\t', r: '\r', '\\': '\\', "'": "'", '"': '"', '\n': '' }
const WORDS: Record<string, unknown> = { True: true, False: false, None: null }

class Reader {
  private at = 0
  private readonly text: string

  constructor(text: string) {
    this.text = text
  }

  whole(): unknown {
    const value = this.value(0)
    this.space()
    if (this.at < this.text.length) this.fail()
    return value
  }

  private fail(): never {
    throw new SyntaxError(`at character ${this.at}`)
  }

  private space(): void {
    while (/\s/.test(this.text[this.at] ?? '')) this.at++
  }

  private take(mark: string): boolean {
    this.space()
    if (this.text[this.at] !== mark) return false
    this.at++
    return true
  }

  private value(depth: number): unknown {
    if (depth > MAX_DEPTH) this.fail()
    this.space()
    const c = this.text[this.at]
    if (c === '{') return this.dict(depth)
    if (c === '[') return this.list(']', depth)
    if (c === '(') return this.list(')', depth)
    if (c === "'" || c === '"') return this.string(c)
    const word = /^(?:True|False|None)\b|^[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/.exec(
      this.text.slice(this.at, this.at + 64),
    )?.[0]
    if (!word) return this.fail()
    this.at += word.length
    return word in WORDS ? WORDS[word] : Number(word.replaceAll('_', ''))
  }

  private list(end: string, depth: number): unknown[] {
    this.at++
    const out: unknown[] = []
    while (!this.take(end)) {
      out.push(this.value(depth + 1))
      if (!this.take(',')) {
        if (this.take(end)) break
        this.fail()
      }
    }
    return out
  }

  private dict(depth: number): Record<string, unknown> {
    this.at++
    const out = Object.create(null) as Record<string, unknown>
    while (!this.take('}')) {
      const key = this.value(depth + 1)
      if ((typeof key !== 'string' && typeof key !== 'number') || !this.take(':')) this.fail()
      out[String(key)] = this.value(depth + 1)
      if (!this.take(',')) {
        if (this.take('}')) break
        this.fail()
      }
    }
    return out
  }

  private string(quote: string): string {
    let out = ''
    for (this.at++; this.at < this.text.length; this.at++) {
      const c = this.text[this.at]!
      if (c === quote) {
        this.at++
        return out
      }
      if (c === '\n') this.fail()
      if (c !== '\\') {
        out += c
        continue
      }
      const mark = this.text[++this.at] ?? ''
      const digits = { x: 2, u: 4, U: 8 }[mark]
      if (digits !== undefined) {
        const code = this.text.slice(this.at + 1, this.at + 1 + digits)
        if (!/^[0-9a-f]+$/i.test(code) || code.length !== digits || parseInt(code, 16) > 0x10ffff) this.fail()
        out += String.fromCodePoint(parseInt(code, 16))
        this.at += digits
      } else out += ESCAPES[mark] ?? `\\${mark}`
    }
    return this.fail()
  }
}

/** The value that `text` writes; dicts become objects, tuples arrays. Errors: SyntaxError for what is no literal. */
export function parsePythonLiteral(text: string): unknown {
  if (text.length > MAX_CHARACTERS) throw new SyntaxError('too long')
  return new Reader(text).whole()
}
