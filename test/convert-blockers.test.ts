/** Everything that keeps a model from running, told at once and before any work: by the readers, and by `convert`. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GraphBuilder } from '../src/convert/builder.ts'
import { kerasGraph } from '../src/convert/keras/model.ts'
import { tfGraph } from '../src/convert/tfjs/graph-model.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph } from '../src/graph/graph.ts'
import { thimble } from './call-cli.ts'
import { quantizedFile, quantizedNets } from './quantized-nets.ts'
import { refusal } from './util.ts'

const layer = (className: string, name: string, config: object = {}): object => ({
  class_name: className,
  config: { name, ...config },
})
const sequential = (...layers: object[]): object =>
  layer('Sequential', 'net', { layers: [layer('InputLayer', 'in', { batch_shape: [null, 8, 8, 3] }), ...layers] })

test('a Keras model: all layers that are not read, those of nested models too', () => {
  const inner = layer('Sequential', 'inner', { layers: [layer('Embedding', 'embed')] })
  const model = sequential(
    layer('ReLU', 'relu'),
    layer('ConvLSTM2D', 'memory'),
    inner,
    layer('ConvLSTM2D', 'more'),
    layer('Lambda', 'f'),
  )
  const weights = { of: () => [] } as never
  const { code, message } = refusal(() => kerasGraph(model as never, weights))
  assert.is(code, 'lower/unsupported-op')
  assert.match(message, /Keras layers ConvLSTM2D \("memory"\), Embedding \("embed"\), Lambda \("f"\)/)
  assert.match(message, /Lambda layer is Python code/)
  const one = refusal(() => kerasGraph(sequential(layer('ConvLSTM2D', 'c')) as never, weights))
  assert.match(one.message, /Keras layer ConvLSTM2D.*"c"/)
  assert.not.match(one.message, /ONNX/)
})

test('a Keras model: what a configuration asks for is named beside layers that are not read, each once', () => {
  const same = { strides: [1, 1], padding: 'valid', kernel_size: [1, 1], filters: 3 }
  const first = layer('Conv2D', 'one', { ...same, data_format: 'channels_first' })
  const model = sequential(
    first,
    layer('Masking', 'mask'),
    layer('MaxPooling2D', 'two', { pool_size: [2, 2], strides: [2, 2], padding: 'causal' }),
  )
  const { code, message } = refusal(() => kerasGraph(model as never, { of: () => [] } as never))
  assert.is(code, 'lower/unsupported-op')
  assert.match(message, /Keras layer Masking.*"mask"/)
  assert.match(message, /channels_first.*"one".*causal.*"two"/)
})

test('a TensorFlow.js graph: all ops that the outputs need and that are not read', () => {
  const node = (name: string, op: string, ...input: string[]): object => ({ name, op, input, attr: {} })
  const topology = {
    node: [
      { ...node('x', 'Placeholder'), attr: { shape: { shape: { dim: [{ size: '1' }, { size: '4' }] } } } },
      node('a', 'Einsum', 'x'),
      node('b', 'Relu', 'a'),
      node('c', 'Erf', 'b'),
      node('unused', 'Where', 'x'),
    ],
  }
  const signature = { outputs: { out: { name: 'c:0' } } }
  const { code, message } = refusal(() => tfGraph(topology as never, [], signature, {}))
  assert.is(code, 'lower/unsupported-op')
  assert.match(message, /TensorFlow ops Erf, Einsum;/)
  assert.not.match(message, /Where/)
  // Beside unknown ops, those that are known in another form.
  const nchw = (name: string): object => ({ ...node(name, 'MaxPool', 'x'), attr: { data_format: { s: btoa('NCHW') } } })
  const two = { node: [...topology.node, nchw('p'), nchw('q')] }
  const all = { outputs: { out: { name: 'c:0' }, p: { name: 'p:0' }, q: { name: 'q:0' } } }
  const more = refusal(() => tfGraph(two as never, [], all, {}))
  assert.match(
    more.message,
    /ops Erf, Einsum, .*MaxPool with data_format NCHW; tensor "p", .*tensor "q"; leave them out/,
  )
})

/** A convolution whose real numbers are cast to whole ones, twice: an int8 form would cast what it stores. */
function blocked(): Graph {
  const b = new GraphBuilder()
  const filter = { shape: [4, 3, 3, 3], data: new Float32Array(108).fill(0.1) }
  const x = b.conv('conv', b.input('image', [1, 8, 8, 3]), { filter })
  const whole = (name: string): number => b.op({ type: 'CAST', inputs: [x], attrs: {} }, name, b.shape(x), 'int32')
  return b.finish([whole('one'), whole('two')])
}

test('convert says whether the result will run, and all that is in the way', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-convert-'))
  const at = (name: string): string => join(folder, name)
  const [net] = quantizedNets()
  writeFileSync(at('float.tflite'), writeTflite(net!.graph))
  writeFileSync(at('int8.tflite'), quantizedFile(net!).tflite)
  writeFileSync(at('blocked.tflite'), writeTflite(blocked()))
  const out = async (name: string, ...more: string[]): Promise<string> => {
    const said = await thimble(['convert', at(name), ...more])
    assert.is(said.code, 0, said.err)
    return said.out
  }
  assert.match(await out('float.tflite'), /^ {2}runs when quantized/m)
  assert.match(await out('int8.tflite'), /^ {2}runs$/m)
  const text = await out('blocked.tflite')
  assert.match(text, /its int8 form would not run: 2 in the way\n {4}CAST at op 1 .*\n {4}CAST at op 2 /)
  const json = JSON.parse(await out('blocked.tflite', '--json')) as { blockers: string[] }
  assert.is(json.blockers.length, 2)
  assert.equal((JSON.parse(await out('float.tflite', '--json')) as { blockers: string[] }).blockers, [])
  rmSync(folder, { recursive: true })
})

test.run()
