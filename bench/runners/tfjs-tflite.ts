/** tfjs-tflite, one thread. TensorFlow.js has no 8-bit tensors: bytes go in and come out as int32. */
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
// @ts-expect-error The package publishes no types for this file, the only one that bundlers can take.
import * as tflite from '@tensorflow/tfjs-tflite/dist/tf-tflite.fesm.min.js'
import type { Runner, Session } from '../drive.ts'

export const start: Runner['start'] = async () => {
  await tf.setBackend('cpu')
  tflite.setWasmPath('/modules/@tensorflow/tfjs-tflite/wasm/')
}

export const open: Runner['open'] = async (network, bytes): Promise<Session> => {
  const model = await tflite.loadTFLiteModel(bytes.slice().buffer, { numThreads: 1 })
  let data: Int32Array
  let result: Int32Array
  return {
    set(input) { data = Int32Array.from(network.input.dtype === 'int8' ? new Int8Array(input.buffer) : input) },
    run() {
      const tensor = tf.tensor(data, network.input.shape as [number], 'int32')
      const output = model.predict(tensor) as tf.Tensor
      result = output.dataSync() as Int32Array
      output.dispose()
      tensor.dispose()
    },
    output: () => Uint8Array.from(result, (v) => v & 255),
  }
}
