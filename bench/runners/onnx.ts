/** What both ONNX Runtimes share: the twin's input and output are uint8 (see twins.py) or float32. */
import type { InferenceSession, Tensor } from 'onnxruntime-common'
import { flipSign, fromFloat, toBytes, toFloat, typed, type Network, type Session } from '../drive.ts'

interface Ort {
  Tensor: typeof Tensor
}

export function onnxSession(ort: Ort, network: Network, session: InferenceSession): Session {
  const [input, output] = [session.inputMetadata[0], session.outputMetadata[0]]
  if (!input.isTensor || !output.isTensor) throw new Error('the twin has a non-tensor input or output')
  const name = { input: session.inputNames[0], output: session.outputNames[0] }
  let data: ArrayBufferView
  let result: ArrayBufferView
  return {
    set(bytes) {
      if (input.type === 'float32') data = toFloat(network.input, bytes)
      else data = network.input.dtype === 'int8' ? flipSign(bytes) : typed(network.input, bytes)
    },
    async run() {
      const outputs = await session.run({
        [name.input]: new ort.Tensor(input.type as 'uint8', data, network.input.shape),
      })
      result = outputs[name.output].data as ArrayBufferView
    },
    output() {
      if (output.type === 'float32') return fromFloat(network.output, result as Float32Array)
      return network.output.dtype === 'int8' ? flipSign(result as Uint8Array) : toBytes(result)
    },
  }
}
