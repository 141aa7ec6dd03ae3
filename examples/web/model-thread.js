/** The model's own thread: one promise a request. */
import { $, problem } from './dom.js'

const worker = new Worker('worker.js', { type: 'module' })
const waiting = new Map()
let requests = 0

export function ask(action, details = {}, transfer = []) {
  const id = ++requests
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject })
    worker.postMessage({ id, action, ...details }, transfer)
  })
}

worker.onmessage = ({ data: { id, result, error, progress } }) => {
  if (progress !== undefined) return void ($('progress').value = progress)
  const { resolve, reject } = waiting.get(id)
  waiting.delete(id)
  if (error) reject(Object.assign(new Error(error.message), { code: error.code }))
  else resolve(result)
}
worker.onerror = (event) => {
  event.preventDefault?.()
  problem(
    "The model's thread did not start. This browser may be too old: module workers and WebAssembly SIMD are needed.",
  )
}
