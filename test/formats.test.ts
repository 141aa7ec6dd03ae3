import { deflateRawSync, gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import { readModel, sniffFormat } from '../src/formats/index.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { equalGraphs, smallModels } from './small-models.ts'
import { refusal } from './util.ts'

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const bytes = (...b: number[]): Uint8Array => Uint8Array.from([...b, ...new Array<number>(64).fill(0)])
const message = (file: Uint8Array, name?: string): string => refusal(() => readModel(file, name)).message

test('both of our formats are told apart by content and read', () => {
  const { graph } = smallModels()[0]!
  const tflite = writeTflite(graph)
  const packed = writePacked(graph)
  assert.equal([sniffFormat(tflite), sniffFormat(packed)], ['tflite', 'thimble'])
  equalGraphs({ ...readModel(tflite), metadata: {} }, graph, 'tflite')
  equalGraphs(readModel(packed), graph, 'packed')
})

test('files that are something else are called by their name, with what to do', () => {
  const zipHead = (name: string): Uint8Array =>
    Uint8Array.from([
      0x50,
      0x4b,
      3,
      4,
      ...new Array<number>(22).fill(0),
      name.length,
      0,
      0,
      0,
      ...text(name),
      ...new Array<number>(40).fill(0),
    ])
  const rows: [ReturnType<typeof sniffFormat>, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(0), /empty/],
    ['git-lfs', text('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n'), /git lfs pull/],
    ['html', text('<!DOCTYPE html>\n<html><head><title>404</title>'), /web page/],
    ['html', text('\ufeff  <html lang="en">'), /web page/],
    ['gzip', new Uint8Array(gzipSync('x')), /unpack/],
    ['pytorch', zipHead('archive/data.pkl'), /PyTorch/],
    ['pytorch', zipHead('resnet18/version'), /PyTorch/],
    ['zip', zipHead('model.tflite'), /unpack/],
    ['pytorch', bytes(0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20), /PyTorch/],
    ['hdf5', bytes(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a), /Keras/],
    ['onnx', bytes(0x08, 0x07, 0x12, 0x07, ...text('pytorch')), /ONNX/],
    ['onnx', bytes(0x08, 0x0a, 0x3a, 0x80, 0x01), /ONNX/],
    ['wasm', bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0), /WebAssembly/],
    ['tfjs', text('{"format": "layers-model", "modelTopology": {}}'), /TensorFlow.js/],
    ['safetensors', bytes(0x40, 0, 0, 0, 0, 0, 0, 0, ...text('{"weight":')), /safetensors/],
    ['image', bytes(0xff, 0xd8, 0xff, 0xe0), /image/],
    ['image', bytes(0x89, 0x50, 0x4e, 0x47), /image/],
    ['text', text('background\ntench\ngoldfish\n'), /text/],
    ['unknown', bytes(1, 2, 3, 4), /Thimble/],
    ['unknown', new Uint8Array(1000), /Thimble/],
  ]
  for (const [format, file, say] of rows) {
    assert.is(sniffFormat(file), format)
    assert.match(message(file, 'photo model'), say)
    assert.match(message(file, 'photo model'), /^format\/not-a-model: photo model: /)
    assert.not.match(message(file), /\n/)
  }
})

test('a packed file whose line ends were changed is still called one', () => {
  const packed = writePacked(smallModels()[0]!.graph)
  packed[7] = 0x0a
  assert.match(message(packed), /^format\/packed: /)
})

test('any bytes have a format, and reading them ends in a ThimbleError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, tflite) => {
      if (tflite && noise.length > 8) noise.set(text('TFL3'), 4)
      assert.type(sniffFormat(noise), 'string')
      assert.match(message(noise), /^format\//)
    }),
    { numRuns: 2000 },
  )
})

test('compressed and truncated models', () => {
  const tflite = writeTflite(smallModels()[0]!.graph)
  assert.match(message(new Uint8Array(gzipSync(tflite))), /gzip/)
  assert.match(message(new Uint8Array(deflateRawSync(tflite))), /^format\//)
  assert.match(message(tflite.subarray(0, 100)), /truncated or damaged/)
})

test.run()
