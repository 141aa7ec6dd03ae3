/** What comes over the network: streams of pictures, and the server's requests. */
import { strToU8 } from 'fflate'
import type { Answers } from '../../../src/serve/questions.ts'
import { decodeImage } from '../../../src/image/decode.ts'
import { StreamDemuxer } from '../../../src/live/demux.ts'
import type { Found } from '../../../src/live/demuxer.ts'
import { createApp } from '../../../src/serve/app.ts'
import { boundaryOf, formFields } from '../../../src/serve/multipart.ts'
import { changeJsonText, changeText, joined } from '../mutators.ts'
import type { FuzzTarget } from '../target.ts'
import images from './images.ts'
import { diceOf } from './models.ts'

const [jpeg] = images
const photos = async (): Promise<Uint8Array[]> => (await jpeg!.seeds()).sort((a, b) => a.length - b.length).slice(0, 3)

const shown = (found: readonly Found[]): string =>
  JSON.stringify(found, (_, v: unknown) =>
    ArrayBuffer.isView(v) ? Buffer.from(v.buffer, v.byteOffset, v.byteLength).toString('base64') : v,
  )

const stream: FuzzTarget = {
  name: 'stream',
  about: 'MJPEG, multipart MJPEG and Y4M: the same frames however the bytes are split',
  async seeds() {
    const pictures = await photos()
    const part = (b: Uint8Array): Uint8Array =>
      joined(strToU8(`--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ${b.length}\r\n\r\n`), b, strToU8('\r\n'))
    return [
      joined(...pictures),
      joined(...pictures.map(part), strToU8('--frame--')),
      joined(
        strToU8('YUV4MPEG2 W4 H2 F25:1 C420jpeg XCOLORRANGE=FULL\nFRAME\n'),
        new Uint8Array(12).fill(90),
        strToU8('FRAME Ip\n'),
        new Uint8Array(12),
      ),
      joined(strToU8('YUV4MPEG2 W3 H3 Cmono\nFRAME\n'), new Uint8Array(9), strToU8('YUV4MPEG2 W1 H1 Cmono\nFRAME\na')),
    ]
  },
  run(bytes) {
    const dice = diceOf(bytes)
    const read = (split: boolean): { found: string; end: string } => {
      const demuxer = new StreamDemuxer()
      const found: Found[] = []
      let error: unknown
      try {
        for (let at = 0; at < bytes.length;) {
          const n = split ? 1 + dice.int(bytes.length >> dice.int(8)) : bytes.length
          found.push(...demuxer.push(bytes.slice(at, at + n)))
          at += n
        }
        return { found: shown(found), end: String(demuxer.end()) }
      } catch (e) {
        error = e
      }
      return { found: shown(found), end: error instanceof Error ? error.message : String(error) }
    }
    const [whole, parts] = [read(false), read(true)]
    if (whole.end !== parts.end && !/^image\//.test(whole.end)) {
      throw new Error(`ended as "${whole.end}" and, split, as "${parts.end}"`)
    }
    // A stream that breaks off with an error gives what came before it only when it is split.
    if (whole.found !== parts.found && !/^image\//.test(whole.end)) throw new Error('other frames when split')
    if (/^[A-Z]\w*Error/.test(whole.end)) throw new Error(whole.end)
  },
  change: changeText,
  maxBytes: 1 << 14,
}

const multipart: FuzzTarget = {
  name: 'multipart',
  about: 'forms (multipart/form-data): the first line is the content type, the rest the body',
  seeds: () => [
    strToU8(
      'multipart/form-data; boundary=xyz\n--xyz\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\nabc\r\n--xyz\r\nContent-Disposition: form-data; name="min_confidence"\r\n\r\n0.4\r\n--xyz--\r\n',
    ),
    strToU8(
      'multipart/form-data; charset=x; boundary="a b"\n--a b\r\ncontent-disposition: form-data; name=x\r\n\r\n\r\n--a b--',
    ),
  ],
  run(bytes) {
    const end = bytes.indexOf(10)
    const boundary = boundaryOf(Buffer.from(bytes.subarray(0, end)).toString('latin1'))
    if (boundary === undefined) return
    for (const f of formFields(bytes.subarray(end + 1), boundary) ?? []) {
      if (f.bytes.length > bytes.length) throw new Error('a field larger than its body')
    }
  },
  change: changeText,
}

const about = {
  inputs: [{ name: 'x', shape: [1, 2, 2], dtype: 'int8' as const, scale: 1, zeroPoint: 0 }],
  outputs: [{ name: 'y', shape: [1, 3], dtype: 'float32' as const, scale: 0, zeroPoint: 0 }],
  labels: ['a', 'b'],
  task: 'detect' as const,
}
const answers = {
  async answer(question: { picture?: Uint8Array; describe?: boolean; inputs?: unknown; task?: string }) {
    if (question.describe) return about
    if (!question.picture) return { outputs: [Float32Array.of(1, NaN, Infinity)], inferMs: 0.1 }
    const { width, height } = decodeImage(question.picture, { maxPixels: 1 << 20 })
    const box = { x: 0, y: 0, width, height }
    return {
      task: question.task,
      model: 'm',
      width,
      height,
      fields: {
        detections: [{ label: 'a', index: 0, score: 0.5, box }],
        faces: [],
        predictions: [{ label: 'a', index: 0, score: 1 }],
        poses: [],
        classes: [],
      },
      words: 'a',
      timings: { decodeMs: 0, preprocessMs: 0, inferMs: 0 },
    }
  },
  busy: 0,
  waiting: 0,
  end: async () => {},
} as unknown as Answers

const request = (line: string, headers: string, body: Uint8Array | string): Uint8Array =>
  joined(strToU8(`${line}\n${headers}\n\n`), typeof body === 'string' ? strToU8(body) : body)

const serve: FuzzTarget = {
  name: 'serve',
  about: 'requests to the server (method and path, headers, body): no status of 500 and above',
  async seeds() {
    const [small] = await photos()
    const form = (name: string): Uint8Array =>
      joined(
        strToU8(`--b\r\nContent-Disposition: form-data; name="${name}"; filename="a.jpg"\r\n\r\n`),
        small!,
        strToU8('\r\n--b\r\nContent-Disposition: form-data; name="min_confidence"\r\n\r\n0.4\r\n--b--'),
      )
    const tensor = { name: 'x', shape: [1, 2, 2], datatype: 'INT8', data: [1, 2, 3, 4] }
    return [
      request('GET /', 'accept: */*', ''),
      request('GET /metrics', 'a: b', ''),
      request('POST /detect?threshold=0.5&top=3', 'content-type: image/jpeg', small!),
      request('POST /v1/vision/detection', 'content-type: multipart/form-data; boundary=b', form('image')),
      request('POST /v1/vision/custom/m', 'content-type: multipart/form-data; boundary=b', form('file')),
      request('POST /v1/vision/face', 'content-type: multipart/form-data; boundary=b', form('image')),
      request('POST /v1/vision/scene', 'authorization: Bearer k', small!),
      request('GET /v2', 'a: b', ''),
      request('GET /v2/health/ready', 'a: b', ''),
      request('GET /v2/models/m', 'a: b', ''),
      request('GET /v2/models/m/ready', 'a: b', ''),
      request(
        'POST /v2/models/m/infer',
        'content-type: application/json',
        JSON.stringify({ id: '1', inputs: [tensor], outputs: [{ name: 'y', parameters: { binary_data: true } }] }),
      ),
      request(
        'POST /v2/models/m/infer',
        'inference-header-content-length: 104',
        joined(
          strToU8(
            JSON.stringify({
              inputs: [{ name: 'x', shape: [1, 2, 2], datatype: 'INT8', parameters: { binary_data_size: 4 } }],
            }),
          ),
          Uint8Array.of(1, 2, 3, 4),
        ),
      ),
    ]
  },
  async run(bytes) {
    const text = Buffer.from(bytes).toString('latin1')
    const at = text.indexOf('\n\n')
    const [line = '', ...headers] = text.slice(0, at < 0 ? text.length : at).split('\n')
    const [method = 'GET', path = '/'] = line.split(' ')
    let asked: Request
    try {
      const pairs = headers.map((h): [string, string] => [h.split(':')[0]!, h.slice(h.indexOf(':') + 1)])
      const body = at < 0 || method === 'GET' || method === 'HEAD' ? null : bytes.slice(at + 2)
      asked = new Request(`http://localhost/${path.replace(/^\//, '')}`, { method, headers: pairs, body })
    } catch {
      return // nothing that HTTP lets through
    }
    const app = createApp({
      answers,
      models: new Map([['m', { model: 'm', about }]]),
      version: '1.2.3',
      limits: { maxBytes: 1 << 20, maxRequests: 4 },
    })
    const response = await app.fetch(asked)
    await response.arrayBuffer()
    if (response.status >= 500) throw new Error(`status ${response.status}`)
  },
  change(work) {
    const { bytes, dice } = work
    const at = Buffer.from(bytes).indexOf('\n\n')
    if (at < 0 || dice.int(2)) return changeText(work)
    const json = changeJsonText(bytes.subarray(at + 2), dice)
    return json ? joined(bytes.subarray(0, at + 2), json) : changeText(work)
  },
  maxBytes: 1 << 13,
}

export default [stream, multipart, serve]
