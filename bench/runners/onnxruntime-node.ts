/** onnxruntime-node, one thread, on an ONNX twin. */
import type * as Ort from 'onnxruntime-node'
import type { Network, Runner } from '../drive.ts'
import { onnxSession } from './onnx.ts'

let ort: typeof Ort
export const start: Runner['start'] = async () => {
  ort = (await import('onnxruntime-node')).default
}
export const open: Runner['open'] = async (network: Network, bytes: Uint8Array) =>
  onnxSession(
    ort,
    network,
    await ort.InferenceSession.create(bytes, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    }),
  )
