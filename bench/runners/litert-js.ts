/** LiteRT.js on the CPU, one thread. */
import { loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core'
import { toBytes, typed, type Runner, type Session } from '../drive.ts'

export const start: Runner['start'] = async () => {
  await loadLiteRt('/modules/@litertjs/core/wasm/')
}

export const open: Runner['open'] = async (network, bytes): Promise<Session> => {
  const model = await loadAndCompile(bytes, { accelerator: 'wasm', cpuOptions: { numThreads: 1 } })
  let data: Uint8Array<ArrayBuffer>
  let result: ArrayBufferView
  return {
    set(input) {
      data = typed(network.input, input) as Uint8Array<ArrayBuffer>
    },
    async run() {
      const tensor = new Tensor(data, network.input.shape)
      const [output] = await model.run(tensor)
      result = output.toTypedArray()
      output.delete()
      tensor.delete()
    },
    output: () => toBytes(result),
  }
}
