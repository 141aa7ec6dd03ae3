/** onnxruntime-web's CPU build, one thread, on an ONNX twin. */
import * as ort from 'onnxruntime-web/wasm'
import type { Runner } from '../drive.ts'
import { onnxSession } from './onnx.ts'

export const start: Runner['start'] = async () => {
  ort.env.wasm.numThreads = 1
  ort.env.wasm.proxy = false
  ort.env.wasm.wasmPaths = '/modules/onnxruntime-web/dist/'
  ort.env.logLevel = 'error'
}
export const open: Runner['open'] = async (network, bytes) =>
  onnxSession(
    ort,
    network,
    await ort.InferenceSession.create(bytes, {
      executionProviders: ['wasm'],
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    }),
  )
