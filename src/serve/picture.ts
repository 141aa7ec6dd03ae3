/** The picture of a request, and what its form and query say of it. */
import type { Incoming } from './exchange.ts'
import { boundaryOf, formFields } from './multipart.ts'
import { Refusal } from './refusal.ts'

export interface Picture {
  bytes: Uint8Array
  /** Fields of the form and of the query. */
  fields: Map<string, string>
}

/** Longest field that is a text. */
const MAX_TEXT = 1024

const isForm = (type: string): boolean => type.startsWith('multipart/')

/** The body's media type, in lower case; empty where the client names none. Errors: 415 for what is no picture. */
export function mediaType(request: Incoming): string {
  const type = (request.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
  const plain = ['', 'application/octet-stream', 'application/x-www-form-urlencoded', 'multipart/form-data']
  if (plain.includes(type) || type.startsWith('image/')) return type
  throw new Refusal(
    415,
    'media-type',
    `the body is ${type.slice(0, 80)}; send the bytes of an image file, or a form with the field image`,
  )
}

/** The picture of a body: the whole of it, or the form's `image`, else its first file. Errors: 400. */
export function pictureOf(body: Uint8Array, request: Incoming, url: URL): Picture {
  const fields = new Map(url.searchParams)
  let bytes: Uint8Array | undefined = body
  if (isForm(mediaType(request))) {
    const boundary = boundaryOf(request.headers.get('content-type')!)
    const form = boundary === undefined ? undefined : formFields(body, boundary)
    if (!form) throw new Refusal(400, 'form', 'the form is damaged')
    for (const f of form) {
      if (f.filename === undefined && f.bytes.length < MAX_TEXT) fields.set(f.name, new TextDecoder().decode(f.bytes))
    }
    bytes = (form.find((f) => f.name === 'image') ?? form.find((f) => f.filename !== undefined))?.bytes
  }
  if (!bytes || bytes.length === 0) {
    throw new Refusal(400, 'body-empty', 'no image: send it as the body, or as the field image of a form')
  }
  return { bytes, fields }
}

/** A number of a form or query. Errors: 400. */
export function numberIn(
  fields: ReadonlyMap<string, string>,
  name: string,
  { least, most, whole = false }: { least: number; most: number; whole?: boolean },
): number | undefined {
  const value = fields.get(name)
  if (value === undefined || value === '') return undefined
  const n = Number(value)
  if (n >= least && n <= most && (!whole || Number.isInteger(n))) return n
  throw new Refusal(400, name, `${name} must be a ${whole ? 'whole ' : ''}number from ${least} to ${most}`)
}
