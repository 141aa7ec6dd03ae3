/** tfjs-tflite, one thread. TensorFlow.js has no 8-bit tensors: integers go in and come out as int32. */
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
// @ts-expect-error The package publishes no types for this file, the only one that bundlers can take.
import * as tflite from '@tensorflow/tfjs-tflite/dist/tf-tflite.fesm.min.js'
import { encode, numbers, type Runner, type Session } from '../drive.ts'

export const start: Runner['start'] = async () => {
  await tf.setBackend('cpu')
  tflite.setWasmPath('/modules/@tensorflow/tfjs-tflite/wasm/')
}

export const open: Runner['open'] = async (network, bytes): Promise<Session> => {
  const model = await tflite.loadTFLiteModel(bytes.slice().buffer, { numThreads: 1 })
  const type = network.input.dtype === 'float32' ? 'float32' : 'int32'
  let data: Int32Array | Float32Array
  let result: ArrayLike<number>
  return {
    set(input) {
      data = (type === 'float32' ? Float32Array : Int32Array).from(numbers(network.input, input))
    },
    run() {
      const tensor = tf.tensor(data, network.input.shape, type)
      const output = model.predict(tensor) as tf.Tensor
      result = output.dataSync()
      output.dispose()
      tensor.dispose()
    },
    output: () => encode(network.output, result),
  }
}
