/** multipart/form-data (RFC 7578): the fields of a whole body. */

export interface Field {
  name: string
  filename?: string
  bytes: Uint8Array
}

const MAX_FIELDS = 64
const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')

/** The boundary that a content type names; undefined where it is no multipart form. */
export function boundaryOf(contentType: string): string | undefined {
  const match = /^multipart\/form-data\b.*?;\s*boundary=(?:"([^"]{1,200})"|([^\s;,"]{1,200}))/i.exec(contentType)
  return match ? (match[1] ?? match[2]) : undefined
}

/** Fields in their order; undefined where the body is damaged. */
export function formFields(body: Uint8Array, boundary: string): Field[] | undefined {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length)
  const mark = `--${boundary}`
  let at = text.indexOf(mark, 0, 'latin1')
  const fields: Field[] = []
  while (at >= 0) {
    at += mark.length
    if (text.subarray(at, at + 2).toString('latin1') === '--') return fields
    const head = text.indexOf('\r\n\r\n', at, 'latin1')
    const next = head < 0 ? -1 : text.indexOf(`\r\n${mark}`, head + 2, 'latin1')
    if (next < 0 || fields.length >= MAX_FIELDS || head - at > 8192) return undefined
    const header = latin1(text.subarray(at, head))
    const disposition = /content-disposition:[^\r\n]*/i.exec(header)?.[0] ?? ''
    const name = /[;\s]name="?([^";\r\n]*)/i.exec(disposition)?.[1]
    const filename = /filename="?([^";\r\n]*)/i.exec(disposition)?.[1]
    // The line break before the boundary is not the field's; an empty field has it alone.
    const bytes = body.slice(Math.min(head + 4, next), next)
    if (name !== undefined) fields.push({ name, bytes, ...(filename === undefined ? {} : { filename }) })
    at = next + 2
  }
  return undefined
}
