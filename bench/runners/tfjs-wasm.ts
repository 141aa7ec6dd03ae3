/** TensorFlow.js's WebAssembly backend, one thread, float32: it has no quantized kernels, so it runs the float twin. */
import * as tf from '@tensorflow/tfjs-core'
import { loadGraphModel } from '@tensorflow/tfjs-converter'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { fromFloat, toFloat, type Runner, type Session } from '../drive.ts'

export const start: Runner['start'] = async () => {
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false)
  setWasmPaths('/modules/@tensorflow/tfjs-backend-wasm/dist/')
  await tf.setBackend('wasm')
  await tf.ready()
}

/** The file: a 4-byte little-endian length, model.json, the weights. */
export const open: Runner['open'] = async (network, bytes): Promise<Session> => {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const json = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  const model = await loadGraphModel(tf.io.fromMemory({ ...json, weightData: bytes.slice(4 + length).buffer }))
  let data: Float32Array
  let result: Float32Array
  return {
    set(input) {
      data = toFloat(network.input, input)
    },
    run() {
      const tensor = tf.tensor(data, network.input.shape, 'float32')
      const output = model.predict(tensor)
      result = output.dataSync() as Float32Array
      output.dispose()
      tensor.dispose()
    },
    output: () => fromFloat(network.output, result),
  }
}
