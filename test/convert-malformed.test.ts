/** Damaged model files of every format end in a graph or a ThimbleError: no crash of another kind, no hang. */
import { zipSync } from 'fflate'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel } from '../src/convert/index.ts'
import { readZip } from '../src/convert/zip.ts'
import { safeName } from '../src/convert/sidecar.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { fixtureBytes } from './convert-util.ts'
import { processorMs, rng } from './util.ts'

const FILES: [name: string, tries: number][] = [
  ['nested.keras2.h5', 120],
  ['nested.keras3.h5', 60],
  ['everywhere.keras3.keras', 20],
  ['tfjs-layers-uint8/model.json', 120],
  ['tfjs-graph/model.json', 120],
  ['teachable-machine.zip', 60],
  ['torch.opset9.onnx', 200],
  ['qdq.u8s8-per-channel.onnx', 60],
  ['mobilenet_v3_small.safetensors', 20],
  ['mobilenet_v3_small.legacy.pth', 20],
  ['everywhere.float32.tflite', 100],
]
const SLOW_MS = 4000

async function attempt(bytes: Uint8Array, folder: string, what: string): Promise<'read' | 'refused'> {
  const start = processorMs()
  try {
    await readFloatModel(bytes, {
      size: 64,
      sidecar: (name) => {
        try {
          return fixtureBytes(folder + name)
        } catch {
          return undefined
        }
      },
    })
    return 'read'
  } catch (error) {
    if (!(error instanceof ThimbleError)) throw new Error(`${what}: ${(error as Error)?.stack ?? String(error)}`)
    assert.not.match(error.message, /\n/, what)
    return 'refused'
  } finally {
    const took = processorMs() - start
    assert.ok(took < SLOW_MS, `${what} took ${took.toFixed(0)} ms`)
  }
}

for (const [name, tries] of FILES) {
  test(`${name}, ${tries} times damaged`, async () => {
    const random = rng(2024)
    const whole = fixtureBytes(name)
    const folder = name.includes('/') ? name.slice(0, name.lastIndexOf('/') + 1) : ''
    assert.is(await attempt(whole, folder, name), 'read')
    let refused = 0
    for (let i = 0; i < tries; i++) {
      let bytes = whole.slice()
      const kind = random.int(4)
      // Structure sits at the front of most formats and at the end of zips.
      const place = (): number =>
        random.int(3) === 0
          ? random.int(bytes.length)
          : random.int(2)
            ? random.int(Math.min(4096, bytes.length))
            : bytes.length - 1 - random.int(Math.min(2048, bytes.length))
      if (kind === 0) bytes = bytes.slice(0, random.int(bytes.length))
      else if (kind === 1) for (let k = 0; k < 1 + random.int(8); k++) bytes[place()] = random.int(256)
      else if (kind === 2) {
        for (let k = 0; k < 1 + random.int(3); k++) {
          const at = place()
          bytes[at] = bytes[at]! ^ (1 << random.int(8))
        }
      } else {
        const at = place()
        bytes.fill(random.pick([0, 0xff]), at, at + 1 + random.int(16))
      }
      if ((await attempt(bytes, folder, `${name} seed 2024 try ${i} kind ${kind}`)) === 'refused') refused++
    }
    assert.ok(refused > 0, 'damage was never noticed')
  })
}

test('files that are no models', async () => {
  const text = (s: string): Uint8Array => new TextEncoder().encode(s)
  for (const bytes of [
    new Uint8Array(0),
    new Uint8Array([0]),
    text('hello world'),
    text('{}'),
    text('{"modelTopology": {}}'),
    text('{"modelTopology": {"model_config": 3}, "weightsManifest": []}'),
    text('{"modelTopology": {"node": [{"name": "a", "op": "Identity", "input": ["a"]}]}, "weightsManifest": []}'),
    text('{"a":'),
    new Uint8Array([0x50, 0x4b, 3, 4]),
    new Uint8Array([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]),
    new Uint8Array(1000).fill(0x80),
  ]) {
    assert.is(await attempt(bytes, '', `${bytes.length} bytes`), 'refused')
  }
})

test('zip archives: damage within an entry, directories without an end, sizes that lie', () => {
  const said = (bytes: Uint8Array): string => {
    try {
      return [...readZip(bytes).keys()].join()
    } catch (error) {
      assert.instance(error, ThimbleError)
      return (error as ThimbleError).message
    }
  }
  for (const level of [0, 6] as const) {
    const whole = zipSync({ 'a.bin': [Uint8Array.from({ length: 300 }, (_, i) => i * i), { level }] })
    assert.is(said(whole), 'a.bin')
    const view = new DataView(whole.buffer)
    const entry = view.getUint32(whole.length - 6, true)
    for (const [what, at, value, message] of [
      ['a byte of the data', 40, 0x77, /format\/zip: damaged archive/],
      ['the checksum', entry + 16, 1, /format\/zip: damaged archive \(wrong checksum of "a.bin"\)/],
      ['the size', entry + 24, 299, /format\/zip: damaged archive/],
      [
        "a size that deflate can't reach",
        entry + 24,
        0x7fff_ffff,
        /format\/zip: damaged archive \("a.bin" can't be so large\)/,
      ],
      ['more than is ever unpacked', entry + 24, 0x8000_0001, /format\/zip: archive is too large/],
      ['the directory', entry, 1, /format\/zip: damaged archive \(damaged directory\)/],
      ['where it is', whole.length - 6, 0xffff_fff0, /format\/zip: damaged archive \(damaged directory\)/],
    ] as const) {
      const damaged = whole.slice()
      new DataView(damaged.buffer).setUint32(at, value, true)
      // A stored entry is as long as it is packed, whatever is said of it.
      if (level === 0 && what === 'the size') continue
      assert.match(said(damaged), message, `${what}, level ${level}`)
    }
    // zip64: a count of four thousand million entries.
    const many = new Uint8Array(whole.length + 76)
    many.set(whole.subarray(0, -22))
    const at = whole.length - 22
    const wide = new DataView(many.buffer)
    wide.setUint32(at, 0x06064b50, true)
    wide.setUint32(at + 32, 0xffff_ffff, true)
    wide.setUint32(at + 48, entry, true)
    wide.setUint32(at + 56, 0x07064b50, true)
    wide.setUint32(at + 64, at, true)
    many.set(whole.subarray(-22), at + 76)
    assert.match(said(many), /damaged archive \(damaged directory\)/)
  }
})

test('a model cannot name files outside its folder', () => {
  for (const name of ['../x', '/etc/passwd', 'a/../../b', 'http://host/x', 'C:\\x', '..\\x', '', 'a\0b']) {
    assert.throws(
      () => safeName(name),
      (e: unknown) => e instanceof ThimbleError && e.code === 'format/sidecar',
      name,
    )
  }
  assert.is(safeName('./shards/a.bin'), 'shards/a.bin')
})

test.run()
