/** multipart/form-data (RFC 7578): the fields of a whole body. */

export interface Field {
  name: string
  filename?: string
  bytes: Uint8Array
}

const MAX_FIELDS = 64
const MAX_HEADER = 8192
const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes)
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0))

/** The boundary that a content type names; undefined where it is no multipart form. */
export function boundaryOf(contentType: string): string | undefined {
  const match = /^multipart\/form-data\b.*?;\s*boundary=(?:"([^"]{1,200})"|([^\s;,"]{1,200}))/i.exec(contentType)
  return match ? (match[1] ?? match[2]) : undefined
}

const startsWith = (bytes: Uint8Array, at: number, needle: Uint8Array): boolean =>
  needle.every((byte, i) => bytes[at + i] === byte)

/** Where `needle` begins, whose first byte is nowhere else in it: a pass over the bytes, no more. */
function find(bytes: Uint8Array, needle: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(needle[0]!, from); at >= 0; at = bytes.indexOf(needle[0]!, at + 1)) {
    if (startsWith(bytes, at, needle)) return at
  }
  return -1
}

const BLANK_LINE = bytesOf('\r\n\r\n')

/** Fields in their order; undefined where the body is damaged. */
export function formFields(body: Uint8Array, boundary: string): Field[] | undefined {
  const line = bytesOf(`\r\n--${boundary}`)
  const mark = line.subarray(2)
  let at = startsWith(body, 0, mark) ? -2 : find(body, line, 0)
  if (at === -1) return undefined
  const fields: Field[] = []
  for (;;) {
    at += line.length
    if (latin1(body.subarray(at, at + 2)) === '--') return fields
    const head = body.subarray(at, at + MAX_HEADER)
    const end = find(head, BLANK_LINE, 0)
    if (end < 0 || fields.length >= MAX_FIELDS) return undefined
    // The line break before the boundary is not the field's; an empty field has it alone.
    const next = find(body, line, at + end + 2)
    if (next < 0) return undefined
    const header = latin1(head.subarray(0, end))
    const disposition = /content-disposition:[^\r\n]*/i.exec(header)?.[0] ?? ''
    const name = /[;\s]name="?([^";\r\n]*)/i.exec(disposition)?.[1]
    const filename = /filename="?([^";\r\n]*)/i.exec(disposition)?.[1]
    const bytes = body.slice(Math.min(at + end + 4, next), next)
    if (name !== undefined) fields.push({ name, bytes, ...(filename === undefined ? {} : { filename }) })
    at = next
  }
}
